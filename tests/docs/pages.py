"""What the pages ask a reader to type, and what they show beside it: read from the pages, never copied.

A page is Markdown as MkDocs reads it. Seen are fenced and indented blocks, and inline code that begins with a program of :data:`PROGRAMS`.
A block is a *session* when it is marked as one (``console``, ``bash``, ``sh``) or, without a mark, when one of its lines begins with such
a program; then every line of it must be a command. In a ``console`` block commands follow ``$``, all else is what they print. Two blanks or
`` #`` end a command: what follows tells the reader about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = [
    "exo",
    "python",
    "python3",
    "pip",
    "make",
    "cp",
    "git",
    "docker",
    "ssh",
    "touch",
    "jupyter",
    "cd",
    "pre-commit",
    "uv",
    "crontab",
    "systemctl",
    "source",
    "export",
]
SHELLS = ("console", "bash", "sh", "shell")
_MARKDOWN = MarkdownIt("commonmark").enable("table")
_ENVIRONMENT = re.compile(r"^(?:[A-Z][A-Z0-9_]*=\S+ +)+")
_SCHEDULE = re.compile(r"^(?:(?:[\d*/,-]+ +){5}|ExecStart=)")
_QUOTED_OR_BARE = re.compile(r"""(?:"[^"]*"|'[^']*'|(?! {2}| #)[^"'])+""")


@dataclass(frozen=True, slots=True)
class Command:
    """One command as a page prints it, in a session or inline in a sentence."""

    page: str
    line: int
    text: str
    inline: bool

    @property
    def program(self) -> str:
        """``exo``, ``make``, …: without variables in front and without the folder."""
        return _ENVIRONMENT.sub("", self.text).split()[0].rsplit("/", 1)[-1]

    @property
    def plain(self) -> str:
        """The command itself: without folder, variables and ``--home DIR``."""
        return re.sub(r" --home \S+", "", re.sub(r"^\S+/(?=\w+ )", "", _ENVIRONMENT.sub("", self.text)))

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page."""

    page: str
    line: int
    info: str
    text: str
    title: str = ""
    """Name of the file that the block is, where it says so."""

    @property
    def session(self) -> bool:
        """Whether its lines are typed."""
        if self.info in SHELLS:
            return True
        return self.info in ("", "ini") and any(_begins(line) for line in self.text.splitlines())

    def commands(self) -> Iterator[Command]:
        """What is typed of it, in order. Raises ValueError for a line of a session that begins with no known program."""
        if not self.session:
            return
        joined = re.sub(r"\s*\\\n\s*", " ", self.text)
        for number, line in enumerate(joined.splitlines(), self.line):
            stripped = line.strip()
            if self.info == "console":
                if not stripped.startswith("$ "):
                    continue
                stripped = stripped[2:]
            elif not stripped or stripped.startswith("#") or (self.info == "ini" and not _begins(line)):
                continue
            if not _begins(stripped):
                raise ValueError(f"a line of a session must begin with one of {', '.join(PROGRAMS)}; {self.page}:{number}: {stripped}")
            yield Command(self.page, number, typed(_SCHEDULE.sub("", stripped)), inline=False)


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its blocks and its inline code, each with its line."""

    name: str
    blocks: tuple[Block, ...]
    inline: tuple[tuple[int, str], ...]

    def commands(self) -> list[Command]:
        """Everything typed, inline code first."""
        sentences = [Command(self.name, line, one, inline=True) for line, code in self.inline if _begins(code) for one in meant(code)]
        return [*sentences, *self.session()]

    def session(self) -> list[Command]:
        """What its blocks ask to type, from top to bottom."""
        return [command for block in self.blocks for command in block.commands()]


def pages() -> list[Page]:
    """README and every page of docs/."""
    files = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    return [read(str(file.relative_to(REPOSITORY)), file.read_text(encoding="utf-8")) for file in files]


def read(name: str, text: str) -> Page:
    """The page ``name`` from its Markdown."""
    blocks, inline = [], []
    for token in _MARKDOWN.parse(_opened(text)):
        line = token.map[0] + 1 if token.map else 0
        if token.type in ("fence", "code_block"):
            fence = token.type == "fence"
            info = token.info.split()[0].strip("{.}") if token.info.strip() else ""
            title = re.search(r'title="([^"]+)"', token.info)
            blocks.append(Block(name, line + fence, info, token.content, title[1] if title else ""))
        elif token.type == "inline":
            inline += [(line, child.content) for child in token.children or () if child.type == "code_inline"]
    return Page(name, tuple(blocks), tuple(inline))


def typed(line: str) -> str:
    """A line of a session without what tells about it."""
    found = _QUOTED_OR_BARE.match(line)
    return found.group().strip() if found else line.strip()


def meant(code: str) -> list[str]:
    """The commands that a synopsis stands for: ``[X]`` without and with X, ``a|b`` each."""
    choices = [code]
    for pattern, ways in (
        (r" \[([^\]]+)\]", lambda found: ("", " " + found[1])),
        (r"(?<= )[\w-]+(?:\|[\w-]+)+", lambda found: found[0].split("|")),
    ):
        while any(re.search(pattern, choice) for choice in choices):
            choices = [
                choice[: found.start()] + way + choice[found.end() :]
                for choice in choices
                for found in [re.search(pattern, choice)]
                for way in (ways(found) if found else [])
            ] + [choice for choice in choices if not re.search(pattern, choice)]
    return choices


def _begins(line: str) -> bool:
    words = _ENVIRONMENT.sub("", _SCHEDULE.sub("", line.strip())).split()
    return len(words) > 1 and (words[0] in PROGRAMS or re.search(r"/bin/(exo|python|pip)$", words[0]) is not None)


def _opened(text: str) -> str:
    """Admonitions and tabs taken out of their four blanks, which CommonMark would read as a block of code."""
    lines, inside = [], False
    for line in text.splitlines():
        if re.match(r"(!!!|\?\?\?\+?|===\+?!?) ", line):
            lines.append("")
            inside = True
            continue
        inside = inside and (not line.strip() or line.startswith("    "))
        lines.append(line[4:] if inside else line)
    return "\n".join(lines) + "\n"
