from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource import DataStorage
from mech_exo.datasource.demo import BENCHMARK, LABEL, SECTOR_NAMES, UNIVERSE, SampleMarket, sample_market
from mech_exo.domain.errors import InputError
from mech_exo.utils import calendar

FINGERPRINT = """
from mech_exo.datasource.demo import sample_market
market = sample_market(seed=11, symbols=40, years=4)
tables = (market.sectors, market.universe, market.benchmark, market.fundamentals, market.news)
print(market.panel.data_hash(), *(table.hash_rows(seed=1).sum() for table in tables))
"""


@pytest.fixture(scope="module")
def market() -> SampleMarket:
    return sample_market()


@pytest.fixture(scope="module")
def listed(market: SampleMarket) -> np.ndarray:
    return ~np.isnan(market.panel.close)


def total_returns(market: SampleMarket) -> np.ndarray:
    panel = market.panel
    return (panel.close[1:] + panel.dividend[1:]) * panel.split_ratio[1:] / panel.close[:-1] - 1.0


def test_equal_arguments_give_equal_bits_whatever_the_threads() -> None:
    prints = set()
    for threads in ("1", "4"):
        names = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        prints.add(subprocess.run([sys.executable, "-c", FINGERPRINT], env=environment, check=True, capture_output=True, text=True).stdout)
    assert len(prints) == 1 and len(prints.pop().split()) == 6
    assert sample_market(12, 40, 4).panel.data_hash() != sample_market(11, 40, 4).panel.data_hash()


def test_it_is_made_in_three_seconds(market: SampleMarket) -> None:
    began = time.process_time()
    sample_market()
    assert time.process_time() - began < 3.0


def test_it_is_labelled_synthetic_everywhere(market: SampleMarket) -> None:
    assert market.panel.label == LABEL == "synthetic sample"
    assert market.news["source"].str.contains("synthetic").all()
    assert all(symbol.startswith("SYN") and symbol.isalnum() and len(symbol) <= 8 for symbol in market.panel.symbols)


def test_rows_are_the_exchange_s_sessions(market: SampleMarket) -> None:
    assert market.panel.shape[1] == 200
    assert np.array_equal(market.panel.sessions, calendar.sessions(date(2013, 1, 1), date(2024, 12, 31)))


def test_bars_are_whole_cents_and_never_contradict_themselves(market: SampleMarket, listed: np.ndarray) -> None:
    panel = market.panel
    for name in ("open", "high", "low", "close"):
        price = getattr(panel, name)[listed]
        assert np.array_equal(np.round(price, 2), price) and price.min() >= 0.01
    assert (panel.high >= np.fmax(panel.open, panel.close))[listed].all()
    assert (panel.low <= np.fmin(panel.open, panel.close))[listed].all()
    for name in ("open", "high", "low", "volume"):
        assert np.array_equal(~np.isnan(getattr(panel, name)), listed)
    assert (panel.volume[listed] >= 100).all()


def test_returns_have_fat_tails_clustering_and_gaps(market: SampleMarket) -> None:
    panel, change = market.panel, total_returns(market)
    kurtosis = np.nanmean((change - np.nanmean(change, 0)) ** 4, 0) / np.nanvar(change, 0) ** 2
    assert np.median(kurtosis) > 5.0
    size = np.abs(change - np.nanmean(change, 0))
    both = ~np.isnan(size[1:]) & ~np.isnan(size[:-1])
    echo = [np.corrcoef(size[1:, j][both[:, j]], size[:-1, j][both[:, j]])[0, 1] for j in range(size.shape[1])]
    assert np.median(echo) > 0.05
    overnight = (panel.open[1:] + panel.dividend[1:]) * panel.split_ratio[1:] / panel.close[:-1] - 1.0
    assert np.nanstd(overnight) > 0.004 and (np.abs(overnight) > 0.08).sum() > 100
    assert 0.2 < np.nanmedian(np.nanstd(change, axis=0)) * np.sqrt(252) < 0.45


