"""A synthetic backtest result with true numbers: a seeded account traded by the naive engine, measured by the program."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl

from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import BarPanel
from mech_exo.kernels.records import DAY, EVENT, Bars, EventKind, Outcome, Reason
from mech_exo.performance.attribution import round_trips, trades_frame
from mech_exo.performance.kpi import kpi_contract
from mech_exo.performance.large_losses import large_losses
from mech_exo.performance.metrics import summary
from mech_exo.risk.model import Market
from mech_exo.utils.settings import Config
from tests.performance.naive import Account

SECTORS = ("Energy", "Health Care", "Utilities", None)


def weekdays(count: int, start: str = "2010-01-04") -> np.ndarray:
    return np.busday_offset(start, np.arange(count), roll="forward").astype("datetime64[D]")


def bars_of(close: np.ndarray) -> Bars:
    shape = close.shape
    none = np.full(shape[1], np.nan)
    return Bars(close, close * 1.01, close * 0.99, close, np.ones(shape), np.ones(shape), np.zeros(shape), np.full(shape[1], shape[0]), none)


@dataclass
class Sample:
    """Looks like ``mech_exo.backtest.result.BacktestResult``."""

    length: int = 756
    names: int = 12
    seed: int = 7
    warnings: tuple[str, ...] = ("synthetic sample", "sectors are backfilled: known today, used for the past")
    symbols: tuple[str, ...] = ()
    name: str = "default"
    run_id: str = "5f0c1e9f9f00aa11"
    config_hash: str = "aaaaaaaaaaaaaaaa"
    code_version: str = "bbbbbbbbbbbbbbbb"
    data_hash: str = "cccccccccccccccc"
    config: Config = field(default_factory=Config)
    factors: dict[str, float] | None = None

    def __post_init__(self):
        self.sessions = weekdays(self.length)
        self.symbols = self.symbols or tuple(f"S{i:02d}" for i in range(self.names))
        rng = np.random.default_rng(self.seed)
        market = rng.standard_t(4, self.length) * 0.006 + 0.0005
        own = rng.standard_t(4, (self.length, self.names)) * 0.012 + 0.0002
        close = 50.0 * np.exp(np.cumsum(market[:, None] + own, axis=0))
        self.benchmark = np.expm1(market)
        order = np.argsort(self.symbols)
        prices = np.ascontiguousarray(close[:, order])
        bars = dict.fromkeys(("open", "high", "low", "close"), prices) | {"volume": prices * 100}
        panel = BarPanel.from_arrays(self.sessions, sorted(self.symbols), bars)
        self.market = Market(panel, np.expm1(market), "the sample")
        self.account = Account(bars_of(close), 100_000.0, per_share=0.005, slip=0.0005)
        self.held = []
        for row in range(self.length):
            self._session(row, close, rng)
            self.account.close(row, interest=0.5)
            nav = self.account.days[-1][0]
            self.held += [(row, symbol, shares * close[row, symbol] / nav) for symbol, shares in sorted(self.account.held.items()) if shares]

    def _session(self, row, close, rng):
        account = self.account
        for symbol in range(self.names):
            held = account.held.get(symbol, 0)
            stop = rng.random() < 0.01
            if held and stop:
                account.trade(row, symbol, -held, float(close[row, symbol]), EventKind.STOP, Reason.TRAILING_STOP)
            elif row % 21 == 0:
                wanted = int(0.9 * account.nav / self.names / close[row, symbol]) if rng.random() < 0.6 else 0
                account.trade(row, symbol, wanted - held, float(close[row, symbol]))
        if row % 100 == 50:
            account.unfilled(row, row % self.names, 25)

    @cached_property
    def events(self):
        return np.array(self.account.events, EVENT)

    @cached_property
    def days(self):
        return np.array(self.account.days, DAY)

    @cached_property
    def round_trips(self):
        return round_trips(self.events, self.days, self.account.bars)

    @cached_property
    def large_losses(self):
        return large_losses(self.round_trips, self.events, self.account.bars)

    @cached_property
    def trades(self):
        sectors = [self.sector(symbol) for symbol in self.round_trips["symbol"]]
        table = trades_frame(self.round_trips, self.sessions, self.symbols)
        return table.with_columns(pl.Series("sector", sectors, pl.String))

    def sector(self, symbol):
        return SECTORS[symbol % len(SECTORS)]

    @cached_property
    def holdings(self):
        rows = [(self.sessions[row].astype(object), self.symbols[symbol], self.sector(symbol), weight) for row, symbol, weight in self.held]
        return pl.DataFrame(rows, schema={"date": pl.Date, "symbol": pl.String, "sector": pl.String, "weight": pl.Float64}, orient="row")

    @property
    def by_factor(self):
        if self.factors is None:
            raise InputError("a strategy that is a Python callable has no factors to attribute to")
        return pl.DataFrame({"part": list(self.factors), "pnl": list(self.factors.values())})

    @cached_property
    def orders(self):
        rows = self.events
        word = np.array([outcome.name.lower() for outcome in Outcome], dtype=object)
        reason = np.array([r.name.lower() for r in Reason], dtype=object)
        columns = {"date": self.sessions[rows["row"]], "symbol": np.array(self.symbols, dtype=object)[rows["symbol"]],
                   "shares": rows["shares"].astype(np.int64), "outcome": word[rows["outcome"]], "reason": reason[rows["reason"]]}  # fmt: skip
        return pl.DataFrame(columns, schema={"date": pl.Date, "symbol": pl.String, "shares": pl.Int64, "outcome": pl.String, "reason": pl.String})

    @cached_property
    def metrics(self):
        return summary(self.sessions, self.days, self.round_trips, self.benchmark, events=self.events)

    @cached_property
    def kpi(self):
        return kpi_contract(self.sessions, self.days, self.round_trips)

    @property
    def first(self) -> date:
        return self.sessions[0].astype(object)
