"""What the naive account holds and orders, and when a bar reaches a price. Written from docs/fills.md alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Held:
    """One position: signed shares, and what its exits hang on."""

    shares: float
    entry: float
    mark: float
    best: float | None = None
    late: bool = False  # opened after the open: the day's high and low may have come before it
    age: int = 0
    silent: int = 0
    stop: float | None = None
    stop_why: str = "none"
    target: float | None = None
    spent: float = 0.0  # USD to open and enlarge it
    earned: float = 0.0  # USD it has brought so far, less what it has cost


@dataclass
class Wish:
    """What a strategy wants of one name: so many signed shares, and how to get there (``open close limit stop``)."""

    shares: float
    kind: str = "open"
    price: float | None = None
    keep: bool = False


@dataclass
class Ticket:
    """An order for one session."""

    shares: float
    why: str = "rebalance"
    kind: str = "open"
    price: float | None = None
    keep: bool = False
    stop: float | None = None
    stop_why: str = "none"
    target: float | None = None

    @property
    def last_phase(self):
        """The part of the day in which it has its last turn."""
        return self.kind if self.kind in ("open", "close") else "day"

    def reached(self, phase, opened, high, low, close):
        """The price at which the order meets the market at the ``open``, during the ``day`` or at the ``close``; None = it does not."""
        if self.kind in ("open", "close"):
            return {"open": opened, "close": close}.get(phase) if self.kind == phase else None
        from_above = (self.shares > 0) == (self.kind == "limit")
        if phase == "open" and opened is not None:
            return opened if (opened <= self.price if from_above else opened >= self.price) else None
        if phase == "day":
            extreme = low if from_above else high
            return self.price if extreme is not None and (extreme <= self.price if from_above else extreme >= self.price) else None
        return None


def tidy(shares):
    """Sums of multiples of 0.0001 are multiples of 0.0001."""
    return round(shares, 4)


def over(price, ratio):
    """A price after a split."""
    return None if price is None else price / ratio


def tally(today, position, shares, price, fee):
    """(spent, earned) of what is held after an execution; what ends by it, or is turned by it, is judged."""
    held = position.shares if position else 0
    if not held:
        return abs(shares) * price, -shares * price - fee
    if held * shares > 0:
        return position.spent + abs(shares) * price, position.earned - shares * price - fee
    left = tidy(held + shares)
    if left * held > 0:
        return position.spent, position.earned - shares * price - fee
    part = min(1, -held / shares)  # of the order that ended the old position: its part of the fee
    position.earned += held * price - fee * part
    judge(today, position)
    return abs(left) * price, -left * price - fee * (1 - part)


def judge(today, position):
    """A position that is over is a win or a loss, by what it brought per dollar spent."""
    result = position.earned / position.spent
    today["wins" if result > 0 else "losses"] += 1
    today["gains" if result > 0 else "forfeits"] += abs(result)


def profit(terms, long, entry):
    """The profit target, None where it is off or not above 0."""
    if terms.target is None:
        return None
    level = entry * (1 + terms.target if long else 1 - terms.target)
    return level if level > 0 else None


def outlived(terms, dates, day, age):
    """Whether a position ``age`` sessions old has been held for as many sessions, or calendar days, as a time stop allows."""
    by_days = terms.time_days is not None and dates[day] - dates[day - age] >= terms.time_days
    return by_days or (terms.time is not None and age >= terms.time)


def under(price, paid):
    """A price after a dividend."""
    return None if price is None else price - paid


def touched(long, bar, stop, target):
    """("stop" or "target", price) a bar fills a resting level at; None where nothing is touched. The stop comes first."""
    opened, high, low = bar
    stop_at_open = stop is not None and opened is not None and (opened <= stop if long else opened >= stop)
    target_at_open = target is not None and opened is not None and (opened >= target if long else opened <= target)
    far, near = (low, high) if long else (high, low)
    stop_later = stop is not None and far is not None and (far <= stop if long else far >= stop)
    target_later = target is not None and near is not None and (near >= target if long else near <= target)
    if stop_at_open:
        return "stop", opened
    if target_at_open:
        return "target", opened
    if stop_later:
        return "stop", stop
    if target_later:
        return "target", target
    return None
