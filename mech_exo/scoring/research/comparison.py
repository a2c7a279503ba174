"""All factors beside each other: how alike they are, and what each adds to the composite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import InputError
from mech_exo.scoring.research.factor_study import FactorStudy, frame, study_of
from mech_exo.scoring.research.sample import Ordered, Sample, configured
from mech_exo.scoring.research.statistics import Mean
from mech_exo.scoring.scorer import score_rows
from mech_exo.utils.settings import FactorsConfig

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
MONTH = 21
FAMILIES = ("fundamental", "technical", "sentiment", "quality")


@dataclass(frozen=True, slots=True)
class Contribution:
    """Mean rank IC of the composite with and without a factor and of their difference, over the sessions that have both.

    NaN unknown, ``reason`` says why.
    """

    factor: str
    horizon: int
    with_it: float
    without_it: float
    added: float
    t_stat: float
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Every configured factor.

    Parameters
    ----------
    table
        factor, weight, coverage, ic, ir, t_stat of the rank IC and spread, spread_t over ``horizon`` sessions, turnover (mean of the
        outer quantiles over ``horizon``), autocorrelation, half_life (words).
    correlation
        factor, and one column per factor: :func:`factor_correlation`.
    skipped
        Factors that could not be studied, with the reason.
    studies
        The study of each factor of ``table``, in its order.
    """

    horizon: int
    table: pl.DataFrame
    correlation: pl.DataFrame
    skipped: tuple[tuple[str, str], ...]
    studies: tuple[FactorStudy, ...]


def usable(sample: Sample, config: FactorsConfig) -> tuple[dict[str, Ordered], dict[str, str]]:
    """The directed values of every configured factor that has a source and tells names apart; of the others, why not."""
    values: dict[str, Ordered] = {}
    skipped: dict[str, str] = {}
    for name in config.weights():
        factor, sign = configured(name, config)
        absent = _unfed(sample, name, config)
        try:
            if absent:
                skipped[name] = absent
            else:
                values[name] = sample.factor(factor, sign)
        except InputError as error:
            skipped[name] = str(error)
    return values, skipped


def _unfed(sample: Sample, name: str, config: FactorsConfig) -> str:
    """Why ``name`` has no source, "" where it has one."""
    facts = configured(name, config)[0].factor.facts
    return next((reason for fact in facts if (reason := sample.universe.facts.why_absent(fact)) is not None), "")


