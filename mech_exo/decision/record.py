"""One night's decision as a value: what was seen, wanted, allowed and ordered. One audit row of the ledger."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain import markup
from mech_exo.domain.orders import Order, OrderKey, OrderReason, OrderType
from mech_exo.domain.portfolio import Portfolio, Position
from mech_exo.domain.scores import Scores
from mech_exo.domain.targets import Filtered, TargetPosition
from mech_exo.domain.verdict import RiskDecision, RiskState
from mech_exo.execution.booking import reason_of
from mech_exo.kernels.records import BOOK, OrderKind
from mech_exo.kernels.records import RiskState as StateCode
from mech_exo.risk.headroom import Tonight, with_rooms
from mech_exo.risk.usage import breach_of, word_of

if TYPE_CHECKING:
    from mech_exo.decision.params import Night
    from mech_exo.decision.strategy import Strategy
    from mech_exo.domain.panel import BarPanel, Universe
    from mech_exo.risk.model import Market
    from mech_exo.utils.settings import RiskLimits


SHARES, COST, MARK, STOP, TARGET = (list(BOOK.names or ()).index(name) for name in ("shares", "cost", "mark", "stop", "target"))
"""Places in a BOOK record: reading a plain tuple costs a tenth of reading the record's fields."""


@dataclass(frozen=True, slots=True)
class Level:
    """Where a held position's stop and target rest for the next session, in USD; None = none.

    All that a broker needs for the pair of which one cancels the other: ``shares`` held (signed; both orders trade as many the other way),
    ``reason`` of the stop (the target's is the profit target).
    """

    symbol: str
    shares: int | float
    stop: float | None
    target: float | None
    reason: OrderReason


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided at the close of ``as_of``.

    ``scheduled`` tells whether the book was decided anew tonight; levels and time exits are set every night. ``session``
    is the one the orders are for. ``nav`` in USD. ``config`` is the configuration as JSON, without secrets: a replay needs
    nothing else but the data. ``scale`` is the share of full exposure that the drawdown governor leaves after this close.
    """

    as_of: date
    session: date
    scheduled: bool
    config: str
    config_hash: str
    code_version: str
    data_hash: str
    nav: float
    scores: Scores
    verdict: RiskDecision
    orders: tuple[Order, ...]
    levels: tuple[Level, ...]
    warnings: tuple[str, ...]
    scale: float = 1.0

    @property
    def targets(self) -> tuple[TargetPosition, ...]:
        """Approved targets."""
        return self.verdict.approved

    def body(self) -> bytes:
        """Canonical JSON in UTF-8: equal decisions have equal bytes. Floats by shortest round-trip, NaN as null."""
        return json.dumps(_plain(self), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()

    def _repr_html_(self) -> str:
        said = f"risk {self.verdict.state}, NAV {markup.shown(self.nav, ',.2f')} USD, {len(self.orders):,} orders for {self.session}"
        rows = [
            (o.side, f"{abs(o.shares):,g}", o.symbol, o.reason.replace("_", " "), *(_level(x) for x in (o.stop_level, o.target_level)))
            for o in self.orders
        ]
        table = markup.table(("side", "shares", "symbol", "because of", "stop USD", "target USD"), rows)
        return markup.page(markup.title(f"Decision at the close of {self.as_of}:", said), table, markup.notes(self.warnings))


def _level(value: float | None) -> str:
    """A level in words: an order that attaches none has none, which is not unknown."""
    return "none" if value is None else f"{value:,.2f}"


def known(value: float) -> float | None:
    """``value``, or None where it is NaN."""
    return None if math.isnan(value) else float(value)


def position_of(symbol: str, line: tuple[Any, ...], opened: date, sector: str | None = None) -> Position:
    """A BOOK record, as a plain tuple, as a domain position."""
    return Position(
        symbol,
        line[SHARES],
        line[COST],
        line[MARK],
        datetime(opened.year, opened.month, opened.day, tzinfo=UTC),
        sector,
        known(line[STOP]),
        known(line[TARGET]),
    )


def portfolio_of(t: int, cash: float, book: np.ndarray, panel: BarPanel, universe: Universe) -> Portfolio:
    """The account at the close of row ``t`` as the domain's portfolio."""
    held = np.flatnonzero(book["shares"])
    lines = book[held]
    opened = panel.sessions[np.maximum(0, t - lines["age"])].astype(object).tolist()
    positions = {}
    for s, line, day in zip(held.tolist(), lines.tolist(), opened, strict=True):
        symbol = panel.symbols[s]
        positions[symbol] = position_of(symbol, line, day, universe.sector_name(t, s))
    return Portfolio(cash, positions)


