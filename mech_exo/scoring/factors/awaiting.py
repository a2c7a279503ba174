"""Factors that ``factors.yml`` may name already although no source feeds them yet.

They leave the composite's denominator and every report names them with the reason.
"""

from __future__ import annotations

from mech_exo.scoring.factors.base import Factor, Family, Needs
from mech_exo.utils.settings import Direction


def _awaiting(name: str, family: Family, needs: Needs, direction: Direction, source: str) -> Factor:
    return Factor(name=name, family=family, needs=needs, direction=direction, source=source)


AWAITING = (
    _awaiting("pe_ratio", Family.FUNDAMENTAL, Needs.FUNDAMENTALS, Direction.LOWER_BETTER, "Basu (1977), Journal of Finance 32(3)"),
    _awaiting("price_to_book", Family.FUNDAMENTAL, Needs.FUNDAMENTALS, Direction.LOWER_BETTER, "Fama & French (1992), Journal of Finance 47(2)"),
    _awaiting("debt_to_equity", Family.FUNDAMENTAL, Needs.FUNDAMENTALS, Direction.LOWER_BETTER, "Bhandari (1988), Journal of Finance 43(2)"),
    _awaiting("return_on_equity", Family.FUNDAMENTAL, Needs.FUNDAMENTALS, Direction.HIGHER_BETTER, "Haugen & Baker (1996), Journal of Financial Economics 41"),
    _awaiting("revenue_growth", Family.FUNDAMENTAL, Needs.FUNDAMENTALS, Direction.HIGHER_BETTER, "Lakonishok, Shleifer & Vishny (1994), Journal of Finance 49(5)"),
    _awaiting("earnings_growth", Family.FUNDAMENTAL, Needs.FUNDAMENTALS, Direction.HIGHER_BETTER, "Lakonishok, Shleifer & Vishny (1994), Journal of Finance 49(5)"),
    _awaiting("news_sentiment", Family.SENTIMENT, Needs.NEWS, Direction.HIGHER_BETTER, "Tetlock (2007), Journal of Finance 62(3)"),
    _awaiting("analyst_rating", Family.SENTIMENT, Needs.RATINGS, Direction.HIGHER_BETTER, "Womack (1996), Journal of Finance 51(1)"),
    _awaiting("social_sentiment", Family.SENTIMENT, Needs.SOCIAL, Direction.HIGHER_BETTER, "Antweiler & Frank (2004), Journal of Finance 59(3)"),
    _awaiting("earnings_quality", Family.QUALITY, Needs.FUNDAMENTALS, Direction.HIGHER_BETTER, "Sloan (1996), The Accounting Review 71(3)"),
    _awaiting("balance_sheet_strength", Family.QUALITY, Needs.FUNDAMENTALS, Direction.HIGHER_BETTER, "Piotroski (2000), Journal of Accounting Research 38"),
)
