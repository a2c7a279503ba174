"""What a book risks, measured from the returns its names really had: :func:`book_risk`. All arithmetic is ``kernels/risk_model.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mech_exo.domain.panel import BarPanel
    from mech_exo.domain.portfolio import Portfolio, Position
    from mech_exo.kernels.records import Floats

WINDOW = 252
LEVEL = 0.95
VOLUME_WINDOW = 20


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What risk may know of the market at one close.

    Parameters
    ----------
    panel
        Bars as traded; the last row is the close that positions are measured at.
    benchmark
        ``(T,)`` session returns of the market on the panel's sessions, NaN unknown; None = not stored, so that every beta is unknown.
    name
        What the benchmark is called.
    """

    panel: BarPanel
    benchmark: Floats | None = None
    name: str = "SPY"


@dataclass(frozen=True, slots=True)
class PositionRisk:
    """One position's part in the risk of the book. None = unknown.

    Parameters
    ----------
    volatility_ann
        Of the name's own returns, a fraction.
    beta
        Slope of its returns on the benchmark's.
    marginal
        Annual volatility of the book in USD that one more USD of it would add.
    component
        USD of the book's annual volatility that are its: value × ``marginal``. The components sum to the volatility (Euler); one that is
        negative hedges.
    share
        ``component`` / the book's volatility.
    days_to_exit
        Sessions to sell it at the participation the book was measured with.
    """

    symbol: str
    volatility_ann: float | None
    beta: float | None
    marginal: float | None
    component: float | None
    share: float | None
    days_to_exit: float | None


@dataclass(frozen=True, slots=True)
class BookRisk:
    """What a book risks. USD; losses of one session are positive. None = unknown, because of the names in ``unknown``.

    ``*_without_offsets`` is what a limit measures: no hedge and no gain of one name relieves another's loss
    (:mod:`mech_exo.kernels.risk_model`).

    Parameters
    ----------
    window, level, participation
        Sessions looked back at, the confidence of the tails, the share of the average daily volume that an exit takes.
    volatility_ann
        Annual volatility of the book as it is now over those sessions.
    value_at_risk, expected_shortfall
        What one session in 1 / (1 - ``level``) lost at least, and lost on average, by this book's own history.
    normal_value_at_risk, normal_expected_shortfall
        The same under a normal law of mean 0 with the book's volatility.
    beta
        USD the book moves per USD of NAV when the market moves by 1; a fraction of NAV.
    average_correlation, worst_pair
        Over all pairs of positions, and the highest with its two names: of what the positions earn, so that a short of a name that moves
        with a long counts as a hedge. None below two positions.
    top_five
        The five largest positions, a fraction of NAV; None without a NAV above 0.
    unknown
        Why figures are unknown, by symbol.
    """

    window: int
    level: float
    participation: float
    volatility_ann: float | None
    volatility_without_offsets: float | None
    value_at_risk: float | None
    value_at_risk_without_offsets: float | None
    expected_shortfall: float | None
    expected_shortfall_without_offsets: float | None
    normal_value_at_risk: float | None
    normal_expected_shortfall: float | None
    beta: float | None
    average_correlation: float | None
    worst_pair: tuple[str, str, float] | None
    days_to_exit: float | None
    top_five: float | None
    positions: tuple[PositionRisk, ...]
    unknown: Mapping[str, str]

    def position(self, symbol: str) -> PositionRisk:
        """The line of one position."""
        return next(line for line in self.positions if line.symbol == symbol)


def book_risk(
    portfolio: Portfolio, market: Market | None, *, window: int = WINDOW, level: float = LEVEL, participation: float = 0.1
) -> BookRisk:
    """Measure ``portfolio`` by the last ``window`` sessions of ``market``.

    A name without enough real returns (:func:`mech_exo.kernels.risk_model.known_history`) makes every figure of the whole book unknown;
    what is known of the others by themselves is said. Without a market everything but the concentration is unknown.
    """
    held = list(portfolio.positions.values())
    values = np.array([p.market_value for p in held], np.float64)
    returns, unknown = _history(held, market, window)
    betas, missing = _betas(held, returns, market)
    exits, illiquid = _exits(held, market, participation)
    whole = _whole(held, values, returns, level, portfolio.nav) if not unknown else {}
    own, marginal = _own(returns), whole.pop("marginal", np.full(len(held), np.nan))
    sigma = whole.get("volatility_ann")
    lines = []
    for i, p in enumerate(held):
        component = known(values[i] * marginal[i])
        share = component / sigma if component is not None and sigma else None
        lines.append(
            PositionRisk(p.symbol, None if p.symbol in unknown else known(own[i]), known(betas[i]), known(marginal[i]), component, share, known(exits[i]))
        )
    beta = None if missing or not portfolio.nav > 0.0 else float((values * betas).sum()) / portfolio.nav
    unknown = {**illiquid, **missing, **unknown}
    return BookRisk(
        window, level, participation, **(dict.fromkeys(_WHOLE) | whole), beta=beta,
        days_to_exit=None if illiquid else max((float(x) for x in exits), default=0.0), top_five=top_five(portfolio),
        positions=tuple(lines), unknown=unknown,
    )  # fmt: skip


_WHOLE = (
    "volatility_ann", "volatility_without_offsets", "value_at_risk", "value_at_risk_without_offsets", "expected_shortfall",
    "expected_shortfall_without_offsets", "normal_value_at_risk", "normal_expected_shortfall", "average_correlation", "worst_pair",
)  # fmt: skip


