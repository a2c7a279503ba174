"""EDGAR through the real client: what a filing says, and what happens when the SEC does not answer as it should."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mech_exo.datasource import DataStorage, FundamentalFetcher
from mech_exo.datasource.base import Kind, Source
from mech_exo.datasource.edgar import EdgarFacts
from mech_exo.datasource.fetching import Status
from mech_exo.domain.errors import ConfigError, DataError
from tests.replay.server import Answer, Replay, data, page

Shared = Callable[[str], Path]
TICKERS, FACTS = "www.sec.gov/files/company_tickers.json", "data.sec.gov/api/xbrl/companyfacts/"
QUICK = {"first_wait": 0.01, "longest_wait": 0.05, "deadline": 10.0, "timeout": 5.0, "sec_user_agent": "A Tester tester@example.com"}
LIST = {
    "0": {"cik_str": 320193, "ticker": "AAPL", "title": "Apple Inc."},
    "1": {"cik_str": 1067983, "ticker": "BRK-B", "title": "BERKSHIRE HATHAWAY INC"},
    "2": {"cik_str": 7, "ticker": "AAA", "title": "An invented company"},
}


def figure(end: str, value: float, filed: str, start: str | None = None, form: str = "10-Q", accn: str = "") -> dict[str, Any]:
    spanned = {} if start is None else {"start": start}
    return {**spanned, "end": end, "val": value, "accn": accn or f"a-{filed}", "fy": 1999, "fp": "Q9", "form": form, "filed": filed}


def company(**tags: list[dict[str, Any]]) -> dict[str, Any]:
    """companyfacts of a company with these us-gaap tags in USD."""
    return {"cik": 7, "entityName": "x", "facts": {"us-gaap": {tag: {"units": {"USD": rows}} for tag, rows in tags.items()}}}


@pytest.fixture
def sec(replay: Replay) -> Replay:
    replay.on(TICKERS, data(LIST))
    return replay


@pytest.fixture
def apple(shared: Shared) -> bytes:
    return gzip.decompress(shared("data/fundamentals/companyfacts/CIK0000320193.json.gz").read_bytes())


def read(sec: Replay, tags: dict[str, Any]) -> pl.DataFrame:
    sec.on(FACTS, data(tags))
    return EdgarFacts(QUICK).fetch("AAA")


def rows(frame: pl.DataFrame, metric: str) -> list[tuple[Any, ...]]:
    """period_end, fiscal_period, value, filed of one metric."""
    return frame.filter(metric=metric).select("period_end", "fiscal_period", "value", "filed").rows()


def test_a_recorded_company_and_its_restatements(sec: Replay, apple: bytes, tmp_path: Path) -> None:
    sec.on(FACTS, Answer(body=gzip.compress(apple), headers={"Content-Encoding": "gzip"}))
    one = EdgarFacts(QUICK, clock=lambda: datetime(2026, 6, 30, tzinfo=UTC))
    assert isinstance(one, Source) and one.kind is Kind.FUNDAMENTALS
    facts = one.fetch(["aapl"])
    assert sec.requests(FACTS)[0].path.endswith("CIK0000320193.json")
    assert facts.columns == ["symbol", "metric", "period_end", "fiscal_period", "value", "unit", "filed", "known_at", "source"]
    assert set(facts["source"]) == {"edgar"} and facts["known_at"].null_count() == facts.height
    assert not facts.select("metric", "period_end", "fiscal_period", "filed").is_duplicated().any()
    year = facts.filter(metric="net_income", period_end=date(2009, 9, 26), fiscal_period="12M").select("filed", "value").rows()
    # 10-K of 2009-10-27 (0001193125-09-214859), amended for subscription accounting on 2010-01-25 (0001193125-10-012091);
    # the 10-Ks of 2010 and 2011 repeat the amended figure and are not news.
    assert year == [(date(2009, 10, 27), 5704e6), (date(2010, 1, 25), 8235e6)]
    assert one.report[0].status is Status.OK and one.report[0].first == date(2006, 9, 30) and one.report[0].rows == facts.height
    recent = one.fetch("AAPL", start=date(2025, 10, 31), end=date(2025, 10, 31))
    assert set(recent["filed"]) == {date(2025, 10, 31)}
    early = EdgarFacts(QUICK, clock=lambda: datetime(2010, 1, 24, tzinfo=UTC)).fetch("AAPL")
    assert early["filed"].max() == date(2009, 10, 27), "nothing filed after the present instant"
    with DataStorage(tmp_path / "store.duckdb") as storage:
        assert storage.store_fundamentals(facts).new == facts.height
        assert storage.view(date(2010, 1, 25)).fundamentals().filter(metric="net_income", filed=date(2010, 1, 25)).is_empty()
        assert storage.view(date(2010, 1, 26)).fundamentals().filter(metric="net_income", filed=date(2010, 1, 25)).height > 0


def test_the_list_of_tickers_is_read_once_and_a_share_class_is_found(sec: Replay) -> None:
    sec.on(FACTS, data(company(Assets=[figure("2020-12-31", 5.0, "2021-02-01")])))
    EdgarFacts(QUICK).fetch(["AAA", "BRK.B", "AAPL"])
    assert len(sec.requests(TICKERS)) == 1
    assert {asked.path[-15:] for asked in sec.requests(FACTS)} == {"0000000007.json", "0001067983.json", "0000320193.json"}


def test_periods_are_read_from_their_dates_and_not_from_the_filings_labels(sec: Replay) -> None:
    """fy and fp of every row say fiscal 1999, Q9."""
    spans = {
        "2020-10-01": "3M", "2020-09-20": "3M", "2020-07-01": "6M", "2020-04-01": "9M", "2020-01-01": "12M", "2019-12-29": "12M",
        "2020-12-01": None, "2018-01-01": None, "2020-08-20": None,
    }  # fmt: skip
    for start, span in spans.items():
        filler = [figure("2020-12-31", 5.0, "2021-02-01")]
        found = read(sec, company(Revenues=[figure("2020-12-31", 8.0, "2021-02-01", start)], Assets=filler))
        assert [row[1] for row in rows(found, "revenue")] == ([span] if span else []), start


def test_one_metric_from_whichever_tag_a_filing_uses(sec: Replay) -> None:
    found = read(
        sec,
        company(
            SalesRevenueNet=[figure("2017-12-31", 10.0, "2018-02-01", "2017-10-01")],
            RevenueFromContractWithCustomerExcludingAssessedTax=[
                figure("2018-12-31", 11.0, "2019-02-01", "2018-10-01"),
                figure("2017-12-31", 10.0, "2019-02-01", "2017-10-01"),
            ],
            Revenues=[figure("2018-12-31", 12.0, "2019-02-01", "2018-10-01")],
        ),
    )
    assert rows(found, "revenue") == [
        (date(2017, 12, 31), "3M", 10.0, date(2018, 2, 1)),
        (date(2018, 12, 31), "3M", 12.0, date(2019, 2, 1)),
    ], "the broader tag of the same filing; the repeated comparative is not news"


def test_a_value_that_returns_after_a_restatement_is_news_again(sec: Replay) -> None:
    told = [(5.0, "2021-02-01"), (5.0, "2021-05-01"), (6.0, "2021-08-01"), (6.0, "2021-11-01"), (5.0, "2022-02-01")]
    found = read(sec, company(Assets=[figure("2020-12-31", value, filed) for value, filed in told]))
    assert [(value, filed.isoformat()) for _, _, value, filed in rows(found, "total_assets")] == [told[0], told[2], told[4]]


def test_two_filings_of_one_day_the_later_number_counts(sec: Replay) -> None:
    both = [figure("2020-12-31", 6.0, "2021-02-01", accn="0000-21-000002"), figure("2020-12-31", 5.0, "2021-02-01", accn="0000-21-000001")]
    assert [row[2] for row in rows(read(sec, company(Assets=both)), "total_assets")] == [6.0]


def test_only_reports_count_and_nothing_filed_before_its_period_ended(sec: Replay) -> None:
    kept, proxy, early = (
        figure("2020-12-31", 5.0, "2021-02-01"),
        figure("2020-12-31", 7.0, "2021-04-01", form="DEF 14A"),
        figure("2021-12-31", 9.0, "2021-04-01"),
    )
    assert [row[2] for row in rows(read(sec, company(Assets=[kept, proxy, early])), "total_assets")] == [5.0]


def test_gross_profit_is_stated_or_worked_out_from_one_filing(sec: Replay) -> None:
    quarter = {"end": "2020-12-31", "start": "2020-10-01"}
    found = read(
        sec,
        company(
            Revenues=[figure(**quarter, value=10.0, filed="2021-02-01"), figure(**quarter, value=11.0, filed="2021-05-01")],
            CostOfRevenue=[figure(**quarter, value=6.0, filed="2021-02-01")],
        ),
    )
    assert rows(found, "gross_profit") == [(date(2020, 12, 31), "3M", 4.0, date(2021, 2, 1))], "11 - 6 would mix two filings"
    stated = read(sec, company(Revenues=[figure(**quarter, value=10.0, filed="2021-02-01")], GrossProfit=[figure(**quarter, value=3.0, filed="2021-02-01")]))  # fmt: skip
    assert [row[2] for row in rows(stated, "gross_profit")] == [3.0]


@pytest.mark.parametrize(
    ("lines", "total"),
    [
        ({"LongTermDebtNoncurrent": 90.0, "LongTermDebtCurrent": 10.0, "CommercialPaper": 5.0}, 105.0),
        ({"LongTermDebtNoncurrent": 90.0, "DebtCurrent": 15.0, "LongTermDebtCurrent": 10.0, "CommercialPaper": 5.0}, 105.0),
        ({"LongTermDebt": 100.0, "CommercialPaper": 5.0}, 105.0),
        ({"LongTermDebt": 100.0, "LongTermDebtNoncurrent": 90.0, "LongTermDebtCurrent": 10.0}, 100.0),
        # Marvell's habit: the maturing part a second time as short-term borrowings (10-Q of 2021-06-09, periods of January and May 2021).
        ({"LongTermDebt": 1192.8, "LongTermDebtNoncurrent": 993.2, "LongTermDebtCurrent": 199.6, "ShortTermBorrowings": 199.6}, 1192.8),
        ({"LongTermDebt": 4898.4, "LongTermDebtNoncurrent": 4674.9, "ShortTermBorrowings": 30.3}, 4898.4),
        ({"LongTermDebtNoncurrent": 90.0, "ShortTermBorrowings": 20.0}, 110.0),
        ({"LongTermDebtNoncurrent": 90.0, "LongTermDebtCurrent": 10.0, "ShortTermBorrowings": 20.0}, 120.0),
        ({"DebtLongtermAndShorttermCombinedAmount": 77.0, "LongTermDebt": 100.0}, 77.0),
        ({"LongTermDebt": 0.0}, 0.0),
        ({"ShortTermBorrowings": 20.0}, None),
    ],
)
def test_debt_is_counted_once(sec: Replay, lines: dict[str, float], total: float | None) -> None:
    tags = {tag: [figure("2020-12-31", value, "2021-02-01")] for tag, value in lines.items()}
    found = read(sec, company(**tags, Assets=[figure("2020-12-31", 1.0, "2021-02-01")]))
    assert [row[2] for row in rows(found, "total_debt")] == ([] if total is None else [pytest.approx(total)])


def test_figures_in_another_unit_are_left_out(sec: Replay) -> None:
    tags = company(Assets=[])
    tags["facts"]["us-gaap"]["Assets"]["units"] = {"EUR": [figure("2020-12-31", 5.0, "2021-02-01", form="20-F")]}
    sec.on(FACTS, data(tags))
    one = EdgarFacts(QUICK)
    with pytest.raises(DataError, match="it reports in EUR"):
        one.fetch("AAA")
    assert one.report[0].status is Status.EMPTY


@pytest.mark.parametrize("agent", ["", "a name without an address"])
def test_who_does_not_say_who_he_is_asks_nothing(sec: Replay, agent: str) -> None:
    with pytest.raises(ConfigError, match=r"who reads EDGAR.*\n.*api_keys_local") as caught:
        EdgarFacts({**QUICK, "sec_user_agent": agent}).fetch("AAA")
    assert not sec.asked and caught.value.exit_code == 2


def test_the_address_reaches_the_sec(sec: Replay) -> None:
    read(sec, company(Assets=[figure("2020-12-31", 5.0, "2021-02-01")]))
    assert {asked.headers["User-Agent"] for asked in sec.asked} == {"A Tester tester@example.com"} and len(sec.asked) == 2


@pytest.mark.parametrize(
    ("answer", "status", "said", "tries"),
    [
        (page("Undeclared Automated Tool", 403), Status.REFUSED, "sec_user_agent", 1),
        (page("no such key", 404), Status.UNKNOWN, "no reports of it", 1),
        (data({}, status=429), Status.FAILED, "EDGAR answered 429", 3),
        (page("down", 503), Status.FAILED, "EDGAR answered 503", 3),
        (page("please wait", 200), Status.FAILED, "not data", 3),
        (Answer(body=b'{"facts": {"us-gaap": '), Status.FAILED, "not data", 3),
        (Answer(body=b""), Status.FAILED, "not data", 3),
        (data({"cik": 7}), Status.FAILED, "could not be read", 3),
        (data({"facts": {"us-gaap": {"Assets": {"units": {"USD": [{"val": 1}]}}}}}), Status.FAILED, "could not be read", 3),
        (Answer(body=gzip.compress(b"{}" * 9999)[:40], headers={"Content-Encoding": "gzip"}), Status.FAILED, "EDGAR", 3),
        (Answer(body=b'{"facts": {}}' * 99, cut=True), Status.FAILED, "could not be reached", 3),
        (data(company(Assets=[figure("2020-12-31", 10**400, "2021-02-01")])), Status.FAILED, "could not be read", 3),
        (data({**company(Assets=[figure("2020-12-31", 5.0, "2021-02-01")]), "cik": 8}), Status.REFUSED, "another company, CIK 8", 1),
        (data({"facts": {}}), Status.EMPTY, "none of its figures", 1),
    ],
)
def test_faults_of_edgar(sec: Replay, answer: Answer, status: Status, said: str, tries: int) -> None:
    sec.on(FACTS, answer)
    one = EdgarFacts({**QUICK, "attempts": 3})
    with pytest.raises(DataError, match="none of 1 did"):
        one.fetch("AAA")
    assert one.report[0].status is status and said in one.report[0].detail
    assert len(sec.requests(FACTS)) == tries


def test_patience_is_rewarded(sec: Replay) -> None:
    good = data(company(Assets=[figure("2020-12-31", 5.0, "2021-02-01")]))
    sec.on(FACTS, data({}, status=429, Retry_After="0.02"), Answer(body=b"{"), good)
    assert EdgarFacts(QUICK).fetch("AAA").height == 1


def test_one_unknown_symbol_does_not_cost_the_others(sec: Replay) -> None:
    sec.on(FACTS, data(company(Assets=[figure("2020-12-31", 5.0, "2021-02-01")])))
    one = EdgarFacts(QUICK)
    assert set(one.fetch(["AAA", "ZZZZ"])["symbol"]) == {"AAA"}
    assert [outcome.status for outcome in one.report] == [Status.OK, Status.UNKNOWN]


def test_an_answer_without_news_is_an_answer(sec: Replay) -> None:
    sec.on(FACTS, data(company(Assets=[figure("2020-12-31", 5.0, "2021-02-01")])))
    one = EdgarFacts(QUICK)
    assert one.fetch("AAA", start=date(2021, 3, 1)).is_empty() and one.report[0].status is Status.EMPTY


def test_the_face_asks_edgar_when_it_may_and_survives_its_silence(sec: Replay) -> None:
    sec.on("v10/finance/quoteSummary/", data({"quoteSummary": {"result": [{"financialData": {"currentRatio": 2.0}, "summaryDetail": {"trailingPE": 9.0}}], "error": None}}))  # fmt: skip
    sec.on("v7/finance/quote", data({"quoteResponse": {"result": [], "error": None}}))
    sec.on("fundamentals-timeseries", data({"timeseries": {"result": [], "error": None}}))
    sec.on(FACTS, data(company(Assets=[figure("2020-12-31", 5.0, "2021-02-01")])))
    one = FundamentalFetcher(QUICK)
    assert set(one.fetch("AAA")["source"]) == {"edgar", "yahoo"}
    sec.on(FACTS, page("no such key", 404))
    assert set(one.fetch("AAA")["source"]) == {"yahoo"}
    assert one.report[0].status is Status.OK and "no reports of it" in one.report[0].detail
