"""FinBERT (Araci 2019, arXiv:1908.10063) through ``transformers``: slower by a thousand times, and downloaded once by that library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mech_exo.domain.errors import ConfigError, DataError

MODEL = "ProsusAI/finbert"
BATCH = 32


class FinbertModel:
    """Scores headlines by ``P(positive) − P(negative)`` of a ``transformers`` text classifier."""

    def __init__(self, classify: Any) -> None:
        self._classify = classify
        revision = getattr(classify.model.config, "_commit_hash", None) or "local"
        self.version = f"finbert-{revision[:12]}"

    def score(self, headlines: Sequence[str | None]) -> NDArray[np.float64]:
        """``(len,)`` scores in [-1, 1]; NaN where there is no text."""
        scores = np.full(len(headlines), np.nan)
        places = [place for place, text in enumerate(headlines) if text and text.strip()]
        answers = self._classify([headlines[place] for place in places], top_k=None, truncation=True, batch_size=BATCH) if places else []
        for place, answer in zip(places, answers, strict=True):
            shares = {item["label"].lower(): float(item["score"]) for item in answer}
            scores[place] = shares["positive"] - shares["negative"]
        return scores


@cache
def finbert_model() -> FinbertModel:
    """The classifier, loaded once. Raises ConfigError without its libraries, DataError when its weights cannot be had."""
    try:
        from transformers import pipeline
    except ImportError:
        remedy = 'pip install "mech-exo[finbert]"   (or sentiment: linear in data.yml)'
        raise ConfigError("data.sentiment: finbert needs the library transformers; it is not installed", remedy=remedy) from None
    try:
        return FinbertModel(pipeline("text-classification", model=MODEL))
    except (OSError, RuntimeError, ImportError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"FinBERT's weights must be on this machine or within reach; {MODEL}: {why}", remedy="sentiment: linear in data.yml"
        ) from error
