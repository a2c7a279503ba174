"""Fiscal periods on a line of days: from reported spans (quarter, half-year, nine months, year) to trailing years and quarters.

A company's figures arrive in any order and are restated; after each arrival the newest period for which anything is known is looked
at anew. Nothing here knows what the figures mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mech_exo.kernels import inlined, njit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

INSTANT, QUARTER, HALF, NINE, YEAR = range(5)
SPANS = 5
SPAN_DAYS = ((77, 119), (161, 203), (245, 287), (350, 380))
"""Shortest and longest quarter, half-year, nine months and year in days: calendar quarters, 13 and 14 weeks, and the 12, 12, 12 and 16
weeks of some retailers."""
TRAILING, SINGLE, AT_END = range(3)
"""What is asked of a metric: the sum of the last four quarters, the last quarter alone, or the figure at the period's end."""
_Q, _H, _N, _Y = SPAN_DAYS
_WINDOW = 1300


@inlined
def span_of(days: int) -> int:
    """QUARTER, HALF, NINE or YEAR by its length in days; -1 for no fiscal period."""
    if _Q[0] <= days <= _Q[1]:
        return QUARTER
    if _H[0] <= days <= _H[1]:
        return HALF
    if _N[0] <= days <= _N[1]:
        return NINE
    if _Y[0] <= days <= _Y[1]:
        return YEAR
    return -1


@njit
def _earlier(ends: Ints, seen: NDArray[np.bool_], at: int, days: int, slack: int) -> int:
    """The seen end nearest to ``days`` before ``ends[at]``, at most ``slack`` off (a tie: the later); -1 for none."""
    best, off = -1, slack + 1
    wanted = ends[at] - days
    for i in range(at - 1, -1, -1):
        if ends[i] < wanted - slack:
            break
        if seen[i] and abs(ends[i] - wanted) < off:
            best, off = i, abs(ends[i] - wanted)
    return best


@njit
def _quarters(values: Floats, before: Ints, first: int, last: int, out: Floats) -> None:
    """Single quarters ``out[first..last]`` of one metric ``values`` ``(E, SPANS)``: as reported, or the longer span minus the quarters
    before it in that span; NaN where one of them is unknown. ``before``: index of the quarter before, -1 unknown."""
    for e in range(first, last + 1):
        out[e] = values[e, QUARTER]
        for span in range(HALF, YEAR + 1):
            if not np.isnan(out[e]):
                break
            rest, i = values[e, span], e
            for _ in range(span - 1):
                i = before[i]
                if i < first:
                    rest = np.nan
                    break
                rest -= out[i]
            out[e] = rest


@njit
def _over(values: Floats, quarters: Floats, before: Ints, first: int, at: int, span: int) -> float:
    """The figure of ``span`` ending at ``at``: as reported, else the sum of its quarters, NaN where one is unknown."""
    if not np.isnan(values[at, span]):
        return float(values[at, span])
    total, i = 0.0, at
    for step in range(span):
        if step:
            i = before[i]
        if i < first:
            return np.nan
        total += quarters[i]
    return float(total)


@njit
def _trailing(values: Floats, quarters: Floats, ends: Ints, before: Ints, year_before: Ints, first: int, at: int) -> float:
    """Twelve months ending at ``at``: the fiscal year; else the last fiscal year + this year to date - last year to date; else four
    quarters. NaN where neither is known."""
    if not np.isnan(values[at, YEAR]):
        return float(values[at, YEAR])
    ago = year_before[at]
    for f in range(at - 1, first - 1, -1):
        gap = ends[at] - ends[f]
        if gap > _N[1]:
            break
        span = span_of(gap)
        if span < 0 or np.isnan(values[f, YEAR]):
            continue
        if ago >= first:
            total = values[f, YEAR] + _over(values, quarters, before, first, at, span) - _over(values, quarters, before, first, ago, span)
            if not np.isnan(total):
                return float(total)
        break
    return _over(values, quarters, before, first, at, YEAR)


@njit
def _at_end(values: Floats, at: int) -> float:
    """The figure at the end of the period, or the average over the shortest span that is known."""
    for span in range(SPANS):
        if not np.isnan(values[at, span]):
            return float(values[at, span])
    return np.nan


@njit
def _answer(known: Floats, ends: Ints, seen: NDArray[np.bool_], anchor: int, asked: Ints, year_slack: int, out: Floats) -> None:
    """What ``asked`` ``(K, 3)`` (metric, TRAILING, SINGLE or AT_END, years ago) says at ``ends[anchor]``, into ``out`` ``(K,)``."""
    first = anchor
    while first > 0 and ends[first - 1] >= ends[anchor] - _WINDOW:
        first -= 1
    before = np.full(len(ends), -1)
    year_before = np.full(len(ends), -1)
    for e in range(first, anchor + 1):
        before[e] = _earlier(ends, seen, e, 91, 28)
        year_before[e] = _earlier(ends, seen, e, 365, year_slack)
    quarters = np.full(len(ends), np.nan)
    done = -1
    for k in range(len(asked)):
        metric, what, years = asked[k]
        at = anchor
        for _ in range(years):
            at = year_before[at] if at >= first else -1
        out[k] = np.nan
        if at < first:
            continue
        values = known[metric]
        if what == AT_END:
            out[k] = _at_end(values, at)
            continue
        if metric != done:
            _quarters(values, before, first, anchor, quarters)
            done = metric
        if what == SINGLE:
            out[k] = quarters[at]
        else:
            out[k] = _trailing(values, quarters, ends, before, year_before, first, at)