def verdict_of(
    night: Night, breaches: int, state: int, nav: float, close: np.ndarray, panel: BarPanel, universe: Universe, method: str,
    own_limits: tuple[str, ...] = (),
) -> RiskDecision:
    """The plan and its breaches in the domain's words; a target that was cut to nothing is listed with its reason.

    ``own_limits`` names the limits of plug-ins in their order.
    """
    targets = []
    for s in np.flatnonzero((night.plan["asked"] != 0) | (night.plan["wanted"] != 0) | (night.plan["target"] != 0)):
        line = night.plan[s]
        targets.append(
            TargetPosition(
                panel.symbols[s],
                share_count(line["target"]),
                float(line["target"] * close[s] / nav),
                method,
                share_count(line["wanted"]),
                word_of(int(line["binding"]), own_limits) if line["binding"] else "",
                known(line["stop"]),
                known(line["profit"]),
                share_count(line["asked"]),
                _filtered(line),
            )
        )
    said = tuple(breach_of(line, panel.symbols, universe.sector_names, own_limits) for line in night.breaches[:breaches])
    return RiskDecision(tuple(targets), said, RiskState[StateCode(state).name])


def _filtered(line: np.void) -> Filtered | None:
    """Which rule of sizing changed a line of the plan, None where none did."""
    code = int(line["filter"])
    return Filtered(word_of(code), known(line["filter_limit"]), known(line["filter_value"])) if code else None


def with_headroom(
    verdict: RiskDecision, night: Night, market: Market, universe: Universe, nav: float, share: float, limits: RiskLimits
) -> RiskDecision:
    """``verdict`` and how much more of each target the limits would allow at the close of the last row of ``market``.

    ``share`` is the governor's in force after it.
    """
    panel, row = market.panel, len(market.panel.sessions) - 1
    columns = {target.symbol: panel.column_of(target.symbol) for target in verdict.approved}
    prices = {symbol: float(panel.close[row, column]) for symbol, column in columns.items()}
    sectors = {symbol: universe.sector_name(row, column) for symbol, column in columns.items()}
    gaps = {symbol: float(night.plan["gap"][column]) for symbol, column in columns.items()}
    return with_rooms(verdict, Tonight(prices, sectors, gaps, market, share), nav, limits)


def orders_of(book: np.ndarray, panel: BarPanel, strategy: Strategy, account: str, session: date) -> tuple[Order, ...]:
    """The book's orders for ``session``, with deterministic ids."""
    orders = []
    for s in np.flatnonzero(book["order"]):
        line, symbol = book[s], panel.symbols[s]
        shares, reason = int(line["order"]), reason_of(line["order_reason"])
        key = OrderKey(account, strategy.name, session, symbol, "buy" if shares > 0 else "sell", reason.value)
        type_ = OrderType[OrderKind(int(line["order_kind"])).name]
        stop, target, level = (known(line[name]) for name in ("order_stop", "order_target", "order_level"))
        orders.append(Order(key.id(), symbol, shares, session, reason, type_, stop, target, level))
    return tuple(orders)


