"""The tables that can be exported: each a stream of Polars frames of one schema. Columns in USD end in ``_usd``, instants in ``_utc``,
fractions say of what; shares are signed and whole; null is unknown or none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import polars as pl

from mech_exo.utils.calendar import NEW_YORK

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId, SessionRow
    from mech_exo.reporting.dashboard.house import House

CHUNK = 32
"""Nights decoded at a time: a night names the whole market."""
INSTANT = pl.Datetime("us", "UTC")
Schema = dict[str, Any]


class Kind(StrEnum):
    """What can be exported."""

    FILLS = "fills"
    POSITIONS = "positions"
    NAV = "nav"
    DECISIONS = "decisions"
    ORDERS = "orders"
    TRADES = "trades"
    RISK = "risk"
    ALERTS = "alerts"


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose, and from which booked session to which, both included; ``since`` and ``until`` are the days asked for (None: no bound)."""

    house: House
    ledger: Ledger
    book: BookId
    first: date
    last: date
    since: date | None
    until: date | None

    def holds(self, day: date) -> bool:
        """Whether ``day`` is asked for and booked."""
        return self.first <= day <= self.last

    def wants(self, day: date) -> bool:
        """Whether ``day`` is asked for, booked or to come: of orders that wait, and fills that are not booked yet."""
        return (self.since or date.min) <= day <= (self.until or date.max)


def fills(asked: Asked) -> Iterator[pl.DataFrame]:
    """Executions by session, those not booked yet included; ``slippage_usd`` is positive where it cost."""
    orders = {row.order.id: row.order.reason.value for row in asked.ledger.orders(asked.book)}
    rows = [
        (
            f.session, f.time, f.id, f.order_id, f.symbol, f.shares, f.price, f.reference, f.slippage, f.commission,
            orders.get(f.order_id, f.reason.value) if f.reason.value == "none" else f.reason.value, f.revision,
        )
        for f in (row.fill for row in asked.ledger.fills(asked.book, since=asked.since))
        if asked.wants(f.session)
    ]  # fmt: skip
    yield _frame(FILLS, rows)


FILLS: Schema = {
    "session": pl.Date, "time_utc": INSTANT, "fill_id": pl.String, "order_id": pl.String, "symbol": pl.String, "shares": pl.Int64,
    "price_usd": pl.Float64, "reference_usd": pl.Float64, "slippage_usd": pl.Float64, "commission_usd": pl.Float64, "reason": pl.String,
    "revision": pl.Int64,
}  # fmt: skip


def orders(asked: Asked) -> Iterator[pl.DataFrame]:
    """Orders by the session they were to trade in, stops and targets and those that wait for the next one among them."""
    rows = [
        (
            o.session, row.decided, o.id, row.broker_id, o.symbol, o.shares, row.filled, o.type.value, o.reason.value, row.state.value,
            row.note, row.price, o.level, o.stop_level, o.target_level, o.rests, o.parent, o.group, o.after, row.sends,
        )
        for row, o in ((row, row.order) for row in asked.ledger.orders(asked.book))
        if asked.wants(o.session)
    ]  # fmt: skip
    yield _frame(ORDERS, rows)


ORDERS: Schema = {
    "session": pl.Date, "decided": pl.Date, "order_id": pl.String, "broker_id": pl.String, "symbol": pl.String, "shares": pl.Int64,
    "filled_shares": pl.Int64, "type": pl.String, "reason": pl.String, "state": pl.String, "note": pl.String,
    "decision_price_usd": pl.Float64, "level_usd": pl.Float64, "stop_usd": pl.Float64, "target_usd": pl.Float64, "rests": pl.Boolean,
    "parent_id": pl.String, "group_id": pl.String, "after_utc": INSTANT, "sends": pl.Int64,
}  # fmt: skip


