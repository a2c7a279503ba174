"""What a tear sheet reads (:class:`Result`) and what its template shows (:class:`Sheet`): frozen values, ready to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from mech_exo.performance.kpi import KpiReport
    from mech_exo.performance.large_losses import LargeLoss
    from mech_exo.performance.metrics import Summary
    from mech_exo.risk.model import Market
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
    def large_losses(self) -> tuple[LargeLoss, ...]:
        """Closed trades that lost more of NAV than one may."""

    @property
    def trades(self) -> pl.DataFrame:
        """Round trips as a table, with the ``sector`` known when they were decided, null unknown."""

    @property
    def holdings(self) -> pl.DataFrame:
        """What was held at each close: date, symbol, sector (null unknown), weight (signed fraction of NAV)."""

    @property
    def by_factor(self) -> pl.DataFrame:
        """Each ``part`` and its ``pnl`` (USD), adding up to the net P&L. Raises InputError, saying why, where there are no factors."""

    @property
    def orders(self) -> pl.DataFrame:
        """Orders with their outcome."""

    @property
    def benchmark(self) -> NDArray[np.float64] | None:
        """``(T,)`` returns, NaN unknown; None without one."""

    @property
    def market(self) -> Market | None:
        """Bars and the market's returns up to the last session, what came before the first included; None where they are not at hand."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know first."""

    @property
    def metrics(self) -> Summary:
        """Flat figures, None unknown."""

    @property
    def kpi(self) -> KpiReport:
        """The KPI contract."""


class OutOfSample(Protocol):
    """What of :class:`mech_exo.backtest.walk_forward.WalkForwardResult` a tear sheet reads."""

    @property
    def objective(self) -> str:
        """The metric that chose."""

    @property
    def candidates(self) -> int:
        """How many were tried in each window."""

    @property
    def returns(self) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
        """Sessions and returns ``(T,)`` of the test parts, stitched."""

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """Out of sample."""

    @property
    def table(self) -> pl.DataFrame:
        """A row per window: ``test_start``, ``test_end``, what it chose, ``<objective>_in_sample`` and ``<objective>_out_of_sample``."""

    @property
    def stability(self) -> Mapping[str, float]:
        """Per parameter, the share of windows that chose its most frequent value."""


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
class KpiLine:
    """One demand, over both periods."""

    label: str
    demand: str
    cells: tuple[Line, ...]
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure as JSON, its heading and what it shows; where there is nothing to draw, ``nothing`` says why instead.

    ``buttons`` are names and the layout changes (JSON) that they make.
    """

    kind: ClassVar[str] = "chart"
    title: str
    caption: str
    figure: str
    height: int
    wide: bool = True
    nothing: str = ""
    buttons: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under ``head``; the columns numbered in ``left`` are words. ``nothing`` stands where there is no row.

    ``prose`` lets long cells wrap; other tables scroll sideways on a narrow screen.
    """

    kind: ClassVar[str] = "table"
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[int, ...] = (0,)
    nothing: str = "None."
    note: str = ""
    prose: bool = False
    wide: bool = True


@dataclass(frozen=True, slots=True)
class Month:
    """A cell of the monthly table: its text and its colour."""

    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Year:
    """A row of the monthly table."""

    year: str
    months: tuple[Month, ...]
    total: str


@dataclass(frozen=True, slots=True)
class Months:
    """Returns by calendar month, newest year first."""

    kind: ClassVar[str] = "months"
    title: str
    years: tuple[Year, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """Groups of figures side by side."""

    kind: ClassVar[str] = "figures"
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """Sentences; those in ``points`` as a list."""

    kind: ClassVar[str] = "words"
    text: str
    points: tuple[str, ...] = ()


Block = Chart | Table | Months | Figures | Words


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, its place in the contents and what stands under it. ``note`` says how its figures are reckoned."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything the template shows. ``caveats`` are the warnings and, in plain words, what each means for the reader."""

    title: str
    subtitle: str
    verdict: str
    passed: str
    caveats: tuple[Line, ...]
    periods: tuple[str, ...]
    kpis: tuple[KpiLine, ...]
    intervals: str
    headline: tuple[Line, ...]
    terms: str
    sections: tuple[Section, ...]
    identity: tuple[Line, ...]
    configuration: str
    plotly: str
