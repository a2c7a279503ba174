"""How long scoring takes: factors at the decision rows, normalised, weighted. Beside each figure its bar and a floor of the same run.

    python bench/scoring.py [--json] [--quick]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import polars as pl
from _common import REPOSITORY, Line, best, line, main

from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels import rolling, windows
from mech_exo.kernels.market import equal_weighted_returns
from mech_exo.scoring import score_rows
from mech_exo.scoring.factors import REGISTRY, Family
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import FactorsConfig, FactorWeight, ScoringRules, UniverseRules

TECHNICAL = {"rsi_14": (8, "mean_revert"), "momentum_12_1": (12, "higher_better"), "volatility_ratio": (6, "lower_better"),
             "volume_trend": (5, "higher_better")}  # fmt: skip
ALL = FactorsConfig(technical={name: FactorWeight(weight=w, direction=d) for name, (w, d) in TECHNICAL.items()})
MOMENTUM = FactorsConfig(
    technical={"momentum_12_1": FactorWeight(weight=1, direction="higher_better")}, scoring=ScoringRules(normalisation="none")
)
NO_RULES = UniverseRules(min_price=0.0, min_dollar_volume=0.0)
FIRST_CALL = """
import time
import sys
sys.path.insert(0, "bench")
import scoring as b
panel, universe, rows = b.market(300, 50)
start = time.perf_counter()
b.score_rows(panel, universe, rows, b.ALL, b.UniverseRules())
print(time.perf_counter() - start)
"""


EVERYTHING = """
import dataclasses, resource, sys, time
sys.path.insert(0, "bench")
import numpy as np, yaml
import scoring as b
from mech_exo.domain.facts import Facts
config = b.FactorsConfig(**yaml.safe_load(open("config/factors.yml")))
panel, universe, chosen = b.market(int(sys.argv[1]), int(sys.argv[2]))
rng, known = np.random.default_rng(2), {}
for name in config.weights():
    for fact in b.REGISTRY[name].facts:
        known[fact] = rng.normal(1.0, 1.0, panel.shape)
        known[fact][rng.random(panel.shape, np.float32) < 0.1] = np.nan
universe = dataclasses.replace(universe, facts=Facts(known))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e9 / 1024)
before = peak()
score = lambda rows: b.score_rows(panel, universe, rows, config, b.UniverseRules())
score(chosen[:1])
seconds = []
for rows in (np.arange(len(panel.sessions)), chosen):
    start = time.perf_counter()
    table = score(rows)
    seconds.append(time.perf_counter() - start)
    count = len(table.factors)
    del table
print(count, *seconds, len(chosen), before, peak())
"""


def market(sessions: int, symbols: int) -> tuple[BarPanel, Universe, np.ndarray]:
    """A random market and the rows of a decision every 21 sessions."""
    rng = np.random.default_rng(1)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (sessions, symbols)), axis=0))
    bars = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": rng.uniform(1e5, 1e7, close.shape)}
    panel = BarPanel.from_arrays(np.datetime64("2003-01-02") + np.arange(sessions), [f"S{j:04d}" for j in range(symbols)], bars)
    return panel, Universe.everyone(panel), np.arange(min(252, sessions - 1), sessions, 21)


def quickest(function: Callable[[], object], repeats: int) -> float:
    """Milliseconds of the quickest of ``repeats`` calls."""
    return 1000.0 * best(function, repeats)


def first_call() -> float:
    """Seconds of the first scoring of a new process whose compile cache is filled (by the run before)."""
    for _ in range(2):
        ran = subprocess.run([sys.executable, "-c", FIRST_CALL], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return float(ran.stdout)


def measure(quick: bool) -> list[Line]:
    """Every figure beside its floor."""
    repeats, real, large = (1, (700, 100), (700, 300)) if quick else (5, (3398, 582), (2520, 3000))
    first = line("first scoring in a new process, compile cache filled", first_call(), "s", 1.0)
    tonight = one_night(300, 600) if quick else one_night(3000, 2520)
    kernels = [*four_indicators(repeats, large), *one_by_one(repeats, large)]
    return [*kernels, *configured(repeats, real, large), *everything(quick), first, tonight]


def configured(repeats: int, real: tuple[int, int], large: tuple[int, int]) -> list[Line]:
    """Whole scorings: the panel of the real data's size, and the large one (sessions, symbols)."""
    panel, universe, rows = market(*real)
    read = quickest(lambda: panel.close.sum() + panel.volume.sum(), repeats)
    every = quickest(lambda: score_rows(panel, universe, rows, ALL, UniverseRules()), repeats)
    name = f"all technical factors, eligibility and composite, {real[1]} x {real[0]}, {len(rows)} sessions"
    lines = [line(name, every, "ms", 200.0, ("numpy sum of close and volume", read))]
    panel, universe, rows = market(*large)
    chosen = f"{large[1]} x {large[0]}, {len(rows)} sessions"
    ratio = quickest(lambda: panel.close[rows - 21] / panel.close[rows - 252] - 1.0, repeats)
    alone = quickest(lambda: score_rows(panel, universe, rows, MOMENTUM, NO_RULES), repeats)
    every = quickest(lambda: score_rows(panel, universe, rows, ALL, UniverseRules()), repeats)
    floor = ("momentum as one numpy expression", ratio)
    lines.append(line(f"momentum alone, {chosen}", alone, "ms", 15.0, floor))
    lines.append(line(f"all technical factors, {chosen}", every, "ms", 700.0, floor))
    return lines


