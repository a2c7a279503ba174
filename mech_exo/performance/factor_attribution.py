"""Where the P&L came from: the market, each factor, the choice of names, trading, income and costs, adding up to the last cent.

Between two decisions the names' exposures are the normalised factor scores known at the earlier one. Each session the returns of the
eligible names are regressed on them, r_i = a + Σ_f x_if b_f + u_i, by least squares (Fama & MacBeth 1973, "Risk, Return, and Equilibrium:
Empirical Tests", JPE 81, eq. 7). A portfolio that came into the session with V_i USD of each name then earned, in USD (Grinold & Kahn
2000, "Active Portfolio Management", ch. 17, performance attribution: r_P(t) = Σ_j x_Pj(t) b_j(t) + u_P(t))::

    market   a   Σ_i V_i            of the names that have exposures
    factor   b_f Σ_i V_i x_if       one line a factor
    specific                        the rest of what the positions of the close before earned
    trading                         the session's fills from their reference price to the close

With interest, and less commission, slippage and borrow fees, these are the session's change of NAV net of its flow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain import markup
from mech_exo.kernels.records import EventKind, Outcome
from mech_exo.performance.ratios import YEAR

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

COSTS = ("commission", "slippage", "borrow")
TRADES = (EventKind.ORDER, EventKind.STOP, EventKind.TARGET, EventKind.DELISTING, EventKind.STALE_CLOSE)


@dataclass(frozen=True, slots=True, eq=False)
class Exposures:
    """What the names were exposed to after each of ``K`` decisions.

    Parameters
    ----------
    rows
        ``(K,)`` rows of the sessions played at whose close they were known; increasing.
    names
        ``(F,)`` factors.
    values
        ``K`` arrays ``(N, F)``: normalised, directed scores; 0 where a scored name lacks a factor (the mean of the others), NaN in
        every factor where a name was not scored.
    contributions
        ``K`` arrays ``(N, F)``: weighted shares of the composite score, NaN where not scored.
    """

    rows: Ints
    names: tuple[str, ...]
    values: tuple[Floats, ...]
    contributions: tuple[Floats, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FactorAttribution:
    """The P&L by part.

    ``table``: part, kind (market, factor, specific, trading, income, cost), pnl (USD; costs negative), exposure (mean of Σ weight × score),
    factor_return_ann (mean daily return of one unit of score × 252), t_stat (Fama-MacBeth: mean ÷ (deviation ÷ √sessions)),
    held_contribution and universe_contribution (mean contribution to the score of what was held after a decision, by weight of its
    absolute value, shorts negative, and of all scored names). NaN where a column does not apply. ``by_session``: date, one column a
    part, net. ``sessions`` had a regression; ``notes`` say what could not be measured.
    """

    table: pl.DataFrame
    by_session: pl.DataFrame
    sessions: int
    notes: tuple[str, ...]

    @property
    def net(self) -> float:
        """USD: the sum of all parts, the change of NAV net of flows."""
        return float(self.by_session["net"].sum())

    def _repr_html_(self) -> str:
        figures: str = self.table._repr_html_()
        return markup.page(figures, markup.notes(self.notes))


def attribute(
    dates: NDArray[np.datetime64], days: NDArray[np.void], events: NDArray[np.void], held: NDArray[np.void], returns: Floats, close: Floats,
    exposures: Exposures,
) -> FactorAttribution:  # fmt: skip
    """Attribute the P&L of a run.

    Parameters
    ----------
    dates, days, events
        ``(T,)`` sessions and DAY, ``(M,)`` EVENT.
    held
        ``(H,)`` of :data:`mech_exo.performance.holdings.HOLDING`.
    returns
        ``(T, N)`` total return of each name from its last close to this one, NaN where it did not trade.
    close
        ``(T, N)`` USD, NaN where not traded: trading is measured to it.
    exposures
        After each decision.
    """
    market, factors, factor_returns, carried = _explained(days, held, returns, exposures)
    trading = _trading(len(days), events, close)
    positions = days["price_pnl"] + days["dividends"]
    parts: dict[str, Floats] = {"market": market}
    parts |= {name: factors[:, f] for f, name in enumerate(exposures.names)}
    parts["specific"] = positions - trading - market - factors.sum(axis=1)
    parts["trading"] = trading
    parts["interest"] = days["interest"].astype(np.float64)
    parts |= {name: -days[name] for name in COSTS}
    import polars as pl

    net = sum(parts.values())
    by_session = pl.DataFrame({"date": dates, **parts, "net": net})
    measured = int((~np.isnan(factor_returns).any(axis=1)).sum())
    notes = () if measured else ("no session had more scored names than factors: nothing could be attributed to them",)
    return FactorAttribution(_table(parts, exposures, factor_returns, carried, held), by_session, measured, notes)


def cross_section(returns: Floats, scores: Floats) -> Floats | None:
    """``(1 + F,)``: what a name with no exposure earned (a) and what one unit of each score brought (b) in one session.

    ``returns`` ``(N,)`` total returns, NaN where unknown; ``scores`` ``(N, F)``, NaN where a name was not scored. None where no more names
    are known than there are figures to be found.
    """
    known = ~np.isnan(scores[:, 0]) & ~np.isnan(returns)
    if known.sum() <= scores.shape[1] + 1:
        return None
    design = np.column_stack([np.ones(int(known.sum())), scores[known]])
    return np.asarray(np.linalg.lstsq(design, returns[known], rcond=None)[0], np.float64)


def _explained(
    days: NDArray[np.void], held: NDArray[np.void], returns: Floats, exposures: Exposures
) -> tuple[Floats, Floats, Floats, Floats]:
    """Market ``(T,)`` and factor P&L ``(T, F)`` in USD, market and factor returns ``(T, 1 + F)``, portfolio exposures ``(T, F)``."""
    steps, count = len(days), len(exposures.names)
    market, factors = np.zeros(steps), np.zeros((steps, count))
    factor_returns, carried = np.full((steps, 1 + count), np.nan), np.full((steps, count), np.nan)
    begins = np.searchsorted(held["row"], np.arange(steps + 1))
    for t in range(1, steps):
        k = int(np.searchsorted(exposures.rows, t)) - 1  # the last decision at or before the close of t - 1
        if k < 0:
            continue
        scores = exposures.values[k]
        scored = ~np.isnan(scores[:, 0])
        line = held[begins[t - 1] : begins[t]]
        line = line[scored[line["symbol"]]]
        value = line["shares"] * line["price"]
        carried[t] = value @ scores[line["symbol"]] / days["nav"][t - 1] if days["nav"][t - 1] > 0.0 else np.nan
        solution = cross_section(returns[t], scores)
        if solution is None:
            continue
        factor_returns[t] = solution
        market[t] = value.sum() * solution[0]
        factors[t] = (value @ scores[line["symbol"]]) * solution[1:]
    return market, factors, factor_returns, carried


def _trading(steps: int, events: NDArray[np.void], close: Floats) -> Floats:
    """``(T,)`` USD that the session's fills gained from their reference price to the close; 0 where there was no close."""
    rows = events[(events["outcome"] == Outcome.FILLED) & np.isin(events["kind"], TRADES)]
    last = close[rows["row"], rows["symbol"]]
    gained = np.where(np.isnan(last), 0.0, rows["shares"] * (last - rows["reference"]))
    return np.bincount(rows["row"], gained, steps).astype(np.float64)


