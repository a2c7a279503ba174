"""How long factor research takes: a whole study of each of 15 factors over 12 years of 582 names, beside a study by pandas' own ranks.

    python bench/research.py [--json] [--quick]
"""

from __future__ import annotations

import sys
import time

import numpy as np
from _common import Line, best, line, main
from scoring import market

from mech_exo.kernels.cross_tests import groups
from mech_exo.scoring.research import Sample
from mech_exo.scoring.research.factor_study import study_of
from mech_exo.scoring.research.sample import Ordered, configured
from mech_exo.utils.settings import UniverseRules

NAMES = ("momentum_12_1", "rsi_14", "volatility_ratio", "volume_trend")
FACTORS = 15


def measure(quick: bool) -> list[Line]:
    """Every figure beside its floor."""
    sessions, symbols, factors = (700, 100, 4) if quick else (3024, 582, FACTORS)
    panel, universe, _ = market(sessions, symbols)
    study_of(Sample.of(*market(300, 20)[:2], UniverseRules()), "rsi_14")  # compiles
    begun = time.perf_counter()
    sample = Sample.of(panel, universe, UniverseRules())
    for number in range(factors):
        study_of(sample, NAMES[number % len(NAMES)])
    whole = time.perf_counter() - begun
    values = sample.factor(*configured("rsi_14", None))
    sort = best(lambda: np.argsort(values.values, axis=1), 1 if quick else 3)
    size = f"{symbols} x {sessions}"
    lines = [line(f"{factors} factors studied, {size}, 4 horizons", whole, "s", 20.0, ("one numpy argsort of a factor", sort))]
    forward, kept = sample.forward(21), sample.eligible
    one = best(lambda: Ordered.of(values.values).correlation(forward, kept), 1 if quick else 3)
    beside = ("pandas rank and corrwith", by_pandas(values, forward))
    lines.append(line(f"rank and linear IC of one factor and horizon, {size}", one, "s", None, beside))
    group = np.empty(values.values.shape, np.int16)
    sorted_in = best(lambda: groups(values.values, values.order, np.arange(1, 5) / 5, group), 1 if quick else 3)
    lines.append(line(f"quantile groups of one factor, {size}", sorted_in, "s"))
    return lines


def by_pandas(values: Ordered, forward: Ordered) -> float:
    """Seconds of the rank IC as pandas has it, once."""
    import pandas as pd

    left, right = pd.DataFrame(values.values), pd.DataFrame(forward.values)
    begun = time.perf_counter()
    left.where(right.notna()).rank(axis=1).corrwith(right.where(left.notna()).rank(axis=1), axis=1)
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main("Factor research", measure, __doc__))
