"""Nothing in the package is dead, and nothing stands in it twice. Both are told by tools that others keep: vulture and jscpd."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import pytest

from tests.structure.alive import ALIVE, CALLED_BY_DECORATORS

vulture = pytest.importorskip("vulture", reason="needs vulture, from the development extra: make test")

USERS = ("mech_exo", "dags", "scripts", "bench", "docs/hooks.py")
"""Who counts as a user of the package: what only tests use is dead."""
BY_NAME = {"variable", "attribute", "property"}
"""Fields, which are also read by their name: in a table's columns, a template, a JSON."""
LEAST_TOKENS, LEAST_LINES = 70, 6


def spoken(root: Path) -> frozenset[str]:
    """Names in the code of documentation and notebooks: what a user is told to call is alive."""
    notebooks = [cell["source"] for path in (root / "notebooks").glob("*.ipynb") for cell in json.loads(path.read_text())["cells"]]
    pages = [path.read_text() for path in [*(root / "docs").glob("*.md"), root / "README.md"]]
    code = [span for page in pages for span in re.findall(r"^ *```python\n.*?^ *```|(?<!`)`[^`\n]+`(?!`)", page, re.DOTALL | re.MULTILINE)]
    return frozenset(re.findall(r"\w+", " ".join(["".join(cell) for cell in notebooks] + code)))


def written(root: Path) -> set[str]:
    """Words of the package's templates, its texts, and the fields of dataclasses that are walked (``fields(Signals)``)."""
    templates = (path.read_text() for path in (root / "mech_exo").rglob("*.html"))
    words = set(re.findall(r"\w+", " ".join(span for page in templates for span in re.findall(r"\{[{%].*?[}%]\}", page, re.DOTALL))))
    nodes = [node for path in (root / "mech_exo").rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    walked = {ast.unparse(node.args[0]) for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "fields" and node.args}
    classes = [node for node in nodes if isinstance(node, ast.ClassDef) and node.name in walked]
    return words | texts | {ast.unparse(line.target) for one in classes for line in one.body if isinstance(line, ast.AnnAssign)}


def unused(paths: Iterable[Path], called: Set[str] = frozenset(), by_name: Set[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Place and name of what nothing in ``paths`` uses; ``called`` is used elsewhere, fields in ``by_name`` too."""
    found = vulture.Vulture(ignore_decorators=list(CALLED_BY_DECORATORS))
    found.scavenge([str(path) for path in paths])
    for item in found.get_unused_code(min_confidence=60):
        if item.name not in called and not (item.typ in BY_NAME and item.name in by_name):
            yield f"{item.filename}:{item.first_lineno}: unused {item.typ} {item.name}", item.name


def test_nothing_is_dead_and_every_exception_is_needed(repository: Path) -> None:
    listed = [name for names in ALIVE.values() for name in names]
    assert len(listed) == len(set(listed))
    found = list(unused([repository / path for path in USERS], spoken(repository), written(repository)))
    assert [place for place, name in found if name not in listed] == []
    assert sorted(set(listed) - {name for _, name in found}) == [], "names of tests/structure/alive.py that need no exception"


def test_dead_code_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "room.py").write_text("def called():\n    return 1\n\n\ndef forgotten():\n    return called()\n")
    assert [name for _, name in unused([tmp_path])] == ["forgotten"]


def twice(folder: Path) -> list[str]:
    """Blocks that stand twice in ``folder``: token by token the same, whatever the white space."""
    program = shutil.which("jscpd", path=Path(sys.executable).parent) or shutil.which("jscpd")
    if program is None:
        pytest.skip("needs jscpd, from the development extra: make test")
    out = folder.parent / "twice"
    words = ["--format", "python", "--min-tokens", str(LEAST_TOKENS), "--min-lines", str(LEAST_LINES), "--reporters", "json", "--output", str(out)]
    ran = subprocess.run([program, *words, str(folder)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads((out / "jscpd-report.json").read_text())
    assert told["statistics"]["total"]["sources"] > 0
    ends = [(one[side]["name"], one[side]["start"], one[side]["end"]) for one in told["duplicates"] for side in ("firstFile", "secondFile")]
    return [f"{name} {start}-{end}" for name, start, end in ends]


def test_no_block_stands_twice(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "mech_exo", tmp_path / "mech_exo", ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    assert twice(tmp_path / "mech_exo") == []


def test_a_block_that_stands_twice_would_be_seen(tmp_path: Path) -> None:
    block = "".join(f"    total = total + weights[{n}] * prices[{n}] - costs[{n}] / shares[{n}]\n" for n in range(12))
    (tmp_path / "code").mkdir()
    for name in ("one", "other"):
        (tmp_path / "code" / f"{name}.py").write_text(f"def {name}(weights, prices, costs, shares):\n    total = 0.0\n{block}    return total\n")
    assert len(twice(tmp_path / "code")) == 2