def test_volume_rises_with_the_size_of_the_move(market: SampleMarket) -> None:
    size, volume = np.abs(total_returns(market)), np.log(market.panel.volume[1:])
    both = ~np.isnan(size) & ~np.isnan(volume)
    assert np.median([np.corrcoef(size[both[:, j], j], volume[both[:, j], j])[0, 1] for j in range(size.shape[1])]) > 0.1


def test_names_of_one_sector_move_together(market: SampleMarket) -> None:
    change = total_returns(market)
    whole = ~np.isnan(change).any(axis=0)
    first = dict(market.sectors.unique("symbol", keep="first", maintain_order=True).select("symbol", "sector").iter_rows())
    sector = np.array([first[symbol] for symbol in market.panel.symbols])[whole]
    link = np.corrcoef(change[:, whole].T)
    same = (sector[:, None] == sector) & ~np.eye(len(sector), dtype=bool)
    other = sector[:, None] != sector
    assert link[same].mean() > link[other].mean() + 0.03 > 0.08


def test_every_kind_of_split_happens_and_does_not_move_value(market: SampleMarket) -> None:
    ratio = market.panel.split_ratio
    assert set(np.unique(ratio)) == {0.1, 1.0, 1.5, 2.0, 3.0, 7.0}
    row, column = np.nonzero(ratio != 1.0)
    change = total_returns(market)[row - 1, column]
    assert np.abs(change).max() < 0.25
    raw = market.panel.close[row, column] / market.panel.close[row - 1, column]
    assert np.allclose(raw * ratio[row, column], 1.0, atol=0.25)


def test_a_price_falls_by_its_dividend(market: SampleMarket) -> None:
    panel = market.panel
    row, column = np.nonzero(panel.dividend > 0.0)
    assert 2000 < len(row) < 6000
    change = total_returns(market)
    with_it = change[row - 1, column]
    without = panel.close[row, column] * panel.split_ratio[row, column] / panel.close[row - 1, column] - 1.0
    share = panel.dividend[row, column] * panel.split_ratio[row, column] / panel.close[row - 1, column]
    assert abs(with_it.mean()) < 0.0015 < share.mean() < 0.01
    assert np.allclose(with_it - without, share) and without.mean() < with_it.mean() - 0.004


def test_some_leave_and_some_arrive(market: SampleMarket, listed: np.ndarray) -> None:
    panel, rows = market.panel, market.panel.shape[0]
    gone = np.flatnonzero(panel.delisted < rows)
    assert len(gone) == 16
    last = panel.close[panel.delisted[gone] - 1, gone]
    paid = panel.delisting_value[gone]
    bankrupt = last < 1.0
    assert bankrupt.sum() == 6 and (paid[bankrupt] <= 0.03).all(), "next to nothing is left"
    assert ((paid / last)[~bankrupt] > 1.0).all() and ((paid / last)[~bankrupt] < 1.02).all()
    before = panel.close[panel.delisted[gone] - 70, gone]
    assert ((paid / before)[~bankrupt] > 1.1).all(), "the offer carries a premium"
    assert all(not listed[panel.delisted[j] :, j].any() for j in gone)
    assert np.isnan(np.delete(panel.delisting_value, gone)).all()
    assert (np.argmax(listed, axis=0) > 0).sum() == 24
    halted = sum((~listed[np.argmax(listed[:, j]) : panel.delisted[j], j]).sum() for j in range(200))
    assert 20 < halted < 120
    assert (panel.split_ratio[~listed] == 1.0).all() and (panel.dividend[~listed] == 0.0).all()


