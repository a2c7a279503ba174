"""Workspaces worth looking at: an invented market that ends today, the real panel at its true dates, and a large one for the benchmark.

Each is made once by the program's own ways (store, nights, commands), kept under ``.pytest_cache`` by code and day, and shared by all
processes. Nobody may write into the shared copy: who wants to, copies it (:func:`copy`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from mech_exo.assembly import Workspace
from mech_exo.cli.__main__ import main
from mech_exo.datasource.demo import BENCHMARK, LABEL, UNIVERSE, SampleMarket, sample_market
from mech_exo.datasource.quality import assess
from mech_exo.datasource.storage import DataStorage
from mech_exo.decision.night import Known
from mech_exo.execution import safety
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import Flow
from mech_exo.nightly import Done, Step, alerts_of, handed_over, keep_drift, study_factors, withheld, write_reports
from mech_exo.session import NightResult, run_night
from mech_exo.utils.calendar import latest_session, session_close, sessions
from mech_exo.utils.workspace import create
from tests.session.stage import choose_universe, decide_every, set_line

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = REPOSITORY / ".pytest_cache" / "workspaces"
NIGHTS, REAL_NIGHTS = 61, int(os.environ.get("EXO_TEST_NIGHTS", "64"))
"""The last of each decides the book anew. A campaign asks for a year of real ones (253)."""
WRITTEN = 3
"""Nights, the last ones, whose reports are written."""


@dataclass(frozen=True)
class Built:
    """A workspace, and an evening at which its last night has just been performed."""

    home: Path
    now: datetime


def sample_workspace(folder: Path) -> Built:
    """The invented market moved so that it ends with the session closed last: 61 nights with stops, withheld orders, a halt, a deposit,
    two backtests, a sweep, a walk-forward, alerts, quality verdicts and headlines."""
    now = datetime.now(UTC)
    last = latest_session(now)
    _configure(folder, UNIVERSE, every=5)
    set_line(folder / "config" / "data.yml", "benchmark: SPY", f"benchmark: {BENCHMARK}")
    set_line(folder / "config" / "risk_limits.yml", "  max_sector_exposure: 0.20 ", "  max_sector_exposure: 0.10 ")
    market = _moved(sample_market(seed=11, symbols=60, years=6), last)
    with DataStorage(DataStorage.path_in(folder)) as storage:
        market.store(storage)
        storage.store_ohlc_data(_doubtful(market), source=LABEL)
        assess(storage, Workspace.open(folder).config, now=now)
        storage.publish()
    nights = _last_sessions(last, NIGHTS)
    play = _player(folder)
    play(nights[:30], last=False)
    safety.halt(folder, "looking at a strange fill of SYN004", clock=lambda: _evening(nights[29]))
    play(nights[30:33], last=False)
    safety.resume(folder, "the fill was right: a dividend", clock=lambda: _evening(nights[32]))
    with Ledger.open(folder / "data" / "ledger.sqlite", clock=lambda: _evening(nights[39])) as ledger:
        ledger.record_flow(Flow("deposit-1", Workspace.open(folder).book_id(), nights[40], 25_000.0, "savings"))
    play(nights[33:])
    began, ended = last.replace(day=1, year=last.year - 3), last
    _exo(folder, "backtest", "run", "--start", began, "--end", ended)
    _exo(folder, "backtest", "run", "--start", began.replace(year=last.year - 2), "--end", ended)
    _exo(folder, "backtest", "sweep", "--set", "strategy.selection.top=10,20,30", "--start", began)
    _exo(folder, "backtest", "walk-forward", "--set", "strategy.selection.top=10,30", "--train", 378, "--test", 126, "--start", began)
    return Built(folder, max(now, _evening(last)))


def real_workspace(folder: Path, shared: Callable[[str], Path]) -> Built:
    """Some 500 real stocks over the last three years of the panel, and the nights of them up to 30 June 2016, performed today: old data."""
    from mech_exo.datasource.importer import ImportRequest, run_import

    _configure(folder, "sp500", every=21)
    prices = folder / "prices.parquet"
    frame = pl.scan_parquet(shared("data/prices/us_sp500_members_2003_2016.parquet"))
    frame.filter(pl.col("date") >= date(2013, 7, 1)).collect().write_parquet(prices)
    request = ImportRequest(
        bars=(prices,), price_basis="split_adjusted", source="panel", sectors=shared("data/reference/sp500_sectors_2016.csv"),
        universe=shared("data/reference/sp500_ticker_start_end.csv"),
    )  # fmt: skip
    with DataStorage(DataStorage.path_in(folder)) as storage:
        run_import(storage, request, config=Workspace.open(folder).config)
    prices.unlink()
    _player(folder, clock=lambda _: datetime.now(UTC))(_last_sessions(date(2016, 6, 30), REAL_NIGHTS))
    _exo(folder, "backtest", "run", "--start", "2014-09-02", "--end", "2016-06-30")
    return Built(folder, datetime.now(UTC))


def kept(name: str, make: Callable[[Path], Built], root: Path = KEPT) -> Built:
    """What ``make`` builds, from the cache when this very code built it today; one process builds, the others wait."""
    key = f"{name}-{REAL_NIGHTS}-{_sources()}-{latest_session(datetime.now(UTC))}"
    root.mkdir(parents=True, exist_ok=True)
    place, note = root / key / "w", root / key / "built.json"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            for old in root.glob(f"{name}-*"):
                shutil.rmtree(old)
            built = make(place)
            note.write_text(json.dumps(built.now.isoformat()))
    return Built(place, datetime.fromisoformat(json.loads(note.read_text())))


def _sources() -> str:
    """Of all that builds; the pages read only, so a change of theirs changes nothing here."""
    package = REPOSITORY / "mech_exo"
    code = [path for path in sorted(package.rglob("*.py")) if not {"dashboard", "alerts"} & set(path.relative_to(package).parts)]
    files = [*code, *sorted(package.rglob("*.sql")), *sorted((REPOSITORY / "config").glob("*.yml")), *sorted(Path(__file__).parent.glob("[wl]*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def copy(built: Built, folder: Path) -> Built:
    """A copy to write in."""
    shutil.copytree(built.home, folder)
    return replace(built, home=folder)


def _configure(folder: Path, universe: str, every: int) -> None:
    create(folder)
    choose_universe(folder, universe)
    decide_every(folder, every)
    limits = folder / "config" / "risk_limits.yml"  # near enough that stops and targets are reached within some weeks
    set_line(limits, "  hard: 0.15 ", "  hard: 0.06 ")
    set_line(limits, "  trailing: 0.25 ", "  trailing: 0.10 ")
    set_line(limits, "  target: 0.30 ", "  target: 0.12 ")
    set_line(limits, "  time_sessions: 60 ", "  time_sessions: 30 ")


def _player(folder: Path, clock: Callable[[date], datetime] | None = None) -> Callable[[Sequence[date]], None]:
    """Performs nights; the store is read once and cut at each of them, which is what reading it at each of them gives (tested)."""
    workspace = Workspace.open(folder)
    everything = workspace.known()
    rows = {session: row for row, session in enumerate(everything.panel.sessions.astype(object))}

    def known(session: date) -> Known:
        row = rows[session] + 1
        return replace(everything, panel=everything.panel.rows(0, row), universe=everything.universe.rows(0, row))

    def play(nights: Sequence[date], *, last: bool = True) -> None:
        for number, night in enumerate(nights):
            at = (clock or _evening)(night)
            with Ledger.open(workspace.ledger_path, clock=lambda at=at: at) as ledger:
                result = _perform(workspace, ledger, known, night, written=last and number >= len(nights) - WRITTEN)
        if not last:
            return
        study_factors(workspace, result, _evening(nights[-1]))
        keep_drift(workspace)

    return play


def _perform(workspace: Workspace, ledger: Ledger, known: Callable[[date], Known], night: date, *, written: bool) -> NightResult:
    """A night and what is told of it, as ``mech_exo.nightly`` does."""
    result = run_night(replace(workspace.desks(ledger), known=known), night)
    for alert in alerts_of(result, _steps(result)):
        ledger.post_alert(alert)
    if written:
        write_reports(workspace, ledger, result)
    return result


def _steps(result: NightResult) -> list[Done]:
    decided = Done(Step.DECIDE, f"{result.session}: NAV {result.day.nav:,.2f} USD, {len(result.decision.orders)} orders planned", result)
    said = handed_over(result) if result.sent else "no orders to hand over"
    return [decided, Done(Step.SUBMIT, said, result, withheld(result.sent))]


def _evening(session: date) -> datetime:
    return session_close(session) + timedelta(hours=1)


def _last_sessions(last: date, count: int) -> list[date]:
    return [day.astype(object) for day in sessions(last - timedelta(days=2 * count), last)[-count:]]


def _exo(folder: Path, *words: object) -> None:
    import contextlib
    import io

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(["--home", str(folder), *map(str, words), "--json"])
    assert code == 0, (words, said.getvalue()[-2000:])


def _moved(market: SampleMarket, last: date) -> SampleMarket:
    """The same market on the sessions that end with ``last``: every date that is a session keeps its place among them."""
    days = [day.astype(object) for day in market.panel.sessions]
    there = _last_sessions(last, len(days))
    move = dict(zip(days, there, strict=True))
    rest = there[-1] - days[-1]

    def day(column: str) -> pl.Expr:
        exact = pl.col(column).replace_strict(move, default=None, return_dtype=pl.Date)
        return pl.coalesce(exact, pl.col(column) + rest).alias(column)

    def by_days(column: str) -> pl.Expr:
        return pl.col(column) + rest

    panel = replace(market.panel, sessions=pl.Series(there).to_numpy().astype("datetime64[D]"))
    return SampleMarket(
        panel=panel,
        sectors=market.sectors.with_columns(day("valid_from")),
        universe=market.universe.with_columns(day("start"), day("end")),
        benchmark=market.benchmark.with_columns(day("date")),
        fundamentals=market.fundamentals.with_columns(by_days("period_end"), by_days("filed"), by_days("known_at")),
        news=market.news.with_columns(by_days("published")),
    )


def _doubtful(market: SampleMarket) -> pl.DataFrame:
    """Bars told again, worse: a close that stands still for 13 sessions (a verdict), and two with a high below the low (quarantine)."""
    frame = market.panel.to_frame().drop_nulls("close")
    days = frame["date"].unique().sort()
    stuck, refused = frame["symbol"].unique().sort().gather([3, 7])
    still = frame.filter(pl.col("date").is_in(days[-40:-27].to_list()), pl.col("symbol") == stuck)
    price = still["close"][0]
    bad = frame.filter(pl.col("date").is_in(days[-12::6].to_list()), pl.col("symbol") == refused)
    return pl.concat([still.with_columns(pl.lit(price).alias(name) for name in ("open", "high", "low", "close")),
                      bad.with_columns(high=pl.col("low") * 0.9)])  # fmt: skip
