"""Small hand-made frames of bars for the tests of the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from mech_exo.utils import calendar

NOW = datetime(2021, 6, 1, 12, tzinfo=UTC)


def days(start: date = date(2021, 1, 4), count: int = 10) -> list[date]:
    """The first ``count`` sessions from ``start`` on."""
    return calendar.sessions(start, date(start.year + 2, 1, 1)).tolist()[:count]


def bars(symbols: Sequence[str] = ("AAA", "BBB"), sessions: Sequence[date] | None = None, seed: int = 0) -> pl.DataFrame:
    """Believable bars of ``symbols``: a small random walk with high above and low below."""
    sessions = days() if sessions is None else list(sessions)
    rng = np.random.default_rng(seed)
    frames = []
    for symbol in symbols:
        close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, len(sessions))))
        opening = close * np.exp(rng.normal(0.0, 0.003, len(sessions)))
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [symbol] * len(sessions),
                    "date": sessions,
                    "open": opening,
                    "high": np.maximum(opening, close) * 1.01,
                    "low": np.minimum(opening, close) * 0.99,
                    "close": close,
                    "volume": rng.integers(1_000, 9_000, len(sessions)).astype(float),
                }
            )
        )
    return pl.concat(frames)


def changed(frame: pl.DataFrame, symbol: str, day: date, /, **cells: object) -> pl.DataFrame:
    """``frame`` with some cells of one row replaced."""
    here = (pl.col("symbol") == symbol) & (pl.col("date") == day)
    return frame.with_columns(pl.when(here).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in cells.items())
