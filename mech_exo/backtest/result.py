"""What a backtest returns: the recorded sessions and events, and everything derived from them when asked for."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.records import Bars, EventKind, Outcome, Reason
from mech_exo.utils.settings import Config

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

    from mech_exo.decision.night import Known
    from mech_exo.performance.kpi import KpiReport
    from mech_exo.performance.metrics import Summary

FILLS = (EventKind.ORDER, EventKind.STOP, EventKind.TARGET, EventKind.DELISTING, EventKind.STALE_CLOSE)


def run_hash(config: str, code: str, data: str, sessions: np.ndarray, flow: np.ndarray) -> str:
    """Id of a run: of its configuration, code and data (their hashes), its period and its deposits ``(T,)``."""
    what = (config + code + data + f"{sessions[0]}{sessions[-1]}").encode()
    return hashlib.sha256(what + flow.tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """Sessions, events and their meaning.

    Parameters
    ----------
    name
        Of the strategy.
    config, config_hash, code_version
        What was run, and with which sources.
    panel, universe
        The sessions played ``(T, N)``.
    read
        All that could be read: those sessions and the history before them.
    days
        ``(T,)`` :data:`mech_exo.kernels.records.DAY`.
    events
        ``(M,)`` :data:`mech_exo.kernels.records.EVENT`; rows count from the first session played.
    benchmark
        ``(T,)`` daily returns, NaN unknown; None without a benchmark.
    warnings
        What a reader must know before he believes a number.
    """

    name: str
    config: Config
    config_hash: str
    code_version: str
    panel: BarPanel
    universe: Universe
    read: Known
    days: np.ndarray
    events: np.ndarray
    benchmark: np.ndarray | None
    warnings: tuple[str, ...]

    @functools.cached_property
    def data_hash(self) -> str:
        """Hash of the bars, members and sectors read, the history before the first session included."""
        return self.read.data_hash()

    @functools.cached_property
    def run_id(self) -> str:
        """Hash of configuration, code, data, period and deposits: the same id gives byte-identical fills."""
        return run_hash(self.config_hash, self.code_version, self.data_hash, self.sessions, self.days["flow"])

    @property
    def sessions(self) -> np.ndarray:
        """``(T,)`` datetime64[D]."""
        return self.panel.sessions

    @property
    def symbols(self) -> tuple[str, ...]:
        """``(N,)``."""
        return self.panel.symbols

    @functools.cached_property
    def equity(self) -> pl.DataFrame:
        """date, nav, cash, long_value, short_value, flow (USD) and time-weighted return (fraction) per session."""
        import polars as pl

        from mech_exo.performance.trading import account_returns

        money = {name: self.days[name] for name in ("nav", "cash", "long_value", "short_value", "flow")}
        return pl.DataFrame({"date": self.sessions, **money, "return": account_returns(self.days)})

    @functools.cached_property
    def fills(self) -> pl.DataFrame:
        """Executions: date, symbol, shares, price, commission, slippage (USD), reason, kind."""
        import polars as pl

        filled = (self.events["outcome"] == Outcome.FILLED) & np.isin(self.events["kind"], FILLS)
        rows = self.events[filled]
        return pl.DataFrame(
            {
                "date": self.sessions[rows["row"]],
                "symbol": _words(self.symbols, rows["symbol"]),
                "shares": rows["shares"].astype(np.int64),
                "price": rows["price"],
                "commission": rows["commission"],
                "slippage": (rows["price"] - rows["reference"]) * rows["shares"],
                "reason": _words([r.name.lower() for r in Reason], rows["reason"]),
                "kind": _words([k.name.lower() for k in EventKind], rows["kind"]),
            }
        )

    @functools.cached_property
    def orders(self) -> pl.DataFrame:
        """Every order of a session played, filled or not: date, symbol, shares, outcome, reason."""
        import polars as pl

        rows = self.events[np.isin(self.events["kind"], (EventKind.ORDER, EventKind.STOP, EventKind.TARGET))]
        return pl.DataFrame(
            {
                "date": self.sessions[rows["row"]],
                "symbol": _words(self.symbols, rows["symbol"]),
                "shares": rows["shares"].astype(np.int64),
                "outcome": _words([o.name.lower() for o in Outcome], rows["outcome"]),
                "reason": _words([r.name.lower() for r in Reason], rows["reason"]),
            }
        )

    @functools.cached_property
    def round_trips(self) -> np.ndarray:
        """``(R,)`` :data:`mech_exo.performance.attribution.TRADE`, first in first out."""
        from mech_exo.performance.attribution import round_trips

        return round_trips(self.events, self.days, Bars.of(self.panel))

    @functools.cached_property
    def trades(self) -> pl.DataFrame:
        """Round trips as a table: entry and exit date, price and reason, P&L, MAE, MFE, holding time."""
        from mech_exo.performance.attribution import trades_frame

        return trades_frame(self.round_trips, self.sessions, self.symbols)

    @functools.cached_property
    def metrics(self) -> Summary:
        """cagr, volatility_ann, sharpe, sortino, max_drawdown, calmar, turnover_ann, total_costs, orders, stop_outs …

        Fractions and USD; None = not enough data. Annualised on 252 sessions, risk-free rate 0.
        """
        from mech_exo.performance.metrics import summary

        return summary(self.sessions, self.days, self.round_trips, self.benchmark, events=self.events)

    @functools.cached_property
    def kpi(self) -> KpiReport:
        """The KPI contract, whole period and trailing 12 months."""
        from mech_exo.performance.kpi import kpi_contract

        return kpi_contract(self.sessions, self.days, self.round_trips)

    def plot(self) -> go.Figure:
        """Equity against the benchmark, as a Plotly figure."""
        from mech_exo.performance.figures import equity_figure

        return equity_figure(self.sessions, self.days, self.benchmark)

    def as_dict(self) -> dict[str, Any]:
        """What ``exo backtest run --json`` prints, but for the report's path."""
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


def _words(names: Any, codes: np.ndarray) -> pl.Series:
    """``names`` by code; text even when there are none, which Polars could not tell by itself."""
    import polars as pl

    return pl.Series(values=np.asarray(names, dtype=object)[codes].tolist(), dtype=pl.String)
