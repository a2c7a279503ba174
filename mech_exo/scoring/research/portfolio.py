"""Portfolio sorts: the monthly long-short return of a factor, as the literature publishes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.cross_tests import group_means, groups
from mech_exo.scoring.eligibility import Exclusion, exclusions
from mech_exo.scoring.factors import BoundFactor
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.scoring.research.forward import Holding
from mech_exo.scoring.research.sample import Ordered
from mech_exo.utils.calendar import next_session
from mech_exo.utils.settings import UniverseRules

if TYPE_CHECKING:
    import polars as pl

Ints = NDArray[np.int64]
SORT_RULES = UniverseRules(min_price=3.0, min_dollar_volume=1_000_000.0)
"""Who is sorted: names a small portfolio could have traded."""
SHARE = 0.3
"""Of the names, in the long and in the short leg: the 30th and 70th percentile of Fama and French."""


def month_ends(sessions: NDArray[np.datetime64]) -> Ints:
    """Rows of the last session of each calendar month; a month that still has sessions to come has none."""
    following = np.datetime64(next_session(sessions[-1].astype(object)), "D")
    months = np.append(sessions, following).astype("datetime64[M]")
    return np.flatnonzero(months[1:] != months[:-1]).astype(np.int64)


def long_short(
    panel: BarPanel, universe: Universe, factor: BoundFactor, sign: float, *, rules: UniverseRules = SORT_RULES, share: float = SHARE,
    within: tuple[int, int] | None = None,
) -> pl.DataFrame:  # fmt: skip
    """The long-short portfolio of ``factor``: bought and sold at each month's last close, held to the next month's.

    Equal weights of the top ``share`` of the names less those of the bottom ``share``, by ``sign`` × value among the names that pass
    ``rules`` (Fama & French 1993, "Common Risk Factors in the Returns on Stocks and Bonds", Journal of Financial Economics 33(1), sort
    with value weights on NYSE breakpoints; Jegadeesh & Titman 1993 with equal weights). Total returns, delistings as
    :class:`mech_exo.scoring.research.forward.Holding` has them, no costs.

    Columns: date (the close at which the month ends), return (fraction), long, short (each leg's own return), names_long,
    names_short. A month without both legs, or not yet over, is left out.
    """
    import polars as pl

    if not 0.0 < share <= 0.5:
        raise InputError(f"the share of each leg must be above 0 and at most 0.5; got {share}")
    inputs = FactorInputs(panel, universe)
    rows = month_ends(panel.sessions)
    first, last = within or (0, panel.shape[0])
    rows = rows[(rows >= first) & (rows < last)]
    begin, end = rows[:-1], rows[1:]
    kept = exclusions(panel, universe, begin, rules) == Exclusion.NONE
    raw = sign * factor.values(inputs, begin)
    values = Ordered.of(np.where(kept & np.isfinite(raw), raw, np.nan))
    group = np.empty(values.values.shape, np.int16)
    groups(values.values, values.order, np.array([share, 1.0 - share]), group)
    holding = Holding.of(inputs)
    returns = holding.worth[end] / holding.bought[begin] - 1.0
    means = group_means(group, returns, 3)
    frame = pl.DataFrame(
        {
            "date": panel.sessions[end], "return": means[:, 2] - means[:, 0], "long": means[:, 2], "short": means[:, 0],
            "names_long": (group == 3).sum(axis=1), "names_short": (group == 1).sum(axis=1),
        }
    )  # fmt: skip
    return frame.filter(pl.col("return").is_not_nan())
