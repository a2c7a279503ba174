"""What a backtest returns: the recorded sessions and events, and everything derived from them when asked for."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.backtest import tables
from mech_exo.domain import markup
from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.records import Bars
from mech_exo.utils.config import config_hash as hash_of
from mech_exo.utils.settings import Config

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

    from mech_exo.backtest.explain import Explanation
    from mech_exo.decision.night import Known
    from mech_exo.decision.strategy import Strategy
    from mech_exo.decision.tickets import StrategyFunction
    from mech_exo.performance.factor_attribution import FactorAttribution
    from mech_exo.performance.kpi import KpiReport
    from mech_exo.performance.large_losses import LargeLoss
    from mech_exo.performance.metrics import Summary
    from mech_exo.risk.model import Market


@dataclass(frozen=True, eq=False)
class Saved:
    """What a saved run tells by itself where a run in memory asks its bars: their hash, the capacity, the trades and the holdings."""

    data_hash: str
    capacity_usd: float | None
    trades: pl.DataFrame
    holdings: pl.DataFrame


def run_hash(config: str, code: str, data: str, sessions: np.ndarray, flow: np.ndarray) -> str:
    """Id of a run: of its configuration, code and data (their hashes), its period and its deposits ``(T,)``."""
    what = (config + code + data + f"{sessions[0]}{sessions[-1]}").encode()
    return hashlib.sha256(what + flow.tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """Sessions, events and their meaning. Fractions never percent, USD, signed shares; NaN, null or None is unknown.

    Parameters
    ----------
    name
        Of the strategy.
    config, config_hash, code_version
        What was run, and with which sources.
    sessions, symbols
        The sessions played ``(T,)`` and the columns ``(N,)``.
    days
        ``(T,)`` :data:`mech_exo.kernels.records.DAY`.
    events
        ``(M,)`` :data:`mech_exo.kernels.records.EVENT`; rows count from the first session played.
    benchmark
        ``(T,)`` daily returns, NaN unknown; None without a benchmark.
    warnings
        What a reader must know before he believes a number.
    read
        All that could be read: the sessions played and the history before them. None for a run loaded without its bars.
    strategy
        What decided; None for a loaded callable, whose code is not saved.
    saved
        Of a loaded run; None for one in memory.
    """

    name: str
    config: Config
    config_hash: str
    code_version: str
    sessions: np.ndarray
    symbols: tuple[str, ...]
    days: np.ndarray
    events: np.ndarray
    benchmark: np.ndarray | None
    warnings: tuple[str, ...]
    read: Known | None
    strategy: Strategy | StrategyFunction | None = None
    saved: Saved | None = None

    @property
    def configured(self) -> bool:
        """Whether the configuration alone decided; False for a callable, whose hash also covers its source and what it did."""
        return self.config_hash == hash_of(self.config)

    @property
    def known(self) -> Known:
        """The bars, members and sectors read. Raises InputError for a run that was loaded without them."""
        if self.read is None:
            raise InputError(
                f"this needs the bars of the run; {self.run_id} was loaded without them",
                remedy="BacktestResult.load(folder, panel=panel, universe=universe) with the data it was run on",
            )
        return self.read

    @property
    def first(self) -> int:
        """Row of ``read`` at which the first session was played."""
        return len(self.known.panel.sessions) - len(self.sessions)

    @functools.cached_property
    def panel(self) -> BarPanel:
        """The bars of the sessions played ``(T, N)``."""
        return self.known.panel.rows(self.first, self.first + len(self.sessions))

    @functools.cached_property
    def universe(self) -> Universe:
        """Members and sectors in the sessions played ``(T, N)``."""
        return self.known.universe.rows(self.first, self.first + len(self.sessions))

    @functools.cached_property
    def market(self) -> Market | None:
        """Bars and the market's returns up to the last session, the history before the first included; None without the bars."""
        from mech_exo.decision.market import market_until

        return None if self.read is None else market_until(self.read.panel, self.read.universe, self.first + len(self.sessions) - 1)

    @functools.cached_property
    def data_hash(self) -> str:
        """Hash of the bars, members and sectors read, the history before the first session included."""
        return self.saved.data_hash if self.saved is not None else self.known.data_hash()

    @functools.cached_property
    def run_id(self) -> str:
        """Hash of configuration, code, data, period and deposits: the same id gives byte-identical fills."""
        return run_hash(self.config_hash, self.code_version, self.data_hash, self.sessions, self.days["flow"])

    @functools.cached_property
    def equity(self) -> pl.DataFrame:
        """Per session: :func:`mech_exo.backtest.tables.equity`."""
        return tables.equity(self.sessions, self.days)

    @functools.cached_property
    def exposure(self) -> pl.DataFrame:
        """Per close, fractions of NAV: :func:`mech_exo.backtest.tables.exposure`."""
        return tables.exposure(self.sessions, self.days, self.holdings)

    @functools.cached_property
    def holdings(self) -> pl.DataFrame:
        """What was held at each close: :func:`mech_exo.backtest.tables.holdings`."""
        return self.saved.holdings if self.saved is not None else tables.holdings(self.panel, self.universe, self.days, self.events)

    @functools.cached_property
    def weights(self) -> pl.DataFrame:
        """Weights at each close (fractions of NAV, 0 where not held): date and one column for each symbol ever held."""
        import polars as pl

        names = self.holdings["symbol"].unique().sort().to_list()
        empty = pl.DataFrame({"date": self.sessions})
        if not names:
            return empty
        wide = self.holdings.pivot("symbol", index="date", values="weight")
        held = [pl.when(pl.col(name).is_null()).then(0.0).otherwise(pl.col(name)).alias(name) for name in names]
        return empty.join(wide, on="date", how="left", maintain_order="left").select("date", *held)

    @functools.cached_property
    def fills(self) -> pl.DataFrame:
        """Executions: :func:`mech_exo.backtest.tables.fills`."""
        return tables.fills(self.sessions, self.symbols, self.events)

    @functools.cached_property
    def orders(self) -> pl.DataFrame:
        """Every order, filled or not, with its reason: :func:`mech_exo.backtest.tables.orders`."""
        return tables.orders(self.sessions, self.symbols, self.events)

    @functools.cached_property
    def costs(self) -> pl.DataFrame:
        """From gross to net per session, by kind: :func:`mech_exo.backtest.tables.costs`."""
        return tables.costs(self.sessions, self.days)

    @functools.cached_property
    def costs_by_kind(self) -> pl.DataFrame:
        """The same over the whole run: :func:`mech_exo.backtest.tables.costs_by_kind`."""
        return tables.costs_by_kind(self.costs)

    @functools.cached_property
    def round_trips(self) -> np.ndarray:
        """``(R,)`` :data:`mech_exo.performance.attribution.TRADE`, first in first out."""
        from mech_exo.performance.attribution import round_trips, trades_of

        if self.saved is not None:
            return trades_of(self.saved.trades, self.sessions, self.symbols)
        return round_trips(self.events, self.days, Bars.of(self.panel))

    @functools.cached_property
    def large_losses(self) -> tuple[LargeLoss, ...]:
        """Closed trades that lost more than 2 % of NAV, with their gaps: :func:`mech_exo.performance.large_losses.large_losses`."""
        from mech_exo.performance.large_losses import large_losses

        return large_losses(self.round_trips, self.events, None if self.read is None else Bars.of(self.panel))

    @functools.cached_property
    def trades(self) -> pl.DataFrame:
        """Round trips as a table: entry and exit date, price and reason, P&L, MAE, MFE, holding time, sector when it was decided."""
        from mech_exo.performance.attribution import trades_frame

        if self.saved is not None:
            return self.saved.trades
        trips = self.round_trips
        decided = np.maximum(trips["entry_row"] - 1, 0)
        sector = tables.sectors(self.universe, decided, trips["symbol"])
        return trades_frame(trips, self.sessions, self.symbols).with_columns(sector.alias("sector"))

    @functools.cached_property
    def by_symbol(self) -> pl.DataFrame:
        """P&L and costs (USD), trades and wins per symbol. With interest and borrow fees it adds up to the net P&L."""
        from mech_exo.performance.attribution import by_symbol

        return by_symbol(self.trades)

    @functools.cached_property
    def by_exit_reason(self) -> pl.DataFrame:
        """The same per exit reason, closed trades only."""
        from mech_exo.performance.attribution import by_exit_reason

        return by_exit_reason(self.trades)

    @functools.cached_property
    def by_sector(self) -> pl.DataFrame:
        """The same per sector, null where it was unknown."""
        from mech_exo.performance.attribution import by_sector

        return by_sector(self.trades)

    @functools.cached_property
    def factors(self) -> FactorAttribution:
        """What the market, each factor, selection, trading and costs brought: :mod:`mech_exo.performance.factor_attribution`.

        Raises InputError for a callable, which has no factors, and for a run loaded without its bars.
        """
        from mech_exo.backtest.factors import attribute

        return attribute(self)

    @property
    def by_factor(self) -> pl.DataFrame:
        """:attr:`factors` as a table: part, kind, pnl (USD) and more, adding up to the net P&L. Raises as that does."""
        return self.factors.table

    def explain(self, session: date | str, symbol: str) -> Explanation:
        """Why ``symbol`` was bought, sold, held or left alone at the close of ``session``, derived again from the recorded state.

        Raises InputError for a date that was not played or an unknown symbol, and for a run loaded without its bars.
        """
        from mech_exo.backtest.explain import explain

        return explain(self, session, symbol)

    @functools.cached_property
    def metrics(self) -> Summary:
        """cagr, volatility_ann, sharpe, sortino, max_drawdown, calmar, turnover_ann, total_costs, orders, stop_outs …

        Fractions and USD; None = not enough data. Annualised on 252 sessions, risk-free rate 0.
        """
        from mech_exo.performance.metrics import summary

        bars = None if self.read is None else Bars.of(self.panel)
        figures = summary(self.sessions, self.days, self.round_trips, self.benchmark, events=self.events, bars=bars)
        return figures if self.read is not None or self.saved is None else figures | {"capacity_usd": self.saved.capacity_usd}

    @functools.cached_property
    def kpi(self) -> KpiReport:
        """The KPI contract, whole period and trailing 12 months."""
        from mech_exo.performance.kpi import kpi_contract

        return kpi_contract(self.sessions, self.days, self.round_trips)

    def plot(self) -> go.Figure:
        """Equity against the benchmark, as a Plotly figure."""
        from mech_exo.performance.figures import equity_figure

        return equity_figure(self.sessions, self.days, self.benchmark)

    def save(self, folder: Path | str) -> Path:
        """Write the run into ``folder`` of its own, whole or not at all: :func:`mech_exo.backtest.store.save`."""
        from mech_exo.backtest.store import save

        return save(self, Path(folder))

    @classmethod
    def load(
        cls,
        folder: Path | str,
        panel: BarPanel | None = None,
        universe: Universe | None = None,
        strategy: StrategyFunction | None = None,
    ) -> BacktestResult:
        """A run that :meth:`save` wrote: :func:`mech_exo.backtest.store.load`."""
        from mech_exo.backtest.store import load

        return load(Path(folder), panel, universe, strategy)

    def as_dict(self) -> dict[str, Any]:
        """What ``exo backtest run --json`` prints, but for the places of its files."""
        return {
            "run_id": self.run_id,
            "name": self.name,
            "start": str(self.sessions[0]),
            "end": str(self.sessions[-1]),
            "config_hash": self.config_hash,
            "code_version": self.code_version,
            "data_hash": self.data_hash,
            "metrics": self.metrics,
            "kpi": self.kpi.as_dict(),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        return f"BacktestResult({self.name}, {self.sessions[0]} to {self.sessions[-1]}, {len(self.events)} events, run {self.run_id})"

    def _repr_html_(self) -> str:
        pairs = zip(self.kpi.whole.kpis, self.kpi.trailing.kpis, strict=True)
        rows = [
            (k.label, f"{k.bound} {k.text(k.threshold)}", k.text(), k.text_of_interval, k.verdict, recent.text(), recent.verdict)
            for k, recent in pairs
        ]
        head = ("", "demanded", "whole period", "95 % interval", "", "last 12 months", "")
        said = f"{self.sessions[0]} to {self.sessions[-1]}, {len(self.fills):,} fills, run {self.run_id}"
        return markup.page(markup.title(f"Backtest of {self.name}:", said), markup.table(head, rows), markup.notes(self.warnings))
