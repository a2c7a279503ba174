"""The extractor sees everything, and a wrong command on a page is a failure."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.docs import test_commands
from tests.docs.pages import Command, meant, pages, read, typed
from tests.docs.stage import Stage

PAGES = pages()
WITHOUT = {
    "docs/index.md", "docs/reference-plugins.md", "docs/writing-a-broker.md", "docs/writing-a-sizing-method.md", "docs/reference.md", "docs/reference-statistics.md", "docs/fills.md", "docs/factors.md", "docs/statistics.md", "docs/stops.md", "docs/glossary.md",
}  # fmt: skip
"""Pages that ask to type nothing."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_is_read_and_nothing_on_it_is_overlooked(page: Any, repository: Path) -> None:
    """Every place where a command could begin is counted again by a plain search of the text, tables and lists included."""
    text = (repository / page.name).read_text()
    fenced = re.findall(r"^ *(?:\$ )?(?:\S*/bin/)?(?:exo|make|pip|python) \S.*$", "".join(re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)), re.MULTILINE)
    shown = [command.text for command in page.session()]
    for line in fenced:
        start = typed(line.strip().removeprefix("$ ").removeprefix("ExecStart="))
        assert start.rstrip("\\").strip() in " ".join(shown), f"{page.name}: {line}"
    spoken = re.findall(r"(?<!`)`((?:exo|make|pip|python) [^`\n]+)`(?!`)", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))
    found = {command.text for command in page.commands()}
    for code in spoken:
        assert set(meant(code)) <= found, f"{page.name}: {code}"
    if page.name not in WITHOUT:
        assert found, f"{page.name} asks to type nothing: say so in WITHOUT"


MIXED = """
See `exo score [--top N]` and `exo risk status|what-if`, not `exonerate` or `make`.

1. a list

    ```console
    $ exo data update      # what comes
    3 new
    $ exo data import \\
        --news x.csv
    ```

!!! note
    In a box: `exo plan`

| a | `exo why SYMBOL` |
|---|---|
| b | `exo halt --reason 'a  b'` |

```
exo risk what-if "BUY 1 X"    tells  of it
```

```text
exo: printed
```

```ini
User=exo
ExecStart=/opt/bin/exo --home /x alert run
```
"""


def test_what_a_block_is() -> None:
    page = read("x.md", MIXED)
    assert [command.text for command in page.session()] == [
        "exo data update", "exo data import --news x.csv", 'exo risk what-if "BUY 1 X"', "/opt/bin/exo --home /x alert run",
    ]  # fmt: skip
    assert {command.text for command in page.commands() if command.inline} == {
        "exo score", "exo score --top N", "exo risk status", "exo risk what-if", "exo plan", "exo why SYMBOL", "exo halt --reason 'a  b'",
    }  # fmt: skip
    assert page.session()[-1].plain == "exo alert run"


def test_a_line_of_a_session_that_is_no_command_is_refused() -> None:
    page = read("x.md", "```\nexo plan\nand then look\n```\n")
    with pytest.raises(ValueError, match=r"x\.md:3: and then look"):
        page.session()


@pytest.mark.parametrize("wrong", ["exo plann", "exo data quality --sins", "exo why NOBODY9", "exo backtest show nothing"])
def test_a_page_with_a_wrong_command_fails(wrong: str, workspace: Path, exo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(workspace, exo, monkeypatch, {"account": "paper"}, workspace, "w")
    monkeypatch.setattr(stage.__class__, "meant", lambda self, text: text)
    for inline in (True, False):
        with pytest.raises(AssertionError, match="exit code"):
            test_commands.judge(Command("docs/x.md", 1, wrong, inline), stage.type(wrong))


def test_a_placeholder_that_no_table_knows_is_refused(tmp_path: Path, exo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, exo, monkeypatch, {"symbol": "SYN001"}, tmp_path)
    assert stage.meant("exo why SYMBOL") == "exo why SYN001"
    for text in ("exo why THING", "exo why <thing>"):
        with pytest.raises(ValueError, match=r"values\.py must say what stands for"):
            stage.meant(text)
