"""Bugs to seed into router, recovery, reconciliation, protection and ledger: each must be noticed by the tests of its suite."""

from __future__ import annotations

from tests.faults.mutants import Mutant

SUITES = {
    "router": ["tests/execution/test_router.py", "tests/execution/test_router_wire.py"],
    "reconcile": ["tests/execution/test_reconcile_causes.py", "tests/execution/test_reconcile.py"],
    "protection": ["tests/execution/test_protection.py", "tests/execution/test_router_wire.py", "tests/execution/test_slicing.py"],
    "ledger": ["tests/execution/test_reconcile_causes.py", "tests/execution/test_ledger.py"],
    "campaign": ["tests/faults/test_router_campaign.py"],
}
ROUTER, RECOVERY, RECONCILE = "mech_exo.execution.router", "mech_exo.execution.recovery", "mech_exo.execution.reconcile"
PROTECTION, LEDGER, TABLES = "mech_exo.execution.protection", "mech_exo.execution.ledger", "mech_exo.execution.ledger_tables"
CAUSES, BREAKS, SLICING, REPAIRS = (f"mech_exo.execution.{name}" for name in ("causes", "breaks", "slicing", "ledger_repairs"))
MUTANTS = (
    # at most once
    Mutant("an order in doubt is sent again", "campaign", RECOVERY, '    if proof:\n        ledger.set_state(row.order.id, _S.NEW, "the broker proves', '    if True:\n        ledger.set_state(row.order.id, _S.NEW, "the broker proves'),
    Mutant("it is sent before it is journaled", "campaign", ROUTER, '                self._mark(family, OrderState.SENDING, "about to be sent")\n                result = self._place(family)', '                with self._ledger.transaction():\n                    self._mark(family, OrderState.SENDING, "about to be sent")\n                    result = self._place(family)'),
    Mutant("a process sends without having compared", "router", ROUTER, "        if self._gate is None:\n            raise BrokerError(", "        if self._gate is None:\n            return GateReport(self._book, self._broker.account(), self._broker.positions(), ())\n            raise BrokerError("),
    Mutant("new risk leaves while something is in doubt", "campaign", ROUTER, "        if not doubtful:\n            return None", "        if len(doubtful) < 3:\n            return None"),
    Mutant("an order that was never sent and is at the broker is not adopted", "reconcile", RECOVERY, "if row.state is _S.NEW and id_ in seen.ids]", "if row.state is _S.NEW and id_ not in seen.ids]"),
    Mutant("what was given up and appears is passed over", "campaign", RECOVERY, "if row.state not in OPEN_STATES and row.state is not _S.ABANDONED:", "if row.state not in OPEN_STATES:"),
    Mutant("no acknowledgement is a rejection", "campaign", ROUTER, "            self._mark(family, OrderState.UNKNOWN, note)", "            self._mark(family, OrderState.REJECTED, note)"),
    Mutant("no acknowledgement is none at all", "campaign", ROUTER, "            self._mark(family, OrderState.UNKNOWN, note)", "            self._mark(family, OrderState.NEW, note)"),
    Mutant("a look is not repeated when something moved", "router", RECOVERY, "        if again == _moving(seen.open_orders, seen.ended, seen.fills):", "        if again is not None:"),
    # the router
    Mutant("HALT is not looked at", "router", ROUTER, "        if halted is not None:\n", "        if halted is not None and not halted:\n"),
    Mutant("a locked symbol is traded", "router", ROUTER, "        if found is not None:\n            return f\"ledger and broker differ", "        if found is not None and found.symbol is None:\n            return f\"ledger and broker differ"),
    Mutant("one order more than allowed", "router", ROUTER, "if sent.orders + 1 > self._limits.max_orders:", "if sent.orders > self._limits.max_orders:"),
    Mutant("the amount that is about to be sent does not count", "router", ROUTER, "not sent.notional + row.notional <= self._limits.max_notional", "not sent.notional <= self._limits.max_notional"),
    Mutant("legs are left behind when their entry is marked", "router", ROUTER, "            for leg in family.legs:\n", "            for leg in ():\n"),
    Mutant("legs are not sent", "router", ROUTER, "return self._broker.place(family.row.order, family.legs)", "return self._broker.place(family.row.order, ())"),
    Mutant("the connection is not tried before an order", "router", ROUTER, "            self._probe()\n            answer", "            answer"),
    Mutant("an order that is turned round is a reduction", "router", ROUTER, "return abs(order.shares) <= abs(held) - others", "return held != 0"),
    Mutant("two reductions may sell the same shares", "router", ROUTER, "return abs(order.shares) <= abs(held) - others", "return abs(order.shares) <= abs(held)"),
    Mutant("the halves of a pair stand in each other's way", "protection", ROUTER, "others = sum(shares for key, shares in pending.items() if key != order.group)", "others = sum(pending.values())"),
    Mutant("what a stop has sold is sold again", "router", ROUTER, "if row.order.rests or self._was_reduction(row):", "if row.order.rests:"),
    Mutant("the valve is asked of new risk alone", "router", ROUTER, "refused = None if self._rules.valve is None else", "refused = None if self._rules.valve is None or self._reduces(row) else"),
    Mutant("other code sends what this one planned", "router", ROUTER, "if decided is None or (decided.config_hash, decided.code_version) == self._rules.identity:", "if decided is None or decided.config_hash == self._rules.identity[0]:"),
    Mutant("what leaves is not compared with what was planned", "router", ROUTER, "if known is None or known.order != order or", "if known is None or"),
    Mutant("an expired plan is sent", "router", ROUTER, "if row.order.session < before]", "if row.order.session < before and row.sends]"),
    # doubt
    Mutant("two looks are enough", "router", RECOVERY, "return len(run) >= rules.snapshots and", "return len(run) >= 2 and"),
    Mutant("doubt is given up in a hurry", "router", RECOVERY, "run[-1] - run[0] >= timedelta(minutes=rules.minutes)", "run[-1] - run[0] >= timedelta(0)"),
    Mutant("doubt is given up across midnight", "router", RECOVERY, "if sent is None or _day(sent) != _day(now) or now < sent:", "if sent is None or now < sent:"),
    Mutant("a look that shows another position is clean", "router", RECOVERY, "row.order.symbol not in report.locked and _count", "_count"),
    Mutant("nobody is told that an order was given up", "router", RECOVERY, "                ledger.post_alert(_given_up(row, note))\n", ""),
    # recovery and reconciliation
    Mutant("a cancel is done when it is asked for", "campaign", ROUTER, "        self._broker.cancel(order_id)", "        self._broker.cancel(order_id)\n        if self._ledger.order(order_id).state is OrderState.LIVE:\n            self._ledger.set_state(order_id, OrderState.CANCELLED, \"cancelled\")"),
    Mutant("an order that is not shown has ended", "reconcile", RECONCILE, "        if row.order.id not in open_ids:", "        if False:"),
    Mutant("foreign orders are not seen", "reconcile", RECONCILE, "if row is None and id_ not in seen.ids:", "if row is None and id_ not in seen.ids and order.broker_id == \"\":"),
    Mutant("a lost journal does not halt", "reconcile", BREAKS, "HALTING = frozenset({BreakKind.ACCOUNT, BreakKind.LOST_JOURNAL,", "HALTING = frozenset({BreakKind.ACCOUNT,"),
    Mutant("a fill of ours without an order in the journal is passed over", "reconcile", RECOVERY, "for fill in seen.fills if fill.order_id not in said}", "for fill in seen.fills if fill.order_id in said}"),
    Mutant("a refused order that filled is passed over", "reconcile", RECOVERY, "if row.state in REFUSED and id_ in filled]", "if row.state in REFUSED and id_ not in seen.ids]"),
    Mutant("both halves of a pair that is gone count", "reconcile", CAUSES, "left, key = row.order.shares - row.filled, row.order.group or row.order.id", "left, key = row.order.shares - row.filled, row.order.id"),
    Mutant("an overfill is not looked for", "reconcile", RECONCILE, "    if not proof:\n        breaks += _overfills", "    if proof:\n        breaks += _overfills"),
    Mutant("a symbol that means another company is traded", "reconcile", RECONCILE, "position.instrument and position.instrument != before", "position.instrument and position.instrument == before"),
    Mutant("what the broker does not hold is not compared", "reconcile", RECONCILE, "        if ours != theirs:\n            breaks.append", "        if ours != theirs and theirs:\n            breaks.append"),
    Mutant("a trade by hand that was accepted explains the next", "reconcile", CAUSES, "if not any(one.shares and one.symbol == fill.symbol and fill.time <= one.at for one in accepted):", "if True:"),
    Mutant("the cash of a trade by hand is accepted twice", "reconcile", CAUSES, "sum(_paid(fill) for fill in fills if fill in unpaid)", "sum(_paid(fill) for fill in fills)"),
    Mutant("any amount of cash is a fee", "reconcile", CAUSES, "if alone and abs(differs) <= FEES * evidence.nav:", "if alone:"),
    Mutant("a dividend not paid yet explains too much cash", "reconcile", CAUSES, "if -owed - allowed <= differs <= owing + allowed:", "if -owed - allowed <= differs <= owed + allowed:"),
    Mutant("accepting does not count", "reconcile", RECONCILE, "            shares[adjusted.symbol] += adjusted.shares\n", "            pass\n"),
    Mutant("an order that is open is accepted away", "reconcile", RECONCILE, "if one.kind not in ACCEPTED or one.open:", "if one.kind not in ACCEPTED:"),
    # protection
    Mutant("protection is not resized", "protection", PROTECTION, "left = before if after * before <= 0 or abs(after) > abs(before) else after", "left = before"),
    Mutant("protection covers what an entry may add", "protection", PROTECTION, "left = before if after * before <= 0 or abs(after) > abs(before) else after", "left = before if after * before <= 0 else after"),
    Mutant("a stop that trailed is left where it was", "protection", PROTECTION, "return group if has == [want for want in wants if want[2] is not None] else None", "return group if len(has) == len([want for want in wants if want[2] is not None]) else None"),
    Mutant("a full exit stays outside the group", "protection", PROTECTION, "            order = replace(order, group=group)\n", ""),
    Mutant("an id is used twice in a night", "protection", PROTECTION, "        leg += 1\n", "        break\n"),
    Mutant("doubtful protection is placed again", "protection", PROTECTION, "if any(not one.certain and not one.planned for one in there):\n            doubtful", "if False:\n            doubtful"),
    Mutant("legs protect the whole order of a turn", "protection", PROTECTION, "after if before * after < 0 else 0", "order.shares if before * after < 0 else 0"),
    Mutant("new protection does not wait for the old to go", "protection", ROUTER, "free = [_Family(row, ()) for row in waiting if row.order.symbol not in resting]", "free = [_Family(row, ()) for row in waiting]"),
    Mutant("nobody is told of a position without a stop", "protection", ROUTER, "        for symbol in unprotected(levels, held, live, resting_exits(rows, report.orders)):", "        for symbol in ():"),
    Mutant("nobody is told of protection that does not go", "protection", ROUTER, "        for row in left:\n", "        for row in ():\n"),
    Mutant("a refused cancel ends the night", "protection", ROUTER, "                    refused[id_] = error.message\n", "                    raise\n"),
    Mutant("a stop that the broker keeps idle protects", "protection", PROTECTION, " and there is not None and there.works\n", " and there is not None\n"),
    Mutant("a slice is forgotten", "protection", SLICING, "parts[k], k, opens, rules) for k in range(1, count)))", "parts[k], k, opens, rules) for k in range(2, count)))"),
    # the ledger
    Mutant("what was accepted counts once more after it was booked", "ledger", REPAIRS, "WHERE account = ? AND strategy = ? AND seq > {BOOKED_AT} ORDER BY seq\"\n\n", "WHERE account = ? AND strategy = ? AND seq + 0 * {BOOKED_AT} > 0 ORDER BY seq\"\n\n"),
    Mutant("a correction counts a second time", "ledger", TABLES, "f.shares - (before[0] if before else 0)", "f.shares"),
    Mutant("an earlier revision takes the later one's place", "ledger", LEDGER, "== codec.encode(row) or fill.revision < before.revision:", "== codec.encode(row):"),
    Mutant("a fill may change its figures without a revision", "ledger", LEDGER, "if fill.revision == before.revision and not _completes(before, fill):", "if fill.revision > before.revision and not before.id:"),
)
