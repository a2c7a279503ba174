"""A strategy as the decision takes it: the configuration turned into numbers, and what it must know at each decision."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.decision.params import Beside, Features, Night, Rules, SizingParams, lot_of, unit_of
from mech_exo.domain.panel import BarPanel, PriceBasis, Universe
from mech_exo.domain.verdict import BreachCode, DataVerdict, RiskDecision
from mech_exo.kernels.records import CostParams, Floats, Ints, RiskState, Terms
from mech_exo.risk.governor import GovernorParams
from mech_exo.risk.rules import BREACH, PLAN, LimitParams
from mech_exo.risk.stops import StopParams
from mech_exo.utils.config import config_hash
from mech_exo.utils.settings import Config, CostModel, Every, RiskLimits, Shorts, SizingMethod, StrategyConfig

if TYPE_CHECKING:
    from mech_exo.risk.own import SetLimit
    from mech_exo.scoring.inputs import FactorInputs
    from mech_exo.scoring.scorer import ScoreTable
    from mech_exo.sizing.own import SetSizing

PERIODS = {
    Every.WEEK: lambda sessions: (sessions.astype(np.int64) + 3) // 7,  # 1970-01-01 was a Thursday: weeks begin on Monday
    Every.MONTH: lambda sessions: sessions.astype("datetime64[M]").astype(np.int64),
    Every.QUARTER: lambda sessions: sessions.astype("datetime64[M]").astype(np.int64) // 3,
}
"""Sessions ``(T,)`` to the number of the calendar period each lies in."""

DENIES_ALL = "denies every purchase"
"""Stands in a warning of a decision that could buy nothing, whatever its scores: it needs a person."""


@dataclass(frozen=True)
class Strategy:
    """The configured factor strategy: a workspace's whole configuration, or one built in Python.

    ``Strategy(Config(factors=..., strategy=..., risk=...))``.
    """

    config: Config

    @property
    def settings(self) -> StrategyConfig:
        """``strategy.yml``."""
        return self.config.strategy

    @property
    def limits(self) -> RiskLimits:
        """``risk_limits.yml``."""
        return self.config.risk

    @property
    def name(self) -> str:
        """Name of the strategy: part of every order's id."""
        return self.settings.name

    @functools.cached_property
    def config_hash(self) -> str:
        """Hash of everything that can change a decision."""
        return config_hash(self.config)

    @functools.cached_property
    def facts(self) -> tuple[str, ...]:
        """What its factors read that bars do not tell, those with a weight of 0 included, so that a sweep over weights has it all.

        Raises ConfigError for an unknown factor.
        """
        from mech_exo.scoring.factors import facts_read

        return facts_read(self.config.factors)

    @functools.cached_property
    def rules(self) -> Rules:
        """Its sizing, stops and limits as the compiled functions take them."""
        return Rules(
            SizingParams.of(self.settings, self.limits, cost_params(self.settings.costs)),
            StopParams.of(self.limits.stops),
            LimitParams.of(self.limits, lot_of(self.settings), self.settings.orders.offset_bps / 10_000),
            GovernorParams.of(self.limits),
        )

    @functools.cached_property
    def own_sizing(self) -> SetSizing | None:
        """The sizing method of a plug-in, obeying the laws; None where one of the program's own sizes. Raises PluginError, ConfigError."""
        from mech_exo.sizing.own_laws import lawful_sizing

        return lawful_sizing(self.settings)

    @functools.cached_property
    def own_limits(self) -> tuple[SetLimit, ...]:
        """The limits of plug-ins that are on, obeying the laws. Raises PluginError, ConfigError."""
        from mech_exo.risk.own_laws import lawful_limits

        return lawful_limits(self.limits)

    @property
    def own_limit_names(self) -> tuple[str, ...]:
        """Names of :attr:`own_limits`, in the order of ``Night.caps``."""
        return tuple(limit.part.what.name for limit in self.own_limits)

    @property
    def asks(self) -> bool:
        """Whether rules of plug-ins are asked at every decision, between compiled stretches (factors are computed beforehand)."""
        return self.own_sizing is not None or bool(self.own_limits)

    @functools.cached_property
    def terms(self) -> Terms:
        """What its account may do, as the kernels take it."""
        margin = self.limits.margin
        initial, adjust = math.nan if margin is None else margin.initial, self.limits.stops.adjust_for_dividends
        return Terms(self.settings.max_missing_sessions, unit_of(self.settings), initial, adjust)

    def decision_rows(self, panel: BarPanel, began: int, first: int, last: int) -> Ints:
        """Rows in ``[first, last)`` at whose close the book is decided, as far as the calendar tells: see ``schedule.every``.

        ``began`` is the row of the book's first session, the anchor unless the schedule names another; the anchor always decides. A
        week, month or quarter begins with the first session that the panel has of it, so that no later session need be known. A book that
        waits for a signal looks at every close.
        """
        schedule = self.settings.schedule
        start = began if schedule.anchor is None else int(np.searchsorted(panel.sessions, np.datetime64(schedule.anchor, "D")))
        rows = np.arange(start, last, schedule.every_sessions if schedule.every is Every.SESSIONS else 1, dtype=np.int64)
        if schedule.every in PERIODS:
            period = PERIODS[schedule.every](panel.sessions[: max(last, start)])
            begins = np.concatenate([[True], period[1:] != period[:-1]]) if len(period) else np.empty(0, np.bool_)
            rows = rows[begins[rows] | (rows == start)]
        return rows[rows >= first]

    @property
    def features_key(self) -> Hashable:
        """Everything :meth:`decision_rows` and :meth:`features` read of the configuration: equal keys, equal features."""
        sizing, settings = self.settings.sizing, self.settings
        windows = (sizing.volatility_window if self._reads_volatility else None, sizing.atr_window if self._reads_atr else None)
        rare, book = self.rules.limits.rare, self.limits.portfolio
        beside = None if rare is None else (book.shorts, book.shortable, self.limits.risk_model.max_beta is None)
        return (self.config.factors.model_dump_json(), settings.universe, settings.schedule, windows, self._reads_standard, beside)

    def features(self, panel: BarPanel, universe: Universe, rows: Ints, inputs: FactorInputs | None = None) -> tuple[Features, ScoreTable]:
        """What the rules read at ``rows`` ``(K,)``, and the scores behind it. Nothing after a row is looked at.

        ``inputs`` are the panel's adjusted arrays, for who asks several times.
        """
        from mech_exo.kernels.cross_section import clipped_zscore
        from mech_exo.scoring.inputs import FactorInputs
        from mech_exo.scoring.scorer import score_rows

        inputs = inputs or FactorInputs(panel, universe)  # adjusted once, for the factors and for the sizes
        table = score_rows(panel, universe, rows, self.config.factors, self.settings.universe, inputs)
        volatility, atr = self._dispersion(inputs, rows)
        sector, verdict = np.ascontiguousarray(universe.sector[rows]), universe.verdicts(rows)
        standard = np.empty((len(rows), 0))
        if self._reads_standard:
            standard = np.array([clipped_zscore(score, 0.0, math.nan) for score in table.value])
        return Features(table.value, volatility, atr, sector, verdict, standard, self.beside(inputs)), table

    def beside(self, inputs: FactorInputs) -> Beside | None:
        """What rare limits read beside the bars; None where none is on. No row of it depends on a later one."""
        if self.rules.limits.rare is None:
            return None
        book, market = self.limits.portfolio, np.empty(0)
        market.flags.writeable = False  # of the type that a market's returns have: compiled once
        if self.limits.risk_model.max_beta is not None:
            market = inputs.market_return
        listed = set(book.shortable) if book.shorts is Shorts.LISTED else set()
        return Beside(np.array([symbol in listed for symbol in inputs.panel.symbols], np.bool_), market)

    @property
    def _reads_volatility(self) -> bool:
        sizing = self.settings.sizing
        scaled = sizing.target_volatility is not None or sizing.cost_filter.multiple is not None
        return scaled or self._sizes_by(SizingMethod.VOLATILITY_BASED) or self._own_reads("volatility")

    @property
    def _reads_standard(self) -> bool:
        own = self._own_reads("standard")
        return own or self._sizes_by(SizingMethod.SCORE_WEIGHTED) or self.settings.sizing.cost_filter.multiple is not None

    @property
    def _reads_atr(self) -> bool:
        return self._sizes_by(SizingMethod.ATR_BASED) or self._own_reads("atr") or self.limits.stops.volatility_atr is not None

    def _own_reads(self, name: str) -> bool:
        """Whether the sizing method of a plug-in asks for ``name``."""
        return self.own_sizing is not None and name in self.own_sizing.part.what.reads

    def _sizes_by(self, method: SizingMethod) -> bool:
        """Whether ``method`` may size: it is the method, or Kelly's until it has measured enough."""
        sizing = self.settings.sizing
        return sizing.method is method or (sizing.method is SizingMethod.KELLY and sizing.until_measured is method)

    def _dispersion(self, inputs: FactorInputs, rows: Ints) -> tuple[Floats, Floats]:
        """Daily volatility and ATR (as-traded USD) at ``rows``, each ``(K, N)``, or ``(K, 0)`` where no rule reads it."""
        from mech_exo.kernels.rolling import atr_rows
        from mech_exo.kernels.windows import volatility_rows

        sizing = self.settings.sizing
        none = np.empty((len(rows), 0))
        volatility, atr = none, none
        if self._reads_volatility:
            volatility = volatility_rows(inputs.returns, rows, sizing.volatility_window)
        if self._reads_atr:
            atr = atr_rows(inputs.high, inputs.low, inputs.close, rows, sizing.atr_window)
            if inputs.panel.has_actions:
                atr = atr * (inputs.panel.close[rows] / inputs.close[rows])
        return volatility, atr


