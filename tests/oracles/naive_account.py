"""A naive engine in plain Python: lists, dictionaries, one loop per sentence of docs/fills.md. No NumPy, no speed.

:class:`NaiveAccount` plays splits, dividends, missing bars, delistings, shorts, every kind of order, partial fills, buying power,
margin calls, stops and targets, interest, borrow and deposits. It shares no line with the package and is written from its
documentation; prices of fills and the market are in ``naive_market``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from tests.oracles.naive_governor import taken
from tests.oracles.naive_market import NaiveMarket, Terms
from tests.oracles.naive_orders import Held, Ticket, Wish, judge, outlived, over, profit, tally, tidy, touched, under


@dataclass
class NaiveAccount:
    """Plays a market session by session; ``log`` holds the events as dictionaries, ``book`` one dictionary per session."""

    market: NaiveMarket
    terms: Terms
    cash: float = 0.0
    nav: float = 0.0
    index: float = 1.0
    room: float = math.inf  # USD of gross exposure the buying power still allows
    held: dict[int, Held] = field(default_factory=dict)
    tickets: dict[int, Ticket] = field(default_factory=dict)  # orders of this session that have not had their turn
    carried: dict[int, Ticket] = field(default_factory=dict)  # what is ordered anew for the next session
    log: list[dict] = field(default_factory=list)
    book: list[dict] = field(default_factory=list)

    def __post_init__(self):
        self.cash = self.nav = self.terms.cash

    def play(self, decide, flows):
        """``decide(day, nav)`` answers {symbol: Wish} or None = leave everything."""
        for day in range(self.market.days):
            self.session(day, flows[day])
            self.protect()
            self.order(day, decide(day, self.nav))
        return self

    # one session

    def session(self, day, flow):
        worth_before = sum(p.shares * p.mark for _, p in sorted(self.held.items()))
        self.today = {"commission": 0.0, "slippage": 0.0, "dividends": 0.0, "traded": 0.0, "flow": flow, "trading": 0.0}
        self.today |= {"scale": 1.0, "wins": 0.0, "losses": 0.0, "gains": 0.0, "forfeits": 0.0}
        self.cash += flow
        self.actions(day)
        self.meet(day, "open", -1)
        self.meet(day, "open", +1)
        self.exits(day)
        self.meet(day, "day", -1)
        self.meet(day, "day", +1)
        self.meet(day, "close", -1)
        self.meet(day, "close", +1)
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

    # corporate actions

    def actions(self, day):
        self.tickets, self.carried = self.carried, {}
        for s in sorted(set(self.held) | set(self.tickets)):
            if self.market.splits[day][s] != 1:
                self.split(day, s, self.market.splits[day][s])
            paid = self.market.dividends[day][s]
            if paid and self.terms.adjust:
                self.lower(s, paid)
            if paid and s in self.held:
                amount = self.held[s].shares * paid
                self.cash += amount
                self.today["dividends"] += amount
                self.held[s].earned += amount
                self.note(day, s, "dividend", "corporate_action", self.held[s].shares, paid, cash=amount)
            if self.market.gone[s] is not None and day >= self.market.gone[s][0]:
                value = self.market.gone[s][1]
                self.leave(day, s, "delisting", "delisted", value)

    def split(self, day, s, ratio):
        position, ticket = self.held.get(s), self.tickets.get(s)
        had = position.shares if position else 0
        left = self.terms.lots(had * ratio)
        if ticket:
            changed = -left if ticket.shares == -had else self.terms.lots(ticket.shares * ratio)
            if changed == 0:
                self.end_orders(day, s)
            else:
                levels = {name: over(getattr(ticket, name), ratio) for name in ("price", "stop", "target")}
                self.tickets[s] = replace(ticket, shares=changed, **levels)
        if not position:
            return
        for name in ("entry", "mark", "best", "stop", "target"):
            setattr(position, name, over(getattr(position, name), ratio))
        fraction = had * ratio - left
        in_lieu = fraction * position.mark if abs(fraction) > 1e-9 else 0.0
        self.cash += in_lieu
        self.today["trading"] += in_lieu
        self.note(day, s, "split", "corporate_action", tidy(left - had), ratio, cash=in_lieu)
        position.shares = left
        position.earned += in_lieu
        if left == 0:
            judge(self.today, self.held.pop(s))

    def lower(self, s, paid):
        """Levels without a dividend: what is paid out is no loss."""
        if s in self.tickets:
            ticket = self.tickets[s]
            self.tickets[s] = replace(ticket, stop=under(ticket.stop, paid), target=under(ticket.target, paid))
        position = self.held.get(s)
        if position is not None and paid < position.entry and (position.best is None or paid < position.best):
            for name in ("entry", "best", "stop", "target"):
                setattr(position, name, under(getattr(position, name), paid))

    def leave(self, day, s, kind, why, value=None):
        """Out without a market, at a value or the last close; what is ordered of the name ends."""
        self.end_orders(day, s)
        if s in self.held:
            price = self.held[s].mark if value is None else value
            self.trade(day, s, -self.held[s].shares, price, price, 0.0, kind, why)

    def end_orders(self, day, s):
        for tickets in (self.tickets, self.carried):
            if s in tickets:
                ticket = tickets.pop(s)
                self.note(day, s, "order", ticket.why, ticket.shares, None, outcome="ended")

    # orders

    def meet(self, day, phase, side):
        """The orders of one side in one part of the day: at the open, during the day, at the close."""
        self.room = self.buying_power(day, phase)
        for s in sorted(self.tickets):
            if s not in self.tickets or self.tickets[s].shares * side <= 0:
                continue
            ticket = self.tickets[s]
            reference = ticket.reached(phase, *self.market.bar(day, s))
            if reference is not None:
                del self.tickets[s]
                self.execute(day, s, ticket, reference, phase)
            elif phase == ticket.last_phase:
                del self.tickets[s]
                self.unreached(day, s, ticket)

    def execute(self, day, s, ticket, reference, phase):
        """Fill what volume and buying power allow; the rest is carried, or was not to be had."""
        side, wants = (1 if ticket.shares > 0 else -1), abs(ticket.shares)
        may = self.margin_allows(s, side, wants, reference)
        fills = min(may, self.volume_allows(day, s))
        if fills:
            price = reference
            if ticket.kind != "limit" or phase == "open":
                price = reference * (1 + side * self.market.slip(self.terms, day, s, fills, reference))
            if ticket.kind == "limit":
                price = min(price, ticket.price) if side > 0 else max(price, ticket.price)
            self.trade(day, s, side * fills, reference, price, self.terms.fee(fills, price), "order", ticket.why, ticket, phase)
        if may > fills:
            rest = replace(ticket, shares=tidy(side * (may - fills)))
            if ticket.kind == "stop":
                rest = replace(rest, kind="open", price=None, keep=False)
            self.carry(day, s, rest, "order")
        if wants > may:
            self.note(day, s, "order", ticket.why, tidy(side * (wants - may)), None, outcome="no_margin")
        if fills and phase == "day":
            self.rest_of_the_bar(day, s, reference)

    def carry(self, day, s, rest, kind):
        self.note(day, s, kind, rest.why, rest.shares, None, outcome="carried")
        self.carried[s] = rest

    def volume_allows(self, day, s):
        if self.terms.participation is None:
            return math.inf
        volume = self.market.volumes[day][s]
        return 0 if volume is None else self.terms.lots(self.terms.participation * volume)

    def unreached(self, day, s, ticket):
        """The session is over for it: kept, expired, or without a bar to meet."""
        if ticket.keep or ticket.why == "governor":
            self.carry(day, s, ticket, "order")
            return
        nothing = self.market.bar(day, s)[:3] == (None, None, None)
        outcome = "no_bar" if nothing or ticket.kind in ("open", "close") else "expired"
        self.note(day, s, "order", ticket.why, ticket.shares, None, outcome=outcome)

    # margin

    def buying_power(self, day, phase):
        """USD of gross exposure that may still be added: equity / initial - gross, at the open's (the closes') prices."""
        if self.terms.initial is None:
            return math.inf
        equity, gross = self.cash, 0.0
        for s, position in sorted(self.held.items()):
            price = self.market.price(day, s, phase)
            value = position.shares * (position.mark if price is None else price)
            equity += value
            gross += abs(value)
        return equity / self.terms.initial - gross

    def margin_allows(self, s, side, wants, reference):
        """How much of an order the account may carry: what reduces or turns a position to its own size is never cut, growth is."""
        has = self.held[s].shares * side if s in self.held else 0
        free = max(0, -2 * has)
        if math.isinf(self.room) or wants <= free:
            return wants
        return min(wants, tidy(free + self.terms.lots(max(0.0, self.room) / reference)))

    def leaving(self):
        """{symbol: order} that brings every position down by the same share: what margin call or governor asks, the larger."""
        called, why = self.margin_share(), "margin_call"
        if self.governed_share() > called:
            called, why = self.governed_share(), "governor"
        if not called:
            return {}
        return {s: Ticket(math.copysign(self.terms.lots_up(called * abs(p.shares)), -p.shares), why) for s, p in self.held.items()}

    def margin_share(self):
        """The share of every position that a margin call takes."""
        terms = self.terms
        if terms.initial is None:
            return 0
        required = sum(
            abs(p.shares) * p.mark * (terms.maintenance_long if p.shares > 0 else terms.maintenance_short) for p in self.held.values()
        )
        if self.nav >= required:
            return 0
        return 1 - self.nav / required if self.nav > 0 else 1

    def governed_share(self):
        """The share of every position that the governor takes tonight."""
        return taken(self.book[-2]["scale"] if len(self.book) > 1 else 1.0, self.today["scale"])

    # resting exits

    def exits(self, day):
        for s in sorted(self.held):
            position = self.held[s]
            opened, high, low, _ = self.market.bar(day, s)
            found = touched(position.shares > 0, (opened, high, low), position.stop, position.target)
            if found is not None:
                self.exit(day, s, *found)

    def rest_of_the_bar(self, day, s, reference):
        """A position opened during the day meets its stop in a bar that opens at its entry; the target waits."""
        position = self.held.get(s)
        if position is None or position.age >= 0 or not position.late:
            return
        _, high, low, _ = self.market.bar(day, s)
        found = touched(position.shares > 0, (reference, high, low), position.stop, None)
        if found is not None:
            self.exit(day, s, *found)

    def exit(self, day, s, kind, reference):
        """An exit takes the place of what is ordered of its name: both would sell the same shares."""
        self.end_orders(day, s)
        position = self.held[s]
        side = -1 if position.shares > 0 else 1
        why = position.stop_why if kind == "stop" else "profit_target"
        takes = min(abs(position.shares), self.volume_allows(day, s))
        rest = tidy(side * (abs(position.shares) - takes))
        if takes:
            price = reference
            if kind == "stop":
                price = reference * (1 + side * self.market.slip(self.terms, day, s, takes, reference))
            self.trade(day, s, side * takes, reference, price, self.terms.fee(takes, price), kind, why)
        if rest and kind == "stop":
            self.carry(day, s, Ticket(rest, why), kind)
        elif rest:
            self.note(day, s, kind, why, rest, None, outcome="carried")

    # bookkeeping

    def mark(self, day):
        for s in sorted(self.held):
            position = self.held[s]
            position.age += 1
            _, high, low, close = self.market.bar(day, s)
            if close is None:
                position.silent += 1
                if position.silent >= self.terms.patience:
                    self.leave(day, s, "stale_close", "no_bars")
                    continue
            else:
                position.mark, position.silent = close, 0
            long = position.shares > 0
            extreme = close if position.late else high if long else low
            if extreme is not None:
                position.best = extreme if position.best is None else (max if long else min)(position.best, extreme)
            position.late = False

    def trade(self, day, s, shares, reference, price, fee, kind, why, ticket=None, phase="open"):
        paid = -(shares * price + fee)
        self.cash += paid
        self.today["commission"] += fee
        self.today["slippage"] += (price - reference) * shares
        self.today["traded"] += abs(shares) * price
        self.today["trading"] -= shares * reference
        self.note(day, s, kind, why, shares, price, reference=reference, commission=fee, cash=paid)
        position = self.held.get(s)
        before = position.shares if position else 0
        after = tidy(before + shares)
        spent, earned = tally(self.today, position, shares, price, fee)
        if kind == "order":
            self.room -= (abs(after) - abs(before)) * reference
        if after == 0:
            del self.held[s]
        elif before * after > 0:
            position.shares = after
        else:
            mark, silent = (position.mark, position.silent) if position else (reference, 0)
            late = phase != "open"
            best = reference if late else None
            self.held[s] = Held(after, price, mark, best, late, -1, silent, ticket.stop, ticket.stop_why, ticket.target)
        if after:
            self.held[s].spent, self.held[s].earned = spent, earned

    def note(self, day, s, kind, why, shares, price, reference=None, commission=0.0, cash=0.0, outcome="filled"):
        self.log.append(
            {"row": day, "symbol": s, "kind": kind, "outcome": outcome, "reason": why, "shares": shares, "price": price,
             "reference": reference, "commission": commission, "cash": cash}
        )  # fmt: skip

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

    def protect(self):
        for _, position in sorted(self.held.items()):
            long = position.shares > 0
            position.stop, position.stop_why = self.level(long, position.entry, position.best)
            position.target = profit(self.terms, long, position.entry)

    def order(self, day, wishes):
        """The orders for the next session: time stops, then margin call or governor, then the decision, or without one what is carried."""
        indexes, governor = [day["index"] for day in self.book], self.terms.governor
        if governor is not None:
            self.today["scale"] = governor.tonight(indexes, self.book[-2]["scale"] if len(self.book) > 1 else 1.0)
        call, carried, kept = self.leaving(), self.carried, 1 - self.governed_share()
        if kept < 1:  # what was to be bought was sized for more exposure
            cut = {s: t if s in self.held else replace(t, shares=self.terms.lots(kept * t.shares)) for s, t in carried.items()}
            carried = {s: ticket for s, ticket in cut.items() if ticket.shares}
        due = {s for s, p in self.held.items() if outlived(self.terms, self.market.dates, day, p.age)}
        leaves = {}  # by the call, or by what was to leave at that open anyway where that is more
        for s, ticket in call.items():
            rest = carried.get(s)
            more = rest and rest.kind == "open" and rest.shares * ticket.shares > 0 and abs(rest.shares) >= abs(ticket.shares)
            have = self.held[s].shares  # and it turns none
            leaves[s] = replace(rest, shares=max(rest.shares, -have) if have > 0 else min(rest.shares, -have)) if more else ticket
        forced = leaves | {s: Ticket(-self.held[s].shares, "time_stop") for s in due}
        self.carried = (carried if wishes is None else {}) | forced
        if wishes is not None:
            share = 1.0 if governor is None else governor.decided(indexes, [day["scale"] for day in self.book])
            self.today["scale"] = share
            for s in sorted((set(self.held) | set(wishes)) - due):
                wish = wishes.get(s, Wish(0))
                self.ask(day, s, wish if share == 1 else replace(wish, shares=self.terms.lots(share * wish.shares)), call.get(s))

    def ask(self, day, s, wish, called):
        have, close = self.held[s].shares if s in self.held else 0, self.market.closes[day][s]
        want = wish.shares
        if close is None or not self.nav > 0 or called:  # what is unknown, or called, may only reduce
            want = (want if abs(want) <= abs(have) else have) if want * have > 0 else 0
        if called and (abs(want) >= abs(tidy(have + called.shares)) or wish.kind != "open"):
            return  # the call reduces more, and for sure
        if want == have:
            return
        ticket = Ticket(tidy(want - have), "rebalance", wish.kind, wish.price, wish.keep)
        if self.terms.at_entry and wish.shares != 0 and close is not None:
            long, entry = wish.shares > 0, close if wish.price is None else wish.price
            ticket.stop, ticket.stop_why = self.level(long, entry, entry)
            ticket.target = profit(self.terms, long, entry)
            if want * have > 0:  # it adds: what it carries is what rests there
                position = self.held[s]
                ticket.stop, ticket.stop_why, ticket.target = position.stop, position.stop_why, position.target
        self.carried[s] = ticket
