from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from mech_exo.datasource import DataStorage, FundamentalFetcher
from mech_exo.datasource.fetching import Status
from mech_exo.datasource.fundamentals import FinnhubFundamentals, YahooFundamentals
from mech_exo.domain.errors import DataError, InputError
from tests.replay.answers import summary
from tests.replay.server import Answer, Replay, data, page, recorded

Shared = Callable[[str], Path]
QUICK = {"first_wait": 0.01, "longest_wait": 0.05, "deadline": 10.0, "timeout": 5.0}
SUMMARY, QUOTE, SERIES = "v10/finance/quoteSummary/", "v7/finance/quote", "fundamentals-timeseries"
TRENDS = "api.finnhub.io/api/v1//stock/recommendation"
METRIC = "api.finnhub.io/api/v1//stock/metric"
NOW = datetime(2025, 2, 25, 14, 30, tzinfo=UTC)
KEYED = {**QUICK, "finnhub": {"api_key": "SECRETKEY"}}


def fetcher(config: object = QUICK) -> FundamentalFetcher:
    return FundamentalFetcher(config, clock=lambda: NOW)


@pytest.fixture
def finnhub(shared: Shared) -> Answer:
    samples = json.loads(shared("data/api/finnhub_recorded_samples.json").read_text())
    return data(samples["/stock/metric?symbol=AAPL&metric=all (captured 2026-09-06)"])


@pytest.fixture
def apple(replay: Replay, shared: Shared) -> Replay:
    replay.on(SUMMARY + "AAPL", recorded(shared("data/api/yahoo/quoteSummary-all-AAPL.json")))
    replay.on(QUOTE, recorded(shared("data/api/yahoo/quote-AAPL.json")))
    replay.on(SERIES, data({"timeseries": {"result": [], "error": None}}))
    return replay


@pytest.fixture
def bare(replay: Replay) -> Replay:
    replay.on(QUOTE, data({"quoteResponse": {"result": [], "error": None}}))
    replay.on(SERIES, data({"timeseries": {"result": [], "error": None}}))
    return replay


def test_figures_of_a_recorded_answer(apple: Replay) -> None:
    one = fetcher()
    facts = one.fetch(["AAPL"])
    value = dict(facts.select("metric", "value").iter_rows())
    assert value["return_on_equity"] == 1.3652 and value["revenue_growth"] == 0.04 and value["earnings_growth"] == 0.101
    assert value["debt_to_equity"] == pytest.approx(1.45, rel=1e-12), "Yahoo gives percent"
    assert value["market_cap"] > 1e12 and value["pe_ratio"] > 30.0 and value["gross_margin"] == 0.46519002
    period = dict(facts.select("metric", "period_end").iter_rows())
    assert period["return_on_equity"] == date(2024, 12, 28), "the quarter Yahoo names"
    assert period["pe_ratio"] == NOW.date(), "a ratio to today's price is of today"
    assert set(facts["known_at"]) == {NOW} and set(facts["filed"]) == {NOW.date()}
    assert set(facts["source"]) == {"yahoo"}
    assert set(facts.filter(fiscal_period="instant")["metric"]) == {"shares_outstanding", "analyst_rating"}
    assert value["shares_outstanding"] == 15022100480.0 and value["analyst_rating"] == pytest.approx((3 - 2.06522) / 2)
    assert one.report[0].status is Status.OK and one.report[0].rows == facts.height == facts["metric"].n_unique()


def test_the_statements_of_a_recorded_answer(apple: Replay, shared: Shared) -> None:
    apple.on(SERIES, recorded(shared("data/api/yahoo/fundamentalsTimeSeries-AAPL-all-quarterly.json")))
    facts = fetcher().fetch(["AAPL"]).filter(pl.col("fiscal_period").is_in(["3M", "instant"]))
    last = dict(facts.filter(period_end=date(2024, 12, 31)).select("metric", "value").iter_rows())
    # Apple's 10-Q filed 2025-01-31, accession 0000320193-25-000008: the same figures, in millions.
    assert last["revenue"] == 124_300e6 and last["net_income"] == 36_330e6 and last["operating_cash_flow"] == 29_935e6
    assert last["capital_expenditure"] == 2_940e6, "Yahoo gives it with a minus"
    assert last["total_assets"] == 344_085e6 and last["total_equity"] == 66_758e6 and last["total_debt"] == 96_799e6
    assert facts.filter(metric="revenue")["fiscal_period"].unique().to_list() == ["3M"]
    asked = [one for one in apple.requests(SERIES) if "TotalRevenue" in one.query["type"]]
    assert len(asked) == 1 and "annualTotalAssets" in asked[0].query["type"], "one request for all statements"


