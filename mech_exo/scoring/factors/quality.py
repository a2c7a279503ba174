"""How sound a company's accounts are. Formulas of the inputs: docs/fundamentals.md."""

from __future__ import annotations

from mech_exo.scoring.factors.base import Factor, Family, Floats, Ints, Params
from mech_exo.scoring.factors.fundamental import as_known
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import Direction


def earnings_quality(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` accruals with the sign turned: the share of average assets by which cash flow exceeds income; NaN where unknown."""
    return -inputs.fact("accruals")[rows]


QUALITY = (
    Factor(
        "earnings_quality", Family.QUALITY, ("accruals",), "fraction", Direction.HIGHER_BETTER,
        "Sloan (1996), The Accounting Review 71(3)", earnings_quality,
    ),
    Factor(
        "balance_sheet_strength", Family.QUALITY, ("f_score",), "0 to 9", Direction.HIGHER_BETTER,
        "Piotroski (2000), Journal of Accounting Research 38", as_known("f_score"),
    ),
)  # fmt: skip
