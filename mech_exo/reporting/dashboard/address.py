"""The address keeps the state of a page: ``?session=2026-01-02&symbol=AAPL``."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

MOST = 40
LONGEST = 2000


def parsed(search: object) -> dict[str, str]:
    """The state in an address's search (``?a=1&b=2``), the last of equal names; what is no search is an empty state."""
    if not isinstance(search, str) or len(search) > LONGEST:
        return {}
    try:
        return dict(parse_qsl(search.removeprefix("?"), max_num_fields=MOST))
    except ValueError:
        return {}


def search_of(query: Mapping[str, str | None], **changed: object) -> str:
    """The search for ``query`` with some names changed; None or "" removes one."""
    state = {**query, **{name: None if value is None else str(value) for name, value in changed.items()}}
    text = urlencode({name: value for name, value in state.items() if value})
    return f"?{text}" if text else ""