def test_membership_could_be_known_and_ends_with_the_listing(market: SampleMarket) -> None:
    universe = market.universe
    assert set(universe["symbol"]) <= set(market.panel.symbols)
    assert (universe["start"] < universe["end"].fill_null(date(9999, 1, 1))).all()
    sessions = set(market.panel.sessions.tolist())
    assert set(universe["start"]) | set(universe["end"].drop_nulls()) <= sessions
    for symbol, day in market.delistings().select("symbol", "date").iter_rows():
        assert (universe.filter(pl.col("symbol") == symbol)["end"].fill_null(date(9999, 1, 1)) <= day).all()
    members = universe.filter((pl.col("start") <= date(2020, 6, 1)) & (pl.col("end").fill_null(date(9999, 1, 1)) > date(2020, 6, 1))).height
    assert 120 <= members <= 150


def test_sectors_are_the_eleven_and_some_names_move(market: SampleMarket) -> None:
    assert set(market.sectors["sector"]) == set(SECTOR_NAMES)
    assert market.sectors["symbol"].n_unique() == 200 and market.sectors.height == 204
    assert not market.sectors.select("symbol", "sector").is_duplicated().any()


def test_the_benchmark_is_a_plausible_market(market: SampleMarket) -> None:
    value = market.benchmark["return"].to_numpy()
    assert np.array_equal(market.benchmark["date"].to_numpy().astype("datetime64[D]"), market.panel.sessions[1:])
    assert 0.10 < value.std() * np.sqrt(252) < 0.22 and -0.05 < value.mean() * 252 < 0.2
    everyone = np.nanmean(total_returns(market), axis=1)
    assert np.corrcoef(value, everyone)[0, 1] > 0.85


def test_reports_are_filed_late_and_some_are_restated(market: SampleMarket) -> None:
    facts = market.fundamentals.filter(pl.col("metric") != "shares_outstanding")
    key = ["symbol", "metric", "period_end"]
    first = facts.sort("filed").unique(key, keep="first", maintain_order=True)
    begun = market.panel.sessions[np.argmax(~np.isnan(market.panel.close), axis=0)]
    listing = dict(zip(market.panel.symbols, begun.tolist(), strict=True))
    waited = first.filter(pl.col("filed") > pl.col("symbol").replace_strict(listing, return_dtype=pl.Date))
    lag = (waited["filed"] - waited["period_end"]).dt.total_days()
    assert lag.min() >= 25 and lag.max() <= 60
    again = facts.height - first.height
    assert 0.005 < again / first.height < 0.03
    restated = facts.filter(pl.len().over(key) > 1).sort("filed")
    assert restated.group_by(key).agg((pl.col("value").n_unique() == 2).alias("changed"))["changed"].mean() > 0.9
    assert restated.group_by(key).agg(pl.col("filed").n_unique() == 2)["filed"].all()
    assert not facts.select(*key, "filed").is_duplicated().any()
    assert facts["filed"].max() <= market.panel.sessions[-1].item() and facts["value"].is_finite().all()


def test_nothing_is_reported_by_a_company_that_is_gone_or_not_yet_there(market: SampleMarket, listed: np.ndarray) -> None:
    for j, symbol in enumerate(market.panel.symbols):
        filed = market.fundamentals.filter(pl.col("symbol") == symbol)["filed"]
        assert filed.max() < market.panel.sessions[market.panel.delisted[j]].item() if market.panel.delisted[j] < len(listed) else True
        if listed[0, j]:
            assert filed.min() < date(2012, 6, 1), "a year's history precedes the first bar"
        else:
            assert filed.min() >= market.panel.sessions[np.argmax(listed[:, j])].item()


