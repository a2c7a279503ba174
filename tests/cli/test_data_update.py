"""`exo data update` as a user types it, on files: what it says, in tables and in JSON, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mech_exo.datasource.storage import DataStorage
from mech_exo.datasource.update import update as download
from mech_exo.utils import calendar
from mech_exo.utils.config import load
from tests.datasource.market import bars


@pytest.fixture
def update(exo: Callable[..., Any], workspace: Path) -> Callable[..., Any]:
    """The command in a workspace whose bars come from a folder with AAA and BBB up to the last session."""
    last = calendar.latest_session(datetime.now(UTC))
    sessions = calendar.sessions(last - timedelta(days=20), last).tolist()
    folder = workspace / "prices"
    folder.mkdir()
    for name in ("AAA", "BBB"):
        bars((name,), sessions).drop("symbol").write_csv(folder / f"{name}.csv")
    config = workspace / "config" / "data.yml"
    text = config.read_text().replace("bars: null ", "bars: csv ").replace("  folder: null ", "  folder: prices ")
    config.write_text(text.replace("symbols: []", "symbols: [AAA, BBB]"))
    return lambda *words: exo("--home", workspace, "data", "update", *words)


def test_what_an_update_that_was_broken_off_stored_is_published_by_the_next(update: Callable[..., Any], workspace: Path) -> None:
    with DataStorage(DataStorage.path_in(workspace)) as storage:
        download(storage, load(workspace), now=datetime.now(UTC))
    told = json.loads(update("--json").out)
    assert told["downloads"][0]["current"] == 2 and told["snapshot"] is not None
    with DataStorage.snapshot(workspace) as stored:
        assert stored.status().bars > 0 and stored.view().assessed()
    assert json.loads(update("--json").out)["snapshot"] is None


def test_all_in_order_then_nothing_left_to_do(update: Callable[..., Any], workspace: Path) -> None:
    first = update("--json")
    assert (first.code, first.err) == (0, "")
    told = json.loads(first.out)
    assert [one["status"] for one in told["downloads"][0]["outcomes"]] == ["ok", "ok"] and told["attention"] == []
    with DataStorage.snapshot(workspace) as stored:
        assert stored.status().snapshot == told["snapshot"] and stored.status().bars == told["downloads"][0]["new"]
        assert stored.view().assessed(), "what is published has been looked at"
    again = update()
    assert again.code == 0 and "nothing new: the published snapshot is as it was" in again.out


def test_what_was_stored_before_a_kill_is_judged_and_published(update: Callable[..., Any], workspace: Path) -> None:
    assert update().code == 0
    last = calendar.latest_session(datetime.now(UTC))
    with DataStorage(DataStorage.path_in(workspace)) as storage:  # stored, and killed before it was judged and published
        storage.store_ohlc_data(bars(("CCC",), calendar.sessions(last - timedelta(days=20), last).tolist()))
    ran = update()
    assert ran.code == 0 and "quality at" in ran.out and "nothing new" not in ran.out
    with DataStorage.snapshot(workspace) as stored:
        assert stored.status().symbols == 3
    assert "nothing new" in update().out


def test_what_an_update_brings_is_judged_before_it_is_published(update: Callable[..., Any], workspace: Path) -> None:
    file = workspace / "prices" / "AAA.csv"
    head, *rows = file.read_text().splitlines()
    dead = [",".join([*row.split(",")[:-1], "0.0"]) for row in rows[-3:]]
    file.write_text("\n".join([head, *rows[:-3], *dead]) + "\n")
    told = json.loads(update("--json").out)
    assert told["quality"]["blocked"] == 1, "three sessions without volume"
    with DataStorage.snapshot(workspace) as stored:
        assert set(stored.view().findings()["symbol"]) >= {"AAA"}


def test_what_wants_a_look_is_named_and_the_rest_is_stored(update: Callable[..., Any], workspace: Path) -> None:
    ran = update("--symbols", "AAA,NOPE")
    assert ran.code == 1 and "look at this: NOPE, bars from csv: unknown (not in the files)" in ran.out
    assert "is stale" in ran.out
    with DataStorage.snapshot(workspace) as stored:
        assert stored.status().symbols == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--symbols", "A;B"), "a symbol has 1 to 20"), (("--kind", "news"), "at least one source of news must be named"), (("--kind", "x"), "not one of")],
)
def test_a_mistake_is_a_sentence(update: Callable[..., Any], words: tuple[str, ...], message: str) -> None:
    ran = update(*words)
    assert ran.code == 2 and message in ran.err and "Traceback" not in ran.err


def test_a_folder_that_has_gone_is_trouble_and_what_is_stored_stays(update: Callable[..., Any], workspace: Path) -> None:
    assert update().code == 0
    (workspace / "prices").rename(workspace / "moved")
    with DataStorage(DataStorage.path_in(workspace)) as storage:
        before = storage.status().bars
    ran = update("--symbols", "AAA,CCC")
    assert ran.code == 1 and "must exist" in ran.out
    with DataStorage.snapshot(workspace) as stored:
        assert stored.status().bars == before


def test_nothing_configured_and_no_workspace(exo: Callable[..., Any], workspace: Path, tmp_path: Path) -> None:
    ran = exo("--home", workspace, "data", "update")
    assert ran.code == 2 and "sources: {bars: yahoo}" in ran.err and "exo data import" in ran.err
    (tmp_path / "empty").mkdir()
    ran = exo("--home", tmp_path / "empty", "data", "update")
    assert ran.code == 2 and "exo init" in ran.err


def test_a_name_in_the_book_is_asked_for(update: Callable[..., Any], workspace: Path) -> None:
    from datetime import date

    from mech_exo.execution.ledger import Ledger, default_path
    from tests.execution.ledger_rows import session

    with Ledger.open(default_path(workspace)) as ledger:
        ledger.book_session(session(date(2024, 3, 5), 100_000.0, "BBB"))
    ran = update("--symbols", "AAA", "--json")
    assert [one["symbol"] for one in json.loads(ran.out)["downloads"][0]["outcomes"]] == ["AAA", "BBB"]
