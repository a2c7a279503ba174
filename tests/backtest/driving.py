"""What tests of the engine share: the sample market as panel and universe, configurations, and the decision played row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mech_exo.backtest.drivers import full, grown, play
from mech_exo.datasource.demo import SampleMarket, sample_market
from mech_exo.decision.rows import decide_row
from mech_exo.decision.strategy import Strategy, cost_params, night_buffers
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.account import new_account, new_book, new_days
from mech_exo.kernels.records import EVENT, Bars
from mech_exo.kernels.simulate import step
from mech_exo.utils.settings import (
    Config,
    CostModel,
    FactorsConfig,
    FactorWeight,
    RiskLimits,
    Schedule,
    Selection,
    SizingRules,
    StopRules,
    StrategyConfig,
    UniverseRules,
)

TECHNICAL = {
    "momentum_12_1": FactorWeight(weight=12, direction="higher_better"),
    "rsi_14": FactorWeight(weight=8, direction="mean_revert"),
    "volatility_ratio": FactorWeight(weight=6, direction="lower_better"),
    "volume_trend": FactorWeight(weight=5, direction="higher_better"),
}


def sample(seed=7, symbols=40, years=3) -> tuple[BarPanel, Universe]:
    """A sample market and who belonged to it."""
    made = sample_market(seed, symbols, years)
    return made.panel, universe_of(made)


def universe_of(made: SampleMarket) -> Universe:
    """Members and sectors of a sample market, session by session."""
    panel = made.panel
    names = tuple(sorted(made.sectors["sector"].unique()))
    member, sector = np.zeros(panel.shape, np.bool_), np.full(panel.shape, -1, np.int16)
    for symbol, start, end in made.universe.iter_rows():
        until = len(panel.sessions) if end is None else np.searchsorted(panel.sessions, np.datetime64(end))
        member[np.searchsorted(panel.sessions, np.datetime64(start)) : until, panel.column_of(symbol)] = True
    for symbol, name, since in made.sectors.iter_rows():
        sector[np.searchsorted(panel.sessions, np.datetime64(since)) :, panel.column_of(symbol)] = names.index(name)
    return Universe(member, sector, names)


def default_config(**strategy: object) -> Config:
    """The defaults with all technical factors; keywords replace parts of ``strategy.yml``."""
    return Config(factors=FactorsConfig(technical=TECHNICAL), strategy=StrategyConfig(**strategy))


def busy_config() -> Config:
    """Everything at once: long and short, ATR sizes, every stop, every limit, every cost, decided each week."""
    return Config(
        factors=FactorsConfig(technical=TECHNICAL),
        strategy=StrategyConfig(
            schedule=Schedule(every_sessions=5),
            universe=UniverseRules(min_price=2.0, min_dollar_volume=1e5),
            selection=Selection(top=12, bottom=5, max_sector_share=0.4),
            sizing=SizingRules(method="atr_based", target_volatility=0.15),
            costs=CostModel(impact=0.5, cash_rate=0.02),
        ),
        risk=RiskLimits(stops=StopRules(hard=0.08, trailing=0.12, target=0.15, time_sessions=15, volatility_atr=3.0)),
    )


@dataclass(eq=False)
class Played:
    """Everything an account is after the last row played."""

    book: np.ndarray
    live: np.ndarray
    account: np.ndarray
    days: np.ndarray
    happened: np.ndarray

    def bits(self, upto: int) -> tuple[bytes, ...]:
        """All of it as bytes: sessions and events up to row ``upto``, and the book with its orders and levels."""
        live = self.live[: int(self.account["live"][0])]
        events = self.happened[self.happened["row"] <= upto]
        return self.book.tobytes(), live.tobytes(), self.account.tobytes(), self.days[: upto + 1].tobytes(), events.tobytes()


def played(panel: BarPanel, universe: Universe, config: Config, last: int, *, compiled: bool = True, first: int = 0) -> Played:
    """Rows ``first..last-1``: by the compiled driver, or by one Python call of each function per session."""
    strategy, count = Strategy(config), len(panel.symbols)
    rows = strategy.decision_rows(panel, first, first, last)
    features, _ = strategy.features(panel, universe, rows)
    decision_at = np.full(len(panel.sessions), -1, np.int64)
    decision_at[rows] = np.arange(len(rows))
    book, live, account = new_book(count), np.zeros(count, np.int64), new_account(config.strategy.initial_cash)
    days, events, night = new_days(len(panel.sessions)), np.empty(16, EVENT), night_buffers(count, strategy.rules.limits)
    bars, costs, terms = Bars.of(panel), cost_params(config.strategy.costs), strategy.terms
    flows = np.zeros(len(panel.sessions))
    if compiled:
        events = play(first, last, decision_at, flows, bars, features, book, live, account, days, events, night, costs, terms, strategy.rules)
    else:
        for t in range(first, last):
            events = grown(events, account) if full(events, account) else events
            step(t, 0.0, bars, book, live, account, days, events, costs, terms)
            decide_row(t, int(decision_at[t]), False, bars, features, book, live, account, days, night, strategy.rules)
    return Played(book, live, account, days, events[: int(account["events"][0])])
