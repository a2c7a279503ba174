"""A past night is derived again from what was in hand then, byte for byte; whatever differs is named."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mech_exo.assembly import Workspace
from mech_exo.datasource.demo import LABEL
from mech_exo.datasource.storage import DataStorage
from mech_exo.execution.rows import Flow
from mech_exo.session import run_night
from mech_exo.utils.calendar import session_close
from mech_exo.utils.workspace import create
from tests.session.stage import body, days, decide_every, market, play, set_line

Exo = Callable[..., Any]
NIGHTS = days("2021-06-21", 40)  # past the delisting of SYN002 and a change of members


@pytest.fixture(scope="module")
def played(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty nights, two of them missed, a deposit, a halt over two nights. Not to be changed."""
    home = tmp_path_factory.mktemp("played") / "w"
    shutil.copytree(sample_home, home)
    decide_every(home, 7)
    workspace = Workspace.open(home)
    with workspace.ledger() as ledger:
        ledger.record_flow(Flow("deposit", workspace.book_id(), NIGHTS[9], 25_000.0))
    play(home, [*NIGHTS[:3], *NIGHTS[5:14]])
    with workspace.ledger() as ledger:
        ledger.halt("looked odd")
    play(home, NIGHTS[14:16])
    with workspace.ledger() as ledger:
        ledger.resume("was not")
    play(home, NIGHTS[16:])
    return home


@pytest.fixture
def book(played: Path, tmp_path: Path) -> Path:
    """A copy of the played workspace."""
    shutil.copytree(played, tmp_path / "w")
    return tmp_path / "w"


def replays(home: Path, nights: list[date]) -> dict[date, tuple[str, ...]]:
    """The differences of each night."""
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        return {night: workspace.replay(ledger, night).differences for night in nights}


def decided() -> list[date]:
    return [night for night in NIGHTS if night not in NIGHTS[3:5]]


def test_every_night_is_derived_again_to_the_byte(played: Path) -> None:
    assert replays(played, decided()) == dict.fromkeys(decided(), ())
    states = [body(played, night)["state"] for night in NIGHTS[13:17]]
    assert states == ["active", "halted", "halted", "active"]


def test_the_command_says_so(exo: Exo, played: Path) -> None:
    ran = exo("replay", NIGHTS[20], "--home", played)
    assert ran.code == 0 and f"{NIGHTS[20]}: byte for byte as journaled" in ran.out
    data = json.loads(exo("replay", NIGHTS[20], "--home", played, "--json").out)
    assert (data["session"], data["identical"], data["differences"]) == (str(NIGHTS[20]), True, [])


@pytest.mark.parametrize(
    ("night", "said"),
    [("2021-06-24", "booked later without deciding"), ("2021-07-04", "no trading session"), ("2022-07-05", "was not run")],
)
def test_a_night_that_was_not_decided(exo: Exo, played: Path, night: str, said: str) -> None:
    for words in (("replay", night), ("why", "SYN001", "--date", night)):
        ran = exo(*words, "--home", played)
        assert (ran.code, ran.out) == (3, "") and said in ran.err and "→" in ran.err and "Traceback" not in ran.err


def restate(home: Path, symbol: str, nights: list[date], factor: float) -> None:
    """The vendor corrects bars, now."""
    with DataStorage(DataStorage.path_in(home)) as storage:
        frame = storage.view().panel(symbols=[symbol]).to_frame().filter(pl.col("date").is_in(nights))
        prices = (pl.col(name) * factor for name in ("open", "high", "low", "close"))
        assert storage.store_ohlc_data(frame.with_columns(prices), source=LABEL).restated == len(nights)
        storage.publish()


def test_a_restatement_does_not_reach_the_nights_before_it(book: Path) -> None:
    restate(book, "SYN023", days("2021-05-03", 20), 1.25)
    known = Workspace.open(book).known().panel
    row = list(known.sessions.astype(object)).index(days("2021-05-03", 20)[0])
    before = market().panel
    assert known.close[row, known.column_of("SYN023")] == pytest.approx(1.25 * before.close[row, before.column_of("SYN023")])
    told = decided()[::3]  # without a restatement all of them are derived above
    assert replays(book, told) == dict.fromkeys(told, ())


