"""Python on the pages runs, in order, in one namespace a page; a value told in a comment beside an expression is the value."""

from __future__ import annotations

import ast
import doctest
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.given import given
from tests.docs.pages import Page, pages
from tests.docs.stage import bring

PAGES = [page for page in pages() if any(block.info == "python" and not block.title for block in page.blocks)]
"""A block with a title is a file of a plug-in: tests/plugins/test_pages.py loads and runs those."""
CHECKER = doctest.OutputChecker()


def told(comment: str) -> str | None:
    """The value that a comment tells, as Python writes it: ``66: because …``, ``(144.0, 'x')``, ``StopHit(…)``, ``array([0.9...])``."""
    text = comment.lstrip("# ").strip()
    for candidate in (text, re.split(r"[:,] | USD", text)[0]):
        try:
            ast.literal_eval(candidate)
            return candidate
        except (ValueError, SyntaxError):
            if re.fullmatch(r"[A-Za-z_.]+\(.*[=\d].*\)", candidate) and "..." not in candidate[:3]:
                return candidate
    return None


def run(text: str, names: dict[str, Any], file: str) -> int:
    """Run the statements of a block; every told value is compared. Returns how many were."""
    lines = text.splitlines()
    compared = 0
    for statement in ast.parse(text, file).body:
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), file, "exec"), names)
            continue
        value = eval(compile(ast.Expression(statement.value), file, "eval"), names)
        tail = lines[statement.end_lineno - 1][statement.end_col_offset :]
        below = lines[statement.end_lineno] if statement.end_lineno < len(lines) else ""
        comment = tail if "#" in tail else below if below.startswith("#") else ""
        said = told(comment)
        if said is None:
            continue
        compared += 1
        try:
            assert value == ast.literal_eval(said), f"{file}: {said} is told, {value!r} came"
        except (ValueError, SyntaxError):
            assert CHECKER.check_output(said + "\n", repr(value) + "\n", doctest.ELLIPSIS), f"{file}: {said} is told, {value!r} came"
    return compared


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs_in_order(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if page.name == "README.md":
        bring(tmp_path)
    with given(page.name, tmp_path, monkeypatch) as names:
        for block in page.blocks:
            if block.info == "python" and not block.title:
                run(block.text, names, f"{page.name}:{block.line}")


def test_told_values_are_compared() -> None:
    """What tells no value is left alone; what tells a wrong one fails."""
    assert [told(text) for text in ("# 66: 500 asked", "# (T, N) arrays", "# 500.0", "# 100.0 USD more", "# array([0.9...])", "# says so", "")] == [
        "66", None, "500.0", "100.0", "array([0.9...])", None, None,
    ]  # fmt: skip
    assert run("x = 3\nx + 1   # 4: a sum\nx  # the same\n", {}, "x.md:1") == 1
    with pytest.raises(AssertionError, match="5 is told, 4 came"):
        run("x = 3\nx + 1   # 5", {}, "x.md:1")
    with pytest.raises(NameError):
        run("nobody_gave_this", {}, "x.md:1")
