"""What a company earns, owns and owes, beside its price. Formulas of the inputs: docs/fundamentals.md."""

from __future__ import annotations

from mech_exo.scoring.factors.base import Compute, Factor, Family, Floats, Ints, Params
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import Direction


def as_known(fact: str) -> Compute:
    """The factor that is the fact ``fact`` itself: ``(K, N)`` its values as known at the rows, NaN = unknown."""

    def compute(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
        return inputs.fact(fact)[rows]

    return compute


def _fundamental(name: str, unit: str, direction: Direction, source: str) -> Factor:
    return Factor(name, Family.FUNDAMENTAL, (name,), unit, direction, source, as_known(name))


_LOW, _HIGH = Direction.LOWER_BETTER, Direction.HIGHER_BETTER

FUNDAMENTAL = (
    _fundamental("pe_ratio", "ratio", _LOW, "Basu (1977), Journal of Finance 32(3)"),
    _fundamental("price_to_book", "ratio", _LOW, "Fama & French (1992), Journal of Finance 47(2)"),
    _fundamental("debt_to_equity", "ratio", _LOW, "Bhandari (1988), Journal of Finance 43(2)"),
    _fundamental("return_on_equity", "fraction", _HIGH, "Haugen & Baker (1996), Journal of Financial Economics 41"),
    _fundamental("revenue_growth", "fraction", _HIGH, "Lakonishok, Shleifer & Vishny (1994), Journal of Finance 49(5)"),
    _fundamental("earnings_growth", "fraction", _HIGH, "Lakonishok, Shleifer & Vishny (1994), Journal of Finance 49(5)"),
)