def known(value: float) -> float | None:
    """``value``, or None where it is NaN."""
    return None if np.isnan(value) else float(value)


def top_five(portfolio: Portfolio) -> float | None:
    """The five largest positions, a fraction of NAV; None without a NAV above 0."""
    if not portfolio.nav > 0.0:
        return None
    return float(sum(sorted((abs(p.market_value) for p in portfolio.positions.values()), reverse=True)[:5])) / portfolio.nav


def columns(symbols: Iterable[str], panel: BarPanel) -> np.ndarray:
    """Their columns in the panel, -1 for what it does not hold."""
    places = {symbol: column for column, symbol in enumerate(panel.symbols)}
    return np.array([places.get(symbol, -1) for symbol in symbols], np.int64)


def _history(held: list[Position], market: Market | None, window: int) -> tuple[Floats, dict[str, str]]:
    """``(W, C)`` returns of the positions, NaN columns where they are not known enough; and why, by symbol."""
    from mech_exo.kernels.records import Bars
    from mech_exo.kernels.risk_model import known_history, window_returns

    if market is None:
        return np.full((0, len(held)), np.nan), {p.symbol: "no market data" for p in held}
    places, row = columns((p.symbol for p in held), market.panel), len(market.panel.sessions) - 1
    returns = np.full((min(window, row), len(held)), np.nan)
    seen = np.flatnonzero(places >= 0)
    returns[:, seen], counts = window_returns(row, places[seen], Bars.of(market.panel), window)
    unknown = {p.symbol: "no bars in the store" for p, place in zip(held, places, strict=True) if place < 0}
    for i, count in zip(seen, counts, strict=True):
        if not known_history(int(count), window):
            unknown[held[i].symbol] = f"{count} returns in the last {window} sessions, {max(20, -(-window // 2))} are needed"
            returns[:, i] = np.nan
    return returns, unknown


def _whole(held: list[Position], values: Floats, returns: Floats, level: float, nav: float) -> dict[str, object]:
    """The figures of the book, all histories known."""
    from mech_exo.kernels import risk_model as kernel

    if not held:
        return dict.fromkeys(_WHOLE, 0.0) | {"average_correlation": None, "worst_pair": None}
    loss, shortfall = kernel.tail_loss(kernel.book_pnl(returns, values), level)
    loss_alone, shortfall_alone = kernel.tail_loss(kernel.book_losses(returns, values), level)
    sigma = kernel.book_volatility(returns, values)
    z, tail = (multiple / np.sqrt(kernel.SESSIONS_PER_YEAR) for multiple in kernel.normal_multiples(level))
    together = kernel.correlation(kernel.covariance(returns * np.sign(values)))
    return {
        "volatility_ann": known(sigma),
        "volatility_without_offsets": known(kernel.volatility_without_offsets(kernel.covariance(returns), values)),
        "value_at_risk": known(loss), "value_at_risk_without_offsets": known(loss_alone),
        "expected_shortfall": known(shortfall), "expected_shortfall_without_offsets": known(shortfall_alone),
        "normal_value_at_risk": known(z * sigma), "normal_expected_shortfall": known(tail * sigma),
        "average_correlation": known(kernel.average_correlation(together)), "worst_pair": _worst_pair(held, together),
        "marginal": kernel.marginal_volatility(returns, values),
    }  # fmt: skip


def _worst_pair(held: list[Position], together: Floats) -> tuple[str, str, float] | None:
    pairs = np.where(np.tri(len(held), k=-1, dtype=bool), together, np.nan)
    if np.isnan(pairs).all():
        return None
    i, j = np.unravel_index(np.nanargmax(pairs), pairs.shape)
    return held[j].symbol, held[i].symbol, float(pairs[i, j])


def _own(returns: Floats) -> Floats:
    from mech_exo.kernels.risk_model import SESSIONS_PER_YEAR

    if len(returns) < 2:
        return np.full(returns.shape[1], np.nan)
    out: Floats = returns.std(axis=0, ddof=1) * np.sqrt(SESSIONS_PER_YEAR)
    return out


def _betas(held: list[Position], returns: Floats, market: Market | None) -> tuple[Floats, dict[str, str]]:
    """``(C,)`` betas, NaN unknown; and why, by symbol, where the history itself is long enough."""
    from mech_exo.kernels.risk_model import betas

    short = np.isnan(returns).any(axis=0) if len(returns) else np.ones(len(held), bool)
    if market is None or market.benchmark is None or not len(returns):
        slopes, why = np.full(len(held), np.nan), "no returns of the market are stored"
    else:
        slopes, why = betas(returns, market.benchmark[-len(returns) :]), f"too few returns of {market.name} in the window"
    return slopes, {p.symbol: why for p, slope, gone in zip(held, slopes, short, strict=True) if np.isnan(slope) and not gone}


def _exits(held: list[Position], market: Market | None, participation: float) -> tuple[Floats, dict[str, str]]:
    """``(C,)`` sessions to exit, NaN unknown; and why, by symbol."""
    if market is None:
        return np.full(len(held), np.nan), {p.symbol: "no market data" for p in held}
    volume = average_volume([p.symbol for p in held], market.panel)
    days = np.abs([p.shares for p in held]) / (participation * volume)
    days[~np.isfinite(days)] = np.nan
    return days, {p.symbol: "no volume is known" for p, x in zip(held, days, strict=True) if np.isnan(x)}