def factor_correlation(sample: Sample, values: Mapping[str, Ordered]) -> pl.DataFrame:
    """Mean over sessions, a month apart, of the rank correlation of each pair of factors in their directions: factor, a column each."""
    step = max(1, MONTH // sample.every)
    kept = np.ascontiguousarray(sample.eligible[::step])
    thin = {name: one.rows(slice(None, None, step)) for name, one in values.items()}
    names = list(thin)
    matrix = np.eye(len(names))
    for i, a in enumerate(names):
        for j, b in enumerate(names[i + 1 :], i + 1):
            matrix[i, j] = matrix[j, i] = Mean.of(thin[a].correlation(thin[b], kept)[0]).mean
    return frame({"factor": name, **dict(zip(names, line.tolist(), strict=True))} for name, line in zip(names, matrix, strict=True))


def similar_factors(sample: Sample, name: str, config: FactorsConfig) -> pl.DataFrame:
    """factor, correlation: of ``name`` with every other configured factor, the most alike first; see :func:`factor_correlation`."""
    import polars as pl

    thin = sample.thin(max(1, MONTH // sample.every))
    values, _ = usable(thin, config)
    mine = values.get(name) or thin.factor(*configured(name, config))
    lines = [{"factor": other, "correlation": Mean.of(mine.correlation(one, thin.eligible)[0]).mean}
             for other, one in values.items() if other != name]  # fmt: skip
    empty = pl.DataFrame(schema={"factor": pl.String, "correlation": pl.Float64})
    return frame(lines).sort(pl.col("correlation").abs(), descending=True, nulls_last=True) if lines else empty


def contribution(sample: Sample, name: str, config: FactorsConfig, horizon: int) -> Contribution:
    """What ``name`` adds to the composite of ``config``: its mean rank IC, at every fifth session, as it is and with the weight at 0.

    Both are :func:`mech_exo.scoring.scorer.score_rows`, the scores that are traded. The t-statistic is that of the paired differences
    (Newey-West).
    """
    others = {factor for factor in config.weights() if factor != name}
    unknown = Contribution(name, horizon, np.nan, np.nan, np.nan, np.nan)
    if name not in config.weights():
        return replace(unknown, reason="it has no weight in factors.yml")
    if not others:
        return replace(unknown, reason="it is the only factor with a weight")
    if all(_unfed(sample, one, config) for one in others):
        return replace(unknown, reason="no other factor with a weight has a source")
    if reason := _unfed(sample, name, config):
        return replace(unknown, reason=reason)
    thin = sample.thin(max(1, 5 // sample.every))
    ic = np.stack([_composite_ic(thin, chosen, horizon) for chosen in (config, without(config, name))])
    with_it, without_it = ic[:, np.isfinite(ic).all(axis=0)]
    added = Mean.of(with_it - without_it, thin.overlap(horizon))
    return Contribution(name, horizon, Mean.of(with_it).mean, Mean.of(without_it).mean, added.mean, added.t_stat)


def without(config: FactorsConfig, name: str) -> FactorsConfig:
    """``config`` with the weight of ``name`` at 0."""
    changed = {}
    for family in FAMILIES:
        lines = getattr(config, family)
        if name in lines:
            changed[family] = lines | {name: lines[name].model_copy(update={"weight": 0.0})}
    return config.model_copy(update=changed)


def _composite_ic(sample: Sample, config: FactorsConfig, horizon: int) -> Floats:
    table = score_rows(sample.panel, sample.universe, sample.rows, config, sample.rules, sample.inputs)
    rank: Floats = Ordered.of(table.value).correlation(sample.forward(horizon), sample.eligible)[0]
    return rank


def compare(sample: Sample, config: FactorsConfig, *, quantiles: int = 5) -> Comparison:
    """Study every factor of ``config`` that has a weight. Raises InputError where none can be studied."""
    values, skipped = usable(sample, config)
    if not values:
        said = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise InputError(f"at least one configured factor must have values; none has ({said})")
    studies = [study_of(sample, name, config, quantiles=quantiles) for name in values]
    table = frame(_line(one, config) for one in studies)
    return Comparison(studies[0].horizon, table, factor_correlation(sample, values), tuple(skipped.items()), tuple(studies))


def _line(one: FactorStudy, config: FactorsConfig) -> dict[str, object]:
    ic = one.ic_summary.row(by_predicate=_at(one.horizon, method="rank"), named=True)
    spread = one.spread.row(by_predicate=_at(one.horizon), named=True)
    turnover = one.turnover.filter(_at(one.horizon))["turnover"]
    outer: Sequence[float | None] = (turnover[0], turnover[-1])
    return {
        "factor": one.name, "weight": config.weights()[one.name].weight, "coverage": one.coverage, "ic": ic["mean"], "ir": ic["ir"],
        "t_stat": ic["t_stat"], "spread": spread["mean"], "spread_t": spread["t_stat"],
        "turnover": None if None in outer else sum(x for x in outer if x is not None) / 2.0,
        "autocorrelation": one.autocorrelation.row(by_predicate=_at(one.horizon), named=True)["autocorrelation"],
        "half_life": one.half_life.text,
    }  # fmt: skip


def _at(horizon: int, **equal: str) -> pl.Expr:
    import polars as pl

    found = pl.col("horizon") == horizon
    for column, value in equal.items():
        found = found & (pl.col(column) == value)
    return found
