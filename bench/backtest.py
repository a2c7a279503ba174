"""How long backtests take: the workload W2 against its physical limit, a callable, what realism costs, the default strategy, memory,
compiling, the first call of a process. The sweep is in ``scaling.py``, the metrics in ``metrics.py``.

    python bench/backtest.py [--json] [--quick]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import numpy as np
from _common import REPOSITORY, SHARED, Line, best, line, main
from _floor import floor

from mech_exo.backtest.engine import EventBacktester
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.records import EventKind
from mech_exo.utils.settings import Config, Selection
from tests.backtest.driving import default_config
from tests.oracles import market
from tests.oracles.workloads import CASH, COSTS, STOPS, callable_rotation, configured

BARS = {100: 5.0, 500: 12.0, 3000: 50.0}  # ms for W2 over 2,520 sessions
FIELDS = ("open", "high", "low", "close")
FIRST_CALL = """
import time
from mech_exo.backtest.engine import EventBacktester
from tests.oracles import market
from tests.oracles.workloads import configured
panel = market.panel(100, 600)
start = time.perf_counter()
EventBacktester(panel, configured(panel, "W2")).run()
print(time.perf_counter() - start)
"""


MEMORY = """
import sys
from mech_exo.backtest.engine import EventBacktester
from mech_exo.domain.panel import Universe
from tests.backtest.driving import default_config
from tests.oracles import market
from tests.oracles.workloads import configured
import numpy as np
def status(name):
    return next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))
def tester(panel):
    if sys.argv[1] == "W2":
        return EventBacktester(panel, configured(panel, "W2"))
    sector = np.broadcast_to(np.arange(panel.shape[1], dtype=np.int16) % 11, panel.shape)
    universe = Universe(np.ones(panel.shape, np.bool_), sector, tuple(f"Sector {k}" for k in range(11)))
    return EventBacktester(panel, default_config(), universe=universe)
tester(market.panel(100, 600)).run()
panel = market.panel(3000)
names = ("open", "high", "low", "close", "volume", "split_ratio", "dividend")
size = sum(getattr(panel, name).nbytes for name in names)
made = tester(panel)
before = status("VmRSS:")
open("/proc/self/clear_refs", "w").write("5")
result = made.run()
print((size + status("VmHWM:") - before) / size)
"""


def workload(repeats: int) -> list[Line]:
    """W2 by the configured strategy; every result must be the floor kernel's."""
    name, kernel = floor()
    lines = []
    for symbols, bar in BARS.items():
        panel = market.panel(symbols)
        bars = {field: getattr(panel, field) for field in FIELDS}
        tester = EventBacktester(panel, configured(panel, "W2"))
        result, (equity, orders) = tester.run(), kernel(bars)
        if len(result.events) != orders or abs(result.days["nav"][-1] - equity) > 0.005:
            raise SystemExit(f"W2 x {symbols}: engine {result.days['nav'][-1]}, {len(result.events)} orders; floor {equity}, {orders}")
        limit = 1e3 * best(lambda k=kernel, b=bars: k(b), 3 * repeats)
        lines.append(line(f"W2, {symbols} x 2520, run()", 1e3 * best(tester.run, 3 * repeats), "ms", bar, (name, limit)))
    return lines


def by_callable(repeats: int) -> Line:
    """W2 written as a user's function, session by session through Python."""
    panel = market.panel(500)
    tester = EventBacktester(panel, callable_rotation, costs=COSTS, initial_cash=CASH, stops=STOPS["W2"])
    compiled = 1e3 * best(EventBacktester(panel, configured(panel, "W2")).run, repeats)
    return line("W2 as a Python callable, 500 x 2520", 1e3 * best(tester.run, repeats), "ms", 500.0, ("the same, configured", compiled))


def realism(repeats: int) -> Line:
    """W2 against as many names long and short on a market with splits and quarterly dividends, with borrow fees and square-root impact."""
    plain = market.panel(500)
    split, dividend = np.ones(plain.shape), np.zeros(plain.shape)
    chance = np.random.default_rng(3)
    split[chance.random(plain.shape) < 1 / 1500] = 2.0
    dividend[chance.integers(0, 63, 500) == (np.arange(plain.shape[0]) % 63)[:, None]] = 0.2
    before = np.cumprod(split, axis=0)
    bars = {field: getattr(plain, field) / before for field in FIELDS} | {"volume": plain.volume * before}
    panel = BarPanel.from_arrays(plain.sessions, plain.symbols, bars | {"split_ratio": split, "dividend": dividend})
    config = configured(panel, "W2")
    costs = config.strategy.costs.model_copy(update={"impact": 0.5})
    strategy = config.strategy.model_copy(update={"costs": costs, "selection": Selection(top=10, bottom=10)})
    full = EventBacktester(panel, config.model_copy(update={"strategy": strategy}))
    kinds = set(full.run().events["kind"].tolist())
    if not {EventKind.SPLIT, EventKind.DIVIDEND, EventKind.STOP} <= kinds:
        raise SystemExit("the realistic market puts nothing to the test")
    simple = EventBacktester(plain, configured(plain, "W2"))
    ours, theirs = best(full.run, 3 * repeats), best(simple.run, 3 * repeats)
    name = "dividends, splits, shorts, impact: times W2, 500 x 2520"
    return line(name, ours / theirs, "x", 2.0, ("milliseconds of the realistic run", 1e3 * ours))


