"""Sentiment: how fast the shipped model judges headlines, and how soon it is loaded. Prints a table; ``--json`` a list of figures.

The text is SEntFiN's headlines where ../shared holds them, else invented ones of the same length.
"""

from __future__ import annotations

import random
import subprocess
import sys

from _common import REPOSITORY, SHARED, Line, best, line, main

from mech_exo.datasource.sentiment.linear import linear_model

HEADLINES = SHARED / "data" / "text" / "sentfin_v1.csv.gz"
FLOOR = 5_000
LOAD = """
import time
import numpy
began = time.perf_counter()
from mech_exo.datasource.sentiment import scorer
scorer("linear").score(["Profit rises"])
print(time.perf_counter() - began)
"""


def headlines(count: int) -> list[str]:
    if HEADLINES.exists():
        import polars as pl

        return pl.read_csv(HEADLINES)["Title"].head(count).to_list()
    chance = random.Random(3)
    words = list(linear_model().weights.words)
    return [" ".join(chance.choices(words, k=7)) for _ in range(count)]


def measure(quick: bool) -> list[Line]:
    texts = headlines(2_000 if quick else 10_000)
    model = linear_model()
    seconds = best(lambda: model.score(texts), 3 if quick else 7)
    loads = [
        float(subprocess.run([sys.executable, "-c", LOAD], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    return [
        line(f"{len(texts):,} headlines judged, per 1,000", seconds / len(texts) * 1e6, "ms", 1e6 / FLOOR),
        line("loading the model and judging one headline", min(loads), "s"),
    ]


if __name__ == "__main__":
    sys.exit(main("Sentiment of headlines", measure, __doc__))
