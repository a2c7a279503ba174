"""Point-in-time figures of two companies against what they filed, checked by hand.

Every number can be looked up at sec.gov/cgi-bin/browse-edgar, Apple (CIK 320193) and Marvell (CIK 1835632), under the accession number
given beside it. Millions of USD unless said otherwise. A filing with a date alone is usable from the next session's close.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource import DataStorage
from mech_exo.datasource.accounts.filings import facts_of
from mech_exo.domain.panel import BarPanel
from mech_exo.utils import calendar

Shared = Callable[[str], Path]
M = 1e6
NAMES = (
    "net_income_ttm", "net_income_quarter", "revenue_ttm", "gross_profit_ttm", "operating_cash_flow_ttm", "operating_cash_flow_quarter",
    "eps_diluted_ttm", "total_equity", "total_assets", "total_debt", "shares_outstanding", "return_on_equity", "debt_to_equity",
    "revenue_growth", "earnings_growth", "gross_profitability", "accruals", "f_score",
)  # fmt: skip


@pytest.fixture(scope="module")
def filed(shared: Shared) -> pl.DataFrame:
    files = {"AAPL": "CIK0000320193", "MRVL": "CIK0001835632"}
    read = (facts_of(symbol, json.loads(gzip.decompress(shared(f"data/fundamentals/companyfacts/{name}.json.gz").read_bytes()))) for symbol, name in files.items())  # fmt: skip
    return pl.concat(read)


@pytest.fixture(scope="module")
def store(filed: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStorage]:
    with DataStorage(tmp_path_factory.mktemp("apple") / "store.duckdb") as storage:
        storage.store_fundamentals(filed, source="edgar")
        splits = {"date": [date(2014, 6, 9), date(2020, 8, 31)], "kind": ["split"] * 2, "value": [7.0, 4.0], "symbol": ["AAPL"] * 2}
        storage.store_corporate_actions(pl.DataFrame(splits))
        yield storage


@pytest.fixture(scope="module")
def known(store: DataStorage) -> Callable[..., dict[str, float]]:
    """``known(symbol, day)``: every input at that close. The panel's prices do not matter here."""
    sessions = calendar.sessions(date(2009, 10, 1), date(2026, 10, 30))
    ones = np.ones((len(sessions), 2))
    panel = BarPanel.from_arrays(sessions, ("AAPL", "MRVL"), dict.fromkeys(("open", "high", "low", "close", "volume"), ones))
    made = store.view(date(2026, 10, 30)).fundamental_inputs(panel, NAMES)

    def at(symbol: str, day: date) -> dict[str, float]:
        row = int(np.searchsorted(sessions, np.datetime64(day)))
        assert sessions[row].item() == day
        return {name: float(values[row, panel.symbols.index(symbol)]) for name, values in made.items()}

    return at


def test_before_and_after_the_restatement_for_subscription_accounting(known: Callable[..., dict[str, float]]) -> None:
    """10-K of 2009-10-27, 0001193125-09-214859; 10-K/A of 2010-01-25, 0001193125-10-012091, with the 10-Q of the same day,
    0001193125-10-012085."""
    for day in (date(2009, 10, 28), date(2010, 1, 25)):
        then = known("AAPL", day)
        assert then["net_income_ttm"] == 5_704 * M and then["revenue_ttm"] == 36_537 * M and then["gross_profit_ttm"] == 13_140 * M
        assert then["total_equity"] == 27_832 * M and then["total_assets"] == 53_851 * M and then["eps_diluted_ttm"] == 6.29
        assert then["return_on_equity"] == pytest.approx(5_704 / 27_832)
        assert then["revenue_growth"] == pytest.approx(36_537 / 32_479 - 1) and then["earnings_growth"] == pytest.approx(5_704 / 4_834 - 1)
        assert then["gross_profitability"] == pytest.approx(13_140 / 53_851)
        assert then["accruals"] == pytest.approx((5_704 - 10_159) / ((53_851 + 39_572) / 2))
    after = known("AAPL", date(2010, 1, 26))
    # Fiscal 2009 as amended + the December quarter - the December quarter of the year before, as restated.
    assert after["net_income_ttm"] == (8_235 + 3_378 - 2_255) * M and after["revenue_ttm"] == (42_905 + 15_683 - 11_880) * M
    assert after["net_income_quarter"] == 3_378 * M and after["total_equity"] == 35_768 * M and after["total_assets"] == 53_926 * M
    assert np.isnan(after["revenue_growth"]), "the amended year before its last quarter was never filed in this format"


def test_the_day_before_the_first_annual_report(known: Callable[..., dict[str, float]]) -> None:
    """Only the 10-Q of 2009-07-22, 0001193125-09-153165, is known: three quarters, and no year."""
    then = known("AAPL", date(2009, 10, 27))
    assert np.isnan(then["net_income_ttm"]) and then["net_income_quarter"] == 1_229 * M and then["total_assets"] == 48_140 * M


def test_trailing_twelve_months_in_the_spring_of_2014(known: Callable[..., dict[str, float]]) -> None:
    """10-K of 2013-10-30, 0001193125-13-416534; 10-Q of 2014-04-24, 0001193125-14-157311; 10-Q of 2013-04-24, 0001193125-13-168288."""
    assert known("AAPL", date(2014, 4, 24))["net_income_ttm"] == (37_037 + 13_072 - 13_078) * M, "the December quarter still"
    then = known("AAPL", date(2014, 4, 25))
    assert then["net_income_ttm"] == (37_037 + 23_295 - 22_625) * M == 37_707 * M
    assert then["eps_diluted_ttm"] == pytest.approx(39.75 + 26.16 - 23.90) and then["total_debt"] == 16_962 * M
    assert then["earnings_growth"] == pytest.approx(37_707 / (41_733 + 22_625 - 24_686) - 1)


