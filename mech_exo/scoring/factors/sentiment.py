"""What is written and said of a company."""

from __future__ import annotations

from mech_exo.scoring.factors.base import Factor, Family
from mech_exo.scoring.factors.fundamental import as_known
from mech_exo.utils.settings import Direction


def _sentiment(name: str, source: str) -> Factor:
    return Factor(name, Family.SENTIMENT, (name,), "-1 to 1", Direction.HIGHER_BETTER, source, as_known(name))


SENTIMENT = (
    _sentiment("news_sentiment", "Tetlock (2007), Journal of Finance 62(3)"),
    _sentiment("analyst_rating", "Womack (1996), Journal of Finance 51(1)"),
    _sentiment("social_sentiment", "Antweiler & Frank (2004), Journal of Finance 59(3)"),
)
