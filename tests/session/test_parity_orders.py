"""Every order type of the configured strategy: paper nights fill as the backtest does, to the last bit, and every evening is told again."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from mech_exo.assembly import Workspace
from mech_exo.domain.orders import OrderState, OrderType
from tests.session.stage import set_line
from tests.session.test_parity import paper_equals_backtest, told_otherwise

SPAN = (date(2020, 6, 1), date(2020, 7, 2))


@pytest.mark.parametrize(
    ("type_", "keep", "offset", "participation"),
    [
        ("market_on_close", True, 0.0, 0.00003),
        ("limit", True, 150.0, 0.00003),
        ("limit", False, 50.0, None),
        ("stop", True, 100.0, 0.00003),
        ("stop", False, 30.0, None),
    ],
)
def test_paper_nights_equal_the_backtest(sample: Path, type_: str, keep: bool, offset: float, participation: float | None) -> None:
    strategy, limits = sample / "config" / "strategy.yml", sample / "config" / "risk_limits.yml"
    set_line(strategy, "  type: market_on_open", f"  type: {type_}")
    set_line(strategy, "  keep: true", f"  keep: {str(keep).lower()}")
    set_line(strategy, "  offset_bps: 0.0", f"  offset_bps: {offset}")
    set_line(strategy, "  every: sessions", "  every: week")
    set_line(limits, "  hard: 0.15", "  hard: 0.02")
    if participation is not None:
        set_line(strategy, "  participation: null", f"  participation: {participation:f}")
    result = paper_equals_backtest(sample, *SPAN)
    workspace = Workspace.open(sample)
    with workspace.ledger(read_only=True) as ledger:
        rows = [row for row in ledger.orders(workspace.book_id()) if row.order.type is OrderType(type_)]
        assert len(rows) > 20 and any(row.state is OrderState.FILLED for row in rows)
        assert all((row.order.level is None) == (type_ == "market_on_close") for row in rows)
        unreached = {row.note for row in rows if row.state is OrderState.EXPIRED and not row.filled}
        if type_ != "market_on_close":
            assert any("ordered anew" in note for note in unreached) if keep else "its price was not reached" in unreached
        assert told_otherwise(workspace, ledger, result.sessions[::7]) == []
    assert {"carried"} <= set(result.orders["outcome"]) if keep else "expired" in set(result.orders["outcome"])
    assert len(result.fills.filter(result.fills["reason"] == "hard_stop")) > 0
