"""Hints of what is next: at a terminal, the first time, on stderr, and only there."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mech_exo.cli import hints, output
from tests.cli.typed import taken

Exo = Callable[..., Any]
NIGHT = "2021-06-30"


class Terminal(io.StringIO):
    """A stream somebody sits at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, str, list[str]]]:
    """``typed("init", place)``: what stands on stdout, on stderr, and the hinted commands; stderr is a terminal."""

    def run(*words: object) -> tuple[str, str, list[str]]:
        from mech_exo.cli.__main__ import main

        out, err = io.StringIO(), Terminal()
        output.console.cache_clear()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main([str(word) for word in words])
        output.console.cache_clear()
        _, _, said = err.getvalue().partition("\nNext (EXO_HINTS=off")
        commands = [line.strip().split("     ")[0] for line in said.splitlines()[1:] if line.strip().startswith("exo ")]
        return out.getvalue(), err.getvalue(), commands

    return run


Typed = Callable[..., tuple[str, str, list[str]]]


def test_after_init_and_nowhere_else_than_at_a_terminal(typed: Typed, exo: Exo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _, said = typed("init", tmp_path / "a")
    assert [taken(line) for line in said] == ["exo config check", "exo data import", "exo backtest run"]
    assert all(str(tmp_path / "a") in line for line in said)
    assert "Next" not in out
    assert "exo backtest sweep" in [taken(line) for line in typed("init", tmp_path / "b", "--template", "research")[2]]
    out, _, said = typed("init", tmp_path / "c", "--json")
    assert said == []
    assert json.loads(out)["template"] is None
    assert exo("init", tmp_path / "d").err == ""
    monkeypatch.setenv("EXO_HINTS", "off")
    assert "Next" not in typed("init", tmp_path / "e")[1]


def test_exo_alone_says_what_fits_the_folder(typed: Typed, exo: Exo, workspace: Path, played_home: Path, market_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [taken(line) for line in typed()[2]] == ["exo demo", "exo init"]
    assert "Next" not in exo().err
    places = {workspace: ["exo data import", "exo doctor"], market_home: ["exo backtest run", "exo run"], played_home: ["exo risk status", "exo dash"]}
    for place, expected in places.items():
        monkeypatch.chdir(place)
        lines = typed()[2]
        assert [taken(line) for line in lines] == expected
        assert not any("--home" in line for line in lines)


def test_after_the_first_import_and_not_after_the_second(typed: Typed, workspace: Path, tmp_path: Path) -> None:
    days = "\n".join(f"AAA,2024-01-{day:02d},10,11,9,10,1000" for day in (2, 3, 4, 5))
    (tmp_path / "bars.csv").write_text(f"symbol,date,open,high,low,close,volume\n{days}\n")
    assert [taken(line) for line in typed("data", "import", tmp_path / "bars.csv", "--home", workspace)[2]] == ["exo data quality", "exo backtest run"]
    assert typed("data", "import", tmp_path / "bars.csv", "--home", workspace)[2] == []


def test_after_the_first_backtest_and_the_first_night_and_not_after_the_second(typed: Typed, market_copy: Path) -> None:
    backtest = ("backtest", "run", "--home", market_copy, "--start", "2021-01-04", "--end")
    assert [taken(line) for line in typed(*backtest, "2021-03-31")[2]] == ["exo backtest sweep", "exo run"]
    assert typed(*backtest, "2021-04-30")[2] == []
    night = ("run", "--home", market_copy, "--no-download", "--date")
    assert [taken(line) for line in typed(*night, NIGHT)[2]] == ["exo dash", "exo schedule"]
    assert typed(*night, "2021-07-01")[2] == []


def test_after_the_demo_every_hint_is_a_command(tmp_path: Path) -> None:
    assert [taken(line) for line in hints.after_demo(tmp_path, "SYN004", "2024-12-31")] == ["exo why", "exo replay", "exo dash"]