def positions(asked: Asked) -> Iterator[pl.DataFrame]:
    """What was held at each close, with the levels for the next session."""
    nav = {str(one.session): one.day.nav for one in asked.ledger.day_history(asked.book)}
    rows = []
    for day, symbol, shares, cost, mark, stop, reason, target, age, missing in asked.ledger.held_lines(asked.book, asked.first, asked.last):
        value = None if mark is None else shares * mark
        gained = None if mark is None or cost is None else shares * (mark - cost)
        weight = None if value is None or not nav[day] > 0.0 else value / nav[day]
        stopped = reason if stop is not None else None
        rows.append((date.fromisoformat(day), symbol, int(shares), cost, mark, value, weight, gained, stop, stopped, target, age, missing))
    yield _frame(POSITIONS, rows)


POSITIONS: Schema = {
    "session": pl.Date, "symbol": pl.String, "shares": pl.Int64, "cost_usd": pl.Float64, "mark_usd": pl.Float64, "value_usd": pl.Float64,
    "weight_of_nav": pl.Float64, "unrealised_usd": pl.Float64, "stop_usd": pl.Float64, "stop_reason": pl.String, "target_usd": pl.Float64,
    "sessions_held": pl.Int64, "sessions_without_bar": pl.Int64,
}  # fmt: skip


def nav(asked: Asked) -> Iterator[pl.DataFrame]:
    """The account by session. NAV change = flow + price P&L + dividends + interest - borrow - commission - slippage."""
    names = ("nav", "cash", "long_value", "short_value", "flow", "price_pnl", "dividends", "interest", "borrow", "commission", "slippage")
    rows = [
        (one.session, *(getattr(one.day, name) for name in names), one.day.traded, one.day.index, one.day.state.value, one.day.scale)
        for one in asked.ledger.day_history(asked.book)
        if asked.holds(one.session)
    ]
    usd = {f"{name}_usd": pl.Float64 for name in (*names, "traded")}
    yield _frame({"session": pl.Date, **usd, "growth_index": pl.Float64, "state": pl.String, "share_of_exposure": pl.Float64}, rows)


def alerts(asked: Asked) -> Iterator[pl.DataFrame]:
    """What was put in the outbox, of whatever book, by the day it was in New York."""
    rows = [
        (one.at, one.alert.id, one.alert.severity, one.alert.title, one.alert.text)
        for one in asked.ledger.outbox()
        if asked.wants(one.at.astimezone(NEW_YORK).date())
    ]
    yield _frame({"posted_utc": INSTANT, "alert_id": pl.String, "severity": pl.String, "title": pl.String, "text": pl.String}, rows)


def trades(asked: Asked) -> Iterator[pl.DataFrame]:
    """Round trips by the session they ended in; those still open where their entry is asked for, valued at the last mark."""
    from mech_exo.reporting.account import account_record

    known = asked.house.known()
    record = account_record(asked.ledger, asked.book, known.panel, asked.house.config, universe=known.universe)
    day = pl.coalesce("exit_date", "entry_date")
    found = record.trades.filter(day.is_between(pl.lit(asked.first), pl.lit(asked.last))).rename(TRADES)
    yield found.with_columns(pl.col(pl.Float64).fill_nan(None))


TRADES = {
    "entry_price": "entry_price_usd", "exit_price": "exit_price_usd", "pnl": "pnl_usd", "commission": "commission_usd",
    "slippage": "slippage_usd", "income": "income_usd", "nav": "nav_at_entry_usd", "nav_fraction": "pnl_of_nav",
    "return": "return_on_entry", "holding": "sessions_held", "mae": "adverse_of_entry", "mfe": "favourable_of_entry",
}  # fmt: skip