def memory() -> list[Line]:
    """The panel and the most the engine ever needed beside it, in panels."""
    lines = []
    for what, name in (("W2", "W2"), ("default", "default strategy")):
        ran = subprocess.run([sys.executable, "-c", MEMORY, what], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        lines.append(line(f"peak memory, {name}, 3,000 x 2520, panel included", float(ran.stdout), "panels", 2.0))
    return lines


def compiling() -> Line:
    """The first run after installing: a process with an empty compile cache, everything it compiles counted."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_CACHE_HOME": folder}
        command = [sys.executable, "-c", FIRST_CALL]
        ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, env=environment)
        again = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, env=environment)
    beside = ("the next process", float(again.stdout))
    return line("first run() after installing, compiling all of it", float(ran.stdout), "s", 25.0, beside)


def real_market() -> tuple[str, BarPanel, Universe]:
    """Twelve years of 582 real stocks with their sectors; a synthetic market of that size where they are absent."""
    prices, sectors = SHARED / "data/prices/us_sp500_members_2003_2016.parquet", SHARED / "data/reference/sp500_sectors_2016.csv"
    if not (prices.exists() and sectors.exists()):
        panel = market.panel(582, 3270)
        sector = np.arange(582) % 11
        return "synthetic, 582 x 3270", panel, _universe(panel, sector)
    import polars as pl

    cells = [pl.col(field) for field in FIELDS]
    sane = pl.min_horizontal(cells) > 0
    for cell in cells:
        sane &= (cell <= pl.col("high")) & (cell >= pl.col("low"))
    panel = BarPanel.from_frame(pl.read_parquet(prices).filter(sane).unique(["symbol", "date"]), price_basis="split_adjusted")
    table = dict(pl.read_csv(sectors).select("Ticker Symbol", "GICS Sector").iter_rows())
    names = sorted(set(table.values()))
    code = np.array([names.index(table[symbol]) if symbol in table else -1 for symbol in panel.symbols])
    return f"real prices, {panel.shape[1]} x {panel.shape[0]}", panel, _universe(panel, code, tuple(names))


def _universe(panel: BarPanel, code: np.ndarray, names: tuple[str, ...] = tuple(f"Sector {k}" for k in range(11))) -> Universe:
    return Universe(np.ones(panel.shape, np.bool_), np.broadcast_to(code.astype(np.int16), panel.shape), names)


def default_strategy(repeats: int) -> Line:
    """All technical factors, sectors, limits and stops."""
    what, panel, universe = real_market()
    tester = EventBacktester(panel, default_config(), universe=universe)
    if len(tester.run().fills) < 500:
        raise SystemExit("the default strategy hardly trades: nothing worth measuring")
    reading = 1e3 * best(lambda: sum(np.nansum(getattr(panel, field)) for field in (*FIELDS, "volume")), repeats)
    name = f"default strategy, all technical factors, {what}"
    return line(name, 1e3 * best(tester.run, repeats), "ms", 1000.0, ("numpy sum of its bars", reading))


def large_default(repeats: int) -> Line:
    """The whole default strategy, scoring included, on a market of 3,000."""
    panel = market.panel(3000)
    tester = EventBacktester(panel, default_config(), universe=_universe(panel, np.arange(3000) % 11))
    if len(tester.run().fills) < 500:
        raise SystemExit("the default strategy hardly trades: nothing worth measuring")
    reading = best(lambda: sum(np.nansum(getattr(panel, field)) for field in (*FIELDS, "volume")), repeats)
    return line("default strategy, all rules, 3,000 x 2520", best(tester.run, repeats), "s", 4.0, ("numpy sum of its bars", reading))


def first_call() -> Line:
    """A new process, imports not counted, whose compile cache is filled by the run before."""
    for _ in range(2):
        ran = subprocess.run([sys.executable, "-c", FIRST_CALL], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    again = 1e3 * best(EventBacktester(*_small()).run, 5)
    return line("first run() in a new process, compile cache filled", 1e3 * float(ran.stdout), "ms", 1000.0, ("a later one", again))


def _small() -> tuple[BarPanel, Config]:
    panel = market.panel(100, 600)
    return panel, configured(panel, "W2")


def measure(quick: bool) -> list[Line]:
    """Every figure."""
    repeats = 2 if quick else 7
    few = min(repeats, 3)
    speed = [*workload(repeats), by_callable(few), realism(few), default_strategy(repeats), large_default(few)]
    return [*speed, *memory(), compiling(), first_call()]


if __name__ == "__main__":
    sys.exit(main("Backtests", measure, __doc__))
