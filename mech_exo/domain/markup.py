"""How values look in a notebook: plain tables of escaped text, without a colour of their own, so that they read in light and in dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

SHOWN = 10
"""Rows of a table, lines of a list; what is left out is counted."""


def page(*parts: str) -> str:
    """The parts one below the other; a notebook must not read what stands between two dollar signs as a formula."""
    return f'<div class="tex2jax_ignore mathjax_ignore">{"".join(parts)}</div>'


def shown(value: object, form: str = "") -> str:
    """``value`` in the format ``form``; "unknown" where it is None or NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "unknown"
    return format(value, form)


def title(text: object, rest: object = "") -> str:
    """A heading, and what stands beside it."""
    return f"<p><b>{escape(str(text))}</b>{escape(f' {rest}') if rest else ''}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], most: int = SHOWN) -> str:
    """The first ``most`` rows under ``head``, None and NaN as "unknown"; without a row nothing."""
    lines = list(rows)
    if not lines:
        return ""
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(shown(cell))}</td>" for cell in line) + "</tr>" for line in lines[:most])
    left_out = f"<p>… and {len(lines) - most:,} more</p>" if len(lines) > most else ""
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>{left_out}"


def notes(texts: Iterable[object], most: int = SHOWN) -> str:
    """A list of sentences; without one nothing."""
    lines = [escape(str(text)) for text in texts]
    if not lines:
        return ""
    more = [f"… and {len(lines) - most:,} more"] if len(lines) > most else []
    return f"<ul>{''.join(f'<li>{line}</li>' for line in [*lines[:most], *more])}</ul>"
