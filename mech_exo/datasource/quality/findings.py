"""What the checks look at and what they answer: :class:`Evidence` in, frames of findings out."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mech_exo.domain.verdict import DataVerdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel
    from mech_exo.utils.quality_settings import QualityRules

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

SCHEMA: dict[str, Any] = {
    "row": pl.Int64, "column": pl.Int64, "check": pl.String, "verdict": pl.String, "value": pl.Float64, "limit": pl.Float64,
    "evidence": pl.String, "lasts": pl.Int32,
}  # fmt: skip
WORDS = {int(verdict): verdict.name.lower() for verdict in DataVerdict}
NO_CELLS = pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date})
NO_REFUSED = NO_CELLS.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("open", "high", "low", "close"))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything the checks may look at.

    Parameters
    ----------
    panel, rules
        The bars as stored, and the limits; ``max_jump`` is ``data.max_jump``.
    refused
        symbol, session, open, high, low, close (null: unreadable): rows that were refused at the door and have no bar since.
    disputes
        symbol, session, value (fraction by which a second source's close differs), evidence: bars of one source replaced by another's.
    foreign
        symbol, session, unit: names whose reports came in another currency, from when that was known.
    """

    panel: BarPanel
    rules: QualityRules
    max_jump: float
    refused: pl.DataFrame = field(default_factory=lambda: NO_REFUSED)
    disputes: pl.DataFrame = field(default_factory=lambda: NO_CELLS)
    foreign: pl.DataFrame = field(default_factory=lambda: NO_CELLS)

    @functools.cached_property
    def traded(self) -> Bools:
        """``(T, N)`` whether there is a bar."""
        return ~np.isnan(self.panel.close)

    @functools.cached_property
    def listed(self) -> Ints:
        """``(N,)`` row of the first bar, T where there is none."""
        return np.where(self.traded.any(axis=0), self.traded.argmax(axis=0), len(self.panel.sessions))

    @functools.cached_property
    def before(self) -> Ints:
        """``(T, N)`` row of the last bar before each row, -1 where there is none."""
        rows = np.where(self.traded, np.arange(len(self.panel.sessions), dtype=np.int32)[:, None], np.int32(-1))
        out = np.full_like(rows, -1)
        np.maximum.accumulate(rows[:-1], axis=0, out=out[1:])
        return out

    @functools.cached_property
    def moves(self) -> Floats:
        """``(T, N)`` log return since the last bar, splits undone and dividends counted; NaN without two bars."""
        panel = self.panel
        price = np.log(panel.close)
        if panel.has_actions:
            price += np.cumsum(np.log(panel.split_ratio), axis=0)
            paid = np.where(panel.dividend > 0.0, np.log1p(panel.dividend / panel.close), 0.0)
            price += np.cumsum(np.nan_to_num(paid), axis=0)
        last = np.take_along_axis(price, np.maximum(self.before, 0), axis=0)
        return np.where(self.before >= 0, price - last, np.nan)

    def places(self, cells: pl.DataFrame) -> tuple[Ints, Ints, pl.DataFrame]:
        """See :func:`places`."""
        return places(self.panel, cells)

    def day(self, row: int) -> str:
        """A row's session as text."""
        return str(self.panel.sessions[row])


def places(panel: BarPanel, cells: pl.DataFrame) -> tuple[Ints, Ints, pl.DataFrame]:
    """Rows and columns of the ``cells`` (symbol, session) that lie in the panel, and those cells."""
    columns = pl.DataFrame({"symbol": panel.symbols, "column": np.arange(len(panel.symbols))})
    rows = pl.DataFrame({"session": panel.sessions, "row": np.arange(len(panel.sessions))})
    inside = cells.join(columns, on="symbol", maintain_order="left").join(rows, on="session", maintain_order="left")
    return inside["row"].to_numpy(), inside["column"].to_numpy(), inside


def found(
    check: str, rows: Ints, columns: Ints, verdict: Any, value: Any, limit: float | None, evidence: Sequence[str], lasts: int | None
) -> pl.DataFrame:
    """A frame of findings; ``verdict`` is one DataVerdict or a code per finding."""
    codes = np.broadcast_to(np.asarray(verdict, np.int64), len(rows))
    return pl.DataFrame(
        {
            "row": np.asarray(rows, np.int64), "column": np.asarray(columns, np.int64), "check": [check] * len(rows),
            "verdict": [WORDS[code] for code in codes.tolist()], "value": np.asarray(value, np.float64) * np.ones(len(rows)),
            "limit": [limit] * len(rows), "evidence": list(evidence), "lasts": [lasts] * len(rows),
        },
        schema=SCHEMA,
    )  # fmt: skip


def changes(level: NDArray[np.int8]) -> tuple[Ints, Ints, NDArray[np.int8]]:
    """Rows, columns and new level of every change of ``level`` ``(T, N)`` along the rows (0 before the first), column by column."""
    step = np.empty(level.shape, np.bool_)
    step[0] = level[0] != 0
    np.not_equal(level[1:], level[:-1], out=step[1:])
    columns, rows = np.nonzero(step.T)
    return rows, columns, level[rows, columns]


def streak(state: Bools) -> NDArray[np.int32]:
    """``(T, N)`` how many rows in a row, this one included, ``state`` has been true."""
    rows = np.arange(1, len(state) + 1, dtype=np.int32)[:, None]
    return rows - np.maximum.accumulate(np.where(state, np.int32(0), rows), axis=0)
