"""Kelly from the strategy's own closed trades: whether it is measured yet, and what must be said while it is not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mech_exo.decision.sizing_rows import closed_trades
from mech_exo.kernels.records import Ints
from mech_exo.sizing.methods import measured_kelly
from mech_exo.utils.settings import SizingRules


@dataclass(frozen=True, slots=True)
class Measurement:
    """Trades closed up to a close: how many with a gain (``wins``) and without, and the sums of their returns, both ≥ 0.

    ``bet`` is the share of NAV that Kelly would put on one name, NaN = not measured.
    """

    wins: float
    losses: float
    gains: float
    forfeits: float
    bet: float

    @classmethod
    def at(cls, sizing: SizingRules, days: np.ndarray, row: int) -> Measurement:
        """As of the close of ``row`` of ``days`` ``(T,)`` DAY, by the very functions that size."""
        wins, losses, gains, forfeits = closed_trades(row, days)
        bet = measured_kelly(wins, losses, gains, forfeits, sizing.kelly_fraction, float(sizing.kelly_min_trades))
        return cls(wins, losses, gains, forfeits, bet)


def method_words(sizing: SizingRules, days: np.ndarray, row: int) -> str:
    """The method that sizes at the close of ``row``: the configured one, or what stands in for Kelly until it has measured enough."""
    if not sizing.measures or not math.isnan(Measurement.at(sizing, days, row).bet):
        return str(sizing.method)
    return "kelly, not measured yet" if sizing.until_measured is None else sizing.until_measured.value


def kelly_warnings(sizing: SizingRules, days: np.ndarray, rows: Ints) -> tuple[str, ...]:
    """Said where Kelly was to size at ``rows`` ``(K,)`` and had too few closed trades to measure, or measured no edge."""
    if not sizing.measures or not len(rows):
        return ()
    measured = [Measurement.at(sizing, days, row) for row in rows.tolist()]
    last, said = measured[-1], []
    closed = f"{last.wins + last.losses:,.0f} closed" + ("" if len(rows) == 1 else " by the last")
    unmeasured = sum(math.isnan(one.bet) for one in measured)
    if unmeasured:
        rule = f"there is no Kelly size before {sizing.kelly_min_trades:,} closed trades, won and lost (sizing.kelly_min_trades)"
        instead = "nothing was bought" if sizing.until_measured is None else f"{sizing.until_measured} sized"
        said.append(f"{rule}: {instead}{_often(unmeasured, len(rows))}, {closed}")
    barren = sum(one.bet == 0.0 for one in measured)
    if barren:
        won, lost = _average(last.gains, last.wins), _average(last.forfeits, last.losses)
        figures = f"{last.wins:,.0f} won {won} on average, {last.losses:,.0f} lost {lost}"
        said.append(f"Kelly measured no edge{_often(barren, len(rows))} and nothing was bought; {closed}: {figures}")
    return tuple(said)


def _often(times: int, decisions: int) -> str:
    return "" if decisions == 1 else f" at {times:,} of {decisions:,} decisions"


def _average(total: float, count: float) -> str:
    return f"{total / count:.1%}" if count else "nothing"
