"""One suite for every source: the real client libraries against the replay server with the sample market, and files of it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource import DataStorage, FundamentalFetcher, NewsScraper, OHLCDownloader
from mech_exo.datasource.base import BAR_EXTRAS, BARS, FUNDAMENTALS, NEWS, BarSource, Kind, Source
from mech_exo.datasource.demo import SampleMarket, sample_market
from mech_exo.datasource.edgar import EdgarFacts
from mech_exo.datasource.fetching import Status
from mech_exo.datasource.files import FileBars
from mech_exo.datasource.fundamentals import FinnhubFundamentals, YahooFundamentals
from mech_exo.datasource.news import FinnhubNews, YahooNews
from mech_exo.datasource.replay.sample import SampleVendors
from mech_exo.datasource.replay.server import Replay, leading_to, replaying
from mech_exo.domain.errors import DataError, InputError
from mech_exo.domain.panel import PriceBasis
from mech_exo.utils.source_settings import BarsFrom

KEY = "CANARY-9f31c7"
QUICK = {"first_wait": 0.01, "longest_wait": 0.05, "deadline": 6.0, "timeout": 3.0, "attempts": 2, "rate": 90.0, "finnhub": {"api_key": KEY},
         "sec_user_agent": "A Tester tester@example.com"}  # fmt: skip
COLUMNS = {Kind.BARS: BARS, Kind.FUNDAMENTALS: FUNDAMENTALS, Kind.NEWS: NEWS}
DATED = {Kind.BARS: "date", Kind.FUNDAMENTALS: "period_end", Kind.NEWS: "published"}
HOSTILE = ("A/../../etc/passwd", "A;drop table bars", "A\nB", "A\x00", "", "x" * 21, "../A", "$(id)", "A'--", "Ａ", "A B")


@dataclass(frozen=True)
class Place:
    """Where sources of the sample market live: the replay server and a folder with files."""

    market: SampleMarket
    vendors: SampleVendors
    replay: Replay
    folder: Path

    @property
    def now(self) -> datetime:
        return self.vendors.now


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    pytest.importorskip("trustme", reason="needs trustme: pip install -r requirements.txt")
    import yfinance

    folder = tmp_path_factory.mktemp("contract")
    market = sample_market(symbols=40, years=3)
    vendors = SampleVendors(market, key=KEY)
    write_files(market, folder)
    with replaying(folder) as server, leading_to(server):
        yfinance.set_tz_cache_location(str(folder / "yfinance"))
        vendors.serve(server)
        yield Place(market, vendors, server, folder)


def write_files(market: SampleMarket, folder: Path) -> None:
    """The market's bars in every form a user may have."""
    import duckdb

    long = market.panel.to_frame()
    names = ("csv", "one_per_symbol", "parquet", "stooq")
    for name in names:
        (folder / name).mkdir()
    long.write_csv(folder / "csv" / "all.csv")
    long.write_parquet(folder / "parquet" / "all.parquet")
    with zipfile.ZipFile(folder / "d_us_txt.zip", "w") as archive:
        for (symbol,), rows in long.partition_by("symbol", as_dict=True).items():
            rows.drop("symbol").rename({"close": "Close", "date": "Date"}).write_csv(folder / "one_per_symbol" / f"{symbol}.csv")
            text = rows.select(
                pl.lit(f"{symbol}.US").alias("<TICKER>"), pl.lit("D").alias("<PER>"), pl.col("date").dt.strftime("%Y%m%d").alias("<DATE>"),
                pl.lit("000000").alias("<TIME>"), pl.col("open").alias("<OPEN>"), pl.col("high").alias("<HIGH>"), pl.col("low").alias("<LOW>"),
                pl.col("close").alias("<CLOSE>"), pl.col("volume").alias("<VOL>"), pl.lit(0).alias("<OPENINT>"),
            ).write_csv(line_terminator="\r\n")  # fmt: skip
            archive.writestr(f"data/daily/us/nasdaq stocks/1/{symbol.lower()}.us.txt", text)
            (folder / "stooq" / f"{symbol.lower()}.us.txt").write_text(text)
        archive.writestr("data/daily/us/nasdaq stocks/1/nothing.us.txt", "")
    con = duckdb.connect(str(folder / "other.duckdb"))
    con.register("rows", long.to_arrow())
    con.execute(
        'create schema prices; create table prices."daily bars" as select symbol as Ticker, * exclude (symbol) from rows'
    ).fetchall()
    con.execute("create table notes (text varchar)").fetchall()
    con.close()


def files(form: str, where: str) -> Callable[[Place], Source]:
    return lambda place: FileBars(place.folder / where, BarsFrom(form), clock=lambda: place.now)


