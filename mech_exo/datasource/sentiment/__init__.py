"""The sentiment of headlines: a score in [-1, 1] beside the version of what gave it. docs/sentiment.md says what the scores are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import ConfigError
from mech_exo.utils.settings import Sentiment

if TYPE_CHECKING:
    import polars as pl

GIVEN = "given"
"""The version of a score that came with its headline: kept, never scored anew."""


@runtime_checkable
class Scorer(Protocol):
    """Anything that judges headlines."""

    @property
    def version(self) -> str:
        """Which model, by name and hash: stored beside every score."""

    def score(self, headlines: Sequence[str | None]) -> NDArray[np.float64]:
        """``(len,)`` float64: -1 bad for who is spoken of, 1 good, 0 neither; NaN where there is no text."""


def scorer(name: str) -> Scorer | None:
    """The scorer that ``sentiment`` of ``data.yml`` names; None for ``none``. Loaded once per process.

    Raises
    ------
    ConfigError
        An unknown name, or FinBERT without the libraries it needs.
    DataError
        The model cannot be read.
    """
    if name == Sentiment.NONE:
        return None
    if name == Sentiment.LINEAR:
        from mech_exo.datasource.sentiment.linear import linear_model

        return linear_model()
    if name == Sentiment.FINBERT:
        from mech_exo.datasource.sentiment.finbert import finbert_model

        return finbert_model()
    raise ConfigError(f"data.sentiment must be one of {', '.join(Sentiment)}; got {name!r}")


def scored(frame: pl.DataFrame, judge: Scorer | None) -> pl.DataFrame:
    """``frame`` with ``sentiment`` and ``sentiment_version`` filled in for its ``headline``.

    A score that is there already stays, under its own version, else :data:`GIVEN`. Both are null without a
    scorer and where there is no text.
    """
    import polars as pl

    kinds = {"sentiment": pl.Float64, "sentiment_version": pl.String}
    absent = [pl.lit(None, kind).alias(name) for name, kind in kinds.items() if name not in frame.columns]
    rows = frame.with_columns(absent).with_columns(pl.col(name).cast(kind) for name, kind in kinds.items())
    own = pl.col("sentiment").is_not_null()
    rows = rows.with_columns(sentiment_version=pl.when(own).then(pl.coalesce("sentiment_version", pl.lit(GIVEN))))
    texts = rows.filter(~own)["headline"].unique(maintain_order=True)
    if judge is None or texts.is_empty():
        return rows
    scores = pl.Series(judge.score(texts.to_list()), dtype=pl.Float64).fill_nan(None)
    found = pl.DataFrame(
        {"headline": texts, "score": scores, "version": pl.select(pl.lit(judge.version).repeat_by(len(texts))).to_series().explode()}
    )
    joined = rows.join(found, on="headline", how="left", maintain_order="left", nulls_equal=True)
    version = pl.when(own).then("sentiment_version").when(pl.col("score").is_not_null()).then("version")
    return joined.with_columns(pl.coalesce("sentiment", "score").alias("sentiment"), sentiment_version=version).drop("score", "version")
