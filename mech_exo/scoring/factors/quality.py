"""How sound a company's accounts are. Formulas of the inputs: docs/fundamentals.md."""

from __future__ import annotations

import numpy as np

from mech_exo.domain.facts import rows_of
from mech_exo.scoring.factors.base import Factor, Family, Floats, Ints, Param, Params
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import Direction

SIGNALS = 9


def earnings_quality(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` by how much the cash flow of twelve months exceeds net income, as a fraction of average assets: accruals with the sign
    turned, so that more is better. NaN where income, cash flow or the assets of this year or the last are unknown.

    Sloan (1996), "Do Stock Prices Fully Reflect Information in Accruals and Cash Flows about Future Earnings?", The Accounting Review
    71(3); measured from the cash flow statement as in Hribar & Collins (2002), "Errors in Estimating Accruals: Implications for Empirical
    Research", Journal of Accounting Research 40(1).
    """
    return -rows_of(inputs.fact("accruals"), rows)


def balance_sheet_strength(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` Piotroski's F-score, 0 to 9; NaN where fewer than ``known`` of its nine signals are known.

    Piotroski (2000), "Value Investing: The Use of Historical Financial Statement Information to Separate Winners from Losers", Journal of
    Accounting Research 38 (Supplement). As published all nine are needed, the default. With fewer, the share of the known signals that are
    good is brought to nine: a source without one line, e.g. gross profit, would leave everybody without a score.
    """
    points, known = (rows_of(inputs.fact(name), rows) for name in ("f_points", "f_known"))
    return points * SIGNALS / np.where(known >= params["known"], known, np.nan)


QUALITY = (
    Factor(
        name="earnings_quality",
        family=Family.QUALITY,
        inputs=("accruals",),
        unit="fraction",
        direction=Direction.HIGHER_BETTER,
        source="Sloan (1996), The Accounting Review 71(3); Hribar & Collins (2002), Journal of Accounting Research 40(1)",
        compute=earnings_quality,
    ),
    Factor(
        name="balance_sheet_strength",
        family=Family.QUALITY,
        inputs=("f_points", "f_known"),
        unit="0 to 9",
        direction=Direction.HIGHER_BETTER,
        source="Piotroski (2000), Journal of Accounting Research 38 (Supplement)",
        compute=balance_sheet_strength,
        params={"known": Param(SIGNALS, 1, SIGNALS)},
    ),
)
