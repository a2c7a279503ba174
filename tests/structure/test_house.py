"""The house as DESIGN.md draws it: files are short, the layers are those agreed, every room is named in the documentation, no promise is left."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

MOST_LINES = 400
FOLDERS = ("mech_exo", "tests", "scripts", "bench", "dags", "docs")
# Rooms that came after DESIGN.md was drawn, and why they are there. A room that is neither there nor here is a mistake.
ADDED = {
    "nightly": "one night as named steps, between the command line and what it runs",
    "sample": "the sample market's finished workspace, for notebooks and first steps",
    "plugins": "what a user brings himself, found and checked before assembly hands it on",
}
PROMISE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\): \S)")


def sources(repository: Path) -> list[Path]:
    """Every Python file of the project."""
    found = [path for folder in FOLDERS for path in (repository / folder).rglob("*.py") if "__pycache__" not in path.parts]
    assert len(found) > 500
    return found


def too_long(path: Path) -> str | None:
    """What is wrong with a file's length; its docstring may say why it is long ("Long because ...")."""
    text = path.read_text()
    lines = text.count("\n")
    if lines <= MOST_LINES:
        return None
    said = ast.get_docstring(ast.parse(text)) or ""
    return None if re.search(r"\bLong because \w+ \w+", said) else f"{path}: {lines} lines and no reason"


def promises(path: Path) -> list[str]:
    """Lines that promise something without naming the issue in which it is written: ``TODO(#12): say what``."""
    return [f"{path}:{number}: {line.strip()}" for number, line in enumerate(path.read_text().splitlines(), 1) if PROMISE.search(line)]


def test_no_file_is_long_without_a_reason(repository: Path) -> None:
    assert [said for path in sources(repository) if (said := too_long(path))] == []


def test_a_long_file_would_be_seen(tmp_path: Path) -> None:
    long = tmp_path / "long.py"
    long.write_text('"""A drawer."""\n' + "x = 1\n" * MOST_LINES)
    assert too_long(long) is not None
    long.write_text('"""A drawer. Long because its parts need each other."""\n' + "x = 1\n" * MOST_LINES)
    assert too_long(long) is None


def test_the_median_file_is_short(repository: Path) -> None:
    assert statistics.median(path.read_text().count("\n") for path in (repository / "mech_exo").rglob("*.py")) <= 160


def test_nothing_is_promised_without_an_issue(repository: Path, tmp_path: Path) -> None:
    here = Path(__file__).name
    assert [line for path in sources(repository) if path.name != here for line in promises(path)] == []
    left = tmp_path / "left.py"
    left.write_text("a = 1  # TODO: later\nb = 2  # FIXME\nc = 3  # TODO(#12): read the second page of the answer\nd = HACKED\n")
    assert [line.split(":")[1] for line in promises(left)] == ["1", "2"]


Layers = list[set[str]]


def agreed(design: str) -> Layers:
    """The rooms of DESIGN.md's "Who may import whom", upper first; comments in brackets left out."""
    block = re.search(r"\*\*Who may import whom\*\*.*?```\n(.*?)```", design, re.DOTALL)
    assert block is not None, "DESIGN.md draws the layers in the block after **Who may import whom**"
    return [set(re.findall(r"\w+", re.sub(r"\([^)]*\)", "", line))) for line in block[1].splitlines() if line.strip()]


def enforced(repository: Path) -> Layers:
    """The rooms of import-linter's contract, upper first."""
    contracts = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    house = next(one for one in contracts if one["type"] == "layers" and "mech_exo.cli" in one["layers"])
    return [set(re.findall(r"mech_exo\.(\w+)", line)) for line in house["layers"]]


def rooms(repository: Path) -> set[str]:
    """What lies directly in the package."""
    inside = (repository / "mech_exo").iterdir()
    return {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}


def without(layers: Layers, names: set[str]) -> Layers:
    return [kept for layer in layers if (kept := layer - names)]


def test_the_contract_of_imports_is_that_of_the_design(repository: Path, shared: Callable[[str], Path]) -> None:
    drawn = agreed(shared("DESIGN.md").read_text())
    assert without(enforced(repository), set(ADDED)) == drawn


def test_the_contract_covers_every_room(repository: Path) -> None:
    held = enforced(repository)
    assert set().union(*held) == rooms(repository)
    assert sum(map(len, held)) == len(rooms(repository)), "no room stands in two layers"


@pytest.mark.parametrize("drawn", ["cli\nassembly | reporting", "cli   (sees all)\nassembly\nreporting"])
def test_another_drawing_would_be_seen(drawn: str) -> None:
    held: Layers = [{"cli"}, {"assembly", "reporting"}]
    said = agreed(f"**Who may import whom** (upper sees lower)\n\n```\n{drawn}\n```\n")
    assert (said == held) == ("|" in drawn)


def test_the_documentation_names_every_room(repository: Path) -> None:
    text = "\n".join(path.read_text() for path in [*(repository / "docs").glob("*.md"), *(repository / "docs").glob("*.py")])
    named = set(re.findall(r"mech_exo[./](\w+)", text)) | set(re.findall(r"`(\w+)(?:\.py|/)?`", text))
    assert rooms(repository) - named == set()
