"""Try the way from a score to an approved position: rank, size, place stops, check the risk, stress. On the synthetic sample market.

    python scripts/test_p3_flow.py            # limits and factors of $EXO_HOME or this repository
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

NAV = 100_000.0
IDEAS = 6


def line(*cells: object, widths: tuple[int, ...]) -> None:
    """One row of a table: the first cell to the left, the others to the right."""
    print("  " + "".join(f"{cell!s:<{w}}" if i == 0 else f"{cell!s:>{w}}" for i, (cell, w) in enumerate(zip(cells, widths, strict=True))))


def market(config):
    """The sample market's panel, sectors, and the ranking at its last close."""
    import numpy as np

    from mech_exo.datasource.demo import sample_market
    from mech_exo.domain.panel import Universe
    from mech_exo.scoring.scorer import score_rows

    sample = sample_market(symbols=60, years=3)
    panel = sample.panel
    codes = dict(sample.sectors.sort("valid_from").select("symbol", "sector").iter_rows())
    names = tuple(sorted(set(codes.values())))
    sector = np.array([names.index(codes[s]) for s in panel.symbols], np.int16)
    universe = Universe(np.ones(panel.shape, np.bool_), np.broadcast_to(sector, panel.shape), names)
    row = panel.shape[0] - 1
    scores = score_rows(panel, universe, np.array([row]), config.factors, config.strategy.universe).scores(0)
    return panel, codes, scores


def step_1_score(panel, codes, scores):
    """The best names with their closes, ATRs, volatilities and standardised scores."""
    import numpy as np

    from mech_exo.kernels.cross_section import clipped_zscore
    from mech_exo.kernels.rolling import atr_rows
    from mech_exo.kernels.windows import volatility_rows
    from mech_exo.scoring.inputs import FactorInputs

    print(f"\n1. Score: the best of {int((scores.rank > 0).sum())} scored names at the close of {scores.as_of}")
    inputs, row = FactorInputs(panel), np.array([panel.shape[0] - 1])
    atr = atr_rows(inputs.high, inputs.low, inputs.close, row, 14)[0] * panel.close[row[0]] / inputs.close[row[0]]
    volatility = volatility_rows(inputs.returns, row, 63)[0] * np.sqrt(252.0)
    widths = (8, 8, 12, 10, 12, 26)
    line("symbol", "score", "close USD", "ATR USD", "volatility", "sector", widths=widths)
    chosen = [j for j in np.argsort(np.where(scores.rank > 0, scores.rank, len(scores.rank) + 1))[:IDEAS] if scores.rank[j] > 0]
    standard = clipped_zscore(scores.value, 0.0, np.nan)
    close = panel.close[row[0]]
    ideas = [(panel.symbols[j], float(close[j]), float(atr[j]), float(volatility[j]), float(standard[j])) for j in chosen]
    for j, (symbol, close, one_atr, vol, _) in zip(chosen, ideas, strict=True):
        line(symbol, f"{scores.value[j]:+.3f}", f"{close:,.2f}", f"{one_atr:.2f}", f"{vol:.0%}", codes[symbol], widths=widths)
    return ideas


