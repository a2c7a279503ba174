"""Risk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import empty

if TYPE_CHECKING:
    from mech_exo.reporting.dashboard.reader import Reader


def layout(reader: Reader, query: Query) -> Any:
    """The page."""
    return empty("Nothing is shown here yet.", "exo --help")


PAGE = Page("/risk", "Risk", "risk", layout)
