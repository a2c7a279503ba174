"""Sectors as they were known at a session, read without the history that nobody asks for."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from mech_exo.domain.errors import MissingDataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mech_exo.reporting.dashboard.house import House

BACK = timedelta(days=400)
"""How far back a name may have had its last bar; one that has had none for longer has no known sector here."""


def sectors_at(house: House, session: date) -> Mapping[str, str | None] | None:
    """Each name's sector as known at ``session``, None unknown; None altogether where the store does not reach so far.

    The same as :meth:`House.sectors`, of the names with a bar in the year before, without reading factors' inputs and old bars.
    """
    try:
        view = house.storage.view(session)
        panel = view.panel(start=session - BACK)
    except MissingDataError:
        return None
    if panel.sessions[-1].item() != session:
        return None
    universe, row = view.universe(panel, house.config.strategy.universe.name), len(panel.sessions) - 1
    return {symbol: universe.sector_name(row, column) for column, symbol in enumerate(panel.symbols)}
