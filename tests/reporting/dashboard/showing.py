"""What a page shows once it is ready, and what the journal of the sample workspace holds."""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from datetime import date
from typing import Any

import numpy as np

from mech_exo.reporting.dashboard.reader import Reader
from tests.reporting.dashboard.book import parts, reader, sample


def drawn(layout: Any, query: dict[str, str], over: Reader | None = None) -> Any:
    """The page once everything on it has been made."""
    asked = over or reader()
    end = time.monotonic() + 120.0
    while True:
        made = asked.together(lambda: layout(asked, query))
        waits = [each for each in parts(made) if str(getattr(each, "id", "")).endswith("-wait")]
        if all(each.disabled for each in waits):
            return made
        assert time.monotonic() < end, "it never became ready"


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
