"""The router through days of faults: at most once, nothing unplanned, ledger = broker after every healing, or a violation with its seed.

The default run is a slice. ``make faults`` (EXO_TEST_KILLS set) goes on until 200,000 faults were delivered; ROUTER_FAULTS names another
number, ROUTER_SEED another first seed.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.faults.router_world import NAMED, World

WANTED = int(os.environ.get("ROUTER_FAULTS", "200000" if "EXO_TEST_KILLS" in os.environ else "1500"))
FIRST_SEED = int(os.environ.get("ROUTER_SEED", "1"))
SHM = Path("/dev/shm")
MANY = 200


def live_through(seed: int) -> Counter[str]:
    """One world; the faults it met."""
    folder = Path(tempfile.mkdtemp(prefix="router-", dir=SHM if SHM.is_dir() else None))
    try:
        return World(seed, folder).run()
    finally:
        shutil.rmtree(folder)


def campaign(wanted: int, first: int) -> tuple[Counter[str], int]:
    """Worlds from seed ``first`` on until ``wanted`` faults were delivered: the faults by name, and how many worlds it took."""
    faults: Counter[str] = Counter()
    seed = first
    if wanted <= 10 * MANY:
        while faults.total() < wanted:
            faults += live_through(seed)
            seed += 1
        return faults, seed - first
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        while faults.total() < wanted:
            for met in pool.map(live_through, range(seed, seed + MANY), chunksize=10):
                faults += met
            seed += MANY
    return faults, seed - first


def test_no_violation_in_a_campaign_of_faults() -> None:
    begun = time.monotonic()
    faults, worlds = campaign(WANTED, FIRST_SEED)
    seconds = time.monotonic() - begun
    print(f"\n{faults.total():,} faults in {worlds:,} worlds, {seconds:.0f} s, {faults.total() / seconds:.0f} a second, 0 violations")
    for name, count in sorted(faults.items()):
        print(f"{count:9,}  {name}")
    if WANTED >= 50_000:
        unmet = [name for name in NAMED if not faults[f"killed: {name}"]]
        assert not unmet, f"the process was never ended at {unmet}"


def test_a_seed_tells_the_whole_story(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        runs.append(World(7, tmp_path / name).run())
    assert runs[0] == runs[1]
