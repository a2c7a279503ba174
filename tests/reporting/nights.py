"""A small ledger with a true body of a decision, for the reports."""

from __future__ import annotations

import json
from datetime import date

from mech_exo.decision.explanation import FAMILIES
from mech_exo.domain.orders import OrderReason
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import EventLine, SessionRow
from tests.execution.ledger_rows import BOOK, NAN, day, decision, intents, line

ONE, TWO, THREE = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)
CONFIG = {"factors": {family: {} for family in FAMILIES}}
EVIL = "<script>alert(1)</script>|"


def body(*symbols: str, warnings=("synthetic sample",)) -> bytes:
    """A decision's journaled body as ``mech_exo.decision.record`` writes it."""
    scores = [
        {"symbol": symbol, "rank": i + 1, "score": 1.5 - i, "percentile": 1.0 - i / 10, "coverage": 1.0,
         "factors": {"momentum_12_1": {"raw": 0.2, "normalised": 1.0, "contribution": 1.0 - i},
                     "rsi_14": {"raw": None, "normalised": None, "contribution": None}}}
        for i, symbol in enumerate(symbols)
    ]  # fmt: skip
    return json.dumps({
        "as_of": str(TWO), "session": str(THREE), "scheduled": True, "config": CONFIG, "config_hash": "c0ffee", "code_version": "c0de", "data_hash": "da7a",
        "nav": 101_000.0, "state": "active", "scores": scores, "excluded": {"ZZZ": "below minimum price", "YYY": "below minimum price"},
        "missing_factors": [["pe_ratio", "no fundamentals in the store"]],
        "targets": [{"symbol": symbols[0], "shares": 66, "wanted": 500, "weight": 0.1, "method": "atr_based", "binding": "max_position",
                     "stop": 90.0, "target": None}],
        "breaches": [{"code": "max_position", "symbol": symbols[0], "limit": 0.1, "value": 0.75},
                     {"code": "unknown_sector", "symbol": "BBB", "limit": None, "value": None}],
        "orders": [], "levels": [], "warnings": list(warnings),
    }).encode()  # fmt: skip


def fill_ledger(ledger: Ledger, symbol: str = "AAA", warnings=("synthetic sample",)) -> None:
    """Two booked sessions; the second holds 100 shares, is decided and has an order."""
    ledger.book_session(SessionRow(BOOK, ONE, day(100_000.0, cash=100_000.0, index=1.0), ()))
    events = (
        EventLine(symbol, "order", "filled", OrderReason.REBALANCE, 100.0, 100.1, 100.0, 1.0, -10_011.0),
        EventLine("BBB", "order", "no_bar", OrderReason.REBALANCE, 7.0, NAN, NAN, 0.0, 0.0),
    )
    figures = day(101_000.0, cash=89_989.0, index=1.01, long_value=11_011.0, price_pnl=1_011.0, commission=1.0, slippage=10.0, traded=10_010.0)
    held = line(symbol, 100.0, mark=110.11, entry=100.1, stop=95.0)
    ledger.book_session(SessionRow(BOOK, TWO, figures, (held,), events))
    ledger.record_decision(decision(TWO, body(symbol, "BBB", warnings=warnings)))
    ledger.plan(intents(symbol, decided=TWO, price=110.11), BOOK, TWO)
