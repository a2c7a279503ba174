"""One factor over one history: information coefficients, quantiles, turnover, decay, by sector, regime and month."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.cross_tests import demeaned, group_means, group_turnover, groups, rank_persistence
from mech_exo.scoring.regime import STATES, market_states
from mech_exo.scoring.research.forward import Entry
from mech_exo.scoring.research.sample import Ordered, Sample, configured
from mech_exo.scoring.research.statistics import HalfLife, Mean, half_life
from mech_exo.utils.settings import FactorsConfig, RegimeRules, UniverseRules

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DECAY_STEP, DECAY_STEPS, DECAY_EVERY = 21, 12, 5
"""Decay is looked at on months of returns that begin 0 to 12 months after the signal, of every fifth session."""
LEAST_IN_SECTOR = 5
"""Names a sector must have in a session before an IC among them is told."""


@dataclass(frozen=True, slots=True, eq=False)
class FactorStudy:
    """What a factor told of later returns, as Polars frames; a null is unknown. ICs are in the factor's direction: positive = it worked.

    Parameters
    ----------
    ic
        date, horizon, rank (Spearman), linear (Pearson): the IC of each session.
    ic_summary
        horizon, method, and of those ICs count, mean, std, ir, standard_error, t_stat, lags, positive
        (:class:`mech_exo.scoring.research.statistics.Mean`).
    ic_by_month
        year, month, ic: mean rank IC of :attr:`horizon`.
    ic_by_sector, ic_by_regime
        As ``ic_summary`` with sector or regime, rank ICs of :attr:`horizon`. Regimes are those that move the score's weights
        (:func:`mech_exo.scoring.regime.market_states`), with the windows of ``regime`` in factors.yml or their defaults.
    decay
        lag, and of the rank IC of a signal that old with the 21 sessions after it count, mean, standard_error, t_stat.
    quantile_returns
        horizon, quantile (1 = worst), mean, excess (over all names with a quantile), standard_error and t_stat of the excess.
    spread
        horizon, and of top less bottom quantile as ``ic_summary``.
    spread_series
        date, horizon, spread.
    cumulative
        date, quantile, value: growth of 1 USD in each quantile, one period of ``renewed`` sessions after the other: the shortest horizon
        that ends at a cross-section; empty where there is none.
    turnover
        horizon, quantile, turnover: mean share of the names that were not in the quantile ``horizon`` sessions before (the nearest
        cross-section; unknown where that is the same one).
    autocorrelation
        horizon, autocorrelation: mean correlation of the names' ranks with those ``horizon`` sessions before, likewise.
    """

    name: str
    sign: float
    entry: Entry
    horizon: int
    quantiles: int
    every: int
    renewed: int | None
    sector_neutral: bool
    regime: RegimeRules
    sessions: NDArray[np.datetime64]
    names: int
    coverage: float
    ic: pl.DataFrame
    ic_summary: pl.DataFrame
    ic_by_month: pl.DataFrame
    ic_by_sector: pl.DataFrame
    ic_by_regime: pl.DataFrame
    decay: pl.DataFrame
    half_life: HalfLife
    quantile_returns: pl.DataFrame
    spread: pl.DataFrame
    spread_series: pl.DataFrame
    cumulative: pl.DataFrame
    turnover: pl.DataFrame
    autocorrelation: pl.DataFrame

    def frames(self) -> dict[str, pl.DataFrame]:
        """Every frame by its name."""
        import polars as pl

        return {name: value for name in self.__slots__ if isinstance(value := getattr(self, name), pl.DataFrame)}


def study(
    name: str, panel: BarPanel, universe: Universe, rules: UniverseRules, config: FactorsConfig | None = None, *,
    horizons: Sequence[int] = (1, 5, 21, 63), quantiles: int = 5, every: int = 1, entry: Entry = Entry.CLOSE,
    sector_neutral: bool = False, within: tuple[int, int] | None = None,
) -> FactorStudy:  # fmt: skip
    """Study the factor ``name`` on ``panel`` among the names of ``universe`` that pass ``rules``.

    Parameters
    ----------
    config
        Gives the factor's parameters and direction; None: the literature's.
    horizons
        Sessions over which returns are measured.
    quantiles
        Number of groups of equal count.
    every
        Sessions from one cross-section to the next.
    entry
        Whether a return begins at the close that the factor is known at or at the next open.
    sector_neutral
        Factor and returns less their sector's mean of the session; names of no known sector are left out.
    within
        Half-open rows of the period judged; factors may look back before it.

    Raises
    ------
    ConfigError
        Unknown factor.
    InputError
        A horizon longer than the history, fewer than two names, a factor that tells nobody apart, ``quantiles`` out of range.
    MissingDataError
        The factor reads facts the universe does not have.
    """
    sample = Sample.of(panel, universe, rules, horizons=horizons, every=every, entry=entry, within=within)
    return study_of(sample, name, config, quantiles=quantiles, sector_neutral=sector_neutral)


def study_of(
    sample: Sample, name: str, config: FactorsConfig | None = None, *, quantiles: int = 5, sector_neutral: bool = False
) -> FactorStudy:
    """As :func:`study`, on a history prepared once for several factors."""
    if not 2 <= quantiles <= 20:
        raise InputError(f"quantiles must be a whole number from 2 to 20; got {quantiles}")
    factor, sign = configured(name, config)
    directed = sample.factor(factor, sign)
    if sector_neutral:
        directed = Ordered.of(demeaned(directed.values, sample.universe.sector[sample.rows]))
    ics = {h: _ic(sample, directed, h, sector_neutral) for h in sample.horizons}
    regime = (None if config is None else config.regime) or RegimeRules()
    horizon = min(sample.horizons, key=lambda h: (abs(h - DECAY_STEP), h))
    fading, life = _decay(sample, directed, sector_neutral)
    sorted_into = _Quantiles.of(sample, directed, quantiles, sector_neutral)
    return FactorStudy(
        name=name, sign=sign, entry=sample.entry, horizon=horizon, quantiles=quantiles, every=sample.every, renewed=sample.renewed,
        sector_neutral=sector_neutral, sessions=sample.sessions, names=sample.panel.shape[1], coverage=_coverage(sample, directed),
        ic=_series(sample, ics), ic_summary=_summary(sample, ics), ic_by_month=_by_month(sample, ics[horizon][0]),
        ic_by_sector=_by_sector(sample, directed, horizon, sector_neutral),
        ic_by_regime=_by_regime(sample, ics[horizon][0], horizon, regime), regime=regime, decay=fading, half_life=life,
        quantile_returns=sorted_into.returns(), spread=sorted_into.spread(),
        spread_series=sorted_into.spread_series(), cumulative=sorted_into.cumulative(), turnover=sorted_into.turnover(),
        autocorrelation=_autocorrelation(sample, directed),
    )  # fmt: skip


def frame(rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """Rows as a frame; NaN becomes null: unknown."""
    import polars as pl

    return pl.DataFrame(list(rows), infer_schema_length=None).fill_nan(None)


def _returns(sample: Sample, horizon: int, sector_neutral: bool, lag: int = 0) -> Ordered:
    forward = sample.forward(horizon, lag)
    if not sector_neutral:
        return forward
    values = np.where(sample.eligible, forward.values, np.nan)
    return Ordered.of(demeaned(values, sample.universe.sector[sample.rows]))


def _ic(sample: Sample, directed: Ordered, horizon: int, sector_neutral: bool) -> Floats:
    """``(2, K)`` rank and linear IC of every row."""
    return directed.correlation(_returns(sample, horizon, sector_neutral), sample.eligible)


def _series(sample: Sample, ics: Mapping[int, Floats]) -> pl.DataFrame:
    import polars as pl

    parts = [pl.DataFrame({"date": sample.sessions, "horizon": np.full(len(sample.rows), h), "rank": ic[0], "linear": ic[1]})
             for h, ic in ics.items()]  # fmt: skip
    return pl.concat(parts).fill_nan(None)


def _summary(sample: Sample, ics: Mapping[int, Floats]) -> pl.DataFrame:
    return frame(
        {"horizon": h, "method": method} | asdict(Mean.of(values, sample.overlap(h)))
        for h, ic in ics.items()
        for method, values in zip(("rank", "linear"), ic, strict=True)
    )


def _by_month(sample: Sample, ic: Floats) -> pl.DataFrame:
    import polars as pl

    series = pl.DataFrame({"date": sample.sessions, "ic": ic}).fill_nan(None)
    months = series.group_by(year=pl.col("date").dt.year(), month=pl.col("date").dt.month().cast(pl.Int32)).agg(pl.col("ic").mean())
    return months.sort("year", "month")


def _by_sector(sample: Sample, directed: Ordered, horizon: int, sector_neutral: bool) -> pl.DataFrame:
    returns, sector = _returns(sample, horizon, sector_neutral), sample.universe.sector[sample.rows]
    lines = []
    for code, name in enumerate(sample.universe.sector_names):
        kept = sample.eligible & (sector == code)
        if kept.any():
            ic = directed.correlation(returns, kept, LEAST_IN_SECTOR)[0]
            lines.append({"sector": name, "horizon": horizon} | asdict(Mean.of(ic, sample.overlap(horizon))))
    return frame(lines)


def _by_regime(sample: Sample, ic: Floats, horizon: int, rules: RegimeRules) -> pl.DataFrame:
    state = market_states(rules, sample.inputs, sample.rows)
    return frame(
        {"regime": name.replace("_", " "), "horizon": horizon} | asdict(Mean.of(ic[state[:, column] == value], sample.overlap(horizon)))
        for name, (column, value) in STATES.items()
    )


def _decay(sample: Sample, directed: Ordered, sector_neutral: bool) -> tuple[pl.DataFrame, HalfLife]:
    """The lagged ICs (Qian, Hua & Sorensen 2007, "Quantitative Equity Portfolio Management", ch. 8) and their half-life."""
    step = max(1, DECAY_EVERY // sample.every)
    thin = sample.thin(step)
    fresh = directed.rows(slice(None, None, step))
    lags = np.arange(DECAY_STEPS + 1) * DECAY_STEP
    means = [
        Mean.of(fresh.correlation(_returns(thin, DECAY_STEP, sector_neutral, int(lag)), thin.eligible)[0], thin.overlap(DECAY_STEP))
        for lag in lags
    ]
    life = half_life(lags.astype(np.float64), np.array([one.mean for one in means]), np.array([one.standard_error for one in means]))
    kept = ("count", "mean", "standard_error", "t_stat")
    return frame({"lag": int(lag)} | {name: getattr(one, name) for name in kept} for lag, one in zip(lags, means, strict=True)), life


def _autocorrelation(sample: Sample, directed: Ordered) -> pl.DataFrame:
    apart = np.array([sample.rows_apart(h) for h in sample.horizons])
    series = rank_persistence(directed.values, directed.order, apart)
    return frame(
        {"horizon": h, "autocorrelation": Mean.of(line).mean if rows else None}
        for h, rows, line in zip(sample.horizons, apart, series, strict=True)
    )


def _coverage(sample: Sample, directed: Ordered) -> float:
    """Share of the eligible names that have a value."""
    eligible = int(sample.eligible.sum())
    return float(np.isfinite(directed.values).sum() / eligible) if eligible else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class _Quantiles:
    """Which group every name was in, and what the groups returned: ``means[h]`` ``(K, Q + 1)``, the last column all together."""

    sample: Sample
    count: int
    group: NDArray[np.int16]
    means: Mapping[int, Floats]

    @classmethod
    def of(cls, sample: Sample, directed: Ordered, count: int, sector_neutral: bool) -> _Quantiles:
        group = np.empty(directed.values.shape, np.int16)
        groups(directed.values, directed.order, np.arange(1, count) / count, group)
        means = {h: group_means(group, _returns(sample, h, sector_neutral).values, count) for h in sample.horizons}
        return cls(sample, count, group, means)

    def returns(self) -> pl.DataFrame:
        lines = []
        for h, means in self.means.items():
            for q in range(self.count):
                excess = Mean.of(means[:, q] - means[:, -1], self.sample.overlap(h))
                line = {"horizon": h, "quantile": q + 1, "mean": Mean.of(means[:, q]).mean, "excess": excess.mean}
                lines.append(line | {"standard_error": excess.standard_error, "t_stat": excess.t_stat})
        return frame(lines)

    def _spreads(self) -> dict[int, Floats]:
        return {h: means[:, self.count - 1] - means[:, 0] for h, means in self.means.items()}

    def spread(self) -> pl.DataFrame:
        return frame({"horizon": h} | asdict(Mean.of(values, self.sample.overlap(h))) for h, values in self._spreads().items())

    def spread_series(self) -> pl.DataFrame:
        import polars as pl

        parts = [pl.DataFrame({"date": self.sample.sessions, "horizon": np.full(len(values), h), "spread": values})
                 for h, values in self._spreads().items()]  # fmt: skip
        return pl.concat(parts).fill_nan(None)

    def cumulative(self) -> pl.DataFrame:
        """Growth of 1; a period without a return in a group leaves its value as it is, the last whole period ends it."""
        import polars as pl

        sample, shortest = self.sample, self.sample.renewed
        nothing = pl.DataFrame(schema={"date": pl.Date, "quantile": pl.Int64, "value": pl.Float64})
        if shortest is None:
            return nothing
        begin = np.arange(0, len(sample.rows), shortest // sample.every)
        end = sample.rows[begin] + sample.holding.delay + shortest
        begin, end = begin[end < len(sample.panel.sessions)], end[end < len(sample.panel.sessions)]
        means = self.means[shortest][begin, : self.count]
        have = np.isfinite(means).any(axis=1)
        if not have.any():
            return nothing
        first = int(np.argmax(have))
        grown = np.cumprod(1.0 + np.where(np.isnan(means[first:]), 0.0, means[first:]), axis=0)
        dates = sample.panel.sessions[end[first:]]
        return pl.concat(
            pl.DataFrame({"date": dates, "quantile": np.full(len(dates), q + 1), "value": grown[:, q]}) for q in range(self.count)
        )

    def turnover(self) -> pl.DataFrame:
        lines = []
        for h in self.sample.horizons:
            apart = self.sample.rows_apart(h)
            fresh = group_turnover(self.group, apart, self.count) if apart else None
            lines += [{"horizon": h, "quantile": q + 1, "turnover": None if fresh is None else Mean.of(fresh[:, q]).mean}
                      for q in range(self.count)]  # fmt: skip
        return frame(lines)