def levels_of(book: np.ndarray, panel: BarPanel) -> tuple[Level, ...]:
    """Resting levels of everything held."""
    lines = ((panel.symbols[s], book[s]) for s in np.flatnonzero(book["shares"]))
    return tuple(
        Level(symbol, share_count(line["shares"]), known(line["stop"]), known(line["target"]), reason_of(line["stop_reason"]))
        for symbol, line in lines
    )


def levels_in(body: Mapping[str, Any]) -> tuple[Level, ...]:
    """The resting levels of a journaled decision, from its decoded :meth:`Decision.body`."""
    return tuple(Level(x["symbol"], x["shares"], x["stop"], x["target"], OrderReason(x["reason"])) for x in body["levels"])


def share_count(shares: float) -> int | float:
    """A whole number where it is one: fractions of a share are never rounded away, only the last bits that differences of lots leave."""
    value = round(float(shares), 9)
    return int(value) if value.is_integer() else value


def _plain(decision: Decision) -> dict[str, Any]:
    """The decision as JSON values. Only names with a score or an order are listed one by one; the rest by reason."""
    scores = decision.scores
    return {
        "as_of": decision.as_of.isoformat(),
        "session": decision.session.isoformat(),
        "scheduled": decision.scheduled,
        "config": json.loads(decision.config),
        "config_hash": decision.config_hash,
        "code_version": decision.code_version,
        "data_hash": decision.data_hash,
        "nav": decision.nav,
        "state": decision.verdict.state.value,
        "scores": _scores(scores),
        "excluded": {name: scores.exclusion[i] for i, name in enumerate(scores.symbols) if scores.exclusion[i]},
        "missing_factors": [list(pair) for pair in scores.missing],
        **({"adjustments": [list(one) for one in scores.adjustments]} if scores.adjustments else {}),  # a journal older than them has none
        "targets": [
            {
                "symbol": t.symbol,
                "shares": t.shares,
                "asked": t.asked,
                "filtered": None if t.filtered is None else {"code": t.filtered.code, "limit": t.filtered.limit, "value": t.filtered.value},
                "wanted": t.wanted,
                "weight": known(t.weight),
                "method": t.method,
                "binding": t.binding,
                "stop": t.stop_level,
                "target": t.target_level,
                **({} if t.room is None else {"room": {"code": t.room.code, "who": t.room.who, "usd": t.room.usd}}),
            }
            for t in decision.targets
        ],
        "breaches": [
            {"code": b.word, "symbol": b.symbol, "limit": known(b.limit), "value": known(b.value)} for b in decision.verdict.breaches
        ],
        "orders": [
            {
                "id": o.id,
                "symbol": o.symbol,
                "shares": o.shares,
                "reason": o.reason.value,
                "stop": o.stop_level,
                "target": o.target_level,
                **({} if o.type is OrderType.MARKET_ON_OPEN else {"type": o.type.value, "level": o.level}),  # older journals lack both
            }
            for o in decision.orders
        ],
        "levels": [
            {"symbol": x.symbol, "shares": x.shares, "stop": x.stop, "target": x.target, "reason": x.reason.value} for x in decision.levels
        ],
        "warnings": list(decision.warnings),
        "scale": decision.scale,
    }


def _scores(scores: Scores) -> list[dict[str, Any]]:
    ranked = np.flatnonzero(scores.rank > 0)
    rows = []
    for i in ranked[np.argsort(scores.rank[ranked], kind="stable")]:
        factors = {
            name: {
                "raw": known(scores.raw[i, j]),
                "normalised": known(scores.normalised[i, j]),
                "contribution": known(scores.contribution[i, j]),
            }
            for j, name in enumerate(scores.factors)
        }
        rows.append(
            {
                "symbol": scores.symbols[i],
                "rank": int(scores.rank[i]),
                "score": float(scores.value[i]),
                "percentile": float(scores.percentile[i]),
                "coverage": float(scores.coverage[i]),
                "factors": factors,
            }
        )
    return rows