def risk(asked: Asked) -> Iterator[pl.DataFrame]:
    """Every limit that was on, by session: its use, what it allowed and who used it most, as ``exo risk status`` says it tonight."""
    from mech_exo.reporting.standing import closing_status, headroom

    sectors, limits = _sectors(asked.house), _limits(asked)
    history = asked.ledger.day_history(asked.book)
    rows: list[tuple[Any, ...]] = []
    for place, one in enumerate(history):
        row = asked.ledger.session(asked.book, one.session) if asked.holds(one.session) else None
        if row is None:
            continue
        halted = one.day.state.value == "halted"
        status = closing_status(row, history[: place + 1], limits(one.session), sectors(row), None, halted=halted)
        rows += [(one.session, x.name, x.who, x.value, x.limit, x.left, x.unit, x.status) for x in headroom(status)]
    yield _frame(RISK, rows)


RISK: Schema = {
    "session": pl.Date, "limit": pl.String, "used_by": pl.String, "used": pl.Float64, "allowed": pl.Float64, "left": pl.Float64,
    "unit": pl.String, "status": pl.String,
}  # fmt: skip


def _sectors(house: House) -> Callable[[SessionRow], Mapping[str, str | None]]:
    """The sector of each name in a session's book as known then; unknown where nothing is stored."""
    import numpy as np

    from mech_exo.domain.errors import MissingDataError

    try:
        known = house.seen()
    except MissingDataError:
        return lambda _: {}
    days, universe = known.panel.sessions, known.universe
    column = {symbol: place for place, symbol in enumerate(known.panel.symbols)}

    def of(booked: SessionRow) -> Mapping[str, str | None]:
        row = int(np.searchsorted(days, np.datetime64(booked.session, "D")))
        there = row < len(days) and days[row] == np.datetime64(booked.session, "D")
        held = [line.symbol for line in booked.lines if line.symbol in column] if there else []
        return {symbol: universe.sector_name(row, column[symbol]) for symbol in held}

    return of


def _limits(asked: Asked) -> Callable[[date], Any]:
    """The limits in force at a session: those its decision was made under; of a session nobody decided at, those of the night before."""
    from mech_exo.utils.settings import Config

    nights, made = asked.ledger.nights(asked.book), {}

    def of(session: date) -> Any:
        night = next((one for one in reversed(nights) if one.session <= session), None)
        if night is None:
            return asked.house.config.risk
        if night.config_hash not in made:
            row = asked.ledger.decision(asked.book, night.session)
            assert row is not None
            made[night.config_hash] = Config.model_validate(json.loads(row.body)["config"]).risk
        return made[night.config_hash]

    return of


def decisions(asked: Asked) -> Iterator[pl.DataFrame]:
    """One row per name that a night scored, wanted, ordered or withheld: score, rank, every factor's part in it, target, order."""
    factors = _factors(asked)
    schema = _decisions(factors)
    empty = True
    for bodies in asked.ledger.decision_bodies(asked.book, asked.first, asked.last, CHUNK):
        empty = False
        yield _flattened(bodies, factors).select(pl.col(name).cast(kind) for name, kind in schema.items())
    if empty:
        yield pl.DataFrame(schema=schema)


PARTS = ("raw", "normalised", "contribution")
NAME = ("session", "symbol")


def _decisions(factors: Sequence[str]) -> Schema:
    return {
        "session": pl.Date, "decided_for": pl.Date, "scheduled": pl.Boolean, "state": pl.String, "symbol": pl.String, "rank": pl.Int64,
        "score": pl.Float64, "percentile": pl.Float64, "coverage": pl.Float64,
        **{f"{name}_{part}": pl.Float64 for name in factors for part in PARTS},
        "wanted_shares": pl.Float64, "target_shares": pl.Float64, "weight_of_nav": pl.Float64, "method": pl.String, "binding": pl.String,
        "stop_usd": pl.Float64, "target_usd": pl.Float64, "order_id": pl.String, "ordered_shares": pl.Float64, "reason": pl.String,
        "breaches": pl.String,
    }  # fmt: skip


