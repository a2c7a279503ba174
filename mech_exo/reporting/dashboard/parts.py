"""What every page is made of: tiles, cards, tables, charts, badges and empty states. Values are text, never markup."""

from __future__ import annotations

import re
from typing import Any

import dash_mantine_components as dmc
from dash import html

from mech_exo.reporting.dashboard.charts import chart
from mech_exo.reporting.dashboard.grids import column, endless, serve_rows, table
from mech_exo.reporting.text import UNKNOWN

__all__ = ["badge", "card", "chart", "column", "command", "empty", "endless", "serve_rows", "stack", "table", "tile", "tiles", "unknown"]

DAY = re.compile(r"(\d{4}-\d\d-\d\d)")
TONES = ("good", "bad", "warn", "info", "plain")


def tile(title: str, value: object, note: str = "", age: str = "", tone: str = "") -> Any:
    """One figure: its name, its value as text, what it means and as of when. ``tone``: "good", "bad", "warn", "info" or ""."""
    parts = [html.Div(title, className="tile-title"), html.Div(_text(value), className="tile-value")]
    parts += [html.Div(_whole_days(note), className="tile-note")] if note else []
    parts += [html.Div(_whole_days(age), className="tile-age")] if age else []
    return html.Div(parts, className=f"tile {_tone(tone)}", role="group", **{"aria-label": title})


def tiles(*each: Any) -> Any:
    """Tiles side by side, as many a line as there is room for."""
    return html.Div(list(each), className="tiles")


def card(title: str, children: Any, note: str = "") -> Any:
    """A part of a page under its own heading."""
    head: list[Any] = [html.H2(title, className="card-title")]
    head += [html.P(note, className="card-note")] if note else []
    return html.Section([*head, html.Div(children)], className="card", **{"aria-label": title})


def empty(said: str, command: str = "") -> Any:
    """Nothing to show: why, and the command that changes it (more than one: a line each)."""
    return html.Div([html.P(said), *_commands(command)], className="empty", role="note")


def badge(state: str, tone: str = "") -> Any:
    """A word in a coloured frame: the word says it, the colour repeats it."""
    return html.Span(state, className=f"badge {_tone(tone)}")


def command(text: str) -> Any:
    """A command to type, as it is typed."""
    return html.Code(text, className="command")


def unknown() -> Any:
    """What stands for a value nobody knows."""
    return html.Span(UNKNOWN, className="unknown")


def stack(*children: Any) -> Any:
    """Parts of a page under each other."""
    return dmc.Stack(list(children), gap="md")


def _commands(text: str) -> list[Any]:
    return [command(line.strip().removeprefix("→ ")) for line in text.splitlines() if line.strip()]


def _text(value: object) -> Any:
    return unknown() if value is None or value == UNKNOWN else value


def _whole_days(text: str) -> Any:
    """A date is not to be broken at its hyphens."""
    parts = DAY.split(text)
    if len(parts) == 1:
        return text
    return [html.Span(part, className="day") if place % 2 else part for place, part in enumerate(parts) if part]


def _tone(tone: str) -> str:
    return f"tone-{tone if tone in TONES else 'plain'}"
