"""What a page shows, read from its components; and the sample workspace behind a reader."""

from __future__ import annotations

import base64
import functools
import json
import sqlite3
import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np

from mech_exo.assembly import Workspace
from mech_exo.reporting.dashboard.reader import Reader
from tests.browser.workspaces import Built, kept, sample_workspace


@functools.cache
def sample() -> Built:
    """Not to be written in."""
    return kept("sample", sample_workspace)


@functools.cache
def reader() -> Reader:
    built = sample()
    return Reader(built.home, lambda: Workspace.open(built.home), lambda: built.now)


def drawn(layout: Any, query: dict[str, str], over: Reader | None = None) -> Any:
    """The page once everything on it has been made."""
    asked = over or reader()
    end = time.monotonic() + 120.0
    while True:
        made = asked.together(lambda: layout(asked, query))
        waits = [part for part in parts(made) if str(getattr(part, "id", "")).endswith("-wait")]
        if all(part.disabled for part in waits):
            return made
        assert time.monotonic() < end, "it never became ready"


def parts(component: Any) -> Iterator[Any]:
    """Every component, the outer ones first."""
    if isinstance(component, (list, tuple)):
        for each in component:
            yield from parts(each)
    elif hasattr(component, "to_plotly_json"):
        yield component
        yield from parts(getattr(component, "children", None))


def part(component: Any, name: str) -> Any:
    """The component with the id ``name``."""
    return next(each for each in parts(component) if getattr(each, "id", None) == name)


def texts(component: Any) -> list[str]:
    """Every text, in its order."""
    if isinstance(component, str):
        return [component]
    if isinstance(component, (list, tuple)):
        return [text for each in component for text in texts(each)]
    return texts(getattr(component, "children", None)) if hasattr(component, "to_plotly_json") else []


def numbers(values: Any) -> np.ndarray:
    """A series of a figure, as Plotly packs it or as it is."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.asarray(values, float)


def tile(component: Any, title: str) -> str:
    """The value of a tile."""
    each = next(one for one in parts(component) if getattr(one, "aria-label", None) == title and "tile" in str(one.className))
    return " ".join(texts(each.children[1]))


def journal(kind: str) -> list[dict[str, Any]]:
    """Rows of the journal as they lie in the file, read without the program."""
    with sqlite3.connect(f"file:{sample().home / 'data' / 'ledger.sqlite'}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT body FROM journal WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
    connection.close()
    return [json.loads(body) for (body,) in rows]


def bodies() -> dict[date, dict[str, Any]]:
    """Every decision's body by session, read without the program."""
    return {date.fromisoformat(row["session"]): json.loads(row["body"]) for row in journal("decision")}
