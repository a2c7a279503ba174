"""The README tells the truth: its Python runs without a file of the reader's, its commands and links exist, its pictures are there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MOST = 250_000
"""Bytes of a picture."""


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text("utf-8")


def blocks(readme: str, language: str) -> list[str]:
    """Fenced blocks in ``language`` ("" = none named)."""
    parts = re.split(r"^```(\w*)\n", readme, flags=re.MULTILINE)
    opened = list(zip(parts[1::2], parts[2::2], strict=True))[::2]  # every other fence closes
    return [text for name, text in opened if name == language]


def test_it_is_short_and_says_first_what_it_is(readme: str) -> None:
    assert len(readme.splitlines()) <= 150
    first = readme.partition("```")[0].split("\n", 2)[2]
    assert first.count(". ") + first.count(".\n") == 3, "three sentences"


def test_the_session_runs_without_a_file_of_the_readers(
    readme: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = blocks(readme, "python")[0]
    assert len([line for line in session.splitlines() if line]) <= 12
    monkeypatch.setenv("EXO_HOME", str(workspace))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(session, names)
    result = names["result"]
    assert len(result.fills) > 100 and result.equity["nav"][-1] > 0
    assert "synthetic sample" in result.warnings and "synthetic sample" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [workspace]
    other = re.search(r"`(EventBacktester\(.+\))` plays the configured strategy", readme)
    assert other is not None
    assert eval(other[1], names).run().name == "default"


def test_the_sizing_example_gives_what_it_says(readme: str) -> None:
    setup, call = blocks(readme, "python")[1].split("\n\n")
    names: dict[str, Any] = {}
    exec(setup, names)
    said = re.search(r"^# (\d+):", call, re.MULTILINE)
    assert said is not None
    assert eval(call.splitlines()[0], names) == int(said[1])


def test_every_command_shown_exists_with_its_options(readme: str, exo: Callable[..., Any]) -> None:
    from mech_exo.cli import COMMANDS

    shown = [line for block in blocks(readme, "") for line in block.splitlines() if line.startswith("exo ")]
    lines = [shlex.split(line, comments=True) for line in [*shown, *re.findall(r"`(exo [^`]+)`", readme)]]
    assert len(lines) >= 8
    for words in lines:
        rest = words[3:] if words[1] == "--home" else words[1:]
        if rest[0].startswith("-"):
            assert exo(*rest).code == 0
            continue
        assert rest[0] in {command.name for command in COMMANDS}
        group = len(rest) > 1 and "COMMAND" in exo(rest[0], "--help").out.splitlines()[0]
        told = exo(*rest[: 2 if group else 1], "--help")
        assert told.code == 0, (words, told.err)
        missing = [word for word in rest if word.startswith("--") and word not in told.out]
        assert missing == [], (words, told.out)


def test_every_link_into_the_repository_leads_somewhere(readme: str, repository: Path) -> None:
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)]+)\)", readme) if "://" not in target]
    assert len(targets) > 15
    assert [target for target in targets if not (repository / target).exists()] == []


def test_the_commands_of_the_figures_are_scripts_that_run(readme: str, repository: Path) -> None:
    scripts = set(re.findall(r"`python (bench/\w+\.py)`", readme))
    assert len(scripts) >= 4 and all((repository / script).is_file() for script in scripts)


def test_the_pictures_are_sharp_and_small(readme: str, repository: Path) -> None:
    from PIL import Image

    pictures = re.findall(r"!\[([^]]+)\]\(([^)]+)\)", readme)
    assert {Path(place).stem for _, place in pictures} == {"dashboard", "tear-sheet"}
    for said, place in pictures:
        assert "synthetic sample" in said
        assert (repository / place).stat().st_size <= MOST
        with Image.open(repository / place) as picture:
            assert picture.width >= 2400


def test_what_it_counts_is_so(readme: str) -> None:
    from mech_exo.scoring import FactorFactory
    from mech_exo.sizing import SizingMethod
    from mech_exo.utils.alert_settings import Kind

    numbers = {"six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
    counted = {"factors": len(FactorFactory.names()), "methods": len(SizingMethod), "kinds of channel": len(Kind)}
    for what, count in counted.items():
        said = re.search(rf"(\w+) {what}", readme)
        assert said is not None, what
        assert int(numbers.get(said[1], said[1])) == count, what