def everything(quick: bool) -> list[Line]:
    """Every factor of the default configuration, its facts invented, in a process of its own whose memory is counted."""
    sessions, symbols = (500, 600) if quick else (2520, 3000)
    words = [sys.executable, "-c", EVERYTHING, str(sessions), str(symbols)]
    ran = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    count, every, decisions, rows, before, peak = map(float, ran.stdout.split())
    title = f"all {count:.0f} factors of factors.yml, {symbols} x {sessions}"
    chosen = (f"at {rows:.0f} decision sessions alone", decisions)
    return [
        line(f"{title}, every session normalised and weighted", every, "s", 3.0, chosen),
        line(f"{title}, memory of the process", peak, "GB", 3.0, ("bars and facts before it", before)),
    ]


def one_night(symbols: int, sessions: int) -> Line:
    """`exo score` of a published store, from the start of the process to its end."""
    from storage import bulk_load
    from storage import market as long_frame

    from mech_exo.datasource import DataStorage
    from mech_exo.utils.workspace import create

    with tempfile.TemporaryDirectory() as folder:
        _, home = bulk_load(long_frame(symbols, sessions), Path(folder))
        create(home)
        with DataStorage(DataStorage.path_in(home)) as storage:
            storage.publish()
        command = [sys.executable, "-m", "mech_exo.cli", "score", "--json"]
        environment = {**os.environ, "EXO_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}

        def score() -> None:
            subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=True)

        repeats = 1 if sessions < 1000 else 3
        bare = best(lambda: subprocess.run([sys.executable, "-c", "import numba, polars, duckdb"], check=True), repeats)
        title = f"exo score: one night of {symbols} x {sessions}"
        return line(title, best(score, repeats), "s", 2.0, ("import numba, polars, duckdb", bare))


def four_indicators(repeats: int, large: tuple[int, int]) -> list[Line]:
    """RSI 14, ATR 14, volatility of 20 sessions and momentum 12-1 of every session: we, the peers and what memory allows."""
    panel, _, _ = market(*large)
    threads = numba.config.NUMBA_NUM_THREADS

    def ours() -> None:
        rolling.rsi(panel.close, 14)
        rolling.atr(panel.high, panel.low, panel.close, 14)
        windows.volatility_rows(rolling.returns(panel.close), np.arange(large[0]), 20)
        rolling.lagged_ratio(panel.close, 21, 252)

    read = best(lambda: panel.high.sum() + panel.low.sum() + panel.close.sum(), repeats)
    written = best(lambda: np.ones((4, *large)), repeats)
    name = f"RSI, ATR, volatility and momentum, {large[1]} x {large[0]}"
    beside = ("TA-Lib's C loop, one thread", talib_loop(panel, repeats))
    return [
        line(f"{name}, {threads} thread(s)", best(ours, repeats), "s", 0.08, beside),
        line(f"{name}, Polars, {pl.thread_pool_size()} thread(s)", polars_windows(panel, min(repeats, 2)), "s"),
        line("high, low and close read and four results written by NumPy, one thread", read + written, "s"),
    ]


