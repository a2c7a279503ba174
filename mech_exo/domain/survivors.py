"""Whether a panel holds the names that failed, or only those that lived to be collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mech_exo.domain.panel import BarPanel

YEAR = 252
LEAST_NAMES = 50
LEAST_SESSIONS = 2 * YEAR
"""Of fewer names, or in a shorter time, it may well be that none disappeared."""
QUIET = 21
"""Sessions without a bar up to the end of the panel that count as the end of a name."""
EXPECTED = 0.005
"""Names that disappear in a year, a fraction, below which survivors were picked. Of US listings it is several in a hundred (Shumway
1997, "The Delisting Bias in CRSP Data", Journal of Finance 52(1)), of index members, mostly by takeovers, hardly fewer."""


def survivorship_warnings(panel: BarPanel) -> tuple[str, ...]:
    """A warning where hardly any of the panel's names ever ended; none where the panel is too small or too short to tell."""
    sessions, names = panel.shape
    if names < LEAST_NAMES or sessions < LEAST_SESSIONS:
        return ()
    ended = int((~np.isfinite(panel.close[-QUIET:]).any(axis=0)).sum())
    years = sessions / YEAR
    if ended >= EXPECTED * names * years:
        return ()
    said = f"survivors: the bars of {ended} of {names:,} names ended in {years:.1f} years"
    return (f"{said}; nearly all that failed or were bought are missing",)
