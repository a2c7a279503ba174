"""What is written and said of a company."""

from __future__ import annotations

import numpy as np

from mech_exo.domain.facts import NEWS_COUNT, NEWS_TONE, rows_of
from mech_exo.kernels.decay import decayed_mean_rows
from mech_exo.scoring.factors.base import Factor, Family, Floats, Ints, Param, Params
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.settings import Direction

LEAST_NEWS = 0.5
"""A single headline is believed for one half-life, two of one day for two: below this decayed count there is no opinion."""


def news_sentiment(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
    """``(K, N)`` mean sentiment of a company's headlines, from -1 to 1, each weighted by 0.5 to the power of its age in half-lives.

    Tetlock, Saar-Tsechansky & Macskassy (2008), "More Than Words: Quantifying Language to Measure Firms' Fundamentals", Journal of
    Finance 63(3): negative words in company news are followed by low earnings and, briefly, low returns. Tetlock (2007), "Giving Content
    to Investor Sentiment", Journal of Finance 62(3), found the effect of a pessimistic column on the market reversed within a week; Heston
    & Sinha (2017), "News vs. Sentiment", Financial Analysts Journal 73(3), that a day's news of a company predicts returns for one or two
    days, and a week's for a quarter. The half-life of two weeks stands between them: a choice, estimated in none of these papers.

    Ages are counted in sessions from the first close by which the headline and its judgement were known. NaN where the decayed number of
    headlines is below one half, or where nothing was judged in the last ``window`` sessions. Headlines without a sentiment do not count.
    """
    last = np.arange(rows[-1] + 1 if len(rows) else 0)
    tone, count = (rows_of(inputs.fact(name), last) for name in (NEWS_TONE, NEWS_COUNT))
    return decayed_mean_rows(tone, count, rows, float(params["half_life"]), int(params["window"]), LEAST_NEWS)


def analyst_rating(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` the analysts' mean opinion, from -1 (strong sell) to 1 (strong buy), as last shown; NaN where none was in 400 days.

    Barber, Lehavy, McNichols & Trueman (2001), "Can Investors Profit from the Prophets?", Journal of Finance 56(2), sort by this very level
    of the consensus; Womack (1996), "Do Brokerage Analysts' Recommendations Have Investment Value?", Journal of Finance 51(1), studies its
    changes.
    """
    return rows_of(inputs.fact("analyst_rating"), rows)


def social_sentiment(inputs: FactorInputs, rows: Ints, _params: Params) -> Floats:
    """``(K, N)`` what is said of a company in public forums, from -1 to 1, as handed in; NaN where it is unknown.

    Antweiler & Frank (2004), "Is All That Talk Just Noise? The Information Content of Internet Stock Message Boards", Journal of Finance
    59(3). No source brings it yet: it is missing until a program hands it in through :class:`mech_exo.domain.facts.Facts`
    (docs/sentiment.md).
    """
    return rows_of(inputs.fact("social_sentiment"), rows)


SENTIMENT = (
    Factor(
        name="news_sentiment",
        family=Family.SENTIMENT,
        inputs=(NEWS_TONE, NEWS_COUNT),
        unit="-1 to 1",
        direction=Direction.HIGHER_BETTER,
        source="Tetlock, Saar-Tsechansky & Macskassy (2008), Journal of Finance 63(3); decay: Heston & Sinha (2017), FAJ 73(3)",
        compute=news_sentiment,
        params={"half_life": Param(10, 1, 250), "window": Param(63, 1, 1000)},
    ),
    Factor(
        name="analyst_rating",
        family=Family.SENTIMENT,
        inputs=("analyst_rating",),
        unit="-1 to 1",
        direction=Direction.HIGHER_BETTER,
        source="Barber, Lehavy, McNichols & Trueman (2001), Journal of Finance 56(2); Womack (1996), Journal of Finance 51(1)",
        compute=analyst_rating,
    ),
    Factor(
        name="social_sentiment",
        family=Family.SENTIMENT,
        inputs=("social_sentiment",),
        unit="-1 to 1",
        direction=Direction.HIGHER_BETTER,
        source="Antweiler & Frank (2004), Journal of Finance 59(3)",
        compute=social_sentiment,
    ),
)
