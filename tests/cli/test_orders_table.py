"""`exo orders` for a person: stops and targets in their entry's line, nothing cut at a hundred columns."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from datetime import date

from rich.console import Console

from mech_exo.cli.orders import OrderView, folded, show_orders
from mech_exo.domain.orders import OrderReason, OrderState

DAY = date(2026, 12, 1)
ENTRY = OrderView("DU…321", "default", "mx1-entry", date(2026, 11, 30), DAY, "BRK.B", 12_345, 0, 1_031.99, "market_on_open",
                  OrderReason.REBALANCE, 931.25, 1_341.5, OrderState.LIVE, "acknowledged", None, False, None, None, None, "17")  # fmt: skip
STOP = replace(ENTRY, id="mx1-stop", shares=-12_345, type="stop", reason=OrderReason.HARD_STOP, stop_level=None, target_level=None,
               decision_price=math.nan, level=931.25, rests=True, group="g", parent="mx1-entry", note="found open at the broker")  # fmt: skip
TARGET = replace(STOP, id="mx1-target", type="limit", reason=OrderReason.PROFIT_TARGET, level=1_341.5)


def drawn(*views: OrderView, legs: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    show_orders(console, views, None, legs=legs)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_a_bracket_is_one_line_and_three_when_asked_for() -> None:
    lines = drawn(ENTRY, STOP, TARGET)
    assert sum("BRK.B" in line for line in lines) == 1
    (line,) = [line for line in lines if "BRK.B" in line]
    assert line.split() == ["BRK.B", "buy", "12,345", "1,031.99", "931.25", "1,341.50", "market", "on", "open", "rebalance", "live"]
    assert sum("BRK.B" in line for line in drawn(ENTRY, STOP, TARGET, legs=True)) == 3


def test_legs_rest_in_the_line_of_their_filled_entry() -> None:
    assert folded([replace(ENTRY, state=OrderState.FILLED), STOP, TARGET]) == [replace(ENTRY, state=OrderState.FILLED)]


def test_a_leg_that_is_gone_under_a_position_has_its_line() -> None:
    gone = [replace(leg, state=OrderState.CANCELLED) for leg in (STOP, TARGET)]
    shown = folded([replace(ENTRY, state=OrderState.FILLED), *gone])
    assert [(one.symbol, one.state, one.stop_level, one.target_level) for one in shown[1:]] == [
        ("BRK.B", OrderState.CANCELLED, 931.25, 1_341.5)
    ]
    one = folded([replace(ENTRY, state=OrderState.FILLED), replace(STOP, state=OrderState.REJECTED), TARGET])
    assert [view.type for view in one] == ["market_on_open", "stop"]
    hit = [replace(ENTRY, state=OrderState.FILLED), replace(STOP, state=OrderState.FILLED), replace(TARGET, state=OrderState.CANCELLED)]
    assert [view.state for view in folded(hit)] == [view.state for view in hit]


def test_the_pair_of_a_position_is_one_line_whichever_comes_first() -> None:
    pair = [replace(leg, parent=None) for leg in (STOP, TARGET)]
    for views in (pair, pair[::-1]):
        (line,) = folded(views)
        assert (line.type, line.stop_level, line.target_level, line.reason) == ("stop and target", 931.25, 1_341.5, OrderReason.HARD_STOP)


def test_nothing_is_cut_at_a_hundred_columns_and_a_note_is_said_once() -> None:
    refused = [replace(ENTRY, id=name, symbol=name, state=OrderState.REJECTED, note="201: no [margin]") for name in ("AAA", "BBB")]
    limit = replace(ENTRY, id="limit", symbol="CCC", type="limit_on_open", level=1_020.5, filled=100)
    older = replace(STOP, id="older", session=date(2026, 11, 2), parent=None, group=None)
    text = "\n".join(drawn(*refused, limit, older))
    assert "…" not in text.replace("DU…321", "") and max(map(len, text.splitlines())) <= 100
    assert "AAA, BBB rejected: 201: no [margin]" in text and "buy 100 of 12,345" in text and "2026-11-02" in text
