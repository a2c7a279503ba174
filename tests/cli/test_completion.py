"""Shell completion: what TAB offers is what the rooms say, in a real bash, silently and without anything heavy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Exo = Callable[..., Any]
EXO = Path(sys.executable).parent / "exo"
HEAVY = ("polars", "duckdb", "numba", "pandas", "pydantic", "exchange_calendars")


@pytest.fixture(scope="module")
def home(played_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market with its nights, two saved runs and a factor of the workspace's own."""
    place = tmp_path_factory.mktemp("complete") / "w"
    shutil.copytree(played_home, place)
    for name in ("20240102-abc123", "20240103-def456", ".gone.partial"):
        (place / "data" / "runs" / name).mkdir(parents=True)
    return place


@pytest.fixture
def offered(exo: Exo, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """``offered("backtest show ")``: what bash is told may follow the words."""

    def ask(line: str, at: Path = home) -> list[str]:
        words = f"exo --home {at} {line}"
        monkeypatch.setenv("_EXO_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - (not words.endswith(" "))))
        ran = exo()
        assert ran.err == ""
        return [line for line in ran.out.splitlines() if line]

    return ask


def test_commands_and_options(offered: Callable[..., list[str]]) -> None:
    assert {"backtest", "broker"} <= set(offered("b"))
    assert {"run", "sweep", "walk-forward"} <= set(offered("backtest "))
    assert "--start" in offered("backtest run --s")
    assert offered("init --template ") == ["conservative", "long-short", "research"]


def test_factors_are_those_of_the_registry(offered: Callable[..., list[str]]) -> None:
    from mech_exo.scoring.factors import REGISTRY

    assert offered("factors show ") == sorted(REGISTRY)
    assert offered("factors research momentum") == [name for name in sorted(REGISTRY) if name.startswith("momentum")]


def test_a_factor_of_the_workspaces_own_is_offered_too(offered: Callable[..., list[str]], home: Path) -> None:
    file = home / "config" / "factors.yml"
    before = file.read_text()
    file.write_text(before.replace("technical:\n", "technical:\n  my_own_factor: {weight: 3, direction: higher_better}\n"))
    try:
        assert offered("factors show my_") == ["my_own_factor"]
    finally:
        file.write_text(before)


def test_symbols_sessions_books_and_runs_are_those_of_the_stores(offered: Callable[..., list[str]], home: Path) -> None:
    from mech_exo.backtest.store import saved
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.execution.ledger import Ledger

    with DataStorage.snapshot(home) as storage:
        symbols = list(storage.view().panel().symbols)
    assert offered("why ") == symbols
    assert offered("backtest explain last --symbol SYN00") == [name for name in symbols if name.startswith("SYN00")]
    with Ledger.open(home / "data" / "ledger.sqlite", read_only=True) as ledger:
        (book,) = ledger.books()
        nights = [str(day.session) for day in ledger.day_history(book)]
    assert offered("replay ") == nights[::-1]
    assert offered("export --book ") == [str(book)]
    assert offered("backtest show ") == ["last", *sorted(place.name for place in saved(home / "data" / "runs"))]


@pytest.mark.parametrize("line", ["why ", "replay ", "backtest show ", "export --book ", "factors show zzz", "nonsense", "--home", "risk what-if 'a ", "alert show "])
def test_whatever_is_wrong_the_answer_is_silent(offered: Callable[..., list[str]], tmp_path: Path, line: str) -> None:
    (tmp_path / "data" / "snapshots").mkdir(parents=True)
    (tmp_path / "data" / "snapshots" / "CURRENT").write_text("../../etc\n")
    (tmp_path / "data" / "ledger.sqlite").write_bytes(b"no database")
    assert offered(line, tmp_path) == []
    assert offered(line, tmp_path / "nowhere") == []


def test_nothing_heavy_is_imported(home: Path) -> None:
    probe = f"import sys; from mech_exo.cli.__main__ import main; main(); print([m for m in {HEAVY} if m in sys.modules])"
    for line in ("why SYN", "factors show m", "replay 2", "backtest show l", "data ", "export --book p"):
        words = f"exo --home {home} {line}"
        asked = {"_EXO_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - (not words.endswith(" ")))}
        ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, env={**os.environ, **asked})
        assert len(ran.stdout.splitlines()) > 1, (line, ran.stderr)
        assert ran.stdout.splitlines()[-1] == "[]", line


def _in(shell: str, script: str) -> str:
    ran = subprocess.run([shell, "-c", script], capture_output=True, text=True, timeout=60, env={**os.environ, "PATH": f"{EXO.parent}:{os.environ['PATH']}"})
    assert ran.stderr == "", ran.stderr
    return ran.stdout


def test_in_a_real_bash(home: Path) -> None:
    """The script a user installs, its function driven as bash drives it."""
    drive = (
        'eval "$(exo --show-completion bash)"; complete -p exo; '
        f"ask() {{ COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _exo_completion exo; printf '%s ' \"${{COMPREPLY[@]}}\"; echo; }}; "
        f"ask exo --home {home} why SYN00; ask exo --home {home} backtest show ''; ask exo fact; ask exo nonsense x"
    )
    registered, symbols, runs, command, nothing = _in("bash", drive).splitlines()
    assert "_exo_completion" in registered
    assert "SYN001" in symbols.split()
    assert runs.split() == ["last", "20240102-abc123", "20240103-def456"]
    assert command.split() == ["factors"]
    assert nothing.split() == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_in_a_real_zsh_and_fish(shell: str, home: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    ask = f'_TYPER_COMPLETE_ARGS="exo --home {home} why SYN00" _TYPER_COMPLETE_FISH_ACTION=get-args _EXO_COMPLETE=complete_{shell} exo'
    assert "SYN001" in _in(shell, f"env {ask}")
    assert "exo" in _in(shell, f"exo --show-completion {shell}")


