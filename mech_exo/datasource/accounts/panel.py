"""From facts to ``(T, N)`` arrays of derived inputs: each row holds what was known at its close."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.accounts.formulas import count, first_known, is_known, not_negative, point
from mech_exo.datasource.accounts.inputs import DERIVED, F_SCORE, INPUTS, MARKET_CAP, RATING, SCORES, SHARES, SHARES_BEFORE, SHOWN, Input
from mech_exo.datasource.accounts.metrics import AS_OF_DAY, MAX_AGE, STATEMENT, Span
from mech_exo.datasource.accounts.states import Need, Splits, States, follow
from mech_exo.domain.errors import InputError, cut
from mech_exo.domain.facts import Cells, Formula, Steps
from mech_exo.domain.panel import PriceBasis
from mech_exo.kernels.fiscal import AT_END

if TYPE_CHECKING:
    from mech_exo.domain.panel import BarPanel

QUARTER_SLACK, COUNT_SLACK = 15, 45
"""Days by which "a year before" may be off: fiscal years have 52 or 53 weeks; the date on a filing's cover is the company's choice."""
RANKS = {"edgar": 0, "yahoo": 2, "finnhub": 3}
"""Filings first, then imported files (1), then what vendors show."""
_AVERAGE, _AVERAGE_BEFORE = Need("average_shares", AT_END), Need("average_shares", AT_END, 1)
_OF_A_DAY = (SHARES, SHARES_BEFORE, RATING)


def names_of(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """The inputs asked for, None: the derived ones. Raises InputError for a name nobody knows."""
    wanted = DERIVED if metrics is None else tuple(dict.fromkeys(metrics))
    known = (*INPUTS, *SCORES)
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            remedy = f"did you mean {near[0]!r}?" if near else "docs/fundamentals.md lists them"
            raise InputError(f"a fundamental input must be one that can be derived; got {cut(name)!r}", remedy=remedy)
    return wanted


def metrics_for(names: Iterable[str]) -> tuple[str, ...]:
    """The metrics in the table of facts that ``names`` are made from: every figure of a statement (they tell which period is the newest),
    counts and opinions of a day, and the vendors' own ratios."""
    return (*STATEMENT, *AS_OF_DAY, *(SHOWN[name][0] for name in names if name in SHOWN))


def by_preference(sources: Iterable[str]) -> tuple[str, ...]:
    """The order in which ``sources`` are asked for one figure: by :data:`RANKS`, then by name."""
    return tuple(sorted(sources, key=lambda name: (RANKS.get(name, 1), name)))


def derive(
    panel: BarPanel, facts: pl.DataFrame, splits: pl.DataFrame, names: Sequence[str], sources: Sequence[str], max_age: int = MAX_AGE
) -> dict[str, Cells]:
    """``names`` as cells ``(T, N)``, NaN unknown, from ``facts`` (rows of the table, every version) and ``splits`` (symbol, session,
    value). Each cell is made from one source's facts alone: of the first of ``sources`` that knows it.

    A name that no source ever tells anything of is left out.
    """
    undone = Splits(splits).undone(facts)
    factor = Splits(splits).so_far(panel)
    made: dict[str, Cells] = {}
    for source in sources:
        one = _OneSource(panel, undone.filter(pl.col("source") == source), factor, max_age)
        for name, cells in one.derive(names).items():
            made[name] = Formula(first_known, (made[name], cells)) if name in made else cells
    return made


def _parts(name: str) -> tuple[Input, ...]:
    return F_SCORE if name in SCORES else (INPUTS[name],)


