"""The large workspace of the benchmark: ten years, 20,000 orders, 3,000 symbols. Played by the compiled steps of a night, journaled through
the ledger in a few commits: real nights over so many bars would take half an hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from mech_exo.assembly import Workspace
from mech_exo.backtest.stage import Stage, decisions
from mech_exo.datasource.demo import LABEL, SECTOR_NAMES
from mech_exo.datasource.quality import assess
from mech_exo.datasource.storage import DataStorage
from mech_exo.decision import weighing
from mech_exo.decision.night import Known, config_json
from mech_exo.decision.record import Decision, levels_of, orders_of, verdict_of
from mech_exo.domain.orders import Order, OrderState
from mech_exo.domain.scores import Scores
from mech_exo.execution.booking import Waiting, events_of, figures_of, fills_of, lines_of
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import Alert, BookId, DecisionRow, EventLine, Intent, SessionRow
from mech_exo.kernels import code_version
from mech_exo.kernels.records import EVENT
from mech_exo.kernels.simulate import EVENTS_PER_SYMBOL, step
from mech_exo.scoring.scorer import ScoreTable
from mech_exo.session import utc_now
from mech_exo.utils.calendar import latest_session, next_session
from tests.browser.workspaces import Built, _configure, _evening, _exo, _last_sessions
from tests.session.stage import set_line

SYMBOLS, SESSIONS, ORDERS = 3_000, 2_520, 20_000
WARM_UP = 300
WHOLE, SHOWN = 25, 60
"""The journal tells every score of the last 25 nights, and of those before 60: all of them would be seven gigabytes."""


def large_workspace(folder: Path, symbols: int = SYMBOLS, count: int = SESSIONS) -> Built:
    """``count`` booked sessions up to the last one closed, on a published panel of ``symbols`` names and a year more before."""
    now = datetime.now(UTC)
    last = latest_session(now)
    _configure(folder, "large", every=5)
    strategy = folder / "config" / "strategy.yml"
    set_line(strategy, "  top: 30 ", "  top: 45 ")
    days = _last_sessions(last, count + WARM_UP)
    names = [f"L{number:04d}" for number in range(symbols)]
    with DataStorage(DataStorage.path_in(folder)) as storage:
        storage.set_label(LABEL)
        storage.store_ohlc_data(_bars(names, days), source=LABEL)
        storage.store_sectors(pl.DataFrame({"symbol": names, "sector": [SECTOR_NAMES[number % 11] for number in range(symbols)]}))
        storage.store_universe(pl.DataFrame({"symbol": names}), name="large")
        assess(storage, Workspace.open(folder).config, now=now)
        storage.publish()
    workspace = Workspace.open(folder)
    _journal(workspace, WARM_UP)
    _studied(workspace, now)
    _exo(folder, "backtest", "run", "--start", days[WARM_UP], "--end", last)
    return Built(folder, max(now, _evening(last)))


def _bars(names: list[str], days: list[date]) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    shape = (len(names), len(days))
    market = rng.standard_t(5, shape[1]) * 0.008
    close = 10.0 + 50.0 * np.exp(np.cumsum(0.0002 + market + rng.normal(0.0, 0.014, shape), axis=1))
    opening = close * np.exp(rng.normal(0.0, 0.004, shape))
    columns = {
        "open": opening, "high": np.maximum(opening, close) * np.exp(np.abs(rng.normal(0.0, 0.004, shape))) + 0.005,
        "low": np.minimum(opening, close) * np.exp(-np.abs(rng.normal(0.0, 0.004, shape))) - 0.005, "close": close,
    }  # fmt: skip
    data = {name: array.ravel().round(2) for name, array in columns.items()}
    volume = rng.integers(100_000, 9_000_000, close.size).astype(float)
    return pl.DataFrame({"symbol": np.repeat(names, shape[1]), "date": np.tile(np.array(days, "datetime64[D]"), shape[0]), **data, "volume": volume})


def _studied(workspace: Workspace, now: datetime) -> None:
    """The factors as a night studies them."""
    from mech_exo.scoring.research import bulletin

    known, config = workspace.known(), workspace.config
    sample = bulletin.sample_for(known.panel, known.universe, config.strategy.universe)
    made = bulletin.bulletin(sample, config.factors, snapshot=workspace.storage.path.stem, made_at=now, warnings=known.warnings)
    bulletin.write(made, workspace.home / "data")


@dataclass(frozen=True)
class _Evening:
    """A session as the steps left it."""

    row: int
    session: date
    events: tuple[EventLine, ...]
    decision: Decision


def _journal(workspace: Workspace, first: int) -> None:
    known, book = workspace.known(), workspace.book_id()
    days = known.panel.sessions[first:].astype(object)
    stage, evenings = _played(workspace, known, first)
    at = [utc_now()]
    waiting: dict[str, Order] = {}
    with Ledger.open(workspace.ledger_path, clock=lambda: at[0]) as ledger:
        for year in range(0, len(days), 252):
            with ledger.transaction():
                for _ in days[year : year + 252]:
                    one = next(evenings)
                    at[0] = _evening(one.session)
                    _book(ledger, book, known, stage, one, waiting)
                    waiting = _ordered(ledger, book, known, one)


def _played(workspace: Workspace, known: Known, first: int) -> tuple[Stage, Iterator[_Evening]]:
    """The account, and its sessions one by one; whoever takes the next one has done with the last."""
    strategy, panel = workspace.strategy, known.panel
    length = len(panel.sessions)
    scheduled = strategy.decision_rows(panel, first, first, length)
    rows = np.union1d(scheduled, np.arange(length - WHOLE, length))
    features, table = strategy.features(panel, known.universe, rows)
    stage, at = Stage.empty(panel, strategy, np.zeros(length)), decisions(rows, length)
    booked = np.isin(np.arange(length), scheduled)

    def evenings() -> Iterator[_Evening]:
        told = _scores(table, 0, whole=False)
        for row in range(first, length):
            stage.account["events"] = 0
            events = np.zeros(EVENTS_PER_SYMBOL * int(stage.account["live"][0]), EVENT)
            step(row, 0.0, stage.bars, stage.book, stage.live, stage.account, stage.days, events, stage.costs, strategy.terms)
            happened = events_of(panel.symbols, events[: int(stage.account["events"][0])])
            k = int(at[row]) if booked[row] else -1
            breaches = weighing.decide(
                row, k, False, stage.bars, features, stage.book, stage.live, stage.account, stage.days, stage.night, strategy.rules
            )
            if at[row] >= 0:
                told = _scores(table, int(at[row]), whole=row >= length - WHOLE)
            yield _Evening(row, panel.sessions[row].astype(object), happened, _decision(known, stage, row, k >= 0, breaches, told))

    return stage, evenings()


def _scores(table: ScoreTable, k: int, *, whole: bool) -> Scores:
    scores = table.scores(k)
    if whole:
        return scores
    keep = np.flatnonzero((scores.rank > 0) & (scores.rank <= SHOWN))
    cut = {name: getattr(scores, name)[keep] for name in ("value", "rank", "percentile", "coverage", "raw", "normalised", "contribution")}
    return replace(scores, symbols=tuple(scores.symbols[i] for i in keep), exclusion=tuple(scores.exclusion[i] for i in keep), **cut)


def _decision(known: Known, stage: Stage, row: int, scheduled: bool, breaches: int, scores: Scores) -> Decision:
    panel, strategy = known.panel, stage.strategy
    session = panel.sessions[row].astype(object)
    nav, state = float(stage.account["nav"][0]), int(stage.days["state"][row])
    verdict = verdict_of(stage.night, breaches if scheduled else 0, state, nav, panel.close[row], panel, known.universe, "volatility_based")
    following = next_session(session)
    return Decision(
        session, following, scheduled, config_json(strategy), strategy.config_hash, code_version(), "large", nav, scores, verdict,
        orders_of(stage.book, panel, strategy, "paper", following), levels_of(stage.book, panel), (LABEL,), float(stage.days["scale"][row]),
    )  # fmt: skip


def _book(ledger: Ledger, book: BookId, known: Known, stage: Stage, one: _Evening, waiting: dict[str, Order]) -> None:
    opens = {symbol: float(known.panel.open[one.row, known.panel.column_of(symbol)]) for symbol in waiting}
    fills = fills_of(book, one.session, one.events, Waiting(waiting, {}, opens))
    for fill in fills:
        ledger.record_fill(book, fill)
    for order in waiting.values():
        if ledger.order(order.id).state is not OrderState.FILLED:
            ledger.set_state(order.id, OrderState.CANCELLED, "not filled")
    lines = lines_of(known.panel.symbols, stage.book)
    ledger.book_session(SessionRow(book, one.session, figures_of(stage.days[one.row]), lines, one.events))
    said = f"NAV {float(stage.account['nav'][0]):,.2f} USD, {len(fills)} fills, {len(one.decision.orders)} orders planned"
    ledger.post_alert(Alert(f"night-{one.session}", "info", f"Night of {one.session}", said))


def _ordered(ledger: Ledger, book: BookId, known: Known, one: _Evening) -> dict[str, Order]:
    decision, close = one.decision, known.panel.close[one.row]
    when = _evening(one.session)
    ledger.record_decision(
        DecisionRow(book, one.session, when, decision.config_hash, decision.code_version, decision.data_hash, decision.body(), when)
    )
    ledger.plan([Intent(order, float(close[known.panel.column_of(order.symbol)])) for order in decision.orders], book, one.session)
    for order in decision.orders:
        ledger.set_state(order.id, OrderState.SENDING, "about to be sent")
        ledger.set_state(order.id, OrderState.LIVE, "acknowledged", order.id)
    return {order.symbol: order for order in decision.orders}
