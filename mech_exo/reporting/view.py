"""What a tear sheet reads (:class:`Result`) and what its template shows (:class:`Sheet`): frozen values, ready to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from mech_exo.performance.kpi import KpiReport
    from mech_exo.performance.metrics import Summary
    from mech_exo.utils.settings import Config


class Result(Protocol):
    """What of :class:`mech_exo.backtest.result.BacktestResult` a tear sheet reads."""

    @property
    def name(self) -> str:
        """Of the strategy."""

    @property
    def run_id(self) -> str:
        """Names the run."""

    @property
    def config(self) -> Config:
        """What was run."""

    @property
    def config_hash(self) -> str:
        """Of the configuration."""

    @property
    def code_version(self) -> str:
        """Of the sources."""

    @property
    def data_hash(self) -> str:
        """Of the data."""

    @property
    def sessions(self) -> NDArray[np.datetime64]:
        """``(T,)`` dates."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """``(N,)`` names."""

    @property
    def days(self) -> NDArray[np.void]:
        """``(T,)`` of DAY."""

    @property
    def round_trips(self) -> NDArray[np.void]:
        """``(R,)`` of TRADE."""

    @property
    def trades(self) -> pl.DataFrame:
        """Round trips as a table."""

    @property
    def orders(self) -> pl.DataFrame:
        """Orders with their outcome."""

    @property
    def benchmark(self) -> NDArray[np.float64] | None:
        """``(T,)`` returns, NaN unknown; None without one."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know first."""

    @property
    def metrics(self) -> Summary:
        """Flat figures, None unknown."""

    @property
    def kpi(self) -> KpiReport:
        """The KPI contract."""


@dataclass(frozen=True, slots=True)
class Line:
    """A name and its value, ready to be read; ``note`` explains the figure."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Figures under one heading."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn figure as HTML, its heading and what it shows; where there is nothing to draw, ``nothing`` says why instead."""

    title: str
    caption: str
    html: str
    wide: bool = True
    nothing: str = ""


@dataclass(frozen=True, slots=True)
class Month:
    """A cell of the monthly table: its text, its colour, and whether there is a value."""

    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Year:
    """A row of the monthly table."""

    year: str
    months: tuple[Month, ...]
    total: str


@dataclass(frozen=True, slots=True)
class KpiLine:
    """One demand, over both periods."""

    label: str
    demand: str
    cells: tuple[Line, ...]
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything the template shows."""

    title: str
    subtitle: str
    verdict: str
    passed: str
    warnings: tuple[str, ...]
    periods: tuple[str, ...]
    kpis: tuple[KpiLine, ...]
    headline: tuple[Line, ...]
    groups: tuple[Group, ...]
    basis: str
    charts: tuple[Chart, ...]
    falls: tuple[tuple[str, ...], ...]
    years: tuple[Year, ...]
    winners: tuple[tuple[str, ...], ...]
    losers: tuple[tuple[str, ...], ...]
    trade_count: str
    exits: tuple[tuple[str, ...], ...]
    unfilled: tuple[tuple[str, ...], ...]
    unfilled_count: int
    identity: tuple[Line, ...]
    configuration: str
    plotly: str
