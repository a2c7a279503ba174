"""Workspaces of the sample market as a test wants them, and nights played in them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from mech_exo.assembly import Workspace
from mech_exo.datasource.demo import LABEL, UNIVERSE, SampleMarket, sample_market
from mech_exo.datasource.storage import DataStorage
from mech_exo.session import NightResult, run_night
from mech_exo.utils.calendar import sessions
from mech_exo.utils.workspace import create

Frames = Callable[[str, pl.DataFrame], pl.DataFrame]


def market() -> SampleMarket:
    """60 invented companies over six years, with splits, dividends, delistings and new listings."""
    return sample_market(seed=11, symbols=60, years=6)


def set_line(path: Path, old: str, new: str) -> None:
    """Change one line of a configuration file."""
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


def choose_universe(home: Path, name: str) -> None:
    """Let the strategy buy only members of the universe ``name``."""
    set_line(home / "config" / "strategy.yml", "  name: null", f"  name: {name}")


def decide_every(home: Path, count: int) -> None:
    """Let the book be decided anew every ``count`` sessions."""
    set_line(home / "config" / "strategy.yml", "  every_sessions: 21", f"  every_sessions: {count}")


def stored(home: Path, change: Frames = lambda what, frame: frame, *, facts: bool = False) -> Path:
    """A workspace at ``home`` with the sample market, each table ``change``\\ d by name before it is stored; company figures and news are
    left out unless ``facts``."""
    create(home)
    choose_universe(home, UNIVERSE)
    sample = market()
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.set_label(LABEL)
        storage.store_ohlc_data(change("bars", sample.panel.to_frame()), source=LABEL)
        storage.store_corporate_actions(change("delistings", sample.delistings()), source=LABEL)
        storage.store_sectors(change("sectors", sample.sectors))
        storage.store_universe(change("universe", sample.universe), name=UNIVERSE)
        if facts:
            storage.store_fundamentals(change("fundamentals", sample.fundamentals), source=LABEL)
            storage.store_news(change("news", sample.news))
        storage.publish()
    return home


def members(home: Path, rows: Iterable[tuple[str, str, str | None]], name: str = "mine") -> None:
    """Store and choose a universe of ``(symbol, start, end)`` in the sample workspace; ``end`` is the first day outside."""
    frame = pl.DataFrame(list(rows), schema=["symbol", "start", "end"], orient="row")
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_universe(frame.with_columns(pl.col("start", "end").str.to_date()), name=name)
        storage.publish()
    set_line(home / "config" / "strategy.yml", f"  name: {UNIVERSE}", f"  name: {name}")


def days(first: str, count: int) -> list[date]:
    """``count`` sessions from ``first`` on."""
    begin = date.fromisoformat(first)
    return [day.astype(object) for day in sessions(begin, begin.replace(year=begin.year + 2))[:count]]


def play(home: Path, nights: Sequence[date]) -> list[NightResult]:
    """Run ``nights`` in one process."""
    workspace = Workspace.open(home)
    with workspace.ledger() as ledger:
        desks = workspace.desks(ledger)
        return [run_night(desks, night) for night in nights]


def journal(home: Path) -> list[tuple[Any, ...]]:
    """Every row of the journal."""
    with sqlite3.connect(f"file:{home / 'data' / 'ledger.sqlite'}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT * FROM journal ORDER BY seq").fetchall()
    connection.close()
    return rows


def raw_body(home: Path, night: date) -> bytes:
    """The journaled decision of ``night``."""
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        row = ledger.decision(workspace.book_id(), night)
    assert row is not None, night
    return row.body


def body(home: Path, night: date) -> dict[str, Any]:
    """The journaled decision of ``night``, decoded."""
    found: dict[str, Any] = json.loads(raw_body(home, night))
    return found


def held(home: Path, night: date | None = None) -> dict[str, int]:
    """Shares by symbol at the close of ``night`` (default the last booked)."""
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        book = workspace.book_id()
        row = ledger.last_session(book) if night is None else ledger.session(book, night)
    assert row is not None
    return {line.symbol: int(line.shares) for line in row.lines if line.shares}