def test_statements_hang_together(market: SampleMarket) -> None:
    counted = pl.col("metric") == "shares_outstanding"
    facts = market.fundamentals.sort("filed")
    statements = facts.filter(~counted)
    wide = statements.pivot("metric", index=["symbol", "period_end"], values=["value"], aggregate_function="first")
    first = statements.group_by("symbol", "period_end").agg(pl.col("filed").min())
    counts = facts.filter(counted).select("symbol", "filed", "period_end", shares_outstanding="value")
    assert (counts["filed"] == counts["period_end"]).all(), "the count is of the day it is printed"
    counts = counts.drop("period_end").unique(["symbol", "filed"])
    wide = wide.join(first, on=["symbol", "period_end"]).join(counts, on=["symbol", "filed"], how="left")
    assert wide["shares_outstanding"].null_count() == 0
    assert (wide["current_assets"] < wide["total_assets"]).all() and (wide["long_term_debt"] < wide["total_debt"]).all()
    assert (wide["total_assets"] > wide["total_equity"]).all() and (wide["revenue"] > 0).all() and (wide["total_debt"] > 0).all()
    per_share = wide["net_income"] / wide["shares_outstanding"] / 1.015
    assert ((per_share - wide["eps_diluted"]).abs() < 0.02).all()
    assert 0.0 < (wide["net_income"] < 0).mean() < 0.1, "a few lose money"


def test_prices_answer_a_report_the_day_after_it(market: SampleMarket) -> None:
    reports = market.news.filter(pl.col("headline").str.contains("profit for quarter"))
    change, column = total_returns(market), {symbol: j for j, symbol in enumerate(market.panel.symbols)}
    answer: dict[str, list[float]] = {"beats": [], "misses": []}
    for symbol, published, headline in reports.select("symbol", "published", "headline").iter_rows():
        row = int(np.searchsorted(market.panel.sessions, np.datetime64(published.date()), "right"))
        for verdict, found in answer.items():
            if verdict in headline and row < len(change):
                found.append(change[row - 1, column[symbol]])
                assert published > calendar.session_close(published.date())
    good, bad = (np.nanmean(found) for found in answer.values())
    assert good > 0.01 and bad < -0.01


def test_headlines_are_dated_inside_the_listing(market: SampleMarket) -> None:
    news = market.news
    assert news["published"].is_sorted() and str(news.schema["published"]) == "Datetime(time_unit='us', time_zone='UTC')"
    assert 15_000 < news.height < 60_000 and set(news["symbol"]) == set(market.panel.symbols)
    assert not news.is_duplicated().any()


@pytest.mark.parametrize(("symbols", "years"), [(10, 12), (200, 2)])
def test_too_small_a_market_is_refused(symbols: int, years: int) -> None:
    with pytest.raises(InputError, match="at least 11 symbols and 3 years"):
        sample_market(symbols=symbols, years=years)


@pytest.mark.parametrize("seed", range(4))
def test_any_seed_makes_a_sound_market(seed: int) -> None:
    made = sample_market(seed, 30, 3, date(2015, 6, 30))
    assert made.panel.sessions[-1] == np.datetime64("2015-06-30")
    traded = ~np.isnan(made.panel.close)
    assert traded.any(axis=0).all() and traded.any(axis=1).all()
    assert made.fundamentals["symbol"].n_unique() == 30 and np.isfinite(made.benchmark["return"].to_numpy()).all()


def test_the_store_gives_the_market_back(tmp_path: Path) -> None:
    made = sample_market(5, 40, 4)
    with DataStorage(tmp_path / "data" / "mech_exo.duckdb") as storage:
        made.store(storage)
        view = storage.view()
        panel = view.panel()
        assert panel.data_hash() == made.panel.data_hash() and panel.label == LABEL
        assert any("synthetic" in warning for warning in view.warnings())
        universe = view.universe(panel, UNIVERSE)
        assert not universe.backfilled and 0.5 < universe.member[-1].mean() < 0.9
        assert set(universe.sector_names) == set(SECTOR_NAMES)
        benchmark = view.benchmark(BENCHMARK)
        assert benchmark is not None and benchmark.equals(made.benchmark)
        before = storage.publish()
        counts = storage.status().bars, storage.status().fundamentals, storage.status().news
        assert counts == (int((~np.isnan(panel.close)).sum()), made.fundamentals.height, made.news.height)
        made.store(storage)
        assert not storage.publish().fresh and before.fresh, "storing twice changes nothing"