def test_the_night_after_a_restatement_decides_on_it_and_the_night_before_is_still_derived(tmp_path: Path) -> None:
    """With the clocks of those days: bars stored each evening, a correction of an old bar on the second one."""
    first, second = days("2021-07-06", 2)
    old = days("2021-05-03", 5)
    bars, bodies = market().panel.to_frame(), {}
    for correct in (False, True):
        home = tmp_path / str(correct)
        create(home)
        for night in (first, second):
            evening = session_close(night) + timedelta(minutes=30)
            with DataStorage(DataStorage.path_in(home)) as storage:
                fresh = pl.col("date") <= first if night == first else pl.col("date") == second
                storage.store_sectors(market().sectors, recorded_at=evening) if night == first else None
                storage.store_ohlc_data(bars.filter(fresh), source=LABEL, recorded_at=evening)
                storage.publish()
            workspace = Workspace.open(home)
            with workspace.ledger() as ledger:
                run_night(replace(workspace.desks(ledger), clock=lambda late=evening + timedelta(hours=2): late), night)
            if correct and night == first:
                noon = session_close(second) - timedelta(hours=4)
                wrong = bars.filter(pl.col("date").is_in(old) & (pl.col("symbol") == "SYN023"))
                higher = wrong.with_columns(pl.col(name) * 1.25 for name in ("open", "high", "low", "close"))
                with DataStorage(DataStorage.path_in(home)) as storage:
                    assert storage.store_ohlc_data(higher, source=LABEL, recorded_at=noon).restated == len(old)
        assert replays(home, [first, second]) == {first: (), second: ()}
        bodies[correct] = [body(home, first), body(home, second)]
    assert bodies[True][0] == bodies[False][0]
    assert bodies[True][1]["data_hash"] != bodies[False][1]["data_hash"]
    momenta = [_score(bodies[case][1], "SYN023")["raw"] for case in (False, True)]
    assert momenta[0] != momenta[1], "the new value is in the second night's factors"


def _score(found: dict[str, Any], symbol: str) -> dict[str, Any]:
    """The volatility ratio of ``symbol``."""
    (line,) = [line for line in found["scores"] if line["symbol"] == symbol]
    factor: dict[str, Any] = line["factors"]["volatility_ratio"]
    return factor


def test_what_was_stored_but_not_published_was_not_in_hand(book: Path) -> None:
    """An import under way beside the night: older history of a new name, stored before the night decided, published after it."""
    night = days(str(NIGHTS[-1]), 2)[1]
    history = market().panel.to_frame().filter(pl.col("symbol") == "SYN001").with_columns(symbol=pl.lit("NEW"))
    with DataStorage(DataStorage.path_in(book)) as storage:
        assert storage.store_ohlc_data(history, source=LABEL).new == history.height
    play(book, [night])
    with DataStorage(DataStorage.path_in(book)) as storage:
        storage.publish()
    assert "NEW" in Workspace.open(book).known(night).panel.symbols
    assert replays(book, [night]) == {night: ()}


def test_another_configuration_does_not_matter(book: Path) -> None:
    """The configuration is in the journal."""
    set_line(book / "config" / "strategy.yml", "  top: 30 ", "  top: 3 ")
    set_line(book / "config" / "factors.yml", "min_coverage: 0.7 ", "min_coverage: 0.9 ")
    assert replays(book, decided()[:12]) == dict.fromkeys(decided()[:12], ())


def test_another_code_version_is_said(exo: Exo, book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mech_exo.decision import night

    monkeypatch.setattr(night, "code_version", lambda: "0123456789abcdef")
    ran = exo("replay", NIGHTS[20], "--home", book, "--json")
    data = json.loads(ran.out)
    assert ran.code == 1 and not data["identical"]
    assert len(data["differences"]) == 1 and data["differences"][0].startswith("code_version: ")


def forge(home: Path, night: date, before: str, after: str) -> None:
    """Change the journaled decision of ``night`` past the ledger."""
    connection = sqlite3.connect(home / "data" / "ledger.sqlite")
    ((trigger,),) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'journal_keeps_text'").fetchall()
    with connection:
        ((seq, text),) = connection.execute(
            "SELECT journal.seq, body FROM journal JOIN decisions USING (seq) WHERE session = ?", (str(night),)
        ).fetchall()
        assert text.count(before) == 1
        connection.execute("DROP TRIGGER journal_keeps_text")
        connection.execute("UPDATE journal SET body = ? WHERE seq = ?", (text.replace(before, after), seq))
        connection.execute(trigger)
    connection.close()


def test_a_forged_decision_is_found(exo: Exo, book: Path) -> None:
    night = NIGHTS[20]
    assert exo("ledger", "verify", "--home", book).code == 0
    forge(book, night, '\\"state\\":\\"active\\"', '\\"state\\":\\"reducing\\"')
    ran = exo("ledger", "verify", "--home", book)
    assert ran.code == 4 and "must be sound" in ran.err and "Traceback" not in ran.err
    ran = exo("replay", night, "--home", book)
    assert ran.code == 1 and "derivation differ" in ran.out and 'state: "reducing" → "active"' in ran.out
