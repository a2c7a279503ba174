"""What a book risks, measured from the returns its names really had: :func:`book_risk`. All arithmetic is ``kernels/risk_model.py``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mech_exo.domain.panel import BarPanel
    from mech_exo.domain.portfolio import Portfolio, Position
    from mech_exo.kernels.records import Floats
    from mech_exo.utils.settings import RiskLimits


@dataclass(frozen=True, slots=True)
class Terms:
    """What a book is measured with: see ``risk_limits.yml``. ``gap_stress`` and ``pair`` None = not asked."""

    window: int = 252
    level: float = 0.95
    participation: float = 0.1
    volume_window: int = 20
    gap_stress: float | None = 0.99
    gap_window: int = 252
    pair: float | None = None

    @classmethod
    def of(cls, limits: RiskLimits) -> Terms:
        """The terms that ``limits`` are measured with."""
        single, model = limits.position_sizing, limits.risk_model
        return cls(
            model.window, model.confidence, single.exit_participation, single.volume_window, single.gap_stress, single.gap_window,
            model.max_pair_correlation,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What risk may know of the market at one close.

    Parameters
    ----------
    panel
        Bars as traded; the last row is the close that positions are measured at.
    returns
        ``(T,)`` session returns of the market on the panel's sessions, NaN unknown; None = unknown, so that every beta is.
    name
        What ``returns`` are the returns of.
    """

    panel: BarPanel
    returns: Floats | None = None
    name: str = "the market"


@dataclass(frozen=True, slots=True)
class PositionRisk:
    """One position's part in the risk of the book. None = unknown.

    Parameters
    ----------
    volatility_ann
        Of the name's own returns, a fraction.
    beta
        Slope of its returns on the market's.
    marginal
        Annual volatility of the book in USD that one more USD of it would add.
    component
        USD of the book's annual volatility that are its: value × ``marginal``. The components sum to the volatility (Euler); one below 0
        hedges.
    share
        ``component`` / the book's volatility.
    days_to_exit
        Sessions to leave it at the participation the book was measured with.
    gap
        The tail of its own overnight gaps against its holder (:func:`mech_exo.kernels.liquidity.gap_tails`).
    """

    symbol: str
    volatility_ann: float | None
    beta: float | None
    marginal: float | None
    component: float | None
    share: float | None
    days_to_exit: float | None
    gap: float | None


