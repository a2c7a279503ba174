"""`exo demo`: everything once, on an invented market, and everything it makes says so."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mech_exo.assembly import Workspace

Exo = Callable[..., Any]


class Demo:
    """The one demo of this file: its folder, its JSON, and what it printed beside it."""

    def __init__(self, home: Path) -> None:
        from mech_exo.cli import output
        from mech_exo.cli.__main__ import main

        out, err = io.StringIO(), io.StringIO()
        output.console.cache_clear()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            self.code = main(["demo", "--folder", str(home), "--json"])
        output.console.cache_clear()
        self.home, self.out, self.err = home, out.getvalue(), err.getvalue()

    @property
    def data(self) -> dict[str, Any]:
        """What it printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The slowest command, run once. It must not need the network."""
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*words: object) -> None:
            raise AssertionError("the demo reached for the network")

        patch.setattr(socket.socket, "connect", refuse)
        return Demo(tmp_path_factory.mktemp("demo") / "demo")


def test_it_prints_one_document(demo: Demo) -> None:
    assert demo.code == 0 and "Traceback" not in demo.err, demo.err
    data = demo.data
    assert data["synthetic"] is True and data["workspace"] == str(demo.home)
    nights, backtest = data["nights"], data["backtest"]
    assert len(nights) == 22 and nights[0]["orders"] == 30 and nights[1]["fills"] >= 30 and nights[-1]["orders"] > 0
    assert all(night["nav"] > 50_000 for night in nights) and [n["session"] for n in nights] == sorted(n["session"] for n in nights)
    assert backtest["metrics"]["orders"] > 1_000 and int(backtest["end"][:4]) - int(backtest["start"][:4]) == 10
    assert "synthetic sample" in backtest["warnings"]


def test_every_report_is_a_file_and_says_synthetic_sample(demo: Demo) -> None:
    reports = [Path(path) for path in (*demo.data["reports"], demo.data["backtest"]["report"])]
    assert {path.suffix for path in reports} == {".html", ".json", ".md"}
    for path in reports:
        assert path.is_relative_to(demo.home) and "synthetic sample" in path.read_text("utf-8"), path
    for path in reports:
        if path.suffix == ".html":
            tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", path.read_text("utf-8"))
            assert not [tag for tag in tags if re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", tag)], path


def test_its_workspace_answers_the_commands_it_recommends(exo: Exo, demo: Demo) -> None:
    last = demo.data["nights"][-1]["session"]
    best = json.loads(exo("plan", "--date", last, "--home", demo.home, "--json").out)["scores"][0]["symbol"]
    for words in (("why", best), ("replay", last), ("risk", "status"), ("positions",), ("ledger", "verify"), ("data", "status")):
        ran = exo(*words, "--home", demo.home)
        assert ran.code == 0 and ran.out and "Traceback" not in ran.out + ran.err, (words, ran.err)
    assert "synthetic sample" in exo("data", "status", "--home", demo.home).out


def test_the_book_of_the_demo_is_sound(demo: Demo) -> None:
    workspace = Workspace.open(demo.home)
    with workspace.ledger(read_only=True) as ledger:
        book = workspace.book_id()
        assert ledger.verify().sound and len(ledger.day_history(book)) == 22
        (trial,) = ledger.trials()
    assert trial.run_id == demo.data["backtest"]["run_id"]


def test_it_never_writes_into_another_folder(exo: Exo, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    ran = exo("demo", "--folder", tmp_path / "mine")
    assert (ran.code, ran.out) == (2, "") and "folder of its own" in ran.err and "--folder NEW" in ran.err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_run_again_for_a_person(exo: Exo, demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Last in this file: the market is kept, the nights begin anew (one, which decides: what is printed is asked here)."""
    monkeypatch.setattr("mech_exo.sample.NIGHTS", 1)
    before = demo.data["backtest"]["run_id"]
    ran = exo("demo", "--folder", demo.home)
    text = " ".join(ran.out.split())
    assert ran.code == 0 and "Traceback" not in ran.out + ran.err, ran.err
    for part in (
        "synthetic sample market, no real company, no real price",
        "Paper nights",
        "Ideas at",
        "Orders for the open of",
        "Risk status",
    ):
        assert part in text, part
    for part in ("KPI contract", f"run {before}", "Report: ", f"Workspace: {demo.home}"):
        assert part in text, part
