"""What a shell offers after TAB: names of factors, symbols, saved runs, books and sessions of the workspace.

Read from small files alone (no DuckDB, Polars or Numba is imported), so that an answer takes a tenth of a second. Whatever is wrong, the
answer is empty: a shell's prompt is no place for messages. Tests compare each list with what the rooms themselves say.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger

FACTOR_FILES = Path(__file__).resolve().parents[1] / "scoring" / "factors"
CONFIGURED = re.compile(r"^[ \t]+([a-z]\w*):[ \t]*\{[^}\n]*\bweight\b", re.MULTILINE)
MOST = 500
"""Sessions offered at most, the latest."""

Offer = Callable[[typer.Context], list[str]]


def _quietly(offer: Offer) -> Offer:
    @functools.wraps(offer)
    def offered(ctx: typer.Context) -> list[str]:
        try:
            return offer(ctx)
        except Exception:  # noqa: BLE001 - an outermost edge: nothing may be printed between two keys
            return []

    return offered


def _home(ctx: typer.Context) -> Path:
    """The workspace of the line being typed: callbacks do not run then, so ``--home`` is read from the line itself."""
    from mech_exo.utils.workspace import home_folder

    given = ctx.find_root().params.get("home")
    return home_folder(None if given is None else Path(given))


@_quietly
def factors(ctx: typer.Context) -> list[str]:
    """Factors of the registry, read from its sources, and those the workspace configures besides."""
    file = _home(ctx) / "config" / "factors.yml"
    configured = CONFIGURED.findall(file.read_text("utf-8")) if file.is_file() else []
    return sorted({*_registered(), *configured})


def _registered() -> Iterator[str]:
    for path in FACTOR_FILES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id == "Factor":
                    yield from (
                        str(word.value.value) for word in node.keywords if word.arg == "name" and isinstance(word.value, ast.Constant)
                    )
                elif node.func.id == "_of" and isinstance(node.args[0], ast.Name):
                    yield node.args[0].id


@_quietly
def symbols(ctx: typer.Context) -> list[str]:
    """Symbols of the published snapshot."""
    snapshots = _home(ctx) / "data" / "snapshots"
    name = (snapshots / "CURRENT").read_text("utf-8").strip()
    written = json.loads((snapshots / Path(name).with_suffix(".panel") / "grid.json").read_text("utf-8"))
    return list(json.loads(written["facts"])["symbols"])


@_quietly
def runs(ctx: typer.Context) -> list[str]:
    """Saved backtests, and ``last``."""
    folder = _home(ctx) / "data" / "runs"
    return ["last", *sorted(place.name for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))]


@_quietly
def books(ctx: typer.Context) -> list[str]:
    """Books of the ledger."""
    with _ledger(ctx) as ledger:
        return [str(book) for book in ledger.books()]


@_quietly
def sessions(ctx: typer.Context) -> list[str]:
    """Booked sessions, the latest first."""
    with _ledger(ctx) as ledger:
        booked = {day.session for book in ledger.books() for day in ledger.day_history(book)}
    return [str(day) for day in sorted(booked, reverse=True)[:MOST]]


@contextmanager
def _ledger(ctx: typer.Context) -> Iterator[Ledger]:
    from mech_exo.execution.ledger import Ledger, default_path

    with Ledger.open(default_path(_home(ctx)), read_only=True) as ledger:
        yield ledger
