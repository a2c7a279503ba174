"""What two looks at the store disagree about: facts that came into view, were restated, or left it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from mech_exo.datasource.storage import facts
from mech_exo.datasource.storage.connection import Connection, run, table
from mech_exo.datasource.storage.facts import Cut, FactTable
from mech_exo.domain.errors import InputError


class Kind(StrEnum):
    """What became of a fact from the first view to the second."""

    RESTATED = "restated"
    REMOVED = "removed"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that differs.

    ``key`` names it; ``old`` and ``new`` are its values in the two views, those that differ where both see it, none where one does not.
    ``known_at`` and ``recorded_at`` are the clocks of the newer row, or of the one no longer seen.
    """

    kind: Kind
    key: Mapping[str, Any]
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    known_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed in one table: ``counts`` of every kind of change, and the first ``changes`` of each, restatements before all."""

    table: str
    counts: Mapping[str, int]
    changes: tuple[Change, ...]


def differences(
    con: Connection, cuts: tuple[Cut, Cut], *, tables: Sequence[str] | None, symbols: Sequence[str] | None, limit: int
) -> tuple[Difference, ...]:
    """See :meth:`mech_exo.datasource.storage.StoreView.diff`."""
    known = {fact.name: fact for fact in facts.ALL}
    for name in tables or ():
        if name not in known:
            raise InputError(f"a table of facts is one of {', '.join(known)}; got {name!r}")
    chosen = [known[name] for name in dict.fromkeys(tables)] if tables else list(facts.ALL)
    if symbols is not None:
        chosen = [fact for fact in chosen if "symbol" in fact.keys]
    found = (_difference(con, fact, cuts, symbols, limit) for fact in chosen)
    return tuple(difference for difference in found if difference.counts)


def _difference(con: Connection, fact: FactTable, cuts: tuple[Cut, Cut], symbols: Sequence[str] | None, limit: int) -> Difference:
    params: dict[str, Any] = {**cuts[0].params("_a"), **cuts[1].params("_b")}
    among = "true"
    if symbols is not None:
        named = {f"symbol{place}": symbol for place, symbol in enumerate(symbols)}
        among = f"symbol in ({', '.join(f'${name}' for name in named)})" if named else "false"
        params |= named
    moved = f"{among} and ({facts.within(fact, '_a')}) <> ({facts.within(fact, '_b')})"
    if "session" in fact.keys:
        first, last = run(con, f"select min(session), max(session) from {fact.name} where {moved}", params)[0]
        if first is None:
            return Difference(fact.name, {}, ())
        among += " and session between $first and $last"
        params |= {"first": first, "last": last}
    rows = table(con, _disagreement(fact, moved, among), {**params, "limit": limit})
    counts = dict(rows.select("change", "many").iter_rows())
    return Difference(fact.name, {kind.value: counts[kind.value] for kind in Kind if kind.value in counts}, _changes(fact, rows.to_dicts()))


def _disagreement(fact: FactTable, moved: str, among: str) -> str:
    """SQL of the facts whose visible rows differ: only those with a row (``moved``) that one cut sees and the other does not can."""
    keys = facts.names(fact.keys)
    sides = [f"select v.* from ({facts.visible(fact, among, which)}) v semi join moved using ({keys})" for which in ("_a", "_b")]
    values = ", ".join(f'a."{name}" as "old {name}", b."{name}" as "new {name}"' for name in (*fact.values, *fact.extras))
    order = ", ".join(f"'{kind}'" for kind in Kind)
    return f"""
        with moved as materialized (select distinct {keys} from {fact.name} where {moved}), a as ({sides[0]}), b as ({sides[1]}),
        changed as (
            select case when a.version is null then 'new' when b.version is null then 'removed' else 'restated' end as change,
                {keys}, {values}, coalesce(b.known_at, a.known_at) as known_at, coalesce(b.recorded_at, a.recorded_at) as recorded_at
            from a full join b using ({keys}) where a.version is distinct from b.version
        )
        select *, count(*) over (partition by change) as many from changed
        qualify row_number() over (partition by change order by {keys}) <= $limit order by list_position([{order}], change), {keys}
    """


def _changes(fact: FactTable, rows: Sequence[Mapping[str, Any]]) -> tuple[Change, ...]:
    told = []
    for row in rows:
        kind = Kind(row["change"])
        sides = {side: {name: row[f"{side} {name}"] for name in (*fact.values, *fact.extras)} for side in ("old", "new")}
        differ = [name for name in sides["old"] if sides["old"][name] != sides["new"][name]]
        old = {name: sides["old"][name] for name in differ} if kind is Kind.RESTATED else sides["old"] if kind is Kind.REMOVED else {}
        new = {name: sides["new"][name] for name in differ} if kind is Kind.RESTATED else sides["new"] if kind is Kind.NEW else {}
        key = {name: row[name] for name in fact.keys}
        told.append(Change(kind, key, old, new, row["known_at"], row["recorded_at"]))
    return tuple(told)
