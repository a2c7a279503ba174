"""What a first-time user reads: a gap is not a 0, a passed-over name says why, a folder that is none says so."""

from __future__ import annotations

import io
import re
from datetime import date

import numpy as np
import pytest
from rich.console import Console

from mech_exo.cli.tables import ideas_table
from mech_exo.decision.explanation import passed_over
from mech_exo.domain.scores import Scores

NAN = float("nan")


def test_a_factor_without_a_value_is_unknown_not_zero() -> None:
    scores = Scores(
        date(2015, 6, 29), ("A", "B"), np.array([2.0, 1.0]), np.array([1, 2]), np.array([1.0, 0.5]), ("momentum_12_1", "rsi_14"),
        np.array([[0.5, NAN], [0.1, 30.0]]), np.array([[2.0, NAN], [0.5, 0.5]]), np.array([[2.0, 0.0], [0.5, 0.5]]),
        np.array([0.6, 1.0]), ("", ""),
    )  # fmt: skip
    table = ideas_table(scores, 10)
    heads = [str(column.header) for column in table.columns]
    assert heads[4:] == ["momentum_12_1", "rsi_14"]
    assert list(table.columns[5].cells) == ["unknown", "0.500"]
    assert list(table.columns[3].cells) == ["1.000", "0.500"]


def test_of_many_factors_the_largest_are_told_and_symbols_stay_whole() -> None:
    names = tuple(f"a_factor_with_a_long_name_{n}" for n in range(20))
    parts = np.array([[0.0] * 17 + [0.25, -0.5, 0.0]])
    known = np.array([[1.0] * 19 + [NAN]])
    scores = Scores(date(2015, 6, 29), ("SYN004.LONG",), np.array([2.0]), np.array([1]), np.array([1.0]), names, known, known, parts, np.array([0.95]), ("",))
    out = io.StringIO()
    Console(file=out, width=80).print(ideas_table(scores, 10))
    text = " ".join(out.getvalue().replace("│", " ").split())
    assert "SYN004.LONG" in text and "1.000" in text and "…" not in text
    assert "long_name_18 -0.500, a_factor_with_a_long_name_17 +0.250" in text and "1 unknown" in text


@pytest.mark.parametrize(
    ("sectors", "said"),
    [
        ({"A": None, "B": "Tech", "C": "Tech"}, "its sector is unknown"),
        ({"A": "Tech", "B": "Tech", "C": "Tech"}, "Tech is full: 2 names are chosen, 2 are allowed"),
        ({"A": "Energy", "B": "Tech", "C": "Tech"}, "no size could be found"),
        (None, "the store no longer holds that session"),
    ],
)
def test_a_name_passed_over_in_spite_of_its_rank_says_why(sectors: dict[str, str | None] | None, said: str) -> None:
    limits = {"position_sizing": {"max_sector_exposure": 0.2}}
    body = {"config": {"risk": limits, "strategy": {"selection": {"top": 10, "bottom": 0, "max_sector_share": 0.2}}}}
    assert said in passed_over("A", ["B", "C"], body, sectors)


@pytest.mark.parametrize("words", [("score",), ("data", "import", "x.csv"), ("orders",), ("risk", "status")])
def test_a_home_that_is_no_folder_says_so_and_makes_none(exo, tmp_path, words) -> None:
    (tmp_path / "file").write_text("")
    for place, said in ((tmp_path / "nowhere", "does not exist"), (tmp_path / "file", "is a file")):
        ran = exo("--home", place, *words)
        assert (ran.code, ran.out) == (2, "")
        assert said in ran.err
        assert not (tmp_path / "nowhere").exists()
    assert exo("--home", tmp_path / "nowhere", "init").code == 0


@pytest.mark.parametrize("words", [("why", "A", "--date", "2015-06-31"), ("backtest", "run", "--start", "1.2.2015"), ("replay", "soon")])
def test_a_wrong_date_is_answered_with_a_right_one(exo, workspace, words) -> None:
    ran = exo("--home", workspace, *words)
    assert (ran.code, "%Y" in ran.err) == (2, False)
    assert "must be a date of the calendar like 2015-06-30; got '" in ran.err


def test_a_store_that_cannot_be_written_says_so(exo, workspace) -> None:
    (workspace / "data").rmdir() if not any((workspace / "data").iterdir()) else (workspace / "data").rename(workspace / "other")
    (workspace / "data").write_text("a file where the folder belongs")
    bars = workspace / "bars.csv"
    bars.write_text("symbol,date,open,high,low,close,volume\nA,2015-01-05,1,1,1,1,5\nA,2015-01-06,1,1,1,1,5\n")
    ran = exo("--home", workspace, "data", "import", bars)
    assert ran.code == 3
    assert "must be writable" in ran.err
    assert "→" in ran.err


def test_a_damaged_snapshot_is_published_anew(exo, workspace) -> None:
    bars = workspace / "bars.csv"
    bars.write_text("symbol,date,open,high,low,close,volume\nA,2015-01-05,1,1,1,1,5\nA,2015-01-06,1,1,1,1,5\n")
    assert exo("--home", workspace, "data", "import", bars).code == 0
    (snapshot,) = (workspace / "data" / "snapshots").glob("*.duckdb")
    snapshot.chmod(0o644)
    snapshot.write_bytes(b"not a database" * 400)
    ran = exo("--home", workspace, "data", "status")
    assert (ran.code, "exo data publish" in ran.err) == (3, True)
    assert exo("--home", workspace, "data", "publish").code == 0
    assert exo("--home", workspace, "data", "status").code == 0


@pytest.mark.parametrize(("key", "value"), [("max_position", 2), ("max_sector_exposure", 3), ("max_single_trade_risk", 1)])
def test_a_percent_that_is_allowed_as_a_fraction_is_doubted(exo, workspace, key, value) -> None:
    assert "note:" not in exo("--home", workspace, "config", "check").out
    limits = workspace / "config" / "risk_limits.yml"
    limits.write_text(re.sub(rf"{key}: [0-9.]+", f"{key}: {value}", limits.read_text()))
    ran = exo("--home", workspace, "config", "check")
    assert ran.code == 0
    assert f"{key} is {value}, which is {value}00% of NAV; is 0.0{value} ({value} %) meant?" in ran.out
