"""`--help` of every command: one clear sentence, every option explained, and examples the command accepts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mech_exo.cli import COMMANDS, examples, loaded
from tests.cli.typed import taken

Exo = Callable[..., Any]
TREE = {path: command for entry in COMMANDS for path, command in examples.walk(loaded(entry.name), f"exo {entry.name}")}
MOST = 3


def test_every_command_has_one_to_three_examples_and_no_example_is_of_a_command_that_is_not() -> None:
    assert {path: len(examples.EXAMPLES.get(path, ())) for path in TREE if not 1 <= len(examples.EXAMPLES.get(path, ())) <= MOST} == {}
    assert set(examples.EXAMPLES) - set(TREE) == {"exo"}


def test_a_command_without_examples_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "EXAMPLES", {path: lines for path, lines in examples.EXAMPLES.items() if path != "exo why"})
    with pytest.raises(AssertionError, match="exo why"):
        test_every_command_has_one_to_three_examples_and_no_example_is_of_a_command_that_is_not()


@pytest.mark.parametrize("path", sorted(examples.EXAMPLES))
def test_every_example_is_of_its_own_command_and_is_accepted_by_it(path: str) -> None:
    for line in examples.EXAMPLES[path]:
        assert line == path or line.startswith(f"{path} "), line
        called = taken(line)  # raises for an option or a value that no command takes
        assert path == "exo" or called.startswith(path), (line, called)


@pytest.mark.parametrize("path", sorted(TREE))
def test_help_ends_with_the_examples_as_they_are_typed(exo: Exo, path: str) -> None:
    ran = exo(*path.split()[1:], "--help")
    assert ran.code == 0
    block = ran.out[ran.out.index("\nExamples:\n") :].splitlines()[2:]
    assert [line.removeprefix("  ") for line in block if line.startswith("  exo ")] == list(examples.EXAMPLES[path])
    assert "Example: " not in ran.out


@pytest.mark.parametrize("path", sorted(TREE))
def test_every_command_says_what_it_does_and_explains_every_option(path: str) -> None:
    command = TREE[path]
    first = (command.help or "").split("\n\n")[0].strip()
    assert re.match(r"[A-Z“`]", first), path
    assert first.endswith((".", "…")) or ":" in first, (path, first)
    unexplained = [parameter.name for parameter in command.params if not (getattr(parameter, "help", None) or "").strip()]
    assert unexplained == [], path


def test_a_command_added_later_needs_only_its_lines(tmp_path: Path) -> None:
    """Help reads the registry by the words of the call: nothing else has to be told."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)

    def nothing() -> None:
        """Do nothing."""

    single.command("run", cls=examples.Command)(nothing)
    said = CliRunner().invoke(single, ["--help"], prog_name="exo run").output
    assert "\nExamples:\n  exo run\n" in said