@dataclass(frozen=True, eq=False, slots=True)
class _OneSource:
    """Derives from the facts of one source; ``factor`` ``(T, N)``: see :meth:`Splits.so_far`."""

    panel: BarPanel
    facts: pl.DataFrame
    factor: Steps
    max_age: int

    def derive(self, names: Sequence[str]) -> dict[str, Cells]:
        """Those of ``names`` of which this source tells anything."""
        items = {item.name: item for name in names for item in _parts(name)}
        needs = {need for item in items.values() for need in item.needs}
        counted = bool(needs & {MARKET_CAP, SHARES, SHARES_BEFORE})
        plain = needs - {MARKET_CAP, *_OF_A_DAY}
        statement = self._follow(STATEMENT, plain | ({_AVERAGE, _AVERAGE_BEFORE} if counted else set()), QUARTER_SLACK)
        laid = self._counts(statement) if counted else {}
        if RATING in needs:
            laid[RATING] = self._follow(("analyst_rating",), [RATING], COUNT_SLACK).of(RATING)
        values = {name: self._value(item, statement, laid) for name, item in items.items()}
        for name in values.keys() & SHOWN.keys():
            values[name] = self._or_shown(name, values[name])
        if SCORES.keys() & set(names):
            values |= _scores([values[item.name] for item in F_SCORE])
        return {name: cells for name in names if (cells := values[name]) is not None}

    def _follow(self, metrics: Iterable[str], needs: Iterable[Need], year_slack: int) -> States:
        return follow(self.panel, self.facts, tuple(metrics), tuple(needs), year_slack=year_slack, max_age=self.max_age)

    def _counts(self, statement: States) -> dict[Need, Cells | None]:
        """Shares now and a year ago, on the share count of each row, and what they are worth at its close."""
        cover = self._follow(("shares_outstanding",), [SHARES, SHARES_BEFORE], COUNT_SLACK)
        laid: dict[Need, Cells | None] = {}
        for asked, average in ((SHARES, _AVERAGE), (SHARES_BEFORE, _AVERAGE_BEFORE)):
            told = not (np.isnan(cover.values[asked]).all() and np.isnan(statement.values[average]).all())
            parts = (cover.of(SHARES), cover.of(asked), statement.of(average), self.factor)
            laid[asked] = Formula(count, parts) if told else None
        shares, known = laid[SHARES], self.panel.price_basis is PriceBasis.AS_TRADED
        laid[MARKET_CAP] = Formula(np.multiply, (self.panel.close, shares)) if known and shares is not None else None
        return laid

    def _value(self, item: Input, statement: States, laid: Mapping[Need, Cells | None]) -> Cells | None:
        """Worked out once per state where no price or count of a day is needed, else where a cell is looked at; None: never known."""
        if not any(need in laid for need in item.needs):
            values = statement.spread(item.formula(*(statement.values[need] for need in item.needs)))
            if np.isnan(values.values).all():
                return None
            if item.unit == "shares":
                return Formula(np.multiply, (values, self.factor))
            return Formula(np.divide, (values, self.factor)) if item.unit == "USD/share" else values
        parts = [laid[need] if need in laid else statement.of(need) for need in item.needs]
        told = [part for part in parts if part is not None and not (isinstance(part, Steps) and np.isnan(part.values).all())]
        if len(told) < len(parts):
            return None
        return told[0] if len(told) == 1 else Formula(item.formula, tuple(told))

    def _or_shown(self, name: str, values: Cells | None) -> Cells | None:
        """``values``, and where they are unknown the figure the source itself shows; one that cannot be is no figure."""
        metric, days = SHOWN[name]
        snapshots = self.facts.filter((pl.col("metric") == metric) & (pl.col("fiscal_period") == Span.SNAPSHOT.value))
        if snapshots.is_empty():
            return values
        of_a_day = snapshots.with_columns(pl.col("filed").alias("period_end"), fiscal_period=pl.lit(Span.INSTANT.value))
        need = Need(metric, AT_END)
        shown = follow(self.panel, of_a_day, (metric,), (need,), year_slack=COUNT_SLACK, max_age=days).of(need)
        if "growth" not in name and name != "return_on_equity":
            shown = Steps(not_negative(shown.values), shown.at)
        return shown if values is None else Formula(first_known, (values, shown))


def _scores(signals: Sequence[Cells | None]) -> dict[str, Cells | None]:
    """:data:`SCORES` of the nine ``signals``, None: one that is never known. Those of a statement are added up once per state."""
    steps = [signal for signal in signals if isinstance(signal, Steps)]
    others = [signal for signal in signals if signal is not None and not isinstance(signal, Steps)]
    if not steps:
        return dict.fromkeys(SCORES)
    stated, at = np.array([signal.values[:-1] for signal in steps]), steps[0].at
    points: list[Cells] = [Steps.of(np.nansum(stated, axis=0), at), *(Formula(point, (other,)) for other in others)]
    known: list[Cells] = [Steps.of((~np.isnan(stated)).sum(axis=0).astype(np.float64), at), *(Formula(is_known, (other,)) for other in others)]
    whole: list[Cells] = [Steps.of(stated.sum(axis=0), at), *others]
    sums = {"f_points": _sum(points), "f_known": _sum(known)}
    return {**sums, "f_score": _sum(whole) if len(steps) + len(others) == len(signals) else None}


def _sum(cells: Sequence[Cells]) -> Cells:
    return functools.reduce(lambda left, right: Formula(np.add, (left, right)), cells)