def step_2_size(panel, ideas, config):
    """ATR sizes under the limits for a single name, then the best name by every other method."""
    from mech_exo.sizing import PositionSizer, SizingMethod

    print(f"\n2. Size: ATR-based on a NAV of {NAV:,.0f} USD, and what the limits for a single name leave of it")
    print("   (with each name's own overnight gap: a stop cannot guarantee a price)")
    sizer = PositionSizer(NAV, config.risk, config.strategy.sizing)
    gaps = overnight_gaps(panel, ideas, config)
    sizes = {s: sizer.calculate_size(s, close, SizingMethod.ATR_BASED, atr=atr, gap=gaps[s]) for s, close, atr, _, _ in ideas}
    for size in sizes.values():
        print(f"  {size.reason}")
    symbol, close, atr, volatility, _ = ideas[0]
    weights = book_weights(panel, ideas)
    others = {
        SizingMethod.FIXED_PERCENT: {"stop_price": close - 2 * atr},
        SizingMethod.VOLATILITY_BASED: {"volatility": volatility},
        SizingMethod.EQUAL_WEIGHT: {"names": config.strategy.selection.top},
        SizingMethod.KELLY: {"win_rate": 0.55, "payoff": 1.5, "trades": 200},
        **{method: {"weight": float(shared[0])} for method, shared in weights.items()},
    }
    print(f"\n  {symbol} by the other methods (Kelly with an example's 55 % of 200 trades won at a payoff of 1.5)")
    widths = (20, 12, 12, 10, 38)
    line("method", "asked for", "approved", "of NAV", "what binds", widths=widths)
    for method, figures in others.items():
        size = sizer.calculate_size(symbol, close, method, gap=gaps[symbol], **figures)
        binds = size.binding if size.binding != "none" else f"nothing: {size.headroom:,.0f} USD more would do"
        line(method, f"{size.uncapped:,.1f}", f"{int(size):,}", f"{size * close / NAV:.1%}", binds, widths=widths)
    print("\n  how the methods that weigh a whole book share it out over these names:")
    widths = (20, *(10 for _ in ideas))
    line("method", *(idea[0] for idea in ideas), widths=widths)
    for method, shared in weights.items():
        line(method, *(f"{weight:.1%}" for weight in shared), widths=widths)
    return sizes


def overnight_gaps(panel, ideas, config):
    """How far each name's opens have fallen below the close before, at the tail that the trade-risk limit asks for; None unknown."""
    import numpy as np

    from mech_exo.kernels.records import Bars
    from mech_exo.risk.rules import PLAN, LimitParams, read_gaps

    limits, plan = LimitParams.of(config.risk), np.zeros(panel.shape[1], PLAN)
    columns = [panel.column_of(idea[0]) for idea in ideas]
    plan["wanted"][columns] = 1.0
    unread = np.empty((panel.shape[1], limits.gap_window)), np.full(panel.shape[1], -1)
    read_gaps(panel.shape[0] - 1, plan, Bars.of(panel), *unread, limits.gap_share)
    return {idea[0]: None if np.isnan(gap) else float(gap) for idea, gap in zip(ideas, plan["gap"][columns], strict=True)}


def book_weights(panel, ideas):
    """Shares of the book over the names of ``ideas``, by method; without skfolio only those that need none."""
    import numpy as np

    from mech_exo.domain.errors import UserError
    from mech_exo.kernels.records import Bars
    from mech_exo.kernels.risk_model import window_returns
    from mech_exo.sizing import SizingMethod, methods
    from mech_exo.sizing.optimised import minimum_variance, risk_parity

    standard, shared = np.array([idea[4] for idea in ideas]), np.zeros(len(ideas))
    methods.score_weights(standard, np.arange(len(ideas)), len(ideas), shared)
    weights = {SizingMethod.SCORE_WEIGHTED: shared}
    columns = np.array([panel.column_of(idea[0]) for idea in ideas])
    returns, _ = window_returns(panel.shape[0] - 1, columns, Bars.of(panel), 252)
    for method, optimise in ((SizingMethod.RISK_PARITY, risk_parity), (SizingMethod.MINIMUM_VARIANCE, minimum_variance)):
        try:
            weights[method] = optimise(returns)
        except UserError as error:
            print(f"  {method}: left out: {error}")
    return weights


def step_3_stops(ideas, config):
    """Levels for each name."""
    from mech_exo.risk import StopEngine

    print("\n3. Stops: where exits rest from the first session on, by risk_limits.yml")
    widths, engine = (8, 10, 11, 11, 11, 11, 16), StopEngine(config.risk.stops)
    line("symbol", "entry", "hard", "trailing", "target", "stop", "binding", widths=widths)
    for symbol, close, atr, _, _ in ideas:
        levels = engine.generate_stops(close, "long", atr)
        shown = ("off" if x is None else f"{x:,.2f}" for x in (levels.hard_stop, levels.trailing_stop, levels.profit_target, levels.stop))
        line(symbol, f"{close:,.2f}", *shown, levels.binding, widths=widths)


