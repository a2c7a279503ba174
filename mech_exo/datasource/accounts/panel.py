"""From facts to ``(T, N)`` arrays of derived inputs: each row holds what was known at its close."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.accounts.inputs import DERIVED, F_SCORE, INPUTS, MARKET_CAP, RATING, SHARES, SHARES_BEFORE, SHOWN, Input
from mech_exo.datasource.accounts.metrics import AS_OF_DAY, MAX_AGE, STATEMENT, Span
from mech_exo.datasource.accounts.states import Need, Splits, States, follow
from mech_exo.domain.errors import InputError, cut
from mech_exo.domain.panel import PriceBasis
from mech_exo.kernels.fiscal import AT_END

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel

    Floats = NDArray[np.float64]

QUARTER_SLACK, COUNT_SLACK = 15, 45
"""Days by which "a year before" may be off: fiscal years have 52 or 53 weeks; the date on a filing's cover is the company's choice."""
RANKS = {"edgar": 0, "yahoo": 2, "finnhub": 3}
"""Filings first, then imported files (1), then what vendors show."""
_AVERAGE, _AVERAGE_BEFORE = Need("average_shares", AT_END), Need("average_shares", AT_END, 1)
_OF_A_DAY = (SHARES, SHARES_BEFORE, RATING)


def names_of(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """The inputs asked for, None: the derived ones. Raises InputError for a name nobody knows."""
    wanted = DERIVED if metrics is None else tuple(dict.fromkeys(metrics))
    known = (*INPUTS, "f_score")
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
) -> dict[str, Floats]:
    """``names`` as ``(T, N)`` float64, NaN unknown, from ``facts`` (rows of the table, every version) and ``splits`` (symbol, session,
    value). Each cell is made from one source's facts alone: of the first of ``sources`` that knows it."""
    undone = Splits(splits).undone(facts)
    factor = Splits(splits).so_far(panel)
    made: dict[str, Floats] = {}
    for source in sources:
        one = _OneSource(panel, undone.filter(pl.col("source") == source), factor, max_age)
        found = one.derive(names)
        for name, values in found.items():
            made[name] = np.where(np.isnan(made[name]), values, made[name]) if name in made else values
    return made or {name: np.full(panel.shape, np.nan) for name in names}


def _parts(name: str) -> tuple[Input, ...]:
    return F_SCORE if name == "f_score" else (INPUTS[name],)


@dataclass(frozen=True, eq=False, slots=True)
class _OneSource:
    """Derives from the facts of one source; ``factor`` ``(T, N)``: see :meth:`Splits.so_far`."""

    panel: BarPanel
    facts: pl.DataFrame
    factor: Floats
    max_age: int

    def derive(self, names: Sequence[str]) -> dict[str, Floats]:
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
        if "f_score" in names:
            values["f_score"] = np.sum([values[item.name] for item in F_SCORE], axis=0)
        return {name: values[name] for name in names}

    def _follow(self, metrics: Iterable[str], needs: Iterable[Need], year_slack: int) -> States:
        return follow(self.panel, self.facts, tuple(metrics), tuple(needs), year_slack=year_slack, max_age=self.max_age)

    def _counts(self, statement: States) -> dict[Need, Floats]:
        """Shares now and a year ago, on the share count of each row, and what they are worth at its close."""
        cover = self._follow(("shares_outstanding",), [SHARES, SHARES_BEFORE], COUNT_SLACK)
        laid = {}
        for asked, average in ((SHARES, _AVERAGE), (SHARES_BEFORE, _AVERAGE_BEFORE)):
            count = np.where(np.isnan(cover.of(SHARES)), statement.of(average), cover.of(asked))
            laid[asked] = np.where(count > 0.0, count, np.nan) * self.factor
        known = self.panel.price_basis is PriceBasis.AS_TRADED
        laid[MARKET_CAP] = self.panel.close * laid[SHARES] if known else np.full(self.panel.shape, np.nan)
        return laid

    def _value(self, item: Input, statement: States, laid: Mapping[Need, Floats]) -> Floats:
        """Worked out once per state where no price or count of a day is needed, else in every cell."""
        if not any(need in laid for need in item.needs):
            values = statement.spread(item.formula(*(statement.values[need] for need in item.needs)))
        else:
            values = item.formula(*(laid[need] if need in laid else statement.of(need) for need in item.needs))
        if item.unit == "shares" and item.needs[0] not in laid:
            return values * self.factor
        return values / self.factor if item.unit == "USD/share" else values

    def _or_shown(self, name: str, values: Floats) -> Floats:
        """``values``, and where they are unknown the figure the source itself shows; one that cannot be is no figure."""
        metric, days = SHOWN[name]
        snapshots = self.facts.filter((pl.col("metric") == metric) & (pl.col("fiscal_period") == Span.SNAPSHOT.value))
        if snapshots.is_empty():
            return values
        of_a_day = snapshots.with_columns(pl.col("filed").alias("period_end"), fiscal_period=pl.lit(Span.INSTANT.value))
        need = Need(metric, AT_END)
        shown = follow(self.panel, of_a_day, (metric,), (need,), year_slack=COUNT_SLACK, max_age=days).of(need)
        if "growth" not in name and name != "return_on_equity":
            shown = np.where(shown >= 0.0, shown, np.nan)
        return np.where(np.isnan(values), shown, values)
