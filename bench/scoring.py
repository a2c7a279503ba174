"""How long scoring takes: factors at the decision rows, normalised, weighted. Beside each figure its bar and a floor of the same run.

    python bench/scoring.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

import numpy as np  # noqa: E402

from mech_exo.domain.panel import BarPanel, Universe  # noqa: E402
from mech_exo.kernels import rolling  # noqa: E402
from mech_exo.scoring import score_rows  # noqa: E402
from mech_exo.utils.settings import FactorsConfig, FactorWeight, ScoringRules, UniverseRules  # noqa: E402

TECHNICAL = {"rsi_14": (8, "mean_revert"), "momentum_12_1": (12, "higher_better"), "volatility_ratio": (6, "lower_better"),
             "volume_trend": (5, "higher_better")}  # fmt: skip
ALL = FactorsConfig(technical={name: FactorWeight(weight=w, direction=d) for name, (w, d) in TECHNICAL.items()})
MOMENTUM = FactorsConfig(
    technical={"momentum_12_1": FactorWeight(weight=1, direction="higher_better")}, scoring=ScoringRules(normalisation="none")
)
NO_RULES = UniverseRules(min_price=0.0, min_dollar_volume=0.0)
FIRST_CALL = """
import time
import bench.scoring as b
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


def best(function: Callable[[], object], repeats: int) -> float:
    """Milliseconds of the quickest of ``repeats`` calls after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000.0 * min(times)


def line(name: str, value: float, unit: str, bar: float | None) -> dict[str, object]:
    return {"name": name, "value": round(value, 3), "unit": unit, "bar": bar, "holds": None if bar is None else value <= bar}


def first_call() -> float:
    """Seconds of the first scoring of a new process whose compile cache is filled (by the run before)."""
    for _ in range(2):
        ran = subprocess.run([sys.executable, "-c", FIRST_CALL], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return float(ran.stdout)


def measure(repeats: int) -> list[dict[str, object]]:
    out = []
    panel, universe, rows = market(3398, 582)
    read = best(lambda: panel.close.sum() + panel.volume.sum(), repeats)
    out.append(line("floor: numpy sum of close and volume, 582 x 3398", read, "ms", None))
    name = f"all technical factors, eligibility and composite, 582 x 3398, {len(rows)} sessions"
    out.append(line(name, best(lambda: score_rows(panel, universe, rows, ALL, UniverseRules()), repeats), "ms", 200.0))
    panel, universe, rows = market(2520, 3000)
    chosen = f"3000 x 2520, {len(rows)} sessions"
    ratio = best(lambda: panel.close[rows - 21] / panel.close[rows - 252] - 1.0, repeats)
    out.append(line(f"floor: momentum as one numpy expression, {chosen}", ratio, "ms", None))
    alone = best(lambda: score_rows(panel, universe, rows, MOMENTUM, NO_RULES), repeats)
    out.append(line(f"momentum alone, {chosen}", alone, "ms", 15.0))
    every = best(lambda: score_rows(panel, universe, rows, ALL, UniverseRules()), repeats)
    out.append(line(f"all technical factors, {chosen}", every, "ms", 700.0))
    copy = best(lambda: np.copy(panel.close), repeats)
    out.append(line("floor: numpy copy of close, 3000 x 2520", copy, "ms", None))
    for title, kernel in (
        ("RSI 14", lambda: rolling.rsi(panel.close, 14)),
        ("ATR 14", lambda: rolling.atr(panel.high, panel.low, panel.close, 14)),
        ("volatility 20", lambda: rolling.volatility(panel.close, 20)),
        ("momentum 12-1", lambda: rolling.lagged_ratio(panel.close, 21, 252)),
    ):
        out.append(line(f"{title} of every session, 3000 x 2520, one thread", best(kernel, repeats), "ms", None))
    out.append(line("first scoring in a new process, compile cache filled", first_call(), "s", 1.0))
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print a list of {name, value, unit, bar, holds}")
    parser.add_argument("--quick", action="store_true", help="one repeat instead of five")
    options = parser.parse_args()
    lines = measure(1 if options.quick else 5)
    if options.json:
        print(json.dumps(lines, indent=2))
    else:
        for item in lines:
            bar = "" if item["bar"] is None else f"  bar {item['bar']} {item['unit']}: {'holds' if item['holds'] else 'MISSED'}"
            print(f"{item['value']:>10} {item['unit']:<3} {item['name']}{bar}")
    return 0 if all(item["holds"] is not False for item in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
