"""The registry of pages: one file a page, one line here. The order is that of the menu."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.reporting.dashboard.reader import Reader

Query = Mapping[str, str]
"""The state of a page as its address keeps it: ``?session=2026-01-02&symbol=AAPL``."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: where it is, what the menu calls it, what it shows, what it does.

    ``layout(reader, query)`` returns a Dash component for the state in ``query``; foreign or wrong values there are ignored, never an
    error. ``register(app, reader)`` adds the page's callbacks; None where it has none.
    """

    path: str
    title: str
    icon: str
    layout: Callable[[Reader, Query], Any]
    register: Callable[[Dash, Reader], None] | None = None
