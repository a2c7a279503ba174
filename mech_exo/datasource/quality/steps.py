"""Price steps that may be no move of the market: jumps, splits missed, invented or on the wrong day, and wrong units."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.quality.findings import Evidence, found
from mech_exo.domain.verdict import DataVerdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

BLOCK, WARN, OK = int(DataVerdict.BLOCK), int(DataVerdict.WARN), int(DataVerdict.OK)
JUMP, MISSED, INVENTED, LATE, UNIT = "jump", "missed_split", "invented_split", "late_split", "unit_error"
SPLITS = ((5, 4), (4, 3), (3, 2), *((n, 1) for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)))
"""Ratios companies split by, new to old; each the other way round too."""
RATIOS = np.array([math.log(old / new) for new, old in SPLITS] + [math.log(new / old) for new, old in SPLITS])
NAMES = tuple(f"{new}:{old}" for new, old in SPLITS) + tuple(f"{old}:{new}" for new, old in SPLITS)
UNITS, UNIT_TOLERANCE = np.log([100.0, 1000.0]), 0.35  # 70 to 142 times: a day's move lies on top of the factor
MAD = 1.4826  # standard deviations of a normal law per median absolute deviation
MONTH, LEAST = 21, 21
REVERSAL_TOLERANCE = 0.1
SMALL = math.log(1.45)  # below 3:2 earnings move prices as far as splits do: less trade is asked for
FLOOR = 0.01  # log return: no name is steadier than that for this purpose


@dataclass(frozen=True, eq=False)
class Steps:
    """The large moves of a panel, ``(K,)`` each, by column and row.

    ``move`` is the log return net of the market's median, splits undone; ``opened`` the part of it at the open; ``dollars`` and ``shares``
    the session's volume in medians of the month before (NaN unknown); ``deviations`` the smaller of the move over the name's own and over
    that day's robust deviation; ``stored`` the split ratio stored for that session, ``raw`` the close over the last one, as it stands.
    """

    row: Ints
    column: Ints
    before: Ints
    move: Floats
    opened: Floats
    dollars: Floats
    shares: Floats
    deviations: Floats
    stored: Floats
    raw: Floats

    @classmethod
    def of(cls, evidence: Evidence) -> Steps:
        """Every cell that moved enough for any of the checks, and every stored split."""
        panel, rules = evidence.panel, evidence.rules
        floor = 0.75 * math.log1p(min(rules.step, evidence.max_jump))
        with np.errstate(invalid="ignore"):
            large = np.abs(evidence.moves) > floor
        large &= np.arange(len(large), dtype=np.int32)[:, None] - evidence.before <= rules.reused_gap
        large |= (panel.split_ratio != 1.0) & (evidence.before >= 0) & evidence.traded
        column, row = np.nonzero(large.T)
        before = evidence.before[row, column].astype(np.int64)
        close, last = panel.close[row, column], panel.close[before, column]
        center, spread = _cross_section(evidence, row)
        move = evidence.moves[row, column] - center
        opened = move - np.log(close / panel.open[row, column])
        own, shares, dollars = _own(evidence, row, column)
        deviations = np.minimum(np.abs(move) / own, np.abs(move) / spread)
        return cls(row, column, before, move, opened, dollars, shares, deviations, panel.split_ratio[row, column], close / last)

    def __len__(self) -> int:
        return len(self.row)


def _cross_section(evidence: Evidence, rows: Ints) -> tuple[Floats, Floats]:
    """Median and robust deviation of all moves of each of ``rows``; the deviation is at least ``FLOOR``.

    A session of fewer than ten names has no market: nothing is taken off.
    """
    center, spread = np.zeros(len(rows)), np.full(len(rows), FLOOR)
    for row in np.unique(rows):
        moves = evidence.moves[row]
        moves = moves[~np.isnan(moves)]
        if len(moves) >= 10:
            here = rows == row
            center[here] = middle = np.median(moves)
            spread[here] = max(FLOOR, MAD * np.median(np.abs(moves - middle)))
    return center, spread


def _own(evidence: Evidence, rows: Ints, columns: Ints) -> tuple[Floats, Floats, Floats]:
    """Of each cell: the name's robust deviation before it, and the session's shares and dollars in medians of the month before."""
    panel, window = evidence.panel, evidence.rules.mad_window
    own, shares, dollars = np.full(len(rows), FLOOR), np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a month without a bar has no median: NaN, which is meant
        for k, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
            past = np.abs(evidence.moves[max(0, row - window) : row, column])
            if np.count_nonzero(~np.isnan(past)) >= LEAST:
                own[k] = max(FLOOR, MAD * np.nanmedian(past))
            month = slice(max(0, row - MONTH), row)
            volume, close = panel.volume[month, column], panel.close[month, column]
            typical, worth = np.nanmedian(volume), np.nanmedian(volume * close)
            shares[k] = panel.volume[row, column] / typical if typical > 0.0 else np.nan
            dollars[k] = panel.volume[row, column] * panel.close[row, column] / worth if worth > 0.0 else np.nan
    return own, shares, dollars


def steps(evidence: Evidence) -> pl.DataFrame:
    """All findings about price steps; each cell is told once, by what explains it best."""
    large = Steps.of(evidence)
    overnight, told, pairs = judged(evidence, large)
    place, _ = _nearest(large)
    rules, unit, missed, invented = evidence.rules, told[UNIT], told[MISSED], told[INVENTED]
    doubtful = told[JUMP] & overnight & ~(large.dollars >= rules.news_volume)
    newsy = told[JUMP] & ~doubtful
    by_unit = zip(large.move[unit], _of_unit(large.move[unit]), strict=True)
    by_split = zip(large.stored[invented], large.raw[invented], strict=True)
    parts = [
        _told(
            evidence, large, unit, UNIT, BLOCK, rules.hold_seam,
            [f"about {factor:g} times {_way(move)}" for move, factor in by_unit],
        ),
        _told(
            evidence, large, missed, MISSED, BLOCK, rules.hold_seam,
            [f"as a {NAMES[p]} split would, none is stored" for p in place[missed]],
        ),
        _told(
            evidence, large, invented, INVENTED, BLOCK, rules.hold_seam,
            [f"a {r:g}:1 split is stored, the price as it stands moved by {raw - 1.0:+.1%}" for r, raw in by_split],
        ),
        _told(evidence, large, doubtful, JUMP, BLOCK, rules.hold, ["overnight, without the trade that news brings"] * int(doubtful.sum())),
        _told(evidence, large, newsy, JUMP, WARN, 1, ["as news moves prices"] * int(newsy.sum())),
        _returned(evidence, large, pairs, told),
    ]  # fmt: skip
    return pl.concat(parts)


def judged(
    evidence: Evidence, large: Steps
) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.bool_]], list[tuple[int, int]]]:
    """Which steps ``(K,)`` came overnight, what each is taken for by name of the check, and the pairs that undo each other."""
    rules = evidence.rules
    overnight = np.abs(large.move - large.opened) <= 0.25 * np.abs(large.move) + 0.02
    quiet = large.dollars < rules.news_volume * np.where(np.abs(large.move) < SMALL, 2.0 / 3.0, 1.0)
    pairs = reversals(large, overnight, rules.reversal_sessions)
    returned = np.zeros(len(large), np.bool_)
    returned[[b for _, b in pairs]] = True
    beyond = large.deviations > rules.mad_multiple
    _, distance = _nearest(large)
    told = {INVENTED: _invented(large, rules.step) & ~returned}
    told[UNIT] = overnight & (_of_unit(large.move) > 0.0) & ~told[INVENTED] & ~returned
    near = (distance <= rules.split_tolerance) & (np.abs(large.move) > math.log1p(rules.step))
    told[MISSED] = overnight & quiet & beyond & near & ~told[INVENTED] & ~told[UNIT] & ~returned
    moved = (np.abs(large.move) > math.log1p(evidence.max_jump)) & beyond
    told[JUMP] = moved & ~told[INVENTED] & ~told[UNIT] & ~told[MISSED] & ~returned
    return overnight, told, pairs


def reversals(large: Steps, overnight: NDArray[np.bool_], within: int) -> list[tuple[int, int]]:
    """Places ``(a, b)`` in ``large`` of overnight steps of one name that undo each other within so many sessions, the first undoing one."""
    pairs: list[tuple[int, int]] = []
    open_since: int | None = None
    for k in range(len(large)):
        if open_since is not None:
            apart = large.row[k] - large.row[open_since]
            if large.column[k] != large.column[open_since] or apart > within:
                open_since = None
            elif overnight[k] and abs(large.move[k] + large.move[open_since]) <= REVERSAL_TOLERANCE * (1.0 + abs(large.move[k])):
                pairs.append((open_since, k))
                open_since = None
                continue
        if overnight[k] and abs(large.move[k]) > 0.25 and (open_since is None or abs(large.move[k]) > abs(large.move[open_since])):
            open_since = k
    return pairs


def _invented(large: Steps, step: float) -> NDArray[np.bool_]:
    """A split is stored and the price, as it stands, did not follow it by half."""
    wanted = -np.log(large.stored)
    unlike: NDArray[np.bool_] = np.abs(np.log(large.raw) - wanted) > 0.5 * np.abs(wanted)
    return unlike & (np.abs(wanted) > math.log1p(step))


def _nearest(large: Steps) -> tuple[Ints, Floats]:
    """Place in ``NAMES`` of the simple ratio nearest to each step at the open or at the close, and how far it is."""
    gaps = np.minimum(np.abs(large.move[:, None] - RATIOS), np.abs(large.opened[:, None] - RATIOS))
    place = gaps.argmin(axis=1)
    return place, gaps[np.arange(len(place)), place]


def _told(
    evidence: Evidence, large: Steps, which: NDArray[np.bool_], check: str, verdict: int, lasts: int, texts: list[str]
) -> pl.DataFrame:
    value = np.expm1(large.move[which])
    limit = evidence.rules.step if check in (MISSED, INVENTED) else evidence.max_jump if check == JUMP else None
    said = [
        f"{move:+.1%} net of the market, {text}; volume {_times(shares)}, in dollars {_times(dollars)} the month's median"
        for move, text, shares, dollars in zip(value, texts, large.shares[which], large.dollars[which], strict=True)
    ]
    return found(check, large.row[which], large.column[which], verdict, value, limit, said, lasts)


def _returned(
    evidence: Evidence, large: Steps, pairs: list[tuple[int, int]], told: dict[str, NDArray[np.bool_]]
) -> pl.DataFrame:
    """The rows between two steps that undo each other were on a wrong footing; what the first step was taken for ends there."""
    parts = []
    for a, b in pairs:
        if not any(which[a] for which in told.values()):
            continue
        check = UNIT if _of_unit(large.move[a : a + 1])[0] > 0.0 else LATE
        first, last = evidence.day(large.row[a]), evidence.day(large.before[b])
        moved = f"{math.expm1(large.move[a]):+.1%} overnight at {first}, undone by {math.expm1(large.move[b]):+.1%}"
        text = f"{moved}: the bars of {first if first == last else f'{first} to {last}'} stand on another footing"
        row, column = large.row[b : b + 1], large.column[b : b + 1]
        parts.append(found(check, row, column, BLOCK, math.expm1(large.move[a]), None, [text], evidence.rules.hold))
        parts += [
            found(name, row, column, OK, math.expm1(large.move[b]), None, [f"undone: {text}"], None)
            for name, which in told.items()
            if which[a] and name != check
        ]
    return pl.concat([found(LATE, np.empty(0, np.int64), np.empty(0, np.int64), BLOCK, 0.0, None, [], None), *parts])


def _of_unit(moves: Floats) -> Floats:
    """100 or 1000 where a move is about that factor, either way; else 0."""
    near = np.abs(np.abs(moves)[:, None] - UNITS) <= UNIT_TOLERANCE
    return np.where(near.any(axis=1), np.exp(UNITS[near.argmax(axis=1)]).round(), 0.0)


def _way(move: float) -> str:
    return "up" if move > 0.0 else "down"


def _times(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.1f} ×"
