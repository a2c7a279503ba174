"""The model that ships with the program: a multinomial logistic regression over the rules' signals, words and parts of words.

``log-odds = bias + signals · W + Σ words / √(words of the headline) + Σ parts / √(parts of the headline)``; the score is
``P(positive) − P(negative)`` of their softmax. Weights: ``scripts/train_sentiment.py``; what they are worth: docs/sentiment.md.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mech_exo.datasource.sentiment.signals import NAMES, features
from mech_exo.datasource.sentiment.text import is_number, tokens
from mech_exo.domain.errors import DataError

Floats = NDArray[np.float64]
FILE = "linear.npz"
DECIDING = (FILE, "lexicon.txt", "text.py", "signals.py", "linear.py")
"""Files a score depends on: the same version means the same scores."""
CLASSES = ("negative", "neutral", "positive")
SHORTEST, LONGEST = 3, 5
BATCH = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What the training found: bias ``(3,)``, weights ``(K, 3)`` of signals, ``(V, 3)`` of words and pairs, ``(C, 3)`` of parts."""

    bias: NDArray[np.float32]
    signals: NDArray[np.float32]
    words: tuple[str, ...]
    word_weights: NDArray[np.float32]
    parts: tuple[str, ...]
    part_weights: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write the weights as npz, no pickle; numbers rounded to float16."""
        np.savez_compressed(
            path,
            bias=self.bias,
            signals=self.signals,
            names=np.array(NAMES),
            words=np.frombuffer("\n".join(self.words).encode(), np.uint8),
            word_weights=self.word_weights.astype(np.float16),
            parts=np.frombuffer("\n".join(self.parts).encode(), np.uint8),
            part_weights=self.part_weights.astype(np.float16),
        )

    @classmethod
    def load(cls, path: Path) -> Weights:
        """Read what :meth:`save` wrote. Raises DataError for a file that is none, or made for other signals."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                names = tuple(stored["names"].tolist())
                words, parts = (tuple(stored[name].tobytes().decode().split("\n")) for name in ("words", "parts"))
                tables = [stored[name].astype(np.float32) for name in ("bias", "signals", "word_weights", "part_weights")]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise DataError(f"the sentiment model must be readable; {path}: {error}", remedy="install the package again") from error
        if names != NAMES:
            raise DataError(
                f"the sentiment model must be trained for this program's signals; {path} is not", remedy="python scripts/train_sentiment.py"
            )
        return cls(tables[0], tables[1], words, tables[2], parts, tables[3])


class LinearModel:
    """Scores headlines by :class:`Weights`. ``version`` names the model by the hash of what decides its scores."""

    def __init__(self, weights: Weights, version: str) -> None:
        self.weights = weights
        self.version = version
        self._words = {word: place for place, word in enumerate(weights.words)}
        self._parts = {part: place for place, part in enumerate(weights.parts)}

    def probabilities(self, headlines: Sequence[str | None]) -> Floats:
        """``(len, 3)`` probabilities of negative, neutral, positive; a row of NaN where there is no text."""
        result = np.full((len(headlines), len(CLASSES)), np.nan)
        for start in range(0, len(headlines), BATCH):
            result[start : start + BATCH] = self._batch([tokens(text or "") for text in headlines[start : start + BATCH]])
        return result

    def score(self, headlines: Sequence[str | None]) -> Floats:
        """``(len,)`` scores in [-1, 1], ``P(positive) − P(negative)`` to six decimals; NaN where there is no text.

        A headline has the same score to the last bit in any company and any process: a stored score must not look restated.
        """
        found = self.probabilities(headlines)
        scores: Floats = np.round(found[:, 2] - found[:, 0], 6)
        return scores

    def _batch(self, split: list[list[str]]) -> Floats:
        logits = self.weights.bias + (features(split)[:, :, None] * self.weights.signals.astype(np.float64)).sum(
            axis=1
        )  # no BLAS: see score
        pairs = [grams(words) for words in split]
        logits += _means([[place for item in found if (place := self._words.get(item)) is not None] for found in pairs],
                         [len(found) for found in pairs], self.weights.word_weights)  # fmt: skip
        vocabulary = {word: place for place, word in enumerate(sorted(set().union(*split)))}
        table, counts = self._of_words(list(vocabulary))
        used = [[vocabulary[word] for word in dict.fromkeys(words)] for words in split]
        logits += _means(used, [int(counts[places].sum()) for places in used], table)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: Floats = odds / odds.sum(axis=1, keepdims=True)
        result[[row for row, words in enumerate(split) if not words]] = np.nan
        return result

    def _of_words(self, words: list[str]) -> tuple[Floats, NDArray[np.int64]]:
        """For each word the sum of its parts' weights ``(W, 3)`` and the number of its parts ``(W,)``."""
        parts = [chars([word]) for word in words]
        known = [[place for part in found if (place := self._parts.get(part)) is not None] for found in parts]
        return _sums(known, self.weights.part_weights), np.array([len(found) for found in parts], np.int64)


def _sums(places: list[list[int]], table: NDArray[Any]) -> Floats:
    """``(len(places), 3)``: the rows of ``table`` at each list of places, added up."""
    lengths = [len(found) for found in places]
    rows = np.repeat(np.arange(len(places)), lengths)
    flat = np.fromiter((place for found in places for place in found), np.int64, sum(lengths))
    return np.stack([np.bincount(rows, table[flat, k], len(places)) for k in range(len(CLASSES))], axis=1)


def _means(places: list[list[int]], counts: list[int], table: NDArray[Any]) -> Floats:
    """Sums divided by the root of how many items the headline has, known or not."""
    scaled: Floats = _sums(places, table) / np.sqrt(np.maximum(counts, 1))[:, None]
    return scaled


def grams(words: list[str]) -> list[str]:
    """The words of a headline and the pairs that follow each other, each once; a number is any number, a ticker any ticker."""
    plain = [_plain(word) for word in words]
    return list(dict.fromkeys([*plain, *(f"{first} {second}" for first, second in pairwise(plain))]))


def _plain(word: str) -> str:
    if is_number(word):
        return "<n>"
    if word[0] in "$@#" and len(word) > 1:
        return "<tag>"
    return "<url>" if word.startswith("http") else word


def chars(words: list[str]) -> list[str]:
    """The parts of 3 to 5 letters of each different word, its beginning and end marked."""
    found: list[str] = []
    for word in dict.fromkeys(words):
        if word[0].isalpha() and len(word) > 2:
            marked = f"<{word}>"
            parts = [marked[at : at + size] for size in range(SHORTEST, LONGEST + 1) for at in range(len(marked) - size + 1)]
            found.extend(dict.fromkeys(parts))
    return found


@cache
def linear_model() -> LinearModel:
    """The model that ships with the program, loaded once."""
    path = Path(str(files(__package__).joinpath(FILE)))
    weights = Weights.load(path)
    digest = hashlib.sha256()
    for name in DECIDING:
        digest.update(files(__package__).joinpath(name).read_bytes())
    return LinearModel(weights, f"linear-{digest.hexdigest()[:12]}")