def sector_warnings(strategy: Strategy, universe: Universe) -> tuple[str, ...]:
    """Said where a sector rule is on and not one sector is known, which denies every purchase, and of multipliers that fit no sector."""
    from mech_exo.scoring import scorer

    said = [*scorer.sector_notes(strategy.config.factors, universe)]
    if strategy.rules.sizing.need_sector and not (universe.sector >= 0).any():
        off = "position_sizing.max_sector_exposure: null and selection.max_sector_share: 1.0"
        said.append(f"no sector is known, so the sector limit {DENIES_ALL}: exo data import --sectors FILE, or set {off}")
    return tuple(said)


def missing_warnings(missing: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """One line naming the configured factors that are left out, by reason; nothing when none is."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in missing:
        by_reason.setdefault(reason, []).append(name)
    parts = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())
    return (f"left out of the score: {parts}",) if parts else ()


def thin_warnings(table: ScoreTable) -> tuple[str, ...]:
    """One line naming the factors that were known for too few names at some of the decisions of ``table``; nothing when there was none."""
    times = table.thin.sum(axis=0)
    parts = ", ".join(f"{table.factors[f]} at {times[f]:,}" for f in np.flatnonzero(times))
    rule = f"known for fewer than {100.0 * table.recipe.rules.min_breadth:.3g}% of the names (scoring.min_breadth)"
    return (f"left out of the score at some of {len(table.rows):,} decisions, {rule}: {parts}",) if parts else ()


def reducing_warnings(days: np.ndarray, limits: RiskLimits) -> tuple[str, ...]:
    """One line when a limit on falls of NAV allowed reductions only at some closes of ``days`` ``(T,)`` DAY."""
    reducing = int((days["state"] == int(RiskState.REDUCING)).sum())
    if not reducing:
        return ()
    book, passed = limits.portfolio, [f"the drawdown limit ({limits.portfolio.max_drawdown:.0%} below the trailing-12-month peak)"]
    if book.max_all_time_drawdown is not None:
        passed.append(f"that from the peak of all time ({book.max_all_time_drawdown:.0%})")
    if book.max_daily_loss is not None:
        passed.append(f"that on a session's loss ({book.max_daily_loss:.1%})")
    return (f"only reductions were allowed at {reducing:,} of {len(days):,} closes: {' or '.join(passed)} was passed",)


def governed_warnings(days: np.ndarray) -> tuple[str, ...]:
    """One line when the drawdown governor held exposure back at some closes of ``days`` ``(T,)`` DAY."""
    scale = days["scale"]
    held = scale[scale < 1.0]
    if not len(held):
        return ()
    said = f"the drawdown governor was at work at {len(held):,} of {len(days):,} closes: {held.mean():.0%} of full exposure on average then"
    none = int((held == 0.0).sum())
    return (f"{said}, none at {none:,}" if none else said,)


def unscored_warnings(table: ScoreTable) -> tuple[str, ...]:
    """One line when nobody had a score at some of the decisions of ``table``: nothing was ordered then, which is no decision to hold."""
    empty = table.sessions[np.isnan(table.value).all(axis=1)]
    if not len(empty):
        return ()
    when = str(empty[0]) if len(empty) == 1 else f"{len(empty)} of {len(table.sessions)} decisions, {empty[0]} to {empty[-1]}"
    return (f"nobody had a score at {when}: the book was left as it was",)


def withheld_warnings(verdict: RiskDecision, doubts: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each order that was withheld or cut because the name's data are blocked; ``doubts`` says why, by symbol."""
    found = (breach for breach in verdict.breaches if breach.code is BreachCode.DATA_QUALITY and breach.symbol is not None)
    return tuple(
        f"{b.symbol}: new risk withheld ({b.value:,.10g} shares wanted, {b.limit:,.10g} held): its data are in doubt: "
        f"{doubts.get(b.symbol or '', 'the reason is not known here')}"
        for b in found
    )


def blocked_warnings(panel: BarPanel, universe: Universe, rows: Ints) -> tuple[str, ...]:
    """One line naming the members that data quality denied new risk at some of the decisions at ``rows``; nothing when there was none."""
    verdicts = universe.verdicts(rows)
    if not verdicts.size:
        return ()
    cells = (verdicts >= DataVerdict.BLOCK) & universe.member[rows]
    names = [panel.symbols[column] for column in np.flatnonzero(cells.any(axis=0))]
    if not names:
        return ()
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    nights = int(cells.any(axis=1).sum())
    often = f"at {nights:,} of {len(rows):,} decisions, to {cells.sum() / len(rows):.1f} members on average"
    return (f"data in doubt denied new risk {often}: {listed}",)


def panel_warnings(panel: BarPanel, universe: Universe) -> tuple[str, ...]:
    """What a reader of any result from this panel must know; a store says it itself, and more exactly."""
    said = [panel.label] if panel.label else []
    if panel.price_basis != PriceBasis.AS_TRADED:
        said.append("prices are split-adjusted by the source: levels and dollar amounts before a split are not what was traded")
    if universe.backfilled:
        said.append("sectors or members are backfilled: they came without dates and are taken as known always")
    return tuple(said)


def night_buffers(symbols: int, limits: LimitParams, own_limits: int = 0) -> Night:
    """Scratch for one decision over ``symbols`` names under so many limits of plug-ins."""
    gaps = np.empty((symbols, limits.gap_window if limits.gap_share > 0.0 else 1))
    breaches, weights = np.zeros((4 + own_limits) * symbols + 64, BREACH), np.full(symbols, np.nan)
    return Night(np.zeros(symbols, PLAN), breaches, weights, gaps, np.full(symbols, -1), np.full((own_limits, symbols), np.inf))


def cost_params(costs: CostModel) -> CostParams:
    """A cost model as the kernels take it."""
    per_share, fraction, min_order, max_fraction = costs.schedule()
    return CostParams(
        per_share=per_share,
        fraction=fraction,
        min_order=min_order,
        max_fraction=max_fraction,
        slippage=costs.slippage_bps / 10_000,
        spread=costs.spread_usd,
        spread_estimate=costs.spread_estimate,
        impact=costs.impact,
        impact_window=costs.impact_window,
        participation=math.inf if costs.participation is None else costs.participation,
        cash_rate=costs.cash_rate,
        margin_rate=costs.margin_rate,
        borrow_rate=costs.borrow_rate,
    )