def talib_loop(panel: BarPanel, repeats: int) -> float:
    """Seconds of TA-Lib over the symbols, each in its own row, as ../shared/peers/w4_indicators.py has it."""
    import talib

    high, low, close = (np.ascontiguousarray(values.T) for values in (panel.high, panel.low, panel.close))

    def loop() -> None:
        rsi, atr, volatility, momentum = (np.full(close.shape, np.nan) for _ in range(4))
        for j in range(len(close)):
            rsi[j] = talib.RSI(close[j], 14)
            atr[j] = talib.ATR(high[j], low[j], close[j], 14)
            volatility[j, 1:] = talib.STDDEV(np.log(close[j, 1:] / close[j, :-1]), 20) * np.sqrt(20 / 19)
            momentum[j, 252:] = close[j, 231:-21] / close[j, :-252] - 1.0

    return best(loop, repeats)


def polars_windows(panel: BarPanel, repeats: int) -> float:
    """Seconds of Polars over a long table, as ../shared/peers/w4_indicators.py has it."""
    symbols, bars = np.repeat(np.arange(panel.shape[1], dtype=np.int32), panel.shape[0]), (panel.high, panel.low, panel.close)
    columns = {name: values.T.ravel() for name, values in zip("hlc", bars, strict=True)}
    frame = pl.DataFrame({"s": symbols, **columns}).with_columns(pl.col("s").set_sorted())
    close, high, low = pl.col("c"), pl.col("h"), pl.col("l")
    before, wilder = close.shift(1), {"alpha": 1 / 14, "adjust": False, "min_samples": 14}
    change = close - before
    gain, loss = change.clip(lower_bound=0).ewm_mean(**wilder), (-change.clip(upper_bound=0)).ewm_mean(**wilder)
    span = pl.max_horizontal(high - low, (high - before).abs(), (low - before).abs())
    query = frame.lazy().select(
        (100 - 100 / (1 + gain / loss)).over("s").alias("rsi"),
        span.ewm_mean(**wilder).over("s").alias("atr"),
        (close / before).log().rolling_std(20).over("s").alias("volatility"),
        (close.shift(21) / close.shift(252) - 1).over("s").alias("momentum"),
    )
    return best(query.collect, repeats)


def one_by_one(repeats: int, large: tuple[int, int]) -> list[Line]:
    """Each kernel over every session."""
    panel, universe, _ = market(*large)
    inputs, rows = FactorInputs(panel, universe), np.arange(large[0])
    floor = ("numpy copy of close", quickest(lambda: np.copy(panel.close), repeats))
    kernels = {
        "RSI 14": lambda: rolling.rsi(panel.close, 14),
        "ATR 14": lambda: rolling.atr(panel.high, panel.low, panel.close, 14),
        "returns": lambda: rolling.returns(panel.close),
        "volatility 20": lambda: windows.volatility_rows(inputs.returns, rows, 20),
        "momentum 12-1": lambda: rolling.lagged_ratio(panel.close, 21, 252),
        "market return": lambda: equal_weighted_returns(panel.close, universe.member),
    }
    own = [factor.bind({}) for factor in REGISTRY.values() if factor.family is Family.TECHNICAL]
    inputs.market_return  # noqa: B018 - made before anything is timed
    kernels |= {f"factor {bound.name}": lambda bound=bound: bound.values(inputs, rows) for bound in own}
    title = f"of every session, {large[1]} x {large[0]}, {numba.config.NUMBA_NUM_THREADS} thread(s)"
    return [line(f"{name} {title}", quickest(kernel, repeats), "ms", None, floor) for name, kernel in kernels.items()]


if __name__ == "__main__":
    sys.exit(main("Scoring", measure, __doc__))