SOURCES: dict[str, Callable[[Place], Any]] = {
    "yahoo bars": lambda place: OHLCDownloader(QUICK, clock=lambda: place.now),
    "vendors' fundamentals": lambda place: FundamentalFetcher(QUICK, clock=lambda: place.now),
    "edgar fundamentals": lambda place: EdgarFacts(QUICK, clock=lambda: place.now),
    "yahoo fundamentals": lambda place: YahooFundamentals(QUICK, clock=lambda: place.now),
    "finnhub fundamentals": lambda place: FinnhubFundamentals(QUICK, clock=lambda: place.now),
    "yahoo news": lambda place: YahooNews(QUICK, clock=lambda: place.now),
    "finnhub news": lambda place: FinnhubNews(QUICK, clock=lambda: place.now),
    "news of both": lambda place: NewsScraper(QUICK, clock=lambda: place.now),
    "a csv in long form": files("csv", "csv"),
    "a csv per symbol": files("csv", "one_per_symbol"),
    "parquet": files("parquet", "parquet"),
    "stooq's zip": files("stooq", "d_us_txt.zip"),
    "stooq's folder": files("stooq", "stooq"),
    "duckdb": files("duckdb", "other.duckdb"),
}
DATED_SOURCES = [name for name in SOURCES if "fundamentals" not in name]
BAR_SOURCES = [name for name in SOURCES if "news" not in name and "fundamentals" not in name]
NET = [name for name in SOURCES if name.startswith(("yahoo", "finnhub", "vendors", "news", "edgar"))]


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, place: Place) -> Any:
    return SOURCES[request.param](place)


def fetched(source: Any, place: Place, symbols: tuple[str, ...] = ("SYN002", "SYN001"), back: int = 20) -> pl.DataFrame:
    if source.kind is Kind.FUNDAMENTALS:
        return source.fetch(symbols)
    return source.fetch(symbols, start=(place.now - timedelta(days=back)).date())


def test_it_is_a_source_with_a_name_and_a_kind(source: Any) -> None:
    assert isinstance(source, Source) and source.name and source.kind in Kind
    assert source.report == ()
    if source.kind is Kind.BARS:
        assert isinstance(source, BarSource) and source.price_basis in PriceBasis


def test_columns_types_and_order(source: Any, place: Place) -> None:
    frame = fetched(source, place)
    wanted = COLUMNS[source.kind]
    assert frame.height and list(frame.columns[: len(wanted)]) == list(wanted)
    assert {name: frame.schema[name] for name in wanted} == wanted
    if source.kind is Kind.BARS:
        assert set(frame.columns) <= {*BARS, *BAR_EXTRAS}
    order = {Kind.BARS: ("symbol", "date"), Kind.FUNDAMENTALS: ("symbol", "metric"), Kind.NEWS: ("published", "symbol")}[source.kind]
    assert frame.select(order).equals(frame.select(order).sort(order))
    assert frame.select(pl.col(list(wanted)).null_count()).sum_horizontal()[0] == 0


def test_one_outcome_per_symbol_in_the_order_asked(source: Any, place: Place) -> None:
    frame = fetched(source, place, ("SYN002", "NOPE", "SYN001"))
    assert [one.symbol for one in source.report] == ["SYN002", "NOPE", "SYN001"]
    unknown = source.report[1]
    assert unknown.status is not Status.OK and unknown.rows == 0 and unknown.detail
    for one in source.report:
        rows = frame.filter(pl.col("symbol") == one.symbol)
        assert one.rows == rows.height
        assert (one.status is Status.OK) == bool(rows.height)
        if rows.height:
            days = rows[DATED[source.kind]].dt.date()
            assert (one.first, one.last) == (days.min(), days.max())


@pytest.mark.parametrize("name", DATED_SOURCES)
def test_dates_lie_within_the_span_asked_for(name: str, place: Place) -> None:
    source = SOURCES[name](place)
    end = (place.now - timedelta(days=3)).date()
    start = end - timedelta(days=60)
    days = source.fetch(["SYN001", "SYN002"], start=start, end=end)[DATED[source.kind]].dt.date()
    assert days.len() and start <= days.min() and days.max() <= end
    with pytest.raises(InputError, match="start must not be after end"):
        source.fetch(["SYN001"], start=end, end=start)


@pytest.mark.parametrize("symbol", HOSTILE)
def test_a_symbol_that_could_not_be_one_is_refused_before_anything_is_asked(source: Any, place: Place, symbol: str) -> None:
    place.replay.asked.clear()
    with pytest.raises(InputError, match="a symbol has 1 to 20"):
        source.fetch(["SYN001", symbol])
    assert place.replay.asked == []


def test_nothing_of_the_future(source: Any, place: Place) -> None:
    early = place.now - timedelta(days=10)
    source._clock = lambda: early
    frame = fetched(source, place, back=60)
    dated = {Kind.BARS: "date", Kind.FUNDAMENTALS: "filed", Kind.NEWS: "published"}[source.kind]
    latest = frame[dated].max()
    assert (latest <= early.date()) if isinstance(latest, date) and not isinstance(latest, datetime) else latest <= early