def test_fourth_quarters_are_the_year_less_three_quarters(known: Callable[..., dict[str, float]]) -> None:
    """Apple's 10-K of 2024-11-01, 0000320193-24-000123, states the year alone: 93,736 - 33,916 - 23,636 - 21,448.

    Its press release of 2024-10-31 gives 14,736. Marvell's 10-K of 2025-03-12: the year -885.0, nine months -1,085.2."""
    assert known("AAPL", date(2024, 11, 4))["net_income_quarter"] == 14_736 * M
    assert known("AAPL", date(2024, 11, 4))["operating_cash_flow_quarter"] == 26_811 * M
    assert known("MRVL", date(2025, 3, 13))["net_income_quarter"] == pytest.approx((-885.0 + 215.6 + 193.3 + 676.3) * M)


def test_year_to_date_cash_flow_becomes_a_quarter(known: Callable[..., dict[str, float]]) -> None:
    """10-Q of 2025-05-02, 0000320193-25-000057: six months 53,887; 10-Q of 2025-01-31, 0000320193-25-000008: three months 29,935."""
    then = known("AAPL", date(2025, 5, 5))
    assert then["operating_cash_flow_quarter"] == (53_887 - 29_935) * M
    assert then["operating_cash_flow_ttm"] == (118_254 + 53_887 - 62_585) * M


def test_shares_over_two_splits(known: Callable[..., dict[str, float]]) -> None:
    """Cover pages: 861,381,000 on 2014-04-11 (0001193125-14-157311), 5,987,867,000 on 2014-07-11 (0001193125-14-277160);
    4,275,634,000 on 2020-07-17 (0000320193-20-000062), 17,001,802,000 on 2020-10-16 (0000320193-20-000096)."""
    counts = {
        date(2014, 6, 6): 861_381_000, date(2014, 6, 9): 7 * 861_381_000, date(2014, 7, 23): 7 * 861_381_000,
        date(2014, 7, 24): 5_987_867_000, date(2020, 8, 28): 4_275_634_000, date(2020, 8, 31): 4 * 4_275_634_000,
        date(2020, 11, 2): 17_001_802_000,
    }  # fmt: skip
    for day, count in counts.items():
        assert known("AAPL", day)["shares_outstanding"] == pytest.approx(count, rel=1e-12), day
    assert known("AAPL", date(2014, 6, 9))["eps_diluted_ttm"] == pytest.approx(42.01 / 7)
    # The 10-K of 2020-10-30 restates the comparatives on the new count: 3.28 a share for the year, not divided again.
    assert known("AAPL", date(2020, 11, 2))["eps_diluted_ttm"] == pytest.approx(3.28)


def test_debt_is_the_balance_sheets(known: Callable[..., dict[str, float]]) -> None:
    """Apple's 10-K of 2024-11-01: commercial paper 9,967, term debt 10,912 current and 85,750 non-current; equity 56,950. Marvell's 10-Q of
    2021-06-09, 0001835632-21-000010, which tags its maturing debt twice: 4,674.853 + 193.269 + 30.308."""
    apple = known("AAPL", date(2024, 11, 4))
    assert apple["total_debt"] == (9_967 + 10_912 + 85_750) * M and apple["debt_to_equity"] == pytest.approx(106_629 / 56_950)
    assert known("MRVL", date(2021, 6, 10))["total_debt"] == pytest.approx((4_674.853 + 193.269 + 30.308) * M)


def test_a_loss_before_makes_no_growth(known: Callable[..., dict[str, float]]) -> None:
    """Marvell's 10-Q of 2026-05-28, 0001835632-26-000019; 10-K of 2026-03-11, 0001835632-26-000011: 2,670.1 + 34.5 - 177.9 after a year
    of -885.0 + 177.9 + 215.6."""
    then = known("MRVL", date(2026, 5, 29))
    assert then["net_income_ttm"] == pytest.approx((2_670.1 + 34.5 - 177.9) * M) and np.isnan(then["earnings_growth"])
    assert known("MRVL", date(2024, 3, 14))["return_on_equity"] == pytest.approx(-933.4 / 14_831.4)


def test_price_to_earnings_on_the_days_around_the_split(store: DataStorage, shared: Shared, tmp_path: Path, filed: pl.DataFrame) -> None:
    """Prices as printed: 645.57 on 2014-06-06, 93.70 on 2014-06-09; 861,381,000 shares, income of 37,707 million."""
    bars = pl.read_csv(shared("data/prices/quandl_wiki_sample_2014.csv.gz"), infer_schema_length=None).filter(ticker="AAPL")
    with DataStorage(tmp_path / "priced.duckdb") as storage:
        storage.store_ohlc_data(bars.select("ticker", "date", "open", "high", "low", "close", "volume", "split_ratio"), source="quandl")
        storage.store_fundamentals(filed, source="edgar")
        view = storage.view(date(2014, 12, 31))
        panel = view.panel()
        made = view.fundamental_inputs(panel, ["market_cap", "pe_ratio", "earnings_yield", "price_to_book"])
    for day, price, count in ((date(2014, 6, 6), 645.57, 861_381_000), (date(2014, 6, 9), 93.70, 7 * 861_381_000)):
        row = int(np.searchsorted(panel.sessions, np.datetime64(day)))
        assert panel.close[row, 0] == price
        worth = price * count
        expected = (worth, worth / 37_707e6, 37_707e6 / worth, worth / 120_179e6)
        assert [float(values[row, 0]) for values in made.values()] == pytest.approx(expected), day
    assert 14.7 < worth / 37_707e6 < 15.1
