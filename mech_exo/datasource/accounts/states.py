"""What was known of each company at each close: rows of the table of facts, followed in the order in which they became known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from mech_exo.datasource.accounts.metrics import CODES, PER_SHARE, Span
from mech_exo.domain.facts import Steps
from mech_exo.kernels import fiscal
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


SPANS = {**CODES, Span.SNAPSHOT: fiscal.SPANS}


class Need(NamedTuple):
    """One figure of the newest period known: ``metric``, ``what`` of it (see :mod:`mech_exo.kernels.fiscal`), so many ``years`` before."""

    metric: str
    what: int
    years: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class States:
    """The states of ``N`` companies over ``T`` rows: ``at`` ``(T, N)`` is the number of the state that holds in a cell, -1 where nothing
    is known or all is stale; ``values`` hold one entry per state ``(V,)``, NaN unknown; ``period_end`` ``(V,)`` day numbers."""

    at: NDArray[np.int32]
    values: Mapping[Need, Floats]
    period_end: Ints

    def spread(self, values: Floats) -> Steps:
        """``values`` ``(V,)`` laid on the panel ``(T, N)``, NaN where no state holds."""
        return Steps.of(values, self.at)

    def of(self, need: Need) -> Steps:
        """The figure ``need`` in every cell ``(T, N)``, NaN unknown."""
        return self.spread(self.values[need])


@dataclass(frozen=True, eq=False, slots=True)
class Arrivals:
    """Facts in the order in which they became known, company by company: ``(F,)`` each, as :func:`mech_exo.kernels.fiscal.follow` takes
    them; ``metric`` and ``source`` are numbers of ``metrics`` and ``sources``."""

    metrics: tuple[str, ...]
    sources: tuple[str, ...]
    column: Ints
    row: Ints
    end: Ints
    day: Ints
    span: Ints
    metric: Ints
    source: Ints
    rank: Ints
    value: Floats

    @classmethod
    def of(cls, panel: BarPanel, facts: pl.DataFrame) -> Arrivals:
        """Of ``facts`` (symbol, metric, period_end, fiscal_period, filed, value, known_at, version, source), those of the panel's companies
        that are known by its last row. A fact counts from the first row at whose close it is known."""
        metrics, sources = (tuple(facts[name].unique().sort()) for name in ("metric", "source"))
        column, span = _codes(facts["symbol"], panel.symbols), _codes(facts["fiscal_period"], tuple(SPANS))
        row = np.searchsorted(calendar.closes(panel.sessions).astype(np.int64), facts["known_at"].dt.epoch("us").to_numpy())
        mine = np.flatnonzero((column >= 0) & (span >= 0) & (row < panel.shape[0]))
        order = mine[fiscal.arrival_order(column[mine], row[mine], *panel.shape)]
        end, day = (facts[name].to_physical().to_numpy()[order].astype(np.int64) for name in ("period_end", "filed"))
        rank = day * 100_000 + facts["version"].to_numpy()[order]
        metric, source = (_codes(facts[name], names)[order] for name, names in (("metric", metrics), ("source", sources)))
        value = facts["value"].to_numpy()[order]
        return cls(metrics, sources, column[order], row[order], end, day, span[order], metric, source, rank, value)

    def where(self, some: NDArray[np.bool_]) -> Arrivals:
        """Those that ``some`` ``(F,)`` picks."""
        if some.all():
            return self
        names = ("column", "row", "end", "day", "span", "metric", "source", "rank", "value")
        return replace(self, **{name: getattr(self, name)[some] for name in names})

    def of_source(self, name: str) -> Arrivals:
        """Those of one source."""
        return self.where(self.source == (self.sources.index(name) if name in self.sources else -1))

    def shown(self, metric: str) -> Arrivals:
        """What was shown of ``metric`` as such, of the day it was filed."""
        number = self.metrics.index(metric) if metric in self.metrics else -1
        some = self.where((self.span == SPANS[Span.SNAPSHOT]) & (self.metric == number))
        return replace(some, end=some.day, span=np.zeros_like(some.span))


def _codes(names: pl.Series, known: Sequence[str]) -> Ints:
    """The place of each name in ``known``, -1 for none."""
    return names.cast(pl.Enum([str(name) for name in known]), strict=False).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()


def follow(panel: BarPanel, facts: Arrivals, metrics: Sequence[str], needs: Sequence[Need], *, year_slack: int, max_age: int) -> States:
    """Follow ``facts`` of one source over the panel's rows.

    Of two facts about one period the one filed later holds. The newest period is that of any of ``metrics``, so that all ``needs`` (of
    these metrics) speak of the same one.

    ``year_slack``: days by which the period a year before may be off; ``max_age``: calendar days after the last filing about the newest
    period until which it is believed.
    """
    number = {name: code for code, name in enumerate(metrics)}
    asked = sorted(set(needs), key=lambda need: number[need.metric])
    numbers = np.array([number.get(name, -1) for name in facts.metrics], np.int64)[facts.metric]
    followed = (numbers >= 0) & (facts.span < fiscal.SPANS)
    rows, numbers = facts.where(followed), numbers if followed.all() else numbers[followed]
    company, begin, stop, ends, said = fiscal.follow(
        np.searchsorted(rows.column, np.arange(len(panel.symbols) + 1)).astype(np.int64),
        rows.row,
        rows.end,
        numbers,
        rows.span,
        rows.rank,
        rows.day,
        rows.value,
        np.array([(number[need.metric], need.what, need.years) for need in asked], np.int64).reshape(-1, 3),
        panel.sessions.astype(np.int64),
        len(metrics),
        year_slack,
        max_age,
    )
    at = fiscal.place(company, begin, stop, *panel.shape)
    return States(at, {need: np.ascontiguousarray(said[:, k]) for k, need in enumerate(asked)}, ends)


@dataclass(frozen=True, eq=False, slots=True)
class Splits:
    """How many shares one share of long ago has become, by symbol and day: ``actions`` are symbol, session, value (new per old)."""

    actions: pl.DataFrame

    def so_far(self, panel: BarPanel) -> Steps:
        """The factor at every cell's open ``(T, N)``; 1 before the first split."""
        place = {symbol: column for column, symbol in enumerate(panel.symbols)}
        at, factors = np.zeros(panel.shape, np.int32), [1.0]  # zeros that nobody wrote to cost no memory
        for symbol, session, ratio in self.actions.sort("symbol", "session").select("symbol", "session", "value").iter_rows():
            if symbol not in place:
                continue
            since = at[np.searchsorted(panel.sessions, np.datetime64(session, "D")) :, place[symbol]]
            if len(since):
                factors.append(factors[since[-1]] * ratio)
                since[:] = len(factors) - 1
        return Steps.of(np.array(factors), at)

    def undone(self, facts: pl.DataFrame) -> pl.DataFrame:
        """``facts`` with counts divided, and amounts per share multiplied, by the factor of the day whose share count they speak of: the
        filing's for figures of a statement, their own for a count as of a day."""
        per_share, counted = pl.col("unit").str.ends_with("/share"), pl.col("unit") == "shares"
        moved = facts.filter(per_share | counted)
        if self.actions.is_empty() or moved.is_empty():
            return facts
        steps = self.actions.sort("symbol", "session").select(
            "symbol", pl.col("session").alias("day"), pl.col("value").cum_prod().over("symbol").alias("factor")
        )
        basis = pl.when(pl.col("metric").is_in(PER_SHARE)).then("filed").otherwise("period_end")
        joined = moved.with_columns(day=basis).sort("day").join_asof(steps.sort("day"), on="day", by="symbol", check_sortedness=False)
        factor = pl.col("factor").fill_null(1.0)
        value = pl.when(per_share).then(pl.col("value") * factor).otherwise(pl.col("value") / factor)
        return pl.concat([facts.filter(~(per_share | counted)), joined.with_columns(value=value).drop("day", "factor")])