def test_fetched_and_stored_twice_changes_nothing(source: Any, place: Place, tmp_path: Path) -> None:
    def store(storage: DataStorage) -> tuple[int, int]:
        frame = fetched(source, place)
        if source.kind is Kind.BARS:
            done = storage.store_ohlc_data(frame, source=source.name, price_basis=source.price_basis)
            assert not done.quarantined
        elif source.kind is Kind.NEWS:
            done = storage.store_news(frame)
        else:
            parts = [storage.store_fundamentals(part, source=part["source"][0]) for part in frame.partition_by("source")]
            return sum(one.new for one in parts), sum(one.restated for one in parts)
        return done.new, done.restated

    with DataStorage(tmp_path / "store.duckdb") as storage:
        first, second = store(storage), store(storage)
    assert first[0] > 0 and second == (0, 0)


def test_threads_do_not_mix_their_answers(request: pytest.FixtureRequest, place: Place, source: Any) -> None:
    name = request.node.callspec.params["source"]
    sources = [SOURCES[name](place) for _ in range(3)]
    asked = [("SYN001",), ("SYN002",), ("SYN004", "SYN005")]
    alone = [fetched(SOURCES[name](place), place, one) for one in asked]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda pair: fetched(pair[0], place, pair[1]), zip(sources, asked, strict=True)))
    for first, second in zip(alone, together, strict=True):
        assert first.equals(second)


def test_a_name_in_small_letters_and_twice_is_one_symbol(source: Any, place: Place) -> None:
    frame = fetched(source, place, ("syn001", " SYN001 "))
    assert frame["symbol"].unique().to_list() == ["SYN001"] and len(source.report) == 1


@pytest.mark.parametrize("name", NET)
def test_without_a_network_it_is_an_error_with_a_remedy_and_without_the_key(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    source = SOURCES[name](place)
    with pytest.raises(DataError) as caught:
        fetched(source, place, ("SYN001",))
    assert caught.value.remedy and KEY not in str(caught.value)
    assert source.report[0].status is Status.FAILED and KEY not in repr(source.report)
    assert KEY not in repr(source.settings)


@pytest.mark.parametrize("name", [name for name in BAR_SOURCES if name not in NET])
def test_files_that_are_gone_are_an_error(name: str, place: Place, tmp_path: Path) -> None:
    source = SOURCES[name](place)
    source._path = tmp_path / "gone"
    with pytest.raises(DataError, match="must exist"):
        source.fetch(["SYN001"])


@pytest.mark.parametrize("name", BAR_SOURCES)
def test_every_source_of_bars_tells_the_same_market(name: str, place: Place) -> None:
    """Yahoo's prices are split-adjusted on the wire; what is handed over is what was printed, to the cent."""
    source = SOURCES[name](place)
    symbols = tuple(
        name for name, column in zip(place.market.panel.symbols, place.market.panel.close.T, strict=True) if not np.isnan(column[-1])
    )
    split = [name for name in symbols if (place.market.panel.split_ratio[:, place.market.panel.symbols.index(name)] != 1.0).any()]
    assert split, "the market must have a split"
    frame = source.fetch(split, start=date(2022, 1, 1))
    truth = place.market.panel.to_frame().filter(pl.col("symbol").is_in(split)).sort("symbol", "date")
    assert frame.height == truth.height
    for column in ("open", "high", "low", "close", "volume"):
        assert np.allclose(frame[column].to_numpy(), truth[column].to_numpy(), rtol=0, atol=1e-4 if column != "volume" else 1.0), column
    if "split_ratio" in frame.columns:
        assert np.allclose(frame["split_ratio"].to_numpy(), truth["split_ratio"].to_numpy())
        assert np.allclose(frame["dividend"].to_numpy(), truth["dividend"].to_numpy(), atol=1e-4)


def test_edgar_tells_the_accounts_of_the_same_market(place: Place, tmp_path: Path) -> None:
    """Filed in the SEC's format (years instead of fourth quarters) and read back: what was known at each close is the same."""
    panel, symbols = place.market.panel, place.market.panel.symbols
    facts = place.market.fundamentals
    again = facts.filter(pl.len().over("symbol", "metric", "period_end") > 1)["symbol"].unique()
    plain = np.array([name not in set(again) for name in symbols])
    names = ["total_assets", "shares_outstanding", "debt_to_equity", "net_income_ttm", "gross_profitability", "f_delta_liquidity"]
    with DataStorage(tmp_path / "store.duckdb") as storage:
        storage.store_corporate_actions(
            panel.to_frame()
            .filter(pl.col("split_ratio") != 1.0)
            .select("symbol", "date", pl.lit("split").alias("kind"), value="split_ratio")
        )
        storage.store_fundamentals(facts, source="told")
        storage.store_fundamentals(EdgarFacts(QUICK, clock=lambda: place.now).fetch(symbols))
        view = storage.view()
        told, filed = (view.fundamental_inputs(panel, names, sources=[source]) for source in ("told", "edgar"))
    for name in names:
        if not name.endswith(("ttm", "profitability")):
            np.testing.assert_allclose(filed[name], told[name], rtol=1e-12, err_msg=name)
    for name in ("net_income_ttm", "gross_profitability"):
        one, other = filed[name][:, plain], told[name][:, plain]
        both = np.isfinite(one) & np.isfinite(other)
        np.testing.assert_allclose(one[both], other[both], rtol=1e-6, err_msg=name)
        assert both.mean() > 0.6 and plain.sum() > 5
