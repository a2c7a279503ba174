"""A session of which only some names were imported is no session: a name without a bar would count as not traded, and be sold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mech_exo.assembly import Workspace
from mech_exo.domain.errors import MissingDataError
from tests.session.stage import days, decide_every, held, journal, members, play, set_line, stored

Exo = Callable[..., Any]
NIGHTS = days("2021-04-20", 3)
FEW = ["SYN001", "SYN004", "SYN005"]


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """The last of three sessions holds three names only."""

    def few(what: str, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter((pl.col("date") < NIGHTS[-1]) | pl.col("symbol").is_in(FEW)) if what == "bars" else frame

    home = stored(tmp_path / "w", few)
    decide_every(home, 1)
    play(home, NIGHTS[:2])
    return home


def test_a_half_imported_session_books_and_sells_nothing(exo: Exo, half: Path) -> None:
    before, holding = journal(half), held(half)
    for command in ("run", "plan"):
        ran = exo(command, "--date", NIGHTS[2], "--home", half)
        assert (ran.code, ran.out) == (3, "") and "3 of" in ran.err and "min_coverage" in ran.err and "Traceback" not in ran.err
    assert journal(half) == before and held(half) == holding


def test_a_second_half_imported_session_is_none_either(tmp_path: Path) -> None:
    def few(what: str, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter((pl.col("date") < NIGHTS[1]) | pl.col("symbol").is_in(FEW)) if what == "bars" else frame

    workspace = Workspace.open(stored(tmp_path / "w", few))
    for night in NIGHTS[1:]:
        with pytest.raises(MissingDataError, match=r"3 of 4\d"):
            workspace.known(night)


def test_a_universe_without_members_is_no_night(tmp_path: Path) -> None:
    home = stored(tmp_path / "w")
    members(home, [("SYN001", "2016-01-01", str(NIGHTS[1])), ("SYN004", "2016-01-01", str(NIGHTS[1]))])
    assert Workspace.open(home).known(NIGHTS[0]).as_of == NIGHTS[0]
    with pytest.raises(MissingDataError, match="everything held would be sold"):
        Workspace.open(home).known(NIGHTS[1])


def test_the_share_is_configuration(half: Path) -> None:
    with pytest.raises(MissingDataError, match="at least 50%"):
        Workspace.open(half).known(NIGHTS[2])
    set_line(half / "config" / "data.yml", "min_coverage: 0.5 ", "min_coverage: 0.01 ")
    assert Workspace.open(half).known(NIGHTS[2]).as_of == NIGHTS[2]


def test_the_first_session_of_a_store_is_complete(half: Path) -> None:
    workspace = Workspace.open(half)
    first = workspace.known().panel.sessions[0].astype(object)
    assert workspace.known(first).as_of == first
