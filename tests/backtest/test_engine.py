"""``EventBacktester`` and its result: what the user asks for, and what he is told when he asks for nonsense."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mech_exo.backtest.engine import EventBacktester
from mech_exo.decision.strategy import Strategy
from mech_exo.decision.tickets import shares
from mech_exo.domain.errors import InputError
from mech_exo.domain.facts import Facts
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.records import Outcome
from mech_exo.utils.settings import CostModel, FactorWeight, RiskLimits, Selection, StopRules
from tests.backtest.driving import default_config

FREE = CostModel(commission="zero", slippage_bps=0, margin_rate=0)
DAYS = 30


def frame(symbols=("AAA", "BBB", "CCC"), days=DAYS):
    rows = []
    for number, symbol in enumerate(symbols):
        for day in range(days):
            price = 20.0 + 10 * number + day * 0.25
            rows.append((symbol, date(2020, 1, 1 + day), price, price + 1, price - 1, price, 1e6))
    return pl.DataFrame(rows, schema=["symbol", "date", "open", "high", "low", "close", "volume"], orient="row")


@pytest.fixture
def panel():
    return BarPanel.from_frame(frame())


def refuses(*words):
    """The call must fail with a named error that says all of ``words``."""
    pattern = "(?s)" + "".join(f"(?=.*{word})" for word in words)
    return pytest.raises(InputError, match=pattern)


def hold(weights):
    return lambda view, portfolio: weights


class TestAnswers:
    def test_weights_become_whole_shares_at_the_next_open(self, panel):
        result = EventBacktester(panel, hold({"AAA": 0.5, "BBB": -0.25}), costs=FREE, initial_cash=10_000).run(end=date(2020, 1, 2))
        assert result.fills.select("date", "symbol", "shares", "price").rows() == [
            (date(2020, 1, 2), "BBB", -83, 30.25), (date(2020, 1, 2), "AAA", 250, 20.25),
        ]  # fmt: skip

    def test_none_leaves_everything_and_absence_sells(self, panel):
        answers = {0: shares({"AAA": 10, "BBB": 5}), 5: None, 8: shares({"BBB": 5}), 12: {}}
        result = EventBacktester(panel, lambda view, portfolio: answers.get(view.row), costs=FREE).run()
        bought = [(date(2020, 1, 2), "AAA", 10), (date(2020, 1, 2), "BBB", 5)]
        assert result.fills.select("date", "symbol", "shares").rows() == [*bought, (date(2020, 1, 10), "AAA", -10), (date(2020, 1, 14), "BBB", -5)]

    def test_more_than_nav_is_not_cut_where_nothing_limits(self, panel):
        """Without limits a callable gets what it asks for, beyond what a limits file could even state."""
        result = EventBacktester(panel, hold({"AAA": 6.0}), costs=FREE, initial_cash=10_000).run(end=date(2020, 1, 3))
        assert result.fills["shares"][0] == 3000
        assert any("no risk limits" in said for said in result.warnings)

    def test_limits_bind_on_callables_too(self, panel):
        limits = RiskLimits(stops=StopRules.none()).model_copy(
            update={"position_sizing": RiskLimits().position_sizing.model_copy(update={"max_sector_exposure": None, "max_single_trade_risk": 1.0})}
        )
        result = EventBacktester(panel, hold({"AAA": 0.5}), costs=FREE, initial_cash=10_000, limits=limits).run(end=date(2020, 1, 3))
        assert result.fills["shares"][0] == 50 and not any("no risk limits" in said for said in result.warnings)

    def test_the_portfolio_is_what_the_account_holds(self, panel):
        seen = []

        def watch(view, portfolio):
            seen.append((view.as_of, portfolio.shares("AAA"), portfolio.cash, portfolio.nav, portfolio.weight("AAA")))
            return shares({"AAA": 100})

        result = EventBacktester(panel, watch, costs=FREE, initial_cash=10_000).run(end=date(2020, 1, 3))
        assert seen[0] == (date(2020, 1, 1), 0, 10_000, 10_000, 0.0)
        assert seen[2] == (date(2020, 1, 3), 100, 10_000 - 2025, 10_025, 2050 / 10_025)
        assert result.days["nav"].tolist() == [row[3] for row in seen]

    def test_unfilled_orders_are_in_the_result(self):
        bars = frame().with_columns(open=pl.when((pl.col("symbol") == "AAA") & (pl.col("date") == date(2020, 1, 2))).then(None).otherwise("open"))
        result = EventBacktester(BarPanel.from_frame(bars), lambda view, _: {"AAA": 0.5} if view.row == 0 else None).run()
        assert result.orders.select("date", "symbol", "shares", "outcome", "reason").rows() == [(date(2020, 1, 2), "AAA", 2500, "no_bar", "rebalance")] and result.fills.is_empty()
        assert result.metrics["unfilled"] == 1 and (result.events["outcome"] == Outcome.NO_BAR).all()


class TestResult:
    def test_equal_runs_have_equal_ids_and_bytes(self, panel):
        strategy = hold({"AAA": 0.5})
        first, second = (EventBacktester(panel, strategy).run() for _ in range(2))
        assert first.run_id == second.run_id and first.fills.equals(second.fills) and first.events.tobytes() == second.events.tobytes()

    def test_whatever_changes_the_fills_changes_the_id(self, panel):
        def run(weight=0.5, end=None, **given):
            return EventBacktester(panel, hold({"AAA": weight}), **given).run(end=end).run_id

        flows = np.where(np.arange(DAYS) == 3, 100.0, 0.0)
        ids = [run(), run(0.4), run(end=date(2020, 1, 20)), run(costs=FREE), run(initial_cash=5e4), run(stops=StopRules()), run(flows=flows)]
        other = EventBacktester(BarPanel.from_frame(frame(days=29)), hold({"AAA": 0.5})).run().run_id
        assert len({*ids, other}) == len(ids) + 1

    def test_history_before_the_first_session_is_in_the_id(self, small_market):
        """Factors read it: other bars there may give other fills, which must not carry the same id."""
        market, universe = small_market
        first = market.sessions[400].astype(object)
        bars = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close")}
        for values in bars.values():
            values[:200, ::2] *= 3.0
        config = default_config(selection=Selection(top=5))
        whole = EventBacktester(market, config, universe=universe).run(first)
        other = EventBacktester(replace(market, **bars), config, universe=universe).run(first)
        assert not whole.fills.equals(other.fills) and whole.run_id != other.run_id and whole.data_hash != other.data_hash

    def test_decisions_at_which_nobody_had_a_score_are_said(self, small_market):
        market, universe = small_market
        result = EventBacktester(market, default_config(), universe=universe).run(end=market.sessions[100].astype(object))
        said = [line for line in result.warnings if "nobody had a score" in line]
        assert result.orders.is_empty() and len(said) == 1 and "5 of 5 decisions" in said[0]

    def test_factors_left_out_of_some_decisions_are_said_in_one_line(self, small_market):
        market, universe = small_market
        pe = np.full(market.shape, np.nan)
        pe[:300, 0] = 12.0  # one name is too few
        pe[300:] = 10.0 + np.arange(market.shape[1])
        universe = replace(universe, facts=Facts({"pe_ratio": pe}))
        config = default_config()
        priced = {"pe_ratio": FactorWeight(weight=15, direction="lower_better")}
        config = config.model_copy(update={"factors": config.factors.model_copy(update={"fundamental": priced})})
        result = EventBacktester(market, config, universe=universe).run(market.sessions[260].astype(object))
        rows = Strategy(config).decision_rows(market, 260, 260, market.shape[0])
        said = [line for line in result.warnings if "left out of the score" in line]
        rule = "known for fewer than 25% of the names (scoring.min_breadth)"
        assert said == [f"left out of the score at some of {len(rows)} decisions, {rule}: pe_ratio at {(rows < 300).sum()}"]
        assert 0 < (rows < 300).sum() < len(rows)

    def test_a_holding_whose_bars_end_without_a_delisting_is_said(self):
        rows = frame().filter((pl.col("symbol") != "AAA") | (pl.col("date") < date(2020, 1, 5)))
        result = EventBacktester(BarPanel.from_frame(rows), lambda view, _: {"AAA": 0.5} if view.row == 0 else None).run()
        assert result.fills["kind"].to_list() == ["order", "stale_close"]
        assert "closed at the last close because the bars ended without a delisting: AAA" in result.warnings

    def test_tables_agree_with_each_other(self, small_market):
        market, universe = small_market
        result = EventBacktester(market, default_config(), universe=universe).run()
        assert result.equity["nav"][-1] == result.metrics["final_equity"] == result.days["nav"][-1]
        assert result.fills["commission"].sum() == pytest.approx(result.metrics["commission"])
        assert result.fills["slippage"].sum() == pytest.approx(result.metrics["slippage"])
        assert result.orders.filter(pl.col("outcome") == "filled").height == result.metrics["fills"] > 50
        assert any("synthetic sample" in said for said in result.warnings)

    def test_a_config_is_a_strategy(self, small_market):
        market, universe = small_market
        by_config = EventBacktester(market, default_config(), universe=universe).run()
        by_strategy = EventBacktester(market, Strategy(default_config()), universe=universe).run()
        assert by_config.run_id == by_strategy.run_id and by_config.days.tobytes() == by_strategy.days.tobytes()


class TestRefusedPeriods:
    def test_end_before_start(self, panel):
        with refuses("start must not be after the end", "2020-01-20", "2020-01-10"):
            EventBacktester(panel, hold({})).run(date(2020, 1, 20), date(2020, 1, 10))

    @pytest.mark.parametrize("period", [(date(2021, 1, 1), None), (None, date(2019, 12, 31)), (date(2030, 1, 1), date(2031, 1, 1))])
    def test_period_outside_the_data(self, panel, period):
        with refuses("at least one session", "30 sessions from 2020-01-01 to 2020-01-30"):
            EventBacktester(panel, hold({})).run(*period)


class TestRefusedMoney:
    @pytest.mark.parametrize("cash", [0, 0.0, -1.0, math.nan, math.inf, "1000"])
    def test_cash(self, panel, cash):
        with refuses("initial_cash must be above 0", str(cash)):
            EventBacktester(panel, hold({}), initial_cash=cash)

    def test_flows_of_another_length(self, panel):
        with refuses("flows must have one entry per session", "29"):
            EventBacktester(panel, hold({}), flows=np.zeros(29))

    def test_unknown_flows(self, panel):
        with refuses("flows must be finite"):
            EventBacktester(panel, hold({}), flows=np.full(DAYS, math.nan))


class TestRefusedStrategies:
    def test_unknown_symbol(self, panel):
        with refuses("one of the panel's 3", "'AAB'", "did you mean", "AAA"):
            EventBacktester(panel, hold({"AAB": 0.1})).run()

    @pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf])
    def test_weight_that_is_no_number(self, panel, weight):
        with refuses("must be finite", "BBB", str(weight), "2020-01-01"):
            EventBacktester(panel, hold({"BBB": weight})).run()

    @pytest.mark.parametrize("weight", ["0.1", None, True, [0.1]])
    def test_weight_of_a_wrong_type(self, panel, weight):
        with refuses("must be numbers", "BBB"):
            EventBacktester(panel, hold({"BBB": weight})).run()

    def test_half_a_share(self, panel):
        with refuses("shares must be whole", "AAA", "1.5"):
            EventBacktester(panel, hold(shares({"AAA": 1.5}))).run()

    def test_weight_on_a_name_without_a_bar(self):
        bars = frame().filter(~((pl.col("symbol") == "AAA") & (pl.col("date") == date(2020, 1, 5))))
        with refuses("a weight needs a price", "AAA", "2020-01-05"):
            EventBacktester(BarPanel.from_frame(bars), hold({"AAA": 0.1})).run()

    def test_a_weight_of_zero_needs_no_bar(self):
        bars = frame().filter(~((pl.col("symbol") == "AAA") & (pl.col("date") == date(2020, 1, 5))))
        assert EventBacktester(BarPanel.from_frame(bars), hold({"AAA": 0.0})).run().fills.is_empty()

    @pytest.mark.parametrize("answer", [0.5, ["AAA"], "AAA", np.zeros(3)])
    def test_an_answer_that_is_no_mapping(self, panel, answer):
        with refuses("answers with a mapping", type(answer).__name__):
            EventBacktester(panel, hold(answer)).run()

    @pytest.mark.parametrize("strategy", [None, "momentum", 3])
    def test_no_strategy_at_all(self, panel, strategy):
        with refuses("Strategy, a Config or a callable", type(strategy).__name__):
            EventBacktester(panel, strategy)

    def test_limits_beside_a_configuration(self, panel):
        with refuses("brings its own limits", "risk_limits.yml"):
            EventBacktester(panel, default_config(), stops=StopRules())

    def test_an_error_of_the_users_own_code_is_not_swallowed(self, panel):
        def broken(view, portfolio):
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            EventBacktester(panel, broken).run()


class TestRefusedShapes:
    def test_universe_of_another_panel(self, panel):
        other = BarPanel.from_frame(frame(days=20))
        with refuses("universe must cover the panel", r"\(30, 3\)", r"\(20, 3\)"):
            EventBacktester(panel, hold({}), universe=Universe.everyone(other))

    def test_benchmark_of_another_length(self, panel):
        with refuses("benchmark must have one entry per session"):
            EventBacktester(panel, hold({}), benchmark=np.zeros(3))


class TestFrames:
    def test_missing_column(self):
        with refuses("missing: volume", "symbol, date, open, high, low, close"):
            BarPanel.from_frame(frame().drop("volume"))

    def test_wrong_types(self):
        with refuses("numbers in every row"):
            BarPanel.from_frame(frame().with_columns(close=pl.lit("twenty")))
        with refuses("date"):
            BarPanel.from_frame(frame().with_columns(date=pl.lit("yesterday")))

    def test_duplicates(self):
        with refuses("one row per date", "2 rows are doubled", "AAA 2020-01-01", "unique"):
            BarPanel.from_frame(pl.concat([frame(), frame().head(2)]))

    def test_empty(self):
        with refuses("at least one row", "empty"):
            BarPanel.from_frame(frame().clear())

    def test_not_a_frame(self):
        with refuses("Polars or pandas DataFrame or an Arrow table", "list"):
            BarPanel.from_frame([1, 2, 3])

    @pytest.mark.parametrize("price", [0.0, -5.0, math.inf])
    def test_impossible_price(self, price):
        with refuses("above 0 and finite", "AAA 2020-01-01", "open"):
            BarPanel.from_frame(frame().with_columns(open=pl.when(pl.int_range(pl.len()) == 0).then(price).otherwise("open")))

    @pytest.mark.parametrize(("name", "value", "said"), [("high", 1.0, "high must be"), ("low", 1e3, "low at most"), ("volume", -5.0, "volume must")])
    def test_a_bar_that_contradicts_itself(self, name, value, said):
        with pytest.raises(InputError, match=said):
            BarPanel.from_frame(frame().with_columns(pl.lit(value).alias(name)))

    @pytest.mark.parametrize("ratio", [0.0, -2.0, math.inf, math.nan])
    def test_impossible_split(self, ratio):
        with refuses("split ratio", "90 rows"):
            BarPanel.from_frame(frame().with_columns(split_ratio=pl.lit(ratio)))

    @pytest.mark.parametrize("amount", [-0.5, math.inf, math.nan])
    def test_impossible_dividend(self, amount):
        with refuses("dividend", "at least 0"):
            BarPanel.from_frame(frame().with_columns(dividend=pl.lit(amount)))

    def test_nameless_rows(self):
        with refuses("needs a symbol and a date", "90 rows"):
            BarPanel.from_frame(frame().with_columns(symbol=pl.lit(None, pl.String)))

    def test_pandas_in_any_order_is_the_same_panel(self, panel):
        shuffled = frame().sample(fraction=1.0, shuffle=True, seed=1).to_pandas()
        assert isinstance(shuffled, pd.DataFrame) and BarPanel.from_frame(shuffled).data_hash() == panel.data_hash()

    def test_a_symbol_without_any_price_is_never_traded(self):
        nothing = [pl.when(pl.col("symbol") == "BBB").then(None).otherwise(name).alias(name) for name in ("open", "high", "low", "close", "volume")]
        quiet = BarPanel.from_frame(frame().with_columns(nothing))
        assert np.isnan(quiet.close[:, 1]).all()
        result = EventBacktester(quiet, default_config()).run()
        assert "BBB" not in result.fills["symbol"].to_list()
        wanting = EventBacktester(quiet, hold(shares({"BBB": 5}))).run()
        assert wanting.fills.is_empty() and wanting.days["nav"][-1] == 100_000

    def test_a_symbol_of_one_row(self):
        bars = frame().filter((pl.col("symbol") != "BBB") | (pl.col("date") == date(2020, 1, 10)))
        result = EventBacktester(BarPanel.from_frame(bars), lambda view, _: shares({"BBB": 5}) if view.row == 9 else None).run()
        assert result.orders.select("date", "symbol", "shares", "outcome", "reason").rows() == [(date(2020, 1, 11), "BBB", 5, "no_bar", "rebalance")]

    def test_one_session_is_a_backtest_without_fills(self):
        result = EventBacktester(BarPanel.from_frame(frame(days=1)), hold({"AAA": 0.5})).run()
        assert result.fills.is_empty() and result.metrics["final_equity"] == 100_000 and result.metrics["sharpe"] is None
