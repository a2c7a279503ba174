"""Factors that ``factors.yml`` may name already although no source feeds them yet.

They leave the composite's denominator and every report names them with the reason.
"""

from __future__ import annotations

from mech_exo.scoring.factors.base import Factor, Family, Needs
from mech_exo.utils.settings import Direction

_LOW, _HIGH = Direction.LOWER_BETTER, Direction.HIGHER_BETTER


def _awaiting(name: str, family: Family, needs: Needs, direction: Direction, source: str) -> Factor:
    return Factor(name=name, family=family, needs=needs, direction=direction, source=source)


def _fundamental(name: str, direction: Direction, source: str) -> Factor:
    return _awaiting(name, Family.FUNDAMENTAL, Needs.FUNDAMENTALS, direction, source)


AWAITING = (
    _fundamental("pe_ratio", _LOW, "Basu (1977), Journal of Finance 32(3)"),
    _fundamental("price_to_book", _LOW, "Fama & French (1992), Journal of Finance 47(2)"),
    _fundamental("debt_to_equity", _LOW, "Bhandari (1988), Journal of Finance 43(2)"),
    _fundamental("return_on_equity", _HIGH, "Haugen & Baker (1996), Journal of Financial Economics 41"),
    _fundamental("revenue_growth", _HIGH, "Lakonishok, Shleifer & Vishny (1994), Journal of Finance 49(5)"),
    _fundamental("earnings_growth", _HIGH, "Lakonishok, Shleifer & Vishny (1994), Journal of Finance 49(5)"),
    _awaiting("news_sentiment", Family.SENTIMENT, Needs.NEWS, _HIGH, "Tetlock (2007), Journal of Finance 62(3)"),
    _awaiting("analyst_rating", Family.SENTIMENT, Needs.RATINGS, _HIGH, "Womack (1996), Journal of Finance 51(1)"),
    _awaiting("social_sentiment", Family.SENTIMENT, Needs.SOCIAL, _HIGH, "Antweiler & Frank (2004), Journal of Finance 59(3)"),
    _awaiting("earnings_quality", Family.QUALITY, Needs.FUNDAMENTALS, _HIGH, "Sloan (1996), The Accounting Review 71(3)"),
    _awaiting("balance_sheet_strength", Family.QUALITY, Needs.FUNDAMENTALS, _HIGH, "Piotroski (2000), Journal of Accounting Research 38"),
)
