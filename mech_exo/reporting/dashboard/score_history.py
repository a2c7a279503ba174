"""Scores and ranks of every name over the last decisions. A decision never changes once journaled, so each is read once."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId

LENGTH = 126
"""Decisions looked back at: half a year."""


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """One decision's scores: ``symbols`` sorted, of each score and rank; ``scheduled`` whether the book was decided anew."""

    session: date
    scheduled: bool
    symbols: NDArray[np.str_]
    score: NDArray[np.float64]
    rank: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """One name's scores and ranks ``(T,)`` over the decisions, oldest first; NaN where it was not scored. ``scored`` counts all names."""

    sessions: NDArray[np.datetime64]
    score: NDArray[np.float64]
    rank: NDArray[np.float64]
    scored: NDArray[np.int64]
    scheduled: NDArray[np.bool_]


class ScoreHistory:
    """The last decisions of one book, read as far as they have been asked for."""

    def __init__(self, nights: tuple[Night, ...]) -> None:
        self.nights = nights

    def of(self, symbol: str) -> History:
        """The history of ``symbol``."""
        score, rank = np.full(len(self.nights), np.nan), np.full(len(self.nights), np.nan)
        for t, night in enumerate(self.nights):
            place = int(np.searchsorted(night.symbols, symbol))
            if place < len(night.symbols) and night.symbols[place] == symbol:
                score[t], rank[t] = night.score[place], night.rank[place]
        return History(
            np.array([night.session for night in self.nights], "datetime64[D]"), score, rank,
            np.array([len(night.symbols) for night in self.nights], np.int64),
            np.array([night.scheduled for night in self.nights], np.bool_),
        )  # fmt: skip


class Decisions:
    """What was read of decisions before, by book and session; safe in many threads."""

    def __init__(self, most: int = 2 * LENGTH) -> None:
        self._most, self._lock = most, threading.Lock()
        self._kept: OrderedDict[tuple[BookId, date, str], Night] = OrderedDict()

    def history(self, ledger: Ledger, book: BookId, length: int = LENGTH) -> ScoreHistory:
        """The last ``length`` decisions of ``book``."""
        nights: list[Night] = []
        for day in reversed(ledger.day_history(book)):
            if len(nights) == length:
                break
            night = self._night(ledger, book, day.session)
            if night is not None:
                nights.append(night)
        return ScoreHistory(tuple(reversed(nights)))

    def _night(self, ledger: Ledger, book: BookId, session: date) -> Night | None:
        key = (book, session, str(ledger.path))
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        row = ledger.decision(book, session)
        if row is None:
            return None
        night = read(session, row.body)
        with self._lock:
            self._kept[key] = night
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return night


def read(session: date, body: bytes) -> Night:
    """The scores of one journaled decision."""
    said = json.loads(body)
    lines = sorted(said["scores"], key=lambda line: str(line["symbol"]))
    return Night(
        session, bool(said["scheduled"]), np.array([line["symbol"] for line in lines], np.str_),
        np.array([line["score"] for line in lines], np.float64), np.array([line["rank"] for line in lines], np.int32),
    )  # fmt: skip