@njit
def arrival_order(column: Ints, row: Ints, rows: int, columns: int) -> Ints:
    """``(F,)`` the order of ``F`` facts by ``column``, then by ``row``, those of one cell as they stood: two counting sorts."""
    order = np.arange(len(row))
    for keys, most in ((row, rows), (column, columns)):
        start = np.zeros(most + 1, np.int64)
        for i in range(len(keys)):
            start[keys[i] + 1] += 1
        for k in range(most):
            start[k + 1] += start[k]
        sorted_ = np.empty(len(keys), np.int64)
        for i in range(len(keys)):
            key = keys[order[i]]
            sorted_[start[key]] = order[i]
            start[key] += 1
        order = sorted_
    return order


@njit
def follow(
    starts: Ints,
    row: Ints,
    end: Ints,
    metric: Ints,
    span: Ints,
    rank: Ints,
    filed: Ints,
    value: Floats,
    asked: Ints,
    days: Ints,
    metrics: int,
    year_slack: int,
    max_age: int,
) -> tuple[Ints, Ints, Ints, Ints, Floats]:
    """What is known of each company after every arrival of figures.

    Parameters
    ----------
    starts
        ``(N + 1,)``: the facts of company ``n`` are ``starts[n]:starts[n + 1]``, sorted by ``row``.
    row, end, metric, span, rank, filed, value
        ``(F,)`` each: first row at whose close it is known, period's end (day number), metric's number, INSTANT to YEAR, which of two
        facts about the same period is the newer (higher), day of the filing, the figure.
    asked
        ``(K, 3)``: metric, TRAILING, SINGLE or AT_END, whole years ago; sorted by metric.
    days
        ``(T,)`` day numbers of the rows.
    metrics
        How many metrics there are.
    year_slack
        Days by which "a year before" may be off 365.
    max_age
        Days after the last filing about the newest period at which everything becomes unknown.

    Returns
    -------
    ``company (V,)``, ``first (V,)`` and ``last (V,)`` row (exclusive) of each state, ``end (V,)`` its newest period's end and ``(V, K)``
    what was asked, NaN unknown.
    """
    company, begin, stop, anchors = np.empty((4, len(row)), np.int64)
    said = np.empty((len(row), len(asked)))
    count = 0
    for n in range(len(starts) - 1):
        low, high = starts[n], starts[n + 1]
        if low == high:
            continue
        ends = np.unique(end[low:high])
        known = np.full((metrics, len(ends), SPANS), np.nan)
        ranks = np.full((metrics, len(ends), SPANS), np.int64(-1))
        seen = np.zeros(len(ends), np.bool_)
        fresh = np.zeros(len(ends), np.int64)
        anchor, previous = -1, -1
        i = low
        while i < high:
            now = row[i]
            if now >= len(days):
                break
            while i < high and row[i] == now:
                e = np.searchsorted(ends, end[i])
                if rank[i] >= ranks[metric[i], e, span[i]]:
                    ranks[metric[i], e, span[i]] = rank[i]
                    known[metric[i], e, span[i]] = value[i]
                seen[e] = True
                fresh[e] = max(fresh[e], filed[i])
                anchor = max(anchor, e)
                i += 1
            if previous >= 0:
                stop[previous] = min(stop[previous], now)
            company[count], begin[count], anchors[count] = n, now, ends[anchor]
            stop[count] = max(now, np.searchsorted(days, fresh[anchor] + max_age, side="right"))
            _answer(known, ends, seen, anchor, asked, year_slack, said[count])
            previous = count
            count += 1
    return company[:count], begin[:count], stop[:count], anchors[:count], said[:count]


@njit
def place(company: Ints, begin: Ints, stop: Ints, rows: int, columns: int) -> NDArray[np.int32]:
    """``(rows, columns)``: which state holds in each row, -1 none."""
    at = np.full((rows, columns), np.int32(-1))
    for state in range(len(company)):
        for t in range(begin[state], stop[state]):
            at[t, company[state]] = state
    return at


@njit
def joint(one: NDArray[np.int32], other: NDArray[np.int32]) -> tuple[NDArray[np.int32], Ints, Ints]:
    """Two layouts ``(T, N)`` as :func:`place` makes them, as one: a state wherever either changes, and ``(V,)`` which of ``one`` and of
    ``other`` holds in it, -1 none. -1 in the layout where neither does."""
    rows, columns = one.shape
    at = np.full((rows, columns), np.int32(-1))
    room = 1024
    first, second = np.empty(room, np.int64), np.empty(room, np.int64)
    count = 0
    for t in range(rows):
        for j in range(columns):
            if one[t, j] < 0 and other[t, j] < 0:
                continue
            if t > 0 and one[t, j] == one[t - 1, j] and other[t, j] == other[t - 1, j]:
                at[t, j] = at[t - 1, j]
                continue
            if count == room:
                room *= 2
                first, second = np.append(first, np.empty(count, np.int64)), np.append(second, np.empty(count, np.int64))
            first[count], second[count], at[t, j] = one[t, j], other[t, j], count
            count += 1
    return at, first[:count], second[:count]