def test_statements_in_another_currency_are_left_out(bare: Replay) -> None:
    point = {"asOfDate": "2024-12-31", "periodType": "3M", "currencyCode": "EUR", "reportedValue": {"raw": 5.0}}
    dollars = {**point, "currencyCode": "USD", "asOfDate": "2024-09-30"}
    one = {"meta": {"type": ["quarterlyTotalRevenue"]}, "timestamp": [1], "quarterlyTotalRevenue": [None, point, dollars]}
    late = {"meta": {"type": ["quarterlyNetIncome"]}, "timestamp": [1], "quarterlyNetIncome": [{**dollars, "asOfDate": "2025-03-31"}]}
    bare.on(SERIES, data({"timeseries": {"result": [one, late], "error": None}}))
    bare.on(SUMMARY, summary(trailingPE=9.0))
    facts = fetcher().fetch(["AAA"]).filter(fiscal_period="3M")
    assert facts.select("metric", "period_end").rows() == [("revenue", date(2024, 9, 30))], "no euros, and no quarter that is not over"


def test_finnhub_stands_beside_yahoo_under_its_own_name(apple: Replay, finnhub: Answer, shared: Shared, tmp_path: Path) -> None:
    samples = json.loads(shared("data/api/finnhub_recorded_samples.json").read_text())
    apple.on(METRIC, finnhub)
    apple.on(TRENDS, data(samples["/stock/recommendation?symbol=AAPL (captured 2026-09-06)"]))
    without = fetcher().fetch(["AAPL"])
    one = fetcher(KEYED)
    facts = one.fetch(["AAPL"])
    assert facts.filter(source="yahoo").equals(without)
    extra = dict(facts.filter(source="finnhub").select("metric", "value").iter_rows())
    assert extra["revenue_growth_ttm"] == pytest.approx(0.1424) and extra["eps_growth_ttm"] == pytest.approx(0.3261)
    # September 2026: 12 strong buy, 22 buy, 15 hold, 3 sell, 1 strong sell.
    assert extra["analyst_rating"] == pytest.approx((12 + 22 * 0.5 - 3 * 0.5 - 1) / 53)
    assert apple.requests(METRIC)[0].query["token"] == "SECRETKEY" and one.report[0].rows == facts.height
    with DataStorage(tmp_path / "store.duckdb") as storage:
        assert storage.store_fundamentals(facts).new == facts.height
        again = storage.store_fundamentals(facts)
        assert again.new == again.restated == 0, "two sources do not restate each other"
        assert storage.view().fundamentals().group_by("source").len().sort("source")["len"].to_list() == [len(extra), without.height]


def test_finnhub_alone_in_fractions_and_dollars(bare: Replay, finnhub: Answer) -> None:
    bare.on(SUMMARY, data({"quoteSummary": {"result": None, "error": {"code": "Not Found"}}}, status=404))
    bare.on(METRIC, finnhub)
    one = fetcher(KEYED)
    value = dict(one.fetch(["AAPL"]).select("metric", "value").iter_rows())
    assert value["return_on_equity"] == pytest.approx(1.3718) and value["gross_margin"] == pytest.approx(0.4865)
    assert value["debt_to_equity"] == 0.7844 and value["market_cap"] == pytest.approx(4.6696995e12)
    assert one.report[0].status is Status.OK and "no such symbol at Yahoo" in one.report[0].detail


def test_no_number_is_made_up(bare: Replay) -> None:
    bare.on(SUMMARY, summary(returnOnEquity=0.2, revenueGrowth="Infinity", earningsGrowth=None, forwardPE=True, trailingPE=11.0))
    facts = fetcher().fetch(["AAA"])
    assert facts.select("metric", "value").rows() == [("pe_ratio", 11.0)], "without the quarter's end a figure of a quarter has no date"


def test_money_in_another_currency_is_left_out(bare: Replay) -> None:
    day = int(datetime(2024, 12, 31, tzinfo=UTC).timestamp())
    figures = {"returnOnEquity": 0.2, "totalRevenue": 5e9, "mostRecentQuarter": day, "currency": "USD"}
    bare.on(SUMMARY + "AAA", summary(**figures, financialCurrency="USD"))
    bare.on(SUMMARY + "BBB", summary(**figures, financialCurrency="TWD"))
    facts = fetcher().fetch(["AAA", "BBB"])
    assert facts.filter(symbol="AAA")["metric"].to_list() == ["return_on_equity", "revenue_ttm"]
    assert facts.filter(symbol="BBB")["metric"].to_list() == ["return_on_equity"]


def test_an_unknown_symbol_is_told_from_a_failure(bare: Replay, shared: Shared) -> None:
    bare.on(SUMMARY + "ADH", recorded(shared("data/api/yahoo/quoteSummary-financialData-ADH.json")))
    bare.on(SUMMARY + "DOWN", page(status=500))
    bare.on(SUMMARY + "GOOD", summary(trailingPE=9.0))
    bare.on(SUMMARY + "NONE", summary())
    one = fetcher({**QUICK, "attempts": 2})
    assert one.fetch(["ADH", "DOWN", "GOOD", "NONE"])["symbol"].to_list() == ["GOOD"]
    assert [outcome.status for outcome in one.report] == [Status.UNKNOWN, Status.FAILED, Status.OK, Status.EMPTY]
    with pytest.raises(DataError, match=r"none of 2 did\. ADH: unknown"):
        one.fetch(["ADH", "DOWN"])


