"""The market as risk sees it at one close."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mech_exo.risk.model import Market

if TYPE_CHECKING:
    from mech_exo.decision.params import Features
    from mech_exo.domain.panel import BarPanel, Universe


def market_of(panel: BarPanel, features: Features) -> Market:
    """What the limits saw: ``panel`` ends at tonight's row; the market's returns are known where a limit reads them."""
    return Market(panel, None if features.beside is None or not len(features.beside.market) else features.beside.market)


def market_until(panel: BarPanel, universe: Universe, row: int, whose: str = "the members") -> Market:
    """Bars up to ``row`` and the returns of the members, equally weighted, as the limit on beta measures them."""
    from mech_exo.scoring.inputs import FactorInputs

    seen = panel.upto(row)
    return Market(seen, FactorInputs(seen, universe.rows(0, row + 1)).market_return, f"{whose}, equally weighted")
