"""Where a page's commands are typed: a copy of a workspace with a market, nights, runs and alerts; and what its placeholders stand for."""

from __future__ import annotations

import io
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mech_exo.assembly import Workspace
from tests.browser.workspaces import copy, kept, sample_workspace
from tests.docs.values import ANSWERS, AS_WRITTEN, VALUES

Exo = Callable[..., Any]
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Stage:
    """A folder to type in, and what this folder knows of :data:`tests.docs.values.VALUES`."""

    folder: Path
    exo: Exo
    patch: pytest.MonkeyPatch
    facts: dict[str, str] = field(default_factory=dict)

    def meant(self, text: str) -> str:
        """``text`` with every placeholder replaced. Raises ValueError for one that the table does not know."""
        if not self.facts:
            return text
        known = sorted(VALUES, key=len, reverse=True)
        found = re.compile("|".join(rf"(?<![\w./-]){re.escape(word)}(?![\w-])" for word in known))
        said = found.sub(lambda one: VALUES[one[0]].format_map(self.facts), text)
        unknown = [word for word in re.findall(r"(?<![\w=./-])(?:[A-Z]{1,12}|<[^>]+>)(?![\w.=-])", said) if word not in AS_WRITTEN]
        unknown = [word for word in unknown if word not in self.facts.values()]
        if unknown:
            raise ValueError(f"tests/docs/values.py must say what stands for {', '.join(unknown)} in {text!r}")
        return said

    def type(self, text: str) -> Ended:
        """Run one command in the folder, as a reader would, with its answers typed in too."""
        said = self.meant(text)
        self.patch.chdir(self.folder)
        answers = next((answer for begins, answer in ANSWERS.items() if text.startswith(begins)), "").format_map(self.facts or {"account": "paper"})
        if re.match(r"(\S*/)?exo ", said) and not re.search(r"[|<>;&]", re.sub(r"'[^']*'|\"[^\"]*\"", "", said)):
            self.patch.setattr(sys, "stdin", io.StringIO(answers))
            ran = self.exo(*(word.replace("~", str(self.folder)) for word in shlex.split(said)[1:]))
            return Ended(ran.code, ran.out, ran.err)
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(self.folder)}
        done = subprocess.run(["sh", "-c", said], capture_output=True, text=True, input=answers, env=environment, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)


def sample_copy(folder: Path) -> dict[str, str]:
    """A copy of the kept sample workspace at ``folder``; returns its facts."""
    home = copy(kept("sample", sample_workspace), folder).home
    return facts_of(home)


def facts_of(home: Path) -> dict[str, str]:
    """What stands in a workspace: its last night, what it holds, ids."""
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        book = workspace.book_id()
        nights = [day.session for day in ledger.day_history(book)]
        last = ledger.last_session(book)
        order = ledger.orders(book)[-1].order.id
    assert last is not None
    held = [line.symbol for line in last.lines]
    runs = sorted(path.name for path in (home / "data" / "runs").iterdir() if path.is_dir())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {
        "symbol": held[0], "other": held[1], "third": held[2], "night": str(nights[-1]), "before": str(nights[-22]), "month": f"{nights[-1]:%Y-%m}",
        "began": str(nights[-1].replace(day=1, year=nights[-1].year - 3)), "run": runs[0], "order": order, "alert": "1", "port": str(port),
        "account": book.account, "backup": str(home / "backup.duckdb"), "elsewhere": str(home / "elsewhere.duckdb"), "here": str(home),
    }  # fmt: skip
