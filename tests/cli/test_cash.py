"""Deposits and withdrawals from the command line: once, at an open still to come, and no gain or loss."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mech_exo.assembly import Workspace
from tests.cli.conftest import NIGHTS
from tests.session.stage import days, play


@pytest.fixture
def book(played_home: Path, tmp_path: Path) -> Path:
    shutil.copytree(played_home, tmp_path / "book")
    return tmp_path / "book"


def test_a_deposit_counts_once_at_the_next_open_and_is_no_gain(exo, book):
    before = play(book, [])
    assert before == []
    said = json.loads(exo("cash", "deposit", "5000", "--home", book, "--json").out)
    following = days(str(NIGHTS[-1]), 2)[1]
    assert said == {"session": str(following), "amount": 5000.0, "note": "", "recorded": True}
    assert not json.loads(exo("cash", "deposit", "5000", "--home", book, "--json").out)["recorded"]
    assert json.loads(exo("cash", "deposit", "5000", "--note", "more", "--home", book, "--json").out)["recorded"]
    (night,) = play(book, [following])
    assert night.day.flow == 10_000.0
    with Workspace.open(book).ledger(read_only=True) as ledger:
        last, now = ledger.day_history(Workspace.open(book).book_id())[-2:]
    assert now.day.index / last.day.index == pytest.approx((now.day.nav - 10_000.0) / last.day.nav)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("deposit", "0"), "above 0"),
        (("withdraw", "nan"), "above 0"),
        (("withdraw", "100000000"), "cash that is there"),
        (("deposit", "5", "--date", str(NIGHTS[3])), "booked already"),
    ],
)
def test_what_cannot_be_is_refused(exo, book, words, message):
    ran = exo("cash", *words, "--home", book)
    assert ran.code == 2 and message in ran.err and "→" in ran.err


def test_before_the_first_night_there_is_no_book(exo, market_copy):
    ran = exo("cash", "deposit", "5", "--home", market_copy)
    assert ran.code == 2 and "initial_cash" in ran.err
