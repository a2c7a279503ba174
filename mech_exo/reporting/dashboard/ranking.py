"""The ranking of one decision as its journal has it: who was scored how, who was ordered, and why the others were not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mech_exo.decision.explanation import Body, score_table, story
from mech_exo.domain.errors import MissingDataError
from mech_exo.reporting.dashboard.sectors import sectors_at
from mech_exo.reporting.why import explain

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId, DecisionRow
    from mech_exo.reporting.dashboard.house import House

Sectors = Mapping[str, str | None]


class Outcome(StrEnum):
    """What became of a scored name, in the words of the page."""

    ORDERED = "ordered"
    HELD = "held"
    DENIED = "denied by a limit"
    FILTERED = "not worth a trade"
    OUTRANKED = "outranked"
    PASSED = "passed over"
    WAITING = "book not decided"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scored name. ``held`` and ``ordered`` are shares (0 = none); ``sector`` None = unknown; ``bound`` is the limit or filter, or ""."""

    rank: int
    symbol: str
    sector: str | None
    score: float
    percentile: float
    coverage: float
    held: int
    ordered: int
    outcome: Outcome
    bound: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """One decision: its candidates by rank, and the names that were not scored with their reasons."""

    session: date
    orders_for: date
    scheduled: bool
    state: str
    candidates: tuple[Candidate, ...]
    excluded: tuple[tuple[str, str], ...]
    missing: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One factor's part in a score; None = the factor has no value for the name, and adds nothing."""

    factor: str
    raw: float | None
    normalised: float | None
    weight: float | None
    contribution: float | None


@dataclass(frozen=True, slots=True)
class Headline:
    """A headline about a name; foreign text. ``sentiment`` in [-1, 1], None = not judged."""

    published: str
    headline: str
    source: str
    sentiment: float | None


@dataclass(frozen=True, slots=True)
class Named:
    """One name in one decision: ``verdict`` and ``story`` in the words of ``exo why``, the parts of its score (none = not scored)."""

    symbol: str
    session: date
    verdict: str
    head: str
    story: tuple[str, ...]
    parts: tuple[Part, ...]
    score: float | None
    headlines: tuple[Headline, ...]


def last_decided(ledger: Ledger, book: BookId, wanted: date | None = None) -> DecisionRow:
    """The decision of ``wanted``, else the last one of ``book``.

    Raises
    ------
    MissingDataError
        There is none.
    """
    if wanted is not None:
        found = ledger.decision(book, wanted)
        if found is None:
            raise MissingDataError(f"ideas are those of a decision; {book} has none of {wanted}", remedy=f"exo run --date {wanted}")
        return found
    for day in reversed(ledger.day_history(book)):
        found = ledger.decision(book, day.session)
        if found is not None:
            return found
    raise MissingDataError(f"ideas are those of a decision; {book} has none yet", remedy="exo run")


def ranking(house: House, ledger: Ledger, book: BookId, session: date | None = None) -> Ranking:
    """The ranking of ``session`` (None: the last decision). Raises MissingDataError where none was journaled."""
    body, row = _body(ledger, book, session)
    booked = ledger.session(book, row.session)
    held = {} if booked is None else {line.symbol: int(line.shares) for line in booked.lines if line.shares}
    ordered: dict[str, int] = {}
    for order in body["orders"]:
        ordered[order["symbol"]] = ordered.get(order["symbol"], 0) + int(order["shares"])
    sectors = sectors_at(house, row.session) or {}
    targets = {line["symbol"]: line for line in body["targets"]}
    ranks = {line["symbol"]: line["rank"] for line in body["scores"]}
    worst = max((ranks[symbol] for symbol, line in targets.items() if line["wanted"] > 0 and symbol in ranks), default=0)
    candidates = []
    for line in body["scores"]:
        symbol = line["symbol"]
        outcome, bound = _outcome(line, targets.get(symbol), symbol in held, symbol in ordered, body["scheduled"], worst)
        candidates.append(
            Candidate(
                int(line["rank"]), symbol, sectors.get(symbol), float(line["score"]), float(line["percentile"]), float(line["coverage"]),
                held.get(symbol, 0), ordered.get(symbol, 0), outcome, bound,
            )
        )  # fmt: skip
    return Ranking(
        row.session, date.fromisoformat(body["session"]), bool(body["scheduled"]), str(body["state"]), tuple(candidates),
        tuple(sorted((str(symbol), str(reason)) for symbol, reason in body["excluded"].items())),
        tuple((str(name), str(reason)) for name, reason in body["missing_factors"]), tuple(map(str, body["warnings"])),
    )  # fmt: skip


def _outcome(line: Body, target: Body | None, held: bool, ordered: bool, scheduled: bool, worst: int) -> tuple[Outcome, str]:
    bound = "" if target is None else str(target["binding"] or (target.get("filtered") or {}).get("code", ""))
    if ordered:
        return Outcome.ORDERED, bound
    if held:
        return Outcome.HELD, bound
    if target is not None and target["wanted"] and not target["shares"]:
        return Outcome.DENIED, bound
    if target is not None and target.get("filtered"):
        return Outcome.FILTERED, bound
    if not scheduled:
        return Outcome.WAITING, ""
    return (Outcome.PASSED if line["rank"] < worst else Outcome.OUTRANKED), bound


def named(house: House, ledger: Ledger, book: BookId, symbol: str, session: date | None = None) -> Named:
    """``symbol`` in the decision of ``session`` (None: the last). Raises InputError for a name the night did not know."""
    body, row = _body(ledger, book, session)
    found = explain(symbol, body, ledger, book, lambda: sectors_at(house, row.session))
    score, shown = found["score"], score_table(found)
    parts = () if score is None else tuple(_part(name, factor, found["weights"]) for name, factor in score["factors"].items())
    value = None if score is None else float(score["score"])
    return Named(
        symbol, row.session, str(found["verdict"]), "" if shown is None else shown[0], story(found), parts, value,
        headlines(house, symbol, row.session),
    )  # fmt: skip


def _part(name: str, factor: Mapping[str, Any], weights: Mapping[str, float]) -> Part:
    contribution = None if factor["normalised"] is None else factor["contribution"]
    return Part(name, factor["raw"], factor["normalised"], weights.get(name), contribution)


def headlines(house: House, symbol: str, session: date, count: int = 12) -> tuple[Headline, ...]:
    """The last headlines known at the close of ``session``, newest first; none where nothing is stored."""
    try:
        rows = house.storage.view(session).news([symbol]).tail(count).reverse()
    except MissingDataError:
        return ()
    return tuple(
        Headline(f"{row['published']:%Y-%m-%d %H:%M} UTC", str(row["headline"]), str(row["source"] or ""), row["sentiment"])
        for row in rows.iter_rows(named=True)
    )


def _body(ledger: Ledger, book: BookId, session: date | None) -> tuple[Body, DecisionRow]:
    row = last_decided(ledger, book, session)
    body: Body = json.loads(row.body)
    return body, row