def step_4_risk(bars, ideas, sizes, codes, config):
    """The verdict on the whole plan, then the book that it allows and who watches over it."""
    from mech_exo.risk import Portfolio, Position, RiskChecker

    print("\n4. Risk: the whole plan before the limits, then the book that they allow")
    prices = {symbol: close for symbol, close, *_ in ideas}
    empty = RiskChecker(Portfolio(NAV), config.risk, nav_history=[NAV], market=bars)
    verdict = empty.approve(sizes, prices=prices, sectors=codes)
    for breach in verdict.breaches:
        print(f"  limit: {breach}")
    portfolio = Portfolio(NAV)
    for target in verdict.approved:
        cut = f" ({target.binding})" if target.binding else ""
        print(f"  {target.symbol}: {target.wanted} wanted, {target.shares} approved{cut}, {target.weight:.1%} of NAV")
        if target.shares:
            price = prices[target.symbol]
            levels = (target.stop_level, target.target_level)
            portfolio.add_position(Position(target.symbol, target.shares, price, price, datetime.now(UTC), codes[target.symbol], *levels))
    return portfolio, RiskChecker(portfolio, config.risk, nav_history=[NAV], market=bars)


def show(summary) -> None:
    print(f"\n  NAV {summary['nav']:,.2f} USD, cash {summary['cash']:,.2f} USD, state {summary['state']}")
    widths = (26, 10, 10, 9, 14, 10)
    line("limit", "allowed", "in use", "usage", "headroom USD", "status", widths=widths)
    for u in summary["limits"]:
        if u["limit"] is None:
            continue
        limit = f"{u['limit']:.1%}"
        forms = (("value", "{:.2%}"), ("usage", "{:.0%}"), ("headroom", "{:,.0f}"))
        figures = ("unknown" if u[name] is None else form.format(u[name]) for name, form in forms)
        line(u["label"], limit, *figures, u["status"], widths=widths)
    off = sum(u["limit"] is None for u in summary["limits"])
    print(f"  and {off} figures without a limit: exo risk status")


def stressed(bars, portfolio) -> None:
    """What named bad days would do to the book."""
    from mech_exo.risk.stress import stress

    print("\n5. Stress: the book on named bad days; a resting stop limits none of it")
    widths = (40, 14, 10, 20)
    line("scenario", "USD", "of NAV", "worst position", widths=widths)
    for one in stress(portfolio, bars):
        figures = ("unknown", "") if one.pnl is None else (f"{one.pnl:+,.0f}", "" if one.fraction is None else f"{one.fraction:+.1%}")
        line(one.story if len(one.story) < 40 else one.scenario, *figures, "" if one.worst is None else one.worst[0], widths=widths)


def main() -> int:
    from mech_exo.domain.errors import MechExoError
    from mech_exo.risk.model import Market
    from mech_exo.scoring.inputs import FactorInputs
    from mech_exo.utils.config import load
    from mech_exo.utils.workspace import home_folder

    os.environ.setdefault("EXO_HOME", str(REPOSITORY))
    try:
        config = load(home_folder())
        panel, codes, scores = market(config)
        print(f"From a score to a position, on the {panel.label} of {len(panel.symbols)} invented companies")
        ideas = step_1_score(panel, codes, scores)
        sizes = step_2_size(panel, ideas, config)
        step_3_stops(ideas, config)
        bars = Market(panel, FactorInputs(panel).market_return, "the average of all names")
        portfolio, checker = step_4_risk(bars, ideas, sizes, codes, config)
        summary = checker.get_risk_status_summary()
        show(summary)
        stressed(bars, portfolio)
    except MechExoError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    broken = summary["violations"]
    print(f"\n{len(broken)} limits broken" if broken else "\nNo limit is broken.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