@dataclass(frozen=True, slots=True)
class BookRisk:
    """What a book risks, in USD; losses of one session are positive. None = unknown, because of the names in ``unknown``.

    ``*_without_offsets`` is what a limit measures: no hedge and no gain of one name relieves another's loss
    (:mod:`mech_exo.risk.model_rules`), and of a tail the worse of history and the normal law.

    Parameters
    ----------
    window, level, participation
        Sessions looked back at, the confidence of the tails, the share of the average daily volume that an exit takes a day.
    volatility_ann
        Annual volatility that the book as it is now would have had over those sessions.
    value_at_risk, expected_shortfall
        What one session in 1 / (1 - ``level``) would have lost at least, and lost on average.
    normal_value_at_risk, normal_expected_shortfall
        The same under a normal law of mean 0 with the book's volatility.
    beta
        How many times the market's move NAV moves; ``beta_without_offsets`` is the longs' or the shorts', whichever is more.
    average_correlation, worst_pair
        Over all pairs of positions, and the highest with its two names: of what the positions earn, so a short of what moves with a long
        is a hedge. None below two positions.
    moving_together
        The average correlation of two dollars of NAV in different names, as its limit measures it: cash moves with nothing.
    groups
        Names that move together by more than the pair limit, and their gross USD; none where that limit is off.
    days_to_exit
        Of the position that takes longest; 0 for an empty book.
    top_five
        The five largest positions, a fraction of NAV; None without a NAV above 0.
    unknown
        Why something is unknown, by symbol.
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
    beta_without_offsets: float | None
    average_correlation: float | None
    worst_pair: tuple[str, str, float] | None
    moving_together: float | None
    groups: tuple[tuple[tuple[str, ...], float], ...] | None
    days_to_exit: float | None
    top_five: float | None
    positions: tuple[PositionRisk, ...]
    unknown: Mapping[str, str]

    def position(self, symbol: str) -> PositionRisk:
        """The line of one position."""
        return next(line for line in self.positions if line.symbol == symbol)


@dataclass(frozen=True, slots=True, eq=False)
class Lookback:
    """A book beside the past of its names.

    Parameters
    ----------
    held
        The C positions.
    values
        ``(C,)`` signed USD.
    returns
        ``(W, C)`` session returns; the whole column of a name whose history is too short is NaN.
    betas
        ``(C,)``, NaN unknown.
    short, unrelated
        Why a history is too short, and why a beta is unknown in spite of it, by symbol.
    market
        Where the past is from.
    terms
        What it is measured with.
    """

    held: tuple[Position, ...]
    values: Floats
    returns: Floats
    betas: Floats
    short: Mapping[str, str]
    unrelated: Mapping[str, str]
    market: Market | None
    terms: Terms

    @classmethod
    def of(cls, portfolio: Portfolio, market: Market | None, terms: Terms = Terms()) -> Lookback:
        """The last sessions of ``market`` for what is held."""
        held = tuple(portfolio.positions.values())
        returns, short = _history(held, market, terms.window)
        betas, why = np.full(len(held), np.nan), "no returns of the market are known"
        if market is not None and market.returns is not None and len(returns):
            from mech_exo.kernels.risk_model import betas as slopes

            betas = slopes(returns, np.ascontiguousarray(market.returns[-len(returns) :], np.float64))
            why = f"too few returns of {market.name} are known"
        unrelated = {p.symbol: why for p, beta in zip(held, betas, strict=True) if np.isnan(beta) and p.symbol not in short}
        return cls(held, np.array([p.market_value for p in held], np.float64), returns, betas, short, unrelated, market, terms)


def book_risk(portfolio: Portfolio, market: Market | None, terms: Terms = Terms()) -> BookRisk:
    """Measure ``portfolio`` by the last sessions of ``market``.

    A name without enough real returns (:func:`mech_exo.kernels.risk_model.known_history`) makes every figure of the whole book unknown;
    what is known of the others by themselves is said. Without a market all but the concentration is unknown.
    """
    past, nav = Lookback.of(portfolio, market, terms), portfolio.nav
    whole, marginal = _whole(past, nav)
    sigma, components = whole.get("volatility_ann"), past.values * marginal
    exits, gaps, illiquid = _liquidity(past.held, market, terms)
    own, betas = _volatilities(past.returns), _book_betas(past, nav)
    lines = tuple(
        PositionRisk(
            p.symbol, known(own[i]), known(past.betas[i]), known(marginal[i]), known(components[i]),
            known(components[i] / sigma) if sigma else None, known(exits[i]), known(gaps[i]),
        )
        for i, p in enumerate(past.held)
    )  # fmt: skip
    return BookRisk(
        terms.window, terms.level, terms.participation, **{name: whole.get(name) for name in _WHOLE},
        beta=betas[0], beta_without_offsets=betas[1], days_to_exit=None if np.isnan(exits).any() else max(exits.tolist(), default=0.0),
        top_five=top_five(portfolio), positions=lines, unknown={**illiquid, **past.unrelated, **past.short},
    )  # fmt: skip


_WHOLE = (
    "volatility_ann", "volatility_without_offsets", "value_at_risk", "value_at_risk_without_offsets", "expected_shortfall",
    "expected_shortfall_without_offsets", "normal_value_at_risk", "normal_expected_shortfall", "average_correlation", "worst_pair",
    "moving_together", "groups",
)  # fmt: skip


def _book_betas(past: Lookback, nav: float) -> tuple[float | None, float | None]:
    from mech_exo.kernels.risk_model import beta_without_offsets, book_beta

    if not nav > 0.0:
        return None, None
    return known(book_beta(past.betas, past.values) / nav), known(beta_without_offsets(past.betas, past.values) / nav)


def known(value: float) -> float | None:
    """``value``, or None where it is NaN."""
    return None if np.isnan(value) else float(value)


def top_five(portfolio: Portfolio) -> float | None:
    """The five largest positions, a fraction of NAV; None without a NAV above 0."""
    largest = sorted((abs(p.market_value) for p in portfolio.positions.values()), reverse=True)[:5]
    return sum(largest) / portfolio.nav if portfolio.nav > 0.0 else None


def _history(held: tuple[Position, ...], market: Market | None, window: int) -> tuple[Floats, dict[str, str]]:
    from mech_exo.kernels.records import Bars
    from mech_exo.kernels.risk_model import known_history, least_returns, window_returns

    if market is None:
        return np.full((0, len(held)), np.nan), {p.symbol: "no bars are stored" for p in held}
    panel, last = market.panel, len(market.panel.sessions) - 1
    seen = [i for i, p in enumerate(held) if p.symbol in panel.symbols]
    returns = np.full((min(window, last), len(held)), np.nan)
    places = np.array([panel.column_of(held[i].symbol) for i in seen], np.int64)
    returns[:, seen], counts = window_returns(last, places, Bars.of(panel), window)
    short = {p.symbol: "it has no bars in the store" for i, p in enumerate(held) if i not in seen}
    for i, count in zip(seen, counts.tolist(), strict=True):
        if not known_history(count, window):
            short[held[i].symbol] = f"it has {count} returns in the last {window} sessions, {least_returns(window)} are needed"
            returns[:, i] = np.nan
    return returns, short


def _whole(past: Lookback, nav: float) -> tuple[dict[str, Any], Floats]:
    """The figures of the whole book and the marginal risk ``(C,)``; without the history of every name nothing is known."""
    from mech_exo.kernels import risk_model as kernel
    from mech_exo.kernels.costs import SESSIONS_PER_YEAR
    from mech_exo.risk.model_rules import alike, moving_together, worse

    returns, values, level = past.returns, past.values, past.terms.level
    if not past.held:
        return dict.fromkeys(_WHOLE[:-4], 0.0) | {"moving_together": 0.0, "groups": ()}, values
    if past.short:
        return {}, np.full(len(values), np.nan)
    matrix, (z, tail) = kernel.covariance(returns), kernel.normal_multiples(level)
    sigma, bare = kernel.book_volatility(returns, values), kernel.volatility_without_offsets(matrix, values)
    true = kernel.tail_loss(kernel.book_pnl(returns, values), level)
    alone = kernel.tail_loss(kernel.book_losses(returns, values), level)
    session = 1.0 / np.sqrt(SESSIONS_PER_YEAR)
    together = kernel.correlation(kernel.covariance(returns * np.sign(values)))
    pairs = alike(kernel.correlation(matrix), values)
    figures = {
        "volatility_ann": sigma,
        "volatility_without_offsets": bare,
        "value_at_risk": true[0],
        "value_at_risk_without_offsets": worse(alone[0], z * bare * session),
        "expected_shortfall": true[1],
        "expected_shortfall_without_offsets": worse(alone[1], tail * bare * session),
        "normal_value_at_risk": z * sigma * session,
        "normal_expected_shortfall": tail * sigma * session,
        "average_correlation": kernel.average_correlation(together),
        "moving_together": moving_together(pairs, values, nav) if nav > 0.0 else np.nan,
    }
    said: dict[str, Any] = {name: known(value) for name, value in figures.items()}
    said |= {"worst_pair": _worst_pair(past.held, together), "groups": _groups(past, pairs)}
    return said, kernel.marginal_volatility(returns, values)


def _groups(past: Lookback, pairs: Floats) -> tuple[tuple[tuple[str, ...], float], ...]:
    from mech_exo.risk.model_rules import groups_of

    if past.terms.pair is None:
        return ()
    first = groups_of(pairs > past.terms.pair)
    members = [np.flatnonzero(first == k) for k in np.unique(first)]
    return tuple((tuple(past.held[i].symbol for i in who), float(np.abs(past.values[who]).sum())) for who in members if len(who) > 1)


def _worst_pair(held: tuple[Position, ...], together: Floats) -> tuple[str, str, float] | None:
    pairs = np.where(np.tri(len(held), k=-1, dtype=bool), together, np.nan)
    if np.isnan(pairs).all():
        return None
    i, j = divmod(int(np.nanargmax(pairs)), len(held))
    return held[j].symbol, held[i].symbol, float(pairs[i, j])


def _volatilities(returns: Floats) -> Floats:
    """``(C,)`` annual volatility of each name by itself."""
    from mech_exo.kernels.costs import SESSIONS_PER_YEAR

    if len(returns) < 2:
        return np.full(returns.shape[1], np.nan)
    out: Floats = returns.std(axis=0, ddof=1) * np.sqrt(SESSIONS_PER_YEAR)
    return out


def _liquidity(held: tuple[Position, ...], market: Market | None, terms: Terms) -> tuple[Floats, Floats, dict[str, str]]:
    """``(C,)`` sessions to leave each position and the tail of its gaps, NaN unknown; and why no volume is known, by symbol."""
    from mech_exo.kernels.liquidity import average_volume, gap_tails

    days, gaps = np.full(len(held), np.nan), np.full(len(held), np.nan)
    panel = None if market is None else market.panel
    for i, p in enumerate(held):
        if panel is None or p.symbol not in panel.symbols:
            continue
        last, column = len(panel.sessions) - 1, panel.column_of(p.symbol)
        days[i] = abs(p.shares) / (terms.participation * average_volume(last, column, panel.volume, panel.split_ratio, terms.volume_window))
        if terms.gap_stress is not None:
            who, bars = (np.array([column]), np.array([math.copysign(1.0, p.shares)])), (panel.open, panel.close)
            gaps[i] = gap_tails(last, *who, *bars, panel.split_ratio, panel.dividend, terms.gap_window, terms.gap_stress)[0]
    return days, gaps, {p.symbol: "its volume is unknown" for p, x in zip(held, days, strict=True) if np.isnan(x)}
