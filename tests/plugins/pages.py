"""The pages about plug-ins, done as a reader does them: files written, configuration lines set, commands typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parents[2] / "docs"
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title ("" = none) and its text."""

    language: str
    title: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of ``docs/PAGE.md``."""
    return [Block(language, title or "", text) for language, title, text in FENCE.findall((DOCS / f"{page}.md").read_text())]


def commands(page: str) -> list[list[str]]:
    """The words after ``exo`` of every command of the page's console blocks."""
    return [line.split()[1:] for block in blocks(page) if block.language == "console" for line in block.text.splitlines()]


def promised(page: str) -> list[str]:
    """What the page's untitled text blocks show of outputs, line by line; … stands for anything."""
    lines = (line for block in blocks(page) if block.language == "text" and not block.title for line in block.text.splitlines())
    return [line.strip() for line in lines]


def follow(page: str, home: Path) -> None:
    """Write the page's Python files into the workspace ``home`` and set its lines of the configuration."""
    for block in blocks(page):
        if block.language == "python" and block.title:
            (home / block.title).parent.mkdir(exist_ok=True)
            (home / block.title).write_text(block.text)
        elif block.language == "yaml":
            configure(home / block.title, yaml.safe_load(block.text))


def configure(file: Path, lines: Mapping[str, Any]) -> None:
    """Set ``lines`` in a configuration file, key by key at every depth."""
    file.write_text(yaml.safe_dump(_over(yaml.safe_load(file.read_text()), lines)))


def _over(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: _over(below.get(key), value) for key, value in above.items()}}


def shows(line: str, out: str) -> bool:
    """Whether ``out`` has ``line``, whose … stands for anything."""
    pattern = ".*".join(re.escape(part) for part in line.split("…"))
    return any(re.search(pattern, there) for there in out.splitlines())
