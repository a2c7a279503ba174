"""Derived inputs: every cell against a naive second implementation, nothing from the future, and the traps one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.datasource import DataStorage
from mech_exo.datasource.accounts.inputs import DERIVED, INPUTS, SCORES, UNITS
from mech_exo.datasource.accounts.metrics import AS_OF_DAY, FLOWS, STATEMENT
from mech_exo.datasource.accounts.panel import by_preference, derive
from mech_exo.domain.errors import InputError
from mech_exo.domain.panel import BarPanel, PriceBasis
from mech_exo.utils import calendar
from tests.oracles.fundamentals import Fact, inputs_at

SYMBOLS = ("AAA", "BBB")
NAMES = (*DERIVED, "net_income_ttm", "net_income_quarter", "eps_diluted_ttm", "eps_diluted_quarter", "average_shares")
SESSIONS = calendar.sessions(date(2018, 1, 2), date(2021, 12, 31))[::7]
"""Every seventh session: rows need not be neighbours."""
ENDS = [date(2016 + quarter // 4, quarter % 4 * 3 + 3, (31, 30, 30, 31)[quarter % 4]) for quarter in range(24)]
UNIT = {**STATEMENT, **AS_OF_DAY}
SCHEMA = {
    "symbol": pl.String, "metric": pl.String, "period_end": pl.Date, "fiscal_period": pl.String, "value": pl.Float64, "unit": pl.String,
    "filed": pl.Date, "known_at": pl.Datetime("us", "UTC"), "version": pl.Int32, "source": pl.String,
}  # fmt: skip
Row = tuple[Any, ...]


def panel_of(sessions: np.ndarray = SESSIONS, symbols: Sequence[str] = SYMBOLS, **more: Any) -> BarPanel:
    rng = np.random.default_rng(3)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (len(sessions), len(symbols))), axis=0))
    close[3:4, 0] = np.nan
    bars = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.full(close.shape, 1e6)}
    return BarPanel.from_arrays(sessions, tuple(symbols), bars, **more)


def known_after(filed: date) -> datetime:
    """The close of the session after the filing."""
    return calendar.session_close(calendar.next_session(filed))


def frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def fact(
    metric: str, end: date, period: str, value: float, filed: date, symbol: str = "AAA", source: str = "edgar", version: int = 0
) -> Row:
    return (symbol, metric, end, period, value, UNIT.get(metric, "ratio"), filed, known_after(filed), version, source)


def splits_of(*splits: tuple[str, date, float]) -> pl.DataFrame:
    return pl.DataFrame(splits, schema={"symbol": pl.String, "session": pl.Date, "value": pl.Float64}, orient="row")


def derived(panel: BarPanel, *asked: Any) -> dict[str, np.ndarray]:
    """What :func:`derive` makes, as arrays; NaN throughout where nothing is told."""
    made = derive(panel, *asked)
    return {name: np.asarray(made[name]) if name in made else np.full(panel.shape, np.nan) for name in asked[2]}


def check(panel: BarPanel, rows: Sequence[Row], splits: pl.DataFrame, names: Sequence[str] = NAMES) -> None:
    """Every cell of every input against the second implementation."""
    made = derived(panel, frame(rows), splits, names, ("edgar",))
    for column, symbol in enumerate(panel.symbols):
        mine = [Fact(r[1], r[2], r[3], r[4], r[6], r[7], r[8]) for r in rows if r[0] == symbol and r[9] == "edgar"]
        divided = splits.filter(symbol=symbol).select("session", "value").rows()
        for t, session in enumerate(panel.sessions.tolist()):
            expected = inputs_at(mine, calendar.session_close(session), session, panel.close[t, column], divided)
            got = {name: made[name][t, column] for name in names}
            np.testing.assert_allclose(
                list(got.values()), [expected[name] for name in names], rtol=1e-9, atol=1e-9, err_msg=f"{symbol} {session} {got}"
            )


def company(rng: np.random.Generator, symbol: str) -> list[Row]:
    """A company that reports as companies do, with holes, late filings, restatements and odd fiscal weeks."""
    rows: list[Row] = []
    weeks = bool(rng.integers(2))
    for number, end in enumerate(ENDS):
        end = end - timedelta(days=int(rng.integers(0, 4))) if weeks else end
        quarter = number % 4
        filed = end + timedelta(days=int(rng.choice([20, 35, 45, 80, 140])))
        for metric in STATEMENT:
            if rng.random() < 0.08:
                continue
            value = (
                float(rng.integers(-20, 100))
                if metric in ("net_income", "operating_cash_flow", "total_equity")
                else float(rng.integers(1, 100))
            )
            spans = _spans(metric, quarter, rng)
            rows += [fact(metric, end, span, value * (quarter + 1 if span != "3M" else 1), filed, symbol) for span in spans]
            if rng.random() < 0.1:
                late = filed + timedelta(days=int(rng.integers(1, 500)))
                rows.append(fact(metric, end, spans[0], value + 7.0, late, symbol))
        cover = filed - timedelta(days=int(rng.integers(0, 10)))
        if rng.random() < 0.85:
            rows.append(fact("shares_outstanding", cover, "instant", float(rng.integers(90, 110)), filed, symbol))
        rows.append(fact("analyst_rating", filed, "instant", float(rng.uniform(-1, 1)), filed, symbol))
    return list({(r[0], r[1], r[2], r[3], r[6], r[8]): r for r in rows}.values())


def _spans(metric: str, quarter: int, rng: np.random.Generator) -> list[str]:
    if metric not in FLOWS:
        return ["3M"] if metric == "average_shares" else ["instant"]
    to_date = ("3M", "6M", "9M", "12M")[quarter]
    return [to_date] if metric == "operating_cash_flow" or quarter == 3 or rng.random() < 0.2 else list(dict.fromkeys(["3M", to_date]))


@pytest.mark.parametrize("seed", range(6))
def test_every_cell_equals_the_second_implementation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [row for symbol in SYMBOLS for row in company(rng, symbol)]
    splits = splits_of(("AAA", date(2019, 8, 30), 4.0), ("AAA", date(2020, 6, 15), 0.5), ("BBB", date(2017, 3, 1), 7.0))
    check(panel_of(SESSIONS[::2]), [rows[k] for k in rng.permutation(len(rows))], splits)


def test_the_random_companies_know_and_do_not_know_every_input() -> None:
    known = dict.fromkeys(NAMES, 0.0)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        made = derived(panel_of(), frame([row for symbol in SYMBOLS for row in company(rng, symbol)]), splits_of(), NAMES, ("edgar",))
        known = {name: share + np.isfinite(made[name]).mean() / 6 for name, share in known.items()}
    assert all(share > 0.02 for share in known.values()) and known["f_score"] < 0.5, known


days = st.sampled_from(ENDS) | st.dates(date(2017, 6, 1), date(2020, 12, 31))
facts = st.builds(
    lambda metric, end, period, value, lag, symbol: fact(metric, end, period, value, end + timedelta(days=lag), symbol),
    st.sampled_from(["net_income", "revenue", "gross_profit", "total_assets", "total_equity", "average_shares", "shares_outstanding"]),
    days,
    st.sampled_from(["instant", "3M", "6M", "9M", "12M", "snapshot"]),
    st.integers(-50, 100).map(float),
    st.integers(0, 420),
    st.sampled_from(SYMBOLS),
)
many = st.lists(facts, max_size=60, unique_by=lambda r: (*r[:4], r[6]))


@given(many)
def test_whatever_is_filed_the_second_implementation_agrees(rows: list[Row]) -> None:
    check(panel_of(SESSIONS[::12]), rows, splits_of(("AAA", date(2019, 8, 30), 4.0)))


@given(many, st.integers(0, len(SESSIONS) - 1), st.floats(-9, 9))
def test_facts_known_later_never_change_a_row(rows: list[Row], t: int, wrong: float) -> None:
    panel, close = panel_of(), calendar.session_close(SESSIONS[t].item())
    past = [row for row in rows if row[7] <= close]
    spoilt = [*past, *((*row[:4], wrong, *row[5:]) for row in rows if row[7] > close)]
    late = splits_of(("BBB", SESSIONS[-1].item(), 3.0)) if t < len(SESSIONS) - 1 else splits_of()
    one, other = derived(panel, frame(past), splits_of(), NAMES, ("edgar",)), derived(panel, frame(spoilt), late, NAMES, ("edgar",))
    for name in NAMES:
        assert one[name][: t + 1].tobytes() == other[name][: t + 1].tobytes(), name


@given(many, st.integers(1, len(SESSIONS)))
def test_a_shorter_panel_gives_the_same_rows(rows: list[Row], rows_kept: int) -> None:
    whole, cut = panel_of(), panel_of(SESSIONS[:rows_kept])
    one, other = (derived(p, frame(rows), splits_of(), NAMES, ("edgar",)) for p in (whole, cut))
    for name in ("net_income_ttm", "return_on_equity", "shares_outstanding"):
        assert one[name][:rows_kept].tobytes() == other[name].tobytes()


@given(many)
def test_asking_for_one_input_or_all_is_the_same(rows: list[Row]) -> None:
    panel = panel_of(SESSIONS[::12])
    everything = derived(panel, frame(rows), splits_of(), NAMES, ("edgar",))
    for name in ("f_score", "pe_ratio", "revenue_growth", "f_no_issue", "analyst_rating", "average_shares"):
        assert derived(panel, frame(rows), splits_of(), [name], ("edgar",))[name].tobytes() == everything[name].tobytes()


# --- through the store -------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DataStorage]:
    with DataStorage(tmp_path / "store.duckdb") as storage:
        yield storage


def stored(store: DataStorage, rows: Sequence[Row], at: datetime | None = None) -> None:
    store.store_fundamentals(frame(rows).drop("version", "known_at"), recorded_at=at)


def bars_of(panel: BarPanel, **columns: Any) -> pl.DataFrame:
    return panel.to_frame().drop("split_ratio", "dividend", strict=False).with_columns(**columns)


FLAT = calendar.sessions(date(2019, 1, 2), date(2021, 12, 31))


@pytest.fixture
def flat() -> BarPanel:
    """Two names at 10 USD."""
    ten = np.full((len(FLAT), 2), 10.0)
    return BarPanel.from_arrays(FLAT, SYMBOLS, dict.fromkeys(("open", "high", "low", "close", "volume"), ten))


def at(panel: BarPanel, values: np.ndarray, day: date, column: int = 0) -> float:
    return float(values[np.searchsorted(panel.sessions, np.datetime64(day, "D")), column])


def test_a_filing_is_usable_from_the_next_sessions_close_and_both_clocks_count(store: DataStorage, flat: BarPanel) -> None:
    store.store_ohlc_data(bars_of(flat), recorded_at=datetime(2022, 1, 3, tzinfo=UTC))
    friday, monday = date(2020, 2, 7), date(2020, 2, 10)
    stored(store, [fact("net_income", date(2019, 12, 31), "12M", 5.0, friday)], datetime(2022, 1, 4, tzinfo=UTC))
    stored(store, [fact("net_income", date(2019, 12, 31), "12M", 4.0, date(2020, 5, 1))], datetime(2022, 1, 5, tzinfo=UTC))
    view = store.view()
    income = view.fundamental_inputs(view.panel(), ["net_income_ttm"])["net_income_ttm"]
    assert np.isnan(at(flat, income, friday)) and at(flat, income, monday) == 5.0
    assert at(flat, income, date(2020, 5, 1)) == 5.0 and at(flat, income, date(2020, 5, 4)) == 4.0
    assert np.isnan(income[:, 1]).all()
    early = store.view(recorded_by=datetime(2022, 1, 4, 12, tzinfo=UTC))
    assert at(flat, early.fundamental_inputs(early.panel(), ["net_income_ttm"])["net_income_ttm"], date(2020, 6, 1)) == 5.0
    past = store.view(monday)
    assert past.fundamental_inputs(past.panel(), ["net_income_ttm"])["net_income_ttm"][-1, 0] == 5.0


def test_a_vendors_correction_counts_from_when_it_was_seen(store: DataStorage, flat: BarPanel) -> None:
    store.store_ohlc_data(bars_of(flat), recorded_at=datetime(2022, 1, 3, tzinfo=UTC))
    row = fact("total_assets", date(2019, 12, 31), "instant", 5.0, date(2020, 2, 7))
    stored(store, [row], datetime(2022, 1, 3, 1, tzinfo=UTC))
    stored(store, [(*row[:4], 6.0, *row[5:])], datetime(2022, 1, 3, 2, tzinfo=UTC))
    view = store.view()
    assert at(flat, view.fundamental_inputs(view.panel(), ["total_assets"])["total_assets"], date(2020, 6, 1)) == 5.0
    assert view.fundamentals()["value"].to_list() == [6.0]


def test_a_four_for_one_split_between_the_count_and_the_row(store: DataStorage, flat: BarPanel) -> None:
    """The count is of 2020-07-17, the split of 2020-08-31: 100 shares at 10 are worth 1,000, then 400 shares."""
    store.store_ohlc_data(bars_of(flat))
    store.store_corporate_actions(pl.DataFrame({"symbol": ["AAA"], "date": [date(2020, 8, 31)], "kind": ["split"], "value": [4.0]}))
    filed, next_report = date(2020, 7, 31), date(2020, 10, 30)
    stored(
        store,
        [
            fact("shares_outstanding", date(2020, 7, 17), "instant", 100.0, filed),
            fact("eps_diluted", date(2020, 6, 27), "3M", 2.0, filed),
            fact("average_shares", date(2020, 6, 27), "3M", 101.0, filed),
            fact("net_income", date(2020, 6, 27), "12M", 50.0, filed),
            fact("total_equity", date(2020, 6, 27), "instant", 500.0, filed),
            # The next report restates the old quarter on the new count: not to be divided again.
            fact("eps_diluted", date(2020, 6, 27), "3M", 0.5, next_report),
            fact("average_shares", date(2020, 6, 27), "3M", 404.0, next_report),
            fact("shares_outstanding", date(2020, 10, 16), "instant", 408.0, next_report),
        ],
    )
    view = store.view()
    made = view.fundamental_inputs(view.panel(), ["shares_outstanding", "market_cap", "pe_ratio", "price_to_book", "eps_diluted_quarter", "average_shares"])  # fmt: skip
    rows = {
        date(2020, 8, 28): (100.0, 1000.0, 20.0, 2.0, 2.0, 101.0),
        date(2020, 8, 31): (400.0, 4000.0, 80.0, 8.0, 0.5, 404.0),
        date(2020, 11, 2): (408.0, 4080.0, 81.6, 8.16, 0.5, 404.0),
    }
    for day, expected in rows.items():
        assert [at(flat, values, day) for values in made.values()] == pytest.approx(expected), day


def test_a_split_between_the_periods_end_and_the_filing_is_in_the_filing_already(flat: BarPanel) -> None:
    split = splits_of(("AAA", date(2020, 1, 15), 4.0))
    rows = [fact("eps_diluted", date(2019, 12, 31), "12M", 0.5, date(2020, 2, 7)), fact("average_shares", date(2019, 12, 31), "12M", 400.0, date(2020, 2, 7))]  # fmt: skip
    made = derived(flat, frame(rows), split, ["eps_diluted_ttm", "average_shares", "shares_outstanding"], ("edgar",))
    assert [at(flat, made[name], date(2020, 3, 2)) for name in made] == [0.5, 400.0, 400.0], "no count on a cover: the average stands in"


QUARTERS = {date(2019, 3, 31): 1.0, date(2019, 6, 30): 2.0, date(2019, 9, 30): 3.0}


def test_the_fourth_quarter_is_the_year_less_three_and_needs_all_three(flat: BarPanel) -> None:
    reports = [fact("net_income", end, "3M", value, end + timedelta(days=30)) for end, value in QUARTERS.items()]
    year = fact("net_income", date(2019, 12, 31), "12M", 10.0, date(2020, 2, 7))
    names = ["net_income_quarter", "net_income_ttm"]
    made = derived(flat, frame([*reports, year]), splits_of(), names, ("edgar",))
    assert [at(flat, made[name], date(2020, 3, 2)) for name in names] == [4.0, 10.0]
    made = derived(flat, frame([*reports[:2], year]), splits_of(), names, ("edgar",))
    assert np.isnan(at(flat, made[names[0]], date(2020, 3, 2))) and at(flat, made[names[1]], date(2020, 3, 2)) == 10.0


def test_year_to_date_cash_flow_becomes_quarters_and_a_trailing_year(flat: BarPanel) -> None:
    spans = {
        date(2018, 12, 31): ("12M", 40.0),
        date(2019, 3, 31): ("3M", 9.0),
        date(2019, 6, 30): ("6M", 21.0),
        date(2019, 9, 30): ("9M", 30.0),
    }
    rows = [fact("operating_cash_flow", end, span, value, end + timedelta(days=30)) for end, (span, value) in spans.items()]
    rows.append(fact("operating_cash_flow", date(2018, 9, 30), "9M", 27.0, date(2019, 10, 30)))
    made = derived(flat, frame(rows), splits_of(), ["operating_cash_flow_quarter", "operating_cash_flow_ttm"], ("edgar",))
    quarter, trailing = made.values()
    assert [at(flat, quarter, day) for day in (date(2019, 5, 3), date(2019, 8, 1), date(2019, 11, 1))] == [9.0, 12.0, 9.0]
    assert at(flat, trailing, date(2019, 11, 1)) == 40.0 + 30.0 - 27.0 and np.isnan(at(flat, trailing, date(2019, 8, 1)))


@pytest.mark.parametrize("before", [0.0, -4.0])
def test_growth_over_nothing_or_a_loss_is_missing(flat: BarPanel, before: float) -> None:
    rows = [fact("net_income", date(2018, 12, 31), "12M", before, date(2019, 2, 7)), fact("net_income", date(2019, 12, 31), "12M", 5.0, date(2020, 2, 7))]  # fmt: skip
    assert np.isnan(derived(flat, frame(rows), splits_of(), ["earnings_growth"], ("edgar",))["earnings_growth"]).all()


def test_a_loss_has_no_pe_and_negative_equity_no_ratio_over_it(flat: BarPanel) -> None:
    end, filed = date(2019, 12, 31), date(2020, 2, 7)
    rows = [
        fact("net_income", end, "12M", -5.0, filed), fact("total_equity", end, "instant", -50.0, filed),
        fact("total_debt", end, "instant", 10.0, filed), fact("shares_outstanding", end, "instant", 7.0, filed),
    ]  # fmt: skip
    made = derived(flat, frame(rows), splits_of(), DERIVED, ("edgar",))
    for name in ("pe_ratio", "price_to_book", "book_to_market", "return_on_equity", "debt_to_equity"):
        assert np.isnan(made[name]).all(), name
    assert at(flat, made["earnings_yield"], date(2020, 3, 2)) == pytest.approx(-5.0 / 70.0)


def test_what_has_grown_old_is_unknown(flat: BarPanel) -> None:
    rows = [fact("total_assets", date(2018, 12, 31), "instant", 5.0, date(2019, 2, 1))]
    assets = derived(flat, frame(rows), splits_of(), ["total_assets"], ("edgar",))["total_assets"]
    last = date(2019, 2, 1) + timedelta(days=400)
    assert at(flat, assets, calendar.previous_session(last + timedelta(days=1))) == 5.0 and np.isnan(
        at(flat, assets, last + timedelta(days=3))
    )
    short = derived(flat, frame(rows), splits_of(), ["total_assets"], ("edgar",), 30)["total_assets"]
    assert int(np.isfinite(short[:, 0]).sum()) < 30


def test_one_cell_is_one_sources(flat: BarPanel) -> None:
    end, filed = date(2019, 12, 31), date(2020, 2, 7)
    rows = [
        fact("net_income", end, "12M", 5.0, filed, source="yahoo"), fact("total_equity", end, "instant", 50.0, filed, source="yahoo"),
        fact("net_income", end, "12M", 8.0, filed + timedelta(days=20)),
    ]  # fmt: skip
    names = ["net_income_ttm", "return_on_equity"]
    order = by_preference(["finnhub", "yahoo", "somebody", "edgar"])
    assert order == ("edgar", "somebody", "yahoo", "finnhub")
    made = derived(flat, frame(rows), splits_of(), names, order)
    assert [at(flat, made[name], date(2020, 2, 20)) for name in names] == [5.0, 0.1]
    assert [at(flat, made[name], date(2020, 3, 20)) for name in names] == [8.0, 0.1], "8 / 50 would mix two sources"


def test_a_vendors_own_ratio_stands_in_where_it_has_no_statements(flat: BarPanel) -> None:
    day = date(2020, 2, 7)
    shown = [fact("pe_ratio", day, "snapshot", 12.0, day, source="finnhub"), fact("revenue_growth_ttm", day, "snapshot", 0.1, day, source="finnhub"),
             fact("price_to_book", day, "snapshot", -3.0, day, source="finnhub")]  # fmt: skip
    made = derived(flat, frame(shown), splits_of(), DERIVED, ("finnhub",))
    assert at(flat, made["pe_ratio"], date(2020, 2, 14)) == 12.0 and np.isnan(at(flat, made["pe_ratio"], date(2020, 2, 24)))
    assert at(flat, made["revenue_growth"], date(2020, 4, 1)) == 0.1 and np.isnan(made["price_to_book"]).all()


def test_prices_of_unknown_splits_make_no_market_value(flat: BarPanel) -> None:
    adjusted = BarPanel.from_arrays(FLAT, SYMBOLS, dict.fromkeys(("open", "high", "low", "close", "volume"), flat.close), price_basis=PriceBasis.SPLIT_ADJUSTED)  # fmt: skip
    rows = [fact("shares_outstanding", date(2019, 12, 31), "instant", 7.0, date(2020, 2, 7))]
    made = derived(adjusted, frame(rows), splits_of(), ["market_cap", "shares_outstanding"], ("edgar",))
    assert np.isnan(made["market_cap"]).all() and at(flat, made["shares_outstanding"], date(2020, 3, 2)) == 7.0


def test_a_figure_filed_again_unchanged_is_not_stored_again(store: DataStorage) -> None:
    rows = [fact("total_assets", ENDS[0], "instant", value, ENDS[0] + timedelta(days=lag)) for value, lag in ((5.0, 10), (5.0, 20), (6.0, 30), (5.0, 40))]  # fmt: skip
    assert store.store_fundamentals(frame(rows).drop("version", "known_at")).new == 3
    again = store.store_fundamentals(frame([rows[1], fact("total_assets", ENDS[0], "instant", 5.0, ENDS[0] + timedelta(days=60))]).drop("version", "known_at"))  # fmt: skip
    assert again.new == again.restated == 0 and again.unchanged == 2


def test_a_figure_of_a_period_that_is_not_over_is_refused(store: DataStorage) -> None:
    with pytest.raises(InputError, match="filed when its period is over; 1 of 1"):
        stored(store, [fact("total_assets", date(2020, 3, 31), "instant", 5.0, date(2020, 3, 1))])


def test_an_unknown_input_is_refused_with_the_nearest(store: DataStorage, flat: BarPanel) -> None:
    with pytest.raises(InputError, match="did you mean 'pe_ratio'"):
        store.view().fundamental_inputs(flat, ["pe_rato"])


def test_an_empty_store_knows_nothing(store: DataStorage, flat: BarPanel) -> None:
    made = store.view().fundamental_inputs(flat)
    assert set(made) == set(DERIVED) and all(values.shape == flat.shape and np.isnan(values).all() for values in made.values())
    assert set(DERIVED) <= set(INPUTS) | set(SCORES) and set(UNITS) == set(INPUTS) | set(SCORES)
