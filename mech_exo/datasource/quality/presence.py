"""Bars that are missing, late, refused, without volume or without movement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.quality.findings import Evidence, changes, found, streak
from mech_exo.domain.verdict import DataVerdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.domain.panel import BarPanel

BLOCK, WARN = int(DataVerdict.BLOCK), int(DataVerdict.WARN)
SEVERE = 5.0  # times max_missing
MONTH = 21
PIECE = 256


def stale(evidence: Evidence) -> pl.DataFrame:
    """Listed, not delisted, and no bar for ``stale_sessions``: warns until one comes."""
    panel, limit = evidence.panel, evidence.rules.stale_sessions
    rows = np.arange(len(panel.sessions))[:, None]
    absent = ~evidence.traded & (rows > evidence.listed) & (rows < panel.delisted)
    level = (streak(absent) >= limit).astype(np.int8)
    at, columns, code = changes(level)
    last = evidence.before[at, columns]
    texts = [f"no bar since {evidence.day(row)}" if v else "a bar came" for row, v in zip(last, code, strict=True)]
    return found("stale", at, columns, code, limit, limit, texts, None)


def coverage(evidence: Evidence) -> pl.DataFrame:
    """Of the sessions since listing, in the last ``missing_window``, the share without a bar; measured where there is one."""
    panel, rules = evidence.panel, evidence.rules
    window = rules.missing_window
    rows = np.arange(len(panel.sessions), dtype=np.int32)[:, None]
    absent = np.cumsum(~evidence.traded & (rows > evidence.listed), axis=0, dtype=np.int32)
    missing = absent.copy()
    missing[window:] -= absent[:-window]
    share = missing / np.float32(window)
    level = (share > rules.max_missing).astype(np.int8) + (share > SEVERE * rules.max_missing)
    held = np.where(evidence.traded, rows, -1)
    np.maximum.accumulate(held, axis=0, out=held)
    level = np.take_along_axis(level, np.maximum(held, 0), axis=0) * (held >= 0)  # without a bar nothing is measured anew
    at, columns, code = changes(level.astype(np.int8))
    texts = [f"{missing[r, c]} of the last {window} sessions have no bar" for r, c in zip(at, columns, strict=True)]
    return found("coverage", at, columns, code, share[at, columns].astype(np.float64), rules.max_missing, texts, None)


def zero_volume(evidence: Evidence) -> pl.DataFrame:
    """Bars with prices and no volume: nobody traded at these prices."""
    limit = evidence.rules.zero_volume_sessions
    count = streak(evidence.panel.volume == 0.0)
    columns, at = np.nonzero(count.T > 0)
    texts = [f"{n} sessions in a row without volume" if n > 1 else "a session without volume" for n in count[at, columns].tolist()]
    code = np.where(count[at, columns] >= limit, BLOCK, WARN)
    return found("zero_volume", at, columns, code, count[at, columns], limit, texts, 1)


def stuck(evidence: Evidence) -> pl.DataFrame:
    """The same close over and over, with volume: a vendor repeats itself, or the name trades at a fixed price."""
    panel, limit = evidence.panel, evidence.rules.stuck_sessions
    same = np.zeros(panel.shape, np.bool_)
    same[1:] = (panel.close[1:] == panel.close[:-1]) & (panel.volume[1:] > 0.0)
    count = np.where(same, streak(same) + 1, 0)
    at, columns, code = changes((count >= limit).astype(np.int8) + (count >= 2 * limit))
    texts = [f"{n} closes in a row at {panel.close[r, c]:.2f}" if n else "the close moved"
             for n, r, c in zip(count[at, columns].tolist(), at, columns, strict=True)]  # fmt: skip
    return found("stuck_price", at, columns, code, count[at, columns], limit, texts, None)


def refused(evidence: Evidence) -> pl.DataFrame:
    """Rows that were refused at the door and that no bar has replaced: each warns that session, many in a month block."""
    rules = evidence.rules
    at, columns, cells = evidence.places(evidence.refused)
    absent = ~evidence.traded[at, columns] if len(at) else np.empty(0, np.bool_)
    at, columns, cells = at[absent], columns[absent], cells.filter(pl.Series(absent, dtype=pl.Boolean))
    seen = np.zeros(evidence.panel.shape, np.int16)
    seen[at, columns] = 1
    total = np.cumsum(seen, axis=0, dtype=np.int32)
    earlier = at - rules.refused_window
    recent = total[at, columns] - np.where(earlier >= 0, total[np.maximum(earlier, 0), columns], 0)
    many = recent > rules.max_refused
    parts = []
    for which, verdict, lasts in ((~many, WARN, 1), (many, BLOCK, rules.refused_window)):
        rows = cells.select("open", "high", "low", "close").filter(pl.Series(which, dtype=pl.Boolean)).iter_rows()
        texts = [f"{wrong(*row)} ({n} refused in {rules.refused_window} sessions)" for row, n in zip(rows, recent[which], strict=True)]
        parts.append(found("refused", at[which], columns[which], verdict, recent[which], rules.max_refused, texts, lasts))
    return pl.concat(parts)


def wrong(opened: float | None, high: float | None, low: float | None, close: float | None) -> str:
    """What is wrong with the prices of a refused row, in words."""
    prices = {"open": opened, "high": high, "low": low, "close": close}
    lost = [name for name, price in prices.items() if price is None or price != price]
    if lost or opened is None or high is None or low is None or close is None:
        return f"no {', '.join(lost)}"
    crossed = [f"high {high:.4g} below low {low:.4g}"] if high < low else []
    told = (("open", opened), ("high", high), ("low", low), ("close", close))
    zero = [f"{name} {price:g}" for name, price in told if price <= 0.0 and not (crossed and name == "high")]
    if zero or crossed:
        return ", ".join(zero + crossed)
    beyond = [f"{name} {price:.6g} outside low {low:.6g} to high {high:.6g}" for name, price in (("open", opened), ("close", close))
              if not low <= price <= high]  # fmt: skip
    return ", ".join(beyond) or "its volume, date or symbol"


def present(panel: BarPanel) -> NDArray[np.float64]:
    """``(T,)`` of the names that are listed, not delisted and had a bar in the month before, the share with a bar; NaN = no name."""
    return _share(panel, None, None)


def usable(panel: BarPanel, member: NDArray[np.bool_], verdict: NDArray[np.int8] | None) -> NDArray[np.float64]:
    """``(T,)`` of the members that :func:`present` counts, the share with a bar that is not blocked; NaN = no such member.

    ``member`` ``(T, N)``; ``verdict`` ``(T, N)`` data verdicts, None = nothing was found.
    """
    return _share(panel, member, verdict)


def _share(panel: BarPanel, member: NDArray[np.bool_] | None, verdict: NDArray[np.int8] | None) -> NDArray[np.float64]:
    """A piece of the columns at a time: beside a history of thousands of names nothing of its size is made."""
    count, good = (np.zeros(len(panel.sessions), np.int64) for _ in range(2))
    for first in range(0, len(panel.symbols), PIECE):
        part = np.s_[:, first : first + PIECE]
        traded = ~np.isnan(panel.close[part])
        counted = _alive(traded, panel.delisted[first : first + PIECE])
        if member is not None:
            counted &= member[part]
        count += counted.sum(axis=1)
        good += (counted & (traded if verdict is None else traded & (verdict[part] < BLOCK))).sum(axis=1)
    share: NDArray[np.float64] = np.where(count > 0, good / np.maximum(count, 1), np.nan)
    return share


def _alive(traded: NDArray[np.bool_], delisted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``(T, n)`` whether a name is listed, not delisted and had a bar in the month before."""
    rows = np.arange(len(traded), dtype=np.int32)[:, None]
    last = np.maximum.accumulate(np.where(traded, rows, np.int32(-1)), axis=0)
    found: NDArray[np.bool_] = (last >= 0) & (rows - last <= MONTH) & (rows < delisted)
    return found
