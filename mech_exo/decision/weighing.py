"""Decisions that ask Python between their compiled halves: an optimiser for weights, or the rules of plug-ins.

Everything else about such a decision is the compiled :func:`mech_exo.decision.rows.decide_book`, which reads the answers from ``night``.
"""

from __future__ import annotations

import numpy as np

from mech_exo.decision.asked import Asked
from mech_exo.decision.params import Features, Night, Rules
from mech_exo.decision.rows import allow, any_score, chosen, decide_row, waits, wish
from mech_exo.decision.sizing_rows import in_force
from mech_exo.kernels.records import Bars, Ints
from mech_exo.kernels.risk_model import window_returns
from mech_exo.risk.governor import share_decided
from mech_exo.risk.rules import drawdown
from mech_exo.sizing import methods, optimised

SEEN = 0.9
"""A name must have traded in this share of the window's sessions: a shorter history makes it look calmer than it is."""
OPTIMISERS = {methods.PARITY: optimised.risk_parity, methods.VARIANCE: optimised.minimum_variance}


def decide(
    t: int, k: int, halted: bool, bars: Bars, features: Features, book: np.ndarray, live: Ints, account: np.ndarray, days: np.ndarray,
    night: Night, rules: Rules, asked: Asked | None = None,
) -> int:
    """:func:`mech_exo.decision.rows.decide_row` for every method, and for the rules of plug-ins in ``asked``: the rest is its own."""
    if k < 0 or (asked is None and not rules.sizing.optimised):
        return decide_row(t, k, halted, bars, features, book, live, account, days, night, rules)
    decide_row(t, -1, halted, bars, features, book, live, account, days, night, rules)
    return decide_weighed(t, k, bars, features, book, live, account, days, night, rules, asked)


def decide_weighed(
    t: int, k: int, bars: Bars, features: Features, book: np.ndarray, live: Ints, account: np.ndarray, days: np.ndarray, night: Night,
    rules: Rules, asked: Asked | None = None,
) -> int:
    """Decide the book after the guard of a close, asking Python for sizes and for what limits allow. Returns how many limits bound."""
    method, _ = in_force(t, days, rules.sizing)
    if (method in OPTIMISERS or method in methods.GIVEN) and any_score(features.score[k]):
        names, longs = chosen(k, features, book, rules.sizing)
        share = share_decided(t, drawdown(days["index"], t), days["scale"], rules.governor)
        if not waits(t, share, names, longs, book, live, int(account["live"][0]), days, rules.sizing):
            if method in OPTIMISERS:
                _weigh(t, method, names, longs, bars, night, rules)
            elif asked is not None:
                asked.size(t, k, names, longs, float(account["nav"][0]), bars, features, night, rules)
    wished, share = wish(t, k, bars, features, book, live, account, days, night, rules)
    if not wished:
        return 0
    if asked is not None:
        asked.limit(t, float(account["nav"][0]), features.sector[k], bars, book, night)
    return allow(t, k, share, bars, features, book, live, account, days, night, rules)


def _weigh(t: int, method: int, names: Ints, longs: int, bars: Bars, night: Night, rules: Rules) -> None:
    """Write the weights of ``names`` to ``night``; a name whose returns are too short, or that never moved, has none."""
    night.weights[:] = np.nan
    window = rules.sizing.covariance_window
    if t < window or not len(names):
        return
    returns, counts = window_returns(t, names, bars, window)
    fit = (counts >= SEEN * window) & (returns.std(axis=0) > 0.0) & ~np.isnan(bars.close[t, names])
    if fit.any():
        side = np.where(np.arange(len(names)) < longs, 1.0, -1.0)
        night.weights[names[fit]] = OPTIMISERS[method]((returns * side)[:, fit])
