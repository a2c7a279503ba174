"""The registry of pages: one file a page, one line here. The order is that of the menu."""

from __future__ import annotations

import importlib
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
    error. It is asked anew when the address changes and when something on disk changed: a page is a function of the two, and what it
    returns takes the place of what is shown without a flicker, zoom, scroll and sorting kept. Callbacks of a page turn what is clicked
    into an address (``Output("url", "search")``); they need not watch the store ``stamp``.
    ``register(app, reader)`` adds the page's callbacks; None where it has none.
    """

    path: str
    title: str
    icon: str
    layout: Callable[[Reader, Query], Any]
    register: Callable[[Dash, Reader], None] | None = None


PAGES = ("overview", "positions", "ideas", "orders", "risk", "backtests", "factors", "quality", "log")
"""Modules of this folder, each with its ``PAGE``."""


def pages() -> tuple[Page, ...]:
    """Every page, imported now: importing the registry alone imports none of them."""
    return tuple(importlib.import_module(f"{__name__}.{name}").PAGE for name in PAGES)
