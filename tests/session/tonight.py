"""An evening with its data still to come: the sample market up to the day before, the last session's bars in a folder of files."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from mech_exo.datasource.demo import LABEL, UNIVERSE, sample_market
from mech_exo.datasource.storage import DataStorage
from mech_exo.nightly import Evening
from mech_exo.utils.calendar import latest_session, session_close, sessions
from mech_exo.utils.workspace import create
from tests.session.stage import choose_universe, decide_every, set_line

KEY = "canary-3f9b1c77d2e84a60"
INBOX = "inbox"


def evening(home: Path, *, ends: datetime | None = None, bars_came: bool = True) -> Evening:
    """A workspace at ``home`` on the evening of its market's last session; ``ends`` moves the whole market so that it ends by then."""
    create(home)
    choose_universe(home, UNIVERSE)
    decide_every(home, 2)
    set_line(home / "config" / "data.yml", "  bars: null  ", "  bars: csv  ")
    set_line(home / "config" / "data.yml", "  folder: null  ", f"  folder: {INBOX}  ")
    (home / "config" / "api_keys_local.yml").write_text(f"finnhub: {{api_key: {KEY}}}\nslack_webhook: {KEY}\n")
    (home / "config" / "api_keys_local.yml").chmod(0o600)
    market = sample_market(seed=11, symbols=30, years=4)
    frame = market.panel.to_frame().drop_nulls("close")
    moved = {day: day for day in frame["date"].unique()}
    if ends is not None:
        days = sorted(moved)
        last = latest_session(ends)
        moved = dict(zip(days, sessions(last - timedelta(days=2 * len(days)), last)[-len(days) :].tolist(), strict=True))
    frame = frame.with_columns(pl.col("date").replace_strict(moved))
    universe = market.universe.select("symbol").unique()
    last = frame["date"].max()
    assert isinstance(last, date)
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.set_label(LABEL)
        storage.store_ohlc_data(frame.filter(pl.col("date") < last), source="csv")
        storage.store_sectors(market.sectors.select("symbol", "sector").unique("symbol"))
        storage.store_universe(universe, name=UNIVERSE)
        storage.publish()
    (home / INBOX).mkdir()
    if bars_came:
        recent = sorted(moved.values())[-12:]
        frame.filter(pl.col("date").is_in(recent)).select("symbol", "date", "open", "high", "low", "close", "volume").write_csv(
            home / INBOX / "bars.csv"
        )
    return Evening(home, session_close(last) + timedelta(hours=1))
