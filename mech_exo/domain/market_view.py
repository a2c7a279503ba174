"""The market as a strategy sees it: cut at one session's close."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel, Universe

    Floats = NDArray[np.float64]


class MarketView:
    """The market as known at the close of one session: every array ends there, a strategy cannot ask for more.

    Parameters
    ----------
    panel, universe
        The whole history and its memberships.
    row
        The session at whose close the view stands.
    """

    __slots__ = ("_panel", "_row", "_universe")

    def __init__(self, panel: BarPanel, universe: Universe, row: int) -> None:
        self._panel, self._universe, self._row = panel, universe, row

    @property
    def as_of(self) -> date:
        """The session at whose close this is known."""
        session: date = self._panel.sessions[self._row].astype(object)
        return session

    @property
    def panel(self) -> BarPanel:
        """Rows ``0..t`` of the panel, as views."""
        return self._panel.upto(self._row)

    @property
    def universe(self) -> Universe:
        """Rows ``0..t`` of memberships and sectors."""
        return self._universe.rows(0, self._row + 1)

    @property
    def symbols(self) -> tuple[str, ...]:
        """``(N,)`` the columns of every array."""
        return self._panel.symbols

    @property
    def row(self) -> int:
        """Number of the session, counted from the start of the panel: the last row of every array."""
        return self._row

    @property
    def open(self) -> Floats:
        """``(t + 1, N)`` opens in USD, NaN where not traded."""
        return self._panel.open[: self._row + 1]

    @property
    def high(self) -> Floats:
        """``(t + 1, N)`` highs in USD, NaN where not traded."""
        return self._panel.high[: self._row + 1]

    @property
    def low(self) -> Floats:
        """``(t + 1, N)`` lows in USD, NaN where not traded."""
        return self._panel.low[: self._row + 1]

    @property
    def close(self) -> Floats:
        """``(t + 1, N)`` closes in USD, NaN where not traded."""
        return self._panel.close[: self._row + 1]

    @property
    def volume(self) -> Floats:
        """``(t + 1, N)`` shares, NaN where not traded."""
        return self._panel.volume[: self._row + 1]

    @property
    def price(self) -> Floats:
        """``(N,)`` the last row of :attr:`close`."""
        row: Floats = self._panel.close[self._row]
        return row

    def column_of(self, symbol: str) -> int:
        """Column of ``symbol``. Raises InputError with the nearest known names."""
        return self._panel.column_of(symbol)
