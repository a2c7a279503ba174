"""The default strategy on a fixed market gives the fills it gave when they were last looked at.

A changed rule changes them: look at the difference, and if it is meant, write the new ones with

    python -m tests.golden.test_default_strategy

and say why in the commit. The market is made by whole-number arithmetic and division alone, so that every machine has its bits.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np

from mech_exo.backtest.engine import EventBacktester
from mech_exo.domain.panel import BarPanel, Universe
from tests.backtest.driving import default_config

GOLDEN = Path(__file__).with_name("default_strategy.json")
ROOT = Path(__file__).resolve().parents[2]
SESSIONS, SYMBOLS, SECTORS = 700, 45, 9


def market():
    """Random walks in cents: no logarithm, no exponential, nothing a processor could round its own way."""
    rng = random.Random(20_040_102)
    shape = (SESSIONS, SYMBOLS)
    bars = {name: np.full(shape, np.nan) for name in ("open", "high", "low", "close", "volume")}
    split, dividend = np.ones(shape), np.zeros(shape)
    delisted = np.full(SYMBOLS, SESSIONS)
    common = [rng.randint(-120, 126) for _ in range(SESSIONS)]
    for s in range(SYMBOLS):
        cents, drift = rng.randint(1_500, 20_000), rng.randint(-6, 8)
        if s % 15 == 4:
            delisted[s] = rng.randint(400, 650)
        for t in range(delisted[s]):
            if cents > 30_000 or rng.random() < 0.0007:
                split[t, s], cents = 2.0, max(500, cents // 2)
            if t % 63 == s % 63:
                dividend[t, s] = cents // 200 / 100
            opened = max(100, cents * (10_000 + rng.randint(-80, 80)) // 10_000)
            cents = max(100, opened * (10_000 + common[t] + drift + rng.randint(-220, 220)) // 10_000)
            if rng.random() < 0.004:
                continue
            high, low = max(opened, cents) + rng.randint(0, opened // 100), min(opened, cents) - rng.randint(0, opened // 100)
            bar = (opened / 100, high / 100, low / 100, cents / 100, float(rng.randint(300_000, 4_000_000)))
            for name, value in zip(bars, bar, strict=True):
                bars[name][t, s] = value
    sessions = np.datetime64("2004-01-02") + np.arange(SESSIONS)
    panel = BarPanel.from_arrays(
        sessions, [f"G{s:03d}" for s in range(SYMBOLS)], bars | {"split_ratio": split, "dividend": dividend, "delisted": delisted}
    )
    sector = np.broadcast_to((np.arange(SYMBOLS) % SECTORS).astype(np.int16), shape)
    return panel, Universe(np.ones(shape, np.bool_), sector, tuple(f"Sector {k}" for k in range(SECTORS)))


def outcome():
    """What is remembered: the hash of the market and of all fills, and enough of them to see what moved."""
    panel, universe = market()
    result = EventBacktester(panel, default_config(), universe=universe).run()
    lines = [f"{day} {symbol} {count} {price!r} {fee!r} {reason}" for day, symbol, count, price, fee, _, reason, _ in result.fills.iter_rows()]
    return {
        "market": panel.data_hash(),
        "fills": len(lines),
        "final_equity": round(result.metrics["final_equity"], 2),
        "reasons": {name: int(n) for name, n in sorted(result.fills["reason"].value_counts().iter_rows())},
        "first": lines[:5],
        "last": lines[-5:],
        "hash": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }


def test_the_market_is_the_remembered_one():
    assert market()[0].data_hash() == json.loads(GOLDEN.read_text())["market"]


def test_the_fills_are_the_remembered_ones():
    remembered = json.loads(GOLDEN.read_text())
    assert outcome() == remembered
    assert remembered["fills"] > 200 and len(remembered["reasons"]) >= 4


def test_the_same_run_id_gives_the_same_bytes_in_another_process():
    script = (
        "import hashlib; from mech_exo.backtest.engine import EventBacktester; from tests.backtest.driving import default_config;"
        "from tests.golden.test_default_strategy import market; panel, universe = market();"
        "r = EventBacktester(panel, default_config(), universe=universe).run();"
        "print(r.run_id, hashlib.sha256(r.events.tobytes() + r.days.tobytes()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), *sys.path)))}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=300)
    assert ran.returncode == 0, ran.stderr
    panel, universe = market()
    here = EventBacktester(panel, default_config(), universe=universe).run()
    assert ran.stdout.split() == [here.run_id, hashlib.sha256(here.events.tobytes() + here.days.tobytes()).hexdigest()]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(outcome(), indent=2) + "\n")
    print(f"written: {GOLDEN}")
