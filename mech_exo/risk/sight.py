"""What the limits may see, made of what a caller knows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.kernels.records import Bars, Floats
from mech_exo.risk.limits import Past

if TYPE_CHECKING:
    from mech_exo.domain.panel import BarPanel

HISTORY = ("open", "high", "low", "close", "volume")


def past_known(
    symbols: Sequence[str], close: Floats, shortable: Collection[str] = (), panel: BarPanel | None = None, market: Floats | None = None
) -> Past:
    """The past of ``symbols`` up to the last row of ``panel``, where the prices ``close`` ``(C,)`` stand.

    Parameters
    ----------
    shortable
        Symbols that may be sold short where only those listed may.
    panel
        None, or one without a symbol: nothing of its past is known.
    market
        ``(T,)`` returns of the market on the panel's sessions; None = unknown.
    """
    sessions, count = 1 if panel is None else len(panel.sessions), len(symbols)
    arrays = {name: np.full((sessions, count), np.nan) for name in HISTORY}
    arrays |= {"split_ratio": np.ones((sessions, count)), "dividend": np.zeros((sessions, count))}
    if panel is not None:
        places = {symbol: column for column, symbol in enumerate(panel.symbols)}
        known = [i for i, symbol in enumerate(symbols) if symbol in places]
        columns = [places[symbols[i]] for i in known]
        for name, values in arrays.items():
            values[:, known] = getattr(panel, name)[:, columns]
    arrays["close"][-1] = close
    bars = Bars(**arrays, delisted=np.full(count, sessions), delisting_value=np.full(count, np.nan))
    returns = np.empty(0) if market is None else market.view()
    returns.flags.writeable = False
    return Past(sessions - 1, bars, np.array([symbol in shortable for symbol in symbols], np.bool_), returns)
