"""From facts to ``(T, N)`` arrays of derived inputs: each row holds what was known at its close."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.accounts.formulas import count, first_known, no_shares_issued, not_negative
from mech_exo.datasource.accounts.inputs import DERIVED, F_SCORE, INPUTS, MARKET_CAP, RATING, SCORES, SHARES, SHARES_BEFORE, SHOWN, Input
from mech_exo.datasource.accounts.metrics import AS_OF_DAY, MAX_AGE, STATEMENT
from mech_exo.datasource.accounts.states import Arrivals, Need, Splits, States, follow
from mech_exo.domain.errors import InputError, cut
from mech_exo.domain.facts import Cells, Formula, Steps
from mech_exo.domain.panel import PriceBasis
from mech_exo.kernels.fiscal import AT_END, joint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

QUARTER_SLACK, COUNT_SLACK = 15, 45
"""Days by which "a year before" may be off: fiscal years have 52 or 53 weeks; the date on a filing's cover is the company's choice."""
RANKS = {"edgar": 0, "yahoo": 2, "finnhub": 3}
"""Filings first, then imported files (1), then what vendors show."""
_AVERAGE, _AVERAGE_BEFORE = Need("average_shares", AT_END), Need("average_shares", AT_END, 1)
_NO_ISSUE = "f_no_issue"
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
    arrivals = Arrivals.of(panel, Splits(splits).undone(facts))
    factor = Splits(splits).so_far(panel)
    made: dict[str, Cells] = {}
    for source in sources:
        one = _OneSource(panel, arrivals.of_source(source), factor, max_age)
        for name, cells in one.derive(names).items():
            made[name] = Formula(first_known, (made[name], cells)) if name in made else cells
    return made


def _parts(name: str) -> tuple[Input, ...]:
    return F_SCORE if name in SCORES else (INPUTS[name],)


@dataclass(frozen=True, eq=False, slots=True)
class _OneSource:
    """Derives from the facts of one source; ``factor`` ``(T, N)``: see :meth:`Splits.so_far`."""

    panel: BarPanel
    facts: Arrivals
    factor: Steps
    max_age: int

    def derive(self, names: Sequence[str]) -> dict[str, Cells]:
        """Those of ``names`` of which this source tells anything."""
        items = {item.name: item for name in names for item in _parts(name)}
        needs = {need for item in items.values() for need in item.needs}
        counted = bool(needs & {MARKET_CAP, SHARES, SHARES_BEFORE})
        plain = needs - {MARKET_CAP, *_OF_A_DAY}
        statement = self._follow(STATEMENT, plain | ({_AVERAGE, _AVERAGE_BEFORE} if counted else set()), QUARTER_SLACK)
        laid, no_issue, stated = self._counts(statement) if counted else ({}, None, None)
        if RATING in needs:
            laid[RATING] = self._follow(("analyst_rating",), [RATING], COUNT_SLACK).of(RATING)
        values = {name: self._value(item, statement, laid) for name, item in items.items()}
        if _NO_ISSUE in values:
            values[_NO_ISSUE] = no_issue
        for name in values.keys() & SHOWN.keys():
            values[name] = self._or_shown(name, values[name])
        if stated is not None and no_issue is not None and SCORES.keys() & set(names):
            values |= _scores([values[item.name] for item in F_SCORE], no_issue, stated)
        return {name: cells for name in names if (cells := values.get(name)) is not None}

    def _follow(self, metrics: Iterable[str], needs: Iterable[Need], year_slack: int) -> States:
        return follow(self.panel, self.facts, tuple(metrics), tuple(needs), year_slack=year_slack, max_age=self.max_age)

    def _counts(self, statement: States) -> tuple[dict[Need, Cells | None], Steps, Ints]:
        """Shares now and a year ago on the share count of each row, and what they are worth at its close; whether there are no more than a
        year ago, for which splits do not matter; and which state of ``statement`` holds in each of that one's."""
        cover = self._follow(("shares_outstanding",), [SHARES, SHARES_BEFORE], COUNT_SLACK)
        at, covered, stated = joint(cover.at, statement.at)
        covers, averages = ({need: np.append(values, np.nan) for need, values in states.values.items()} for states in (cover, statement))
        found: dict[Need, Floats] = {}
        laid: dict[Need, Cells | None] = {}
        for asked, average in ((SHARES, _AVERAGE), (SHARES_BEFORE, _AVERAGE_BEFORE)):
            found[asked] = count(covers[SHARES][covered], covers[asked][covered], averages[average][stated])
            told = not np.isnan(found[asked]).all()
            laid[asked] = Formula(np.multiply, (Steps.of(found[asked], at), self.factor)) if told else None
        shares, known = laid[SHARES], self.panel.price_basis is PriceBasis.AS_TRADED
        laid[MARKET_CAP] = Formula(np.multiply, (self.panel.close, shares)) if known and shares is not None else None
        return laid, Steps.of(no_shares_issued(found[SHARES], found[SHARES_BEFORE]), at), stated

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
        of_a_day = self.facts.shown(metric)
        if not len(of_a_day.row):
            return values
        need = Need(metric, AT_END)
        shown = follow(self.panel, of_a_day, (metric,), (need,), year_slack=COUNT_SLACK, max_age=days).of(need)
        if "growth" not in name and name != "return_on_equity":
            shown = Steps(not_negative(shown.values), shown.at)
        return shown if values is None else Formula(first_known, (values, shown))


def _scores(signals: Sequence[Cells | None], no_issue: Steps, stated: Ints) -> dict[str, Cells | None]:
    """:data:`SCORES` of the nine ``signals`` (None: one that is never known), added up once per state of ``no_issue``; ``stated``: which
    state of the statement holds in each of them."""
    each = [
        signal.values[:-1] if signal is no_issue else signal.values[stated] if isinstance(signal, Steps) else np.full(len(stated), np.nan)
        for signal in signals
    ]
    whole = np.array(each)
    known = (~np.isnan(whole)).sum(axis=0).astype(np.float64)
    sums = {"f_score": whole.sum(axis=0), "f_points": np.nansum(whole, axis=0), "f_known": known}
    return {name: None if np.isnan(values).all() or not known.any() else Steps.of(values, no_issue.at) for name, values in sums.items()}