def _table(
    parts: dict[str, Floats], exposures: Exposures, factor_returns: Floats, carried: Floats, held: NDArray[np.void]
) -> pl.DataFrame:
    import polars as pl

    kinds = {"market": "market", "specific": "specific", "trading": "trading", "interest": "income"} | dict.fromkeys(COSTS, "cost")
    measured = factor_returns[~np.isnan(factor_returns).any(axis=1)]
    ideas, everybody = _ideas(exposures, held)
    rows = []
    for name, pnl in parts.items():
        f = exposures.names.index(name) if name in exposures.names else None
        series = measured[:, 0] if name == "market" else measured[:, 1 + f] if f is not None else np.empty(0)
        known = carried[~np.isnan(carried[:, f]), f] if f is not None else np.empty(0)
        rows.append(
            {
                "part": name,
                "kind": kinds.get(name, "factor"),
                "pnl": float(pnl.sum()),
                "exposure": float(known.mean()) if len(known) else math.nan,
                "factor_return_ann": float(series.mean()) * YEAR if len(series) else math.nan,
                "t_stat": _t_stat(series),
                "held_contribution": float(ideas[f]) if f is not None else math.nan,
                "universe_contribution": float(everybody[f]) if f is not None else math.nan,
            }
        )
    return pl.DataFrame(rows)


def _t_stat(series: Floats) -> float:
    if len(series) < 2:
        return math.nan
    deviation = float(series.std(ddof=1))
    return float(series.mean()) / (deviation / math.sqrt(len(series))) if deviation > 0.0 else math.nan


def _ideas(exposures: Exposures, held: NDArray[np.void]) -> tuple[Floats, Floats]:
    """``(F,)`` mean contribution of what was held at the close after each decision, and of all scored names; NaN without any."""
    count = len(exposures.names)
    mine, all_names = [], []
    for row, parts in zip(exposures.rows, exposures.contributions, strict=True):
        scored = ~np.isnan(parts[:, 0])
        if scored.any():
            all_names.append(parts[scored].mean(axis=0))
        line = held[held["row"] == row + 1]
        line = line[scored[line["symbol"]]]
        value = line["shares"] * line["price"]
        if len(line):
            mine.append(value @ parts[line["symbol"]] / np.abs(value).sum())
    none = np.full(count, np.nan)
    return (np.mean(mine, axis=0) if mine else none), (np.mean(all_names, axis=0) if all_names else none)
