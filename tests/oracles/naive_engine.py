"""Two naive engines in plain Python: lists, dictionaries, one loop per sentence of the rule book. No NumPy, no speed.

:func:`rotation` plays the two benchmark workloads (W1 without stops, W2 with them). :class:`NaiveAccount` plays anything else:
splits, dividends, missing bars, delistings, shorts, stops and targets, interest, borrow, deposits. Neither shares a line with the
package; both are written from its documentation.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from itertools import pairwise

# --- the workloads -------------------------------------------------------------------------------------------------------------------

CASH = 1_000_000.0
TOP, EVERY, LOOKBACK, SKIP, INVESTED = 20, 21, 252, 21, 0.95
PER_SHARE, MINIMUM, SLIPPAGE = 0.0035, 0.35, 0.0005
HARD, TRAILING = 0.15, 0.25


@dataclass
class Rotation:
    """How a workload ended: equity per day, and its orders as (day, symbol, shares, price, was it a stop)."""

    equity: list[float]
    orders: list[tuple[int, int, int, float, bool]]

    @property
    def final(self):
        return self.equity[-1]

    @property
    def stop_outs(self):
        return sum(order[4] for order in self.orders)


def rotation(opens, highs, lows, closes, *, stops):
    """Hold the 20 best by 12-1 month momentum in equal parts of 95 % of equity, chosen anew every 21 days.

    Orders of a close fill at the next open, sells before buys, in symbol order. With ``stops`` a position older than today leaves at
    the higher of 15 % under its entry and 25 % under its best high up to yesterday: at the open where that gaps through, else at the
    level. Whole shares; the arguments are lists of days of lists of prices.
    """
    days, symbols = len(closes), len(closes[0])
    cash = CASH
    positions = {}  # symbol -> [shares, entry price, best high, day opened]
    wanted = {}
    equity, orders = [], []

    def execute(day, symbol, shares, reference, is_stop=False):
        nonlocal cash
        price = reference * (1 + SLIPPAGE) if shares > 0 else reference * (1 - SLIPPAGE)
        cash -= shares * price + max(MINIMUM, PER_SHARE * abs(shares))
        orders.append((day, symbol, shares, price, is_stop))
        if symbol not in positions:
            positions[symbol] = [0, price, 0.0, day]
        positions[symbol][0] += shares
        if positions[symbol][0] == 0:
            del positions[symbol]

    def held(symbol):
        return positions[symbol][0] if symbol in positions else 0

    for day in range(days):
        changes = {symbol: target - held(symbol) for symbol, target in wanted.items()}
        wanted = {}
        for symbol in sorted(s for s, change in changes.items() if change < 0):
            execute(day, symbol, changes[symbol], opens[day][symbol])
        for symbol in sorted(s for s, change in changes.items() if change > 0):
            execute(day, symbol, changes[symbol], opens[day][symbol])
        if stops:
            for symbol in sorted(positions):
                shares, entry, best, opened = positions[symbol]
                level = max(entry * (1 - HARD), best * (1 - TRAILING))
                if opened == day:
                    continue
                if opens[day][symbol] <= level:
                    execute(day, symbol, -shares, opens[day][symbol], True)
                elif lows[day][symbol] <= level:
                    execute(day, symbol, -shares, level, True)
        for symbol, position in positions.items():
            position[2] = max(position[2], highs[day][symbol])
        worth = cash
        for symbol in sorted(positions):
            worth += positions[symbol][0] * closes[day][symbol]
        equity.append(worth)
        if day >= LOOKBACK and (day - LOOKBACK) % EVERY == 0 and day + 1 < days:
            before, after = closes[day - LOOKBACK], closes[day - SKIP]
            best_first = sorted(range(symbols), key=lambda s: (-(after[s] / before[s] - 1), s))
            wanted = dict.fromkeys(positions, 0)
            for symbol in best_first[:TOP]:
                wanted[symbol] = math.floor(INVESTED * worth / TOP / closes[day][symbol])
    return Rotation(equity, orders)


# --- everything else -----------------------------------------------------------------------------------------------------------------


@dataclass
class Terms:
    """What is charged and what protects; None = off."""

    cash: float = 100_000.0
    per_share: float = 0.005
    minimum: float = 1.0
    cap: float | None = 0.01
    slippage: float = 0.0005
    impact: float = 0.0
    impact_window: int = 20
    cash_rate: float = 0.0
    margin_rate: float = 0.06
    borrow_rate: float = 0.005
    patience: int = 10
    hard: float | None = None
    trailing: float | None = None
    target: float | None = None
    time: int | None = None
    at_entry: bool = True


@dataclass
class NaiveMarket:
    """Rows of lists, None = not traded. ``gone[s]`` = (day before whose open the listing ended, value or None), or None."""

    opens: list
    highs: list
    lows: list
    closes: list
    volumes: list
    splits: list
    dividends: list
    gone: list

    @property
    def days(self):
        return len(self.closes)

    @property
    def symbols(self):
        return len(self.gone)


@dataclass
class Held:
    """One position: signed shares, and what its exits hang on."""

    shares: int
    entry: float
    mark: float
    best: float | None = None
    age: int = 0
    silent: int = 0
    stop: float | None = None
    stop_why: str = "none"
    target: float | None = None


@dataclass
class Ticket:
    """An order for the next open."""

    shares: int
    why: str = "rebalance"
    stop: float | None = None
    stop_why: str = "none"
    target: float | None = None


def whole(number):
    """Without its fraction, but 2.9999999999 is 3."""
    return round(number) if abs(number - round(number)) <= 1e-9 else math.trunc(number)


@dataclass
class NaiveAccount:
    """Plays a market session by session; ``log`` holds the events as dictionaries, ``book`` one dictionary per session."""

    market: NaiveMarket
    terms: Terms
    cash: float = 0.0
    nav: float = 0.0
    index: float = 1.0
    held: dict[int, Held] = field(default_factory=dict)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    log: list[dict] = field(default_factory=list)
    book: list[dict] = field(default_factory=list)

    def __post_init__(self):
        self.cash = self.nav = self.terms.cash

    def play(self, decide, flows):
        """``decide(day, nav)`` answers {symbol: signed shares} or None = leave everything."""
        for day in range(self.market.days):
            self.session(day, flows[day])
            self.protect()
            wishes = decide(day, self.nav)
            if wishes is not None:
                self.order(day, wishes)
        return self

    # one session

    def session(self, day, flow):
        worth_before = sum(p.shares * p.mark for _, p in sorted(self.held.items()))
        self.today = {"commission": 0.0, "slippage": 0.0, "dividends": 0.0, "traded": 0.0, "flow": flow, "trading": 0.0}
        self.cash += flow
        self.actions(day)
        self.open(day, -1)
        self.open(day, +1)
        self.tickets = {}
        self.exits(day)
        self.mark(day)
        longs = sum(p.shares * p.mark for p in self.held.values() if p.shares > 0)
        shorts = sum(p.shares * p.mark for p in self.held.values() if p.shares < 0)
        interest = self.cash * (self.terms.cash_rate if self.cash > 0 else self.terms.margin_rate) / 252
        borrow = -shorts * self.terms.borrow_rate / 252
        self.cash += interest - borrow
        before, self.nav = self.nav, self.cash + longs + shorts
        self.index *= (self.nav - flow) / before
        self.today |= {
            "nav": self.nav, "cash": self.cash, "index": self.index, "long_value": longs, "short_value": shorts,
            "interest": interest, "borrow": borrow, "price_pnl": longs + shorts - worth_before + self.today.pop("trading"),
        }  # fmt: skip
        self.book.append(self.today)

    def actions(self, day):
        for s in sorted(set(self.held) | set(self.tickets)):
            if self.market.splits[day][s] != 1:
                self.split(day, s, self.market.splits[day][s])
            paid = self.market.dividends[day][s]
            if paid and s in self.held:
                amount = self.held[s].shares * paid
                self.cash += amount
                self.today["dividends"] += amount
                self.note(day, s, "dividend", "corporate_action", self.held[s].shares, paid, cash=amount)
            if self.market.gone[s] is not None and day >= self.market.gone[s][0]:
                self.end_ticket(day, s, "ended")
                if s in self.held:
                    value = self.market.gone[s][1]
                    price = self.held[s].mark if value is None else value
                    self.trade(day, s, -self.held[s].shares, price, price, 0.0, "delisting", "delisted")

    def split(self, day, s, ratio):
        position, ticket = self.held.get(s), self.tickets.get(s)
        had = position.shares if position else 0
        left = whole(had * ratio)
        if ticket:
            changed = -left if ticket.shares == -had else whole(ticket.shares * ratio)
            if changed == 0:
                self.end_ticket(day, s, "ended")
            else:
                ticket.shares = changed
                ticket.stop, ticket.target = over(ticket.stop, ratio), over(ticket.target, ratio)
        if not position:
            return
        for name in ("entry", "mark", "best", "stop", "target"):
            setattr(position, name, over(getattr(position, name), ratio))
        fraction = had * ratio - left
        in_lieu = fraction * position.mark if abs(fraction) > 1e-9 else 0.0
        self.cash += in_lieu
        self.today["trading"] += in_lieu
        self.note(day, s, "split", "corporate_action", left - had, ratio, cash=in_lieu)
        position.shares = left
        if left == 0:
            del self.held[s]

    def end_ticket(self, day, s, outcome):
        ticket = self.tickets.pop(s, None)
        if ticket:
            self.note(day, s, "order", ticket.why, ticket.shares, None, outcome=outcome)

    def open(self, day, side):
        for s in sorted(self.tickets):
            ticket = self.tickets[s]
            if ticket.shares * side <= 0:
                continue
            reference = self.market.opens[day][s]
            if reference is None:
                self.end_ticket(day, s, "no_bar")
                continue
            price = reference * (1 + side * self.slip(day, s, abs(ticket.shares)))
            self.trade(day, s, ticket.shares, reference, price, self.fee(ticket.shares, price), "order", ticket.why, ticket)
            del self.tickets[s]

    def exits(self, day):
        for s in sorted(self.held):
            position = self.held[s]
            bar = (self.market.opens[day][s], self.market.highs[day][s], self.market.lows[day][s])
            found = touched(position.shares > 0, bar, position.stop, position.target)
            if found is None:
                continue
            kind, reference = found
            price, why = reference, "profit_target"
            if kind == "stop":
                slip = self.slip(day, s, abs(position.shares))
                price = reference * (1 - slip) if position.shares > 0 else reference * (1 + slip)
                why = position.stop_why
            self.trade(day, s, -position.shares, reference, price, self.fee(position.shares, price), kind, why)

    def mark(self, day):
        for s in sorted(self.held):
            position = self.held[s]
            position.age += 1
            close, high, low = self.market.closes[day][s], self.market.highs[day][s], self.market.lows[day][s]
            if close is None:
                position.silent += 1
                if position.silent >= self.terms.patience:
                    self.trade(day, s, -position.shares, position.mark, position.mark, 0.0, "stale_close", "no_bars")
                    continue
            else:
                position.mark, position.silent = close, 0
            extreme = high if position.shares > 0 else low
            if extreme is not None:
                pick = max if position.shares > 0 else min
                position.best = extreme if position.best is None else pick(position.best, extreme)

    def trade(self, day, s, shares, reference, price, fee, kind, why, ticket=None):
        paid = -(shares * price + fee)
        self.cash += paid
        self.today["commission"] += fee
        self.today["slippage"] += (price - reference) * shares
        self.today["traded"] += abs(shares) * price
        self.today["trading"] -= shares * reference
        self.note(day, s, kind, why, shares, price, reference=reference, commission=fee, cash=paid)
        position = self.held.get(s)
        after = shares + (position.shares if position else 0)
        if after == 0:
            del self.held[s]
        elif position and position.shares * after > 0:
            position.shares = after
        else:
            mark, silent = (position.mark, position.silent) if position else (reference, 0)
            self.held[s] = Held(after, price, mark, None, -1, silent, ticket.stop, ticket.stop_why, ticket.target)

    def note(self, day, s, kind, why, shares, price, reference=None, commission=0.0, cash=0.0, outcome="filled"):
        self.log.append(
            {"row": day, "symbol": s, "kind": kind, "outcome": outcome, "reason": why, "shares": shares, "price": price,
             "reference": reference, "commission": commission, "cash": cash}
        )  # fmt: skip

    # costs

    def fee(self, shares, price):
        fee = max(self.terms.minimum, self.terms.per_share * abs(shares))
        return fee if self.terms.cap is None else min(fee, self.terms.cap * abs(shares) * price)

    def slip(self, day, s, shares):
        terms = self.terms
        if terms.impact == 0:
            return terms.slippage
        ratio, closes, volumes = self.market.splits[day][s], [], []
        for u in range(day - 1, max(0, day - terms.impact_window) - 1, -1):
            if self.market.closes[u][s] is not None:
                closes.append(self.market.closes[u][s] / ratio)
                volumes.append(None if self.market.volumes[u][s] is None else self.market.volumes[u][s] * ratio)
            ratio *= self.market.splits[u][s]
        if len(closes) * 2 < terms.impact_window or len(closes) < 3 or None in volumes or not sum(volumes) > 0:
            return terms.slippage + 0.10
        returns = [newer / older - 1 for newer, older in pairwise(closes)]
        impact = terms.impact * statistics.stdev(returns) * math.sqrt(shares / statistics.fmean(volumes))
        return min(terms.slippage + impact, 0.5)

    # the close

    def level(self, long, entry, best):
        """The nearest stop and its name, from the entry and the best price since."""
        terms, found = self.terms, []
        if terms.hard is not None:
            found.append((entry * (1 - terms.hard) if long else entry * (1 + terms.hard), "hard_stop"))
        if terms.trailing is not None and best is not None:
            found.append((best * (1 - terms.trailing) if long else best * (1 + terms.trailing), "trailing_stop"))
        if not found:
            return None, "none"
        return (max if long else min)(found, key=lambda pair: pair[0])

    def profit(self, long, entry):
        if self.terms.target is None:
            return None
        level = entry * (1 + self.terms.target if long else 1 - self.terms.target)
        return level if level > 0 else None

    def protect(self):
        for s, position in sorted(self.held.items()):
            long = position.shares > 0
            position.stop, position.stop_why = self.level(long, position.entry, position.best)
            position.target = self.profit(long, position.entry)
            if self.terms.time is not None and position.age >= self.terms.time:
                self.tickets[s] = Ticket(-position.shares, "time_stop")

    def order(self, day, wishes):
        for s in sorted(set(self.held) | set(wishes)):
            if s in self.tickets:
                continue
            have, want, close = self.held[s].shares if s in self.held else 0, wishes.get(s, 0), self.market.closes[day][s]
            if close is None or not self.nav > 0:  # what is unknown may only reduce
                want = (want if abs(want) <= abs(have) else have) if want * have > 0 else 0
            if want == have:
                continue
            ticket = Ticket(want - have)
            if self.terms.at_entry and wishes.get(s, 0) != 0 and close is not None:
                long = wishes[s] > 0
                ticket.stop, ticket.stop_why = self.level(long, close, close)
                ticket.target = self.profit(long, close)
            self.tickets[s] = ticket


def over(price, ratio):
    """A price after a split."""
    return None if price is None else price / ratio


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