@pytest.mark.parametrize("fault", [data({}, status=429), page(status=502), page(), Answer(body=b"{}")])
def test_a_passing_fault_is_waited_out(bare: Replay, fault: Answer) -> None:
    bare.on(SUMMARY, fault, summary(trailingPE=9.0))
    assert fetcher().fetch("AAA")["value"].to_list() == [9.0]


@pytest.mark.parametrize(
    "fault", [data({"error": "API limit reached."}, status=429, Retry_After="0"), page(status=503), page(), Answer(body=b"{")]
)
def test_a_passing_fault_of_finnhub_is_waited_out(bare: Replay, fault: Answer) -> None:
    bare.on(SUMMARY, summary(trailingPE=9.0))
    bare.on(METRIC, fault, data({"metric": {"roeTTM": 12.5}}))
    assert dict(fetcher(KEYED).fetch("AAA").select("metric", "value").iter_rows()) == {"pe_ratio": 9.0, "return_on_equity": 0.125}


def test_a_refused_key_is_said_and_never_shown(bare: Replay) -> None:
    bare.on(SUMMARY, summary(trailingPE=9.0))
    bare.on(METRIC, data({"error": "Invalid API key"}, status=401))
    one = fetcher(KEYED)
    assert one.fetch("AAA")["source"].to_list() == ["yahoo"]
    assert one.report[0].detail == "the key was not accepted for this"
    assert len(bare.requests(METRIC)) == 1, "asking again would not help"


def test_an_unreachable_vendor_does_not_leak_the_key(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    one = fetcher({**KEYED, "attempts": 1})
    with pytest.raises(DataError, match="could not be reached") as caught:
        one.fetch("AAA")
    assert "SECRETKEY" not in str(caught.value) + repr(one.report) + repr(one.settings)


def test_a_bad_symbol_is_refused() -> None:
    with pytest.raises(InputError, match="a symbol has"):
        fetcher().fetch(["A B"])


def test_what_it_fetches_is_what_the_store_takes(bare: Replay, tmp_path: Path) -> None:
    bare.on(SUMMARY, summary(trailingPE=9.0))
    with DataStorage(tmp_path / "store.duckdb") as storage:
        assert storage.store_fundamentals(fetcher().fetch("AAA"), source="yahoo").new == 1


def test_a_figure_that_is_no_number_is_absent(bare: Replay) -> None:
    bare.on(SUMMARY, summary(trailingPE=9.0))
    bare.on(METRIC, Answer(body=b'{"metric": {"roeTTM": NaN, "psTTM": Infinity, "roaTTM": 5.0, "pbQuarterly": null}}'))
    facts = fetcher(KEYED).fetch("AAA")
    assert facts.filter(source="finnhub").select("metric", "value").rows() == [("return_on_assets", 0.05)]


def quarter(day: str, symbol: str) -> list[dict[str, object]]:
    point = {"asOfDate": day, "currencyCode": "USD", "reportedValue": {"raw": 5.0}}
    return [{"meta": {"symbol": [symbol], "type": ["quarterlyTotalRevenue"]}, "quarterlyTotalRevenue": [point]}]


@pytest.mark.parametrize("series", [["text"], [{"no": "meta"}], quarter("soon", "AAA"), {"a": 1}])
def test_statements_of_another_shape_fail_for_their_symbol_alone(bare: Replay, series: object) -> None:
    bare.on(SUMMARY, summary(currentRatio=1.0))
    bare.on(SERIES, data({"timeseries": {"result": series, "error": None}}))
    one = YahooFundamentals({**QUICK, "attempts": 1})
    with pytest.raises(DataError):
        one.fetch(["AAA"])
    assert one.report[0].status is Status.FAILED and "could not be read" in one.report[0].detail


def test_a_quarter_that_cannot_be_is_a_failure(bare: Replay) -> None:
    bare.on(SUMMARY, summary(currentRatio=1.0, mostRecentQuarter=1e15))
    one = YahooFundamentals({**QUICK, "attempts": 1})
    with pytest.raises(DataError):
        one.fetch(["AAA"])
    assert one.report[0].status is Status.FAILED


def test_figures_of_another_symbol_are_refused(bare: Replay) -> None:
    bare.on(SUMMARY, summary(currentRatio=1.0))
    bare.on(SERIES, data({"timeseries": {"result": quarter("2024-03-31", "ZZZ"), "error": None}}))
    bare.on(METRIC, data({"metric": {"peTTM": 5.0}, "symbol": "ZZZ"}))
    for one, vendor in ((YahooFundamentals(QUICK), "Yahoo"), (FinnhubFundamentals(KEYED), "Finnhub")):
        with pytest.raises(DataError):
            one.fetch(["AAA"])
        assert (one.report[0].status, one.report[0].detail) == (Status.REFUSED, f"{vendor} answered about another symbol, ZZZ")


@pytest.mark.parametrize("metric", [[1], "text"])
def test_finnhub_in_another_shape_is_a_failure(bare: Replay, metric: object) -> None:
    bare.on(METRIC, data({"metric": metric}))
    one = FinnhubFundamentals({**KEYED, "attempts": 1})
    with pytest.raises(DataError):
        one.fetch(["AAA"])
    assert one.report[0].status is Status.FAILED
