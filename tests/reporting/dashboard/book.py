"""The sample workspace behind a reader, its ledger read without the program, and what a page of components shows."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from mech_exo.assembly import Workspace
from mech_exo.reporting.dashboard.reader import Reader
from tests.browser.workspaces import Built, kept, sample_workspace


@functools.cache
def sample() -> Built:
    """Not to be written in."""
    return kept("sample", sample_workspace)


@functools.cache
def reader() -> Reader:
    """Reads it on the evening it was built for."""
    built = sample()
    return Reader(built.home, lambda: Workspace.open(built.home), lambda: built.now)


def rows(sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What the ledger's file says."""
    connection = sqlite3.connect(f"file:{sample().home / 'data' / 'ledger.sqlite'}?mode=ro", uri=True)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def journaled(kind: str, key: str) -> dict[str, Any]:
    """The body of the newest row of a kind and key."""
    found = rows("SELECT body FROM journal WHERE kind = ? AND key = ? ORDER BY seq DESC LIMIT 1", kind, key)
    body: dict[str, Any] = json.loads(found[0][0])
    return body


def parts(component: Any) -> Iterator[Any]:
    """Every component, the outer ones first."""
    if isinstance(component, (list, tuple)):
        for each in component:
            yield from parts(each)
    elif hasattr(component, "to_plotly_json"):
        yield component
        yield from parts(getattr(component, "children", None))


def part(component: Any, id_: str) -> Any:
    """The component of that id."""
    return next(each for each in parts(component) if getattr(each, "id", None) == id_)


def texts(component: Any) -> list[str]:
    """Every text, in order."""
    if isinstance(component, (list, tuple)):
        return [text for each in component for text in texts(each)]
    if hasattr(component, "to_plotly_json"):
        return texts(getattr(component, "children", None))
    return [] if component is None else [str(component)]


def tile(page: Any, title: str) -> list[str]:
    """The texts of a tile after its title."""
    return texts(next(each for each in parts(page) if getattr(each, "aria-label", None) == title and "tile" in str(each.className)))[1:]
