"""How long scoring takes: factors at the decision rows, normalised, weighted. Beside each figure its bar and a floor of the same run.

    python bench/scoring.py [--json] [--quick]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
from _common import REPOSITORY, Line, best, line, main

from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels import rolling
from mech_exo.scoring import score_rows
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
    repeats = 1 if quick else 5
    first = line("first scoring in a new process, compile cache filled", first_call(), "s", 1.0)
    return [*configured(repeats), *one_by_one(repeats), first]


def configured(repeats: int) -> list[Line]:
    """Whole scorings: the panel of the real data's size, and the large one."""
    panel, universe, rows = market(3398, 582)
    read = quickest(lambda: panel.close.sum() + panel.volume.sum(), repeats)
    every = quickest(lambda: score_rows(panel, universe, rows, ALL, UniverseRules()), repeats)
    name = f"all technical factors, eligibility and composite, 582 x 3398, {len(rows)} sessions"
    lines = [line(name, every, "ms", 200.0, ("numpy sum of close and volume", read))]
    panel, universe, rows = market(2520, 3000)
    chosen = f"3000 x 2520, {len(rows)} sessions"
    ratio = quickest(lambda: panel.close[rows - 21] / panel.close[rows - 252] - 1.0, repeats)
    alone = quickest(lambda: score_rows(panel, universe, rows, MOMENTUM, NO_RULES), repeats)
    every = quickest(lambda: score_rows(panel, universe, rows, ALL, UniverseRules()), repeats)
    floor = ("momentum as one numpy expression", ratio)
    lines.append(line(f"momentum alone, {chosen}", alone, "ms", 15.0, floor))
    lines.append(line(f"all technical factors, {chosen}", every, "ms", 700.0, floor))
    return lines


def one_by_one(repeats: int) -> list[Line]:
    """Each kernel over every session."""
    panel, _, _ = market(2520, 3000)
    floor = ("numpy copy of close", quickest(lambda: np.copy(panel.close), repeats))
    kernels = {
        "RSI 14": lambda: rolling.rsi(panel.close, 14),
        "ATR 14": lambda: rolling.atr(panel.high, panel.low, panel.close, 14),
        "volatility 20": lambda: rolling.volatility(panel.close, 20),
        "momentum 12-1": lambda: rolling.lagged_ratio(panel.close, 21, 252),
    }
    title = "of every session, 3000 x 2520, one thread"
    return [line(f"{name} {title}", quickest(kernel, repeats), "ms", None, floor) for name, kernel in kernels.items()]


if __name__ == "__main__":
    sys.exit(main("Scoring", measure, __doc__))