def _factors(asked: Asked) -> list[str]:
    """Every factor that a decision asked for scored with: the configured ones, and what a body names beside them."""
    from mech_exo.utils.settings import Config

    names: dict[str, None] = {}
    seen: set[str] = set()
    for night in asked.ledger.nights(asked.book):
        if not asked.holds(night.session) or night.config_hash in seen:
            continue
        seen.add(night.config_hash)
        row = asked.ledger.decision(asked.book, night.session)
        assert row is not None
        body = json.loads(row.body)
        names |= dict.fromkeys(Config.model_validate(body["config"]).factors.weights())
        names |= dict.fromkeys(name for line in body["scores"][:1] for name in line["factors"])
    return list(names)


def _flattened(bodies: Sequence[str], factors: Sequence[str]) -> pl.DataFrame:
    night = pl.Series("night", bodies).str.json_decode(_body(factors)).struct.unnest()
    night = night.with_columns(session=pl.col("as_of").str.to_date(), decided_for=pl.col("session").str.to_date())
    facts = night.select("session", "decided_for", "scheduled", "state")
    scored = _exploded(night, "scores")
    if factors:
        values = (pl.col("factors").struct.field(name).struct.field(part).alias(f"{name}_{part}") for name in factors for part in PARTS)
        scored = scored.with_columns(*values)
    targets = _exploded(night, "targets").rename({"shares": "target_shares", "wanted": "wanted_shares", "weight": "weight_of_nav"})
    targets = targets.rename({"stop": "stop_usd", "target": "target_usd"}).unique(list(NAME), keep="first", maintain_order=True)
    ordered = _exploded(night, "orders").rename({"id": "order_id", "shares": "ordered_shares"})
    ordered = ordered.unique(list(NAME), keep="first", maintain_order=True)
    held_back = _exploded(night, "breaches").filter(pl.col("symbol").is_not_null())
    codes = pl.col("code").unique(maintain_order=True).str.join(" ").alias("breaches")
    held_back = held_back.group_by(*NAME, maintain_order=True).agg(codes)
    names = pl.concat([part.select(*NAME) for part in (scored, targets, ordered, held_back)]).unique(maintain_order=True)
    joined = names.join(facts, on="session")
    for part in (scored, targets, ordered, held_back):
        joined = joined.join(part, on=list(NAME), how="left")
    return joined.sort("session", "rank", "symbol", nulls_last=True)


def _exploded(night: pl.DataFrame, name: str) -> pl.DataFrame:
    rows = night.select("session", name).filter(pl.col(name).list.len() > 0).explode(name)
    return rows.select("session", pl.col(name).struct.unnest())


def _body(factors: Sequence[str]) -> pl.Struct:
    number, text = pl.Float64, pl.String
    factor = pl.Struct(dict.fromkeys(PARTS, number))
    scores: Schema = {"symbol": text, "rank": pl.Int64, "score": number, "percentile": number, "coverage": number}
    if factors:
        scores["factors"] = pl.Struct(dict.fromkeys(factors, factor))
    target: Schema = {"symbol": text, "shares": number, "wanted": number, "weight": number, "method": text, "binding": text}
    return pl.Struct(
        {
            "as_of": text, "session": text, "scheduled": pl.Boolean, "state": text,
            "scores": pl.List(pl.Struct(scores)),
            "targets": pl.List(pl.Struct({**target, "stop": number, "target": number})),
            "orders": pl.List(pl.Struct({"id": text, "symbol": text, "shares": number, "reason": text})),
            "breaches": pl.List(pl.Struct({"code": text, "symbol": text})),
        }
    )  # fmt: skip


def _frame(schema: Schema, rows: Iterable[Sequence[Any]]) -> pl.DataFrame:
    """``rows`` in the columns of ``schema``; NaN, which is unknown, becomes null."""
    return pl.DataFrame(list(rows), schema=schema, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))


TABLES: Mapping[Kind, Callable[[Asked], Iterator[pl.DataFrame]]] = {
    Kind.FILLS: fills, Kind.POSITIONS: positions, Kind.NAV: nav, Kind.DECISIONS: decisions, Kind.ORDERS: orders, Kind.TRADES: trades,
    Kind.RISK: risk, Kind.ALERTS: alerts,
}  # fmt: skip
