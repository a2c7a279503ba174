"""What vendors do wrong, each through the unmodified client library: nothing of it may look like data, like a quiet day, or take for ever."""

from __future__ import annotations

import gzip
import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mech_exo.datasource import DataStorage, FundamentalFetcher, NewsScraper, OHLCDownloader
from mech_exo.datasource.fetching import Status
from mech_exo.datasource.replay.server import Answer, Asked, Replay, data, environment, in_turn, leading_to, page, replaying
from mech_exo.domain.errors import DataError
from mech_exo.utils import calendar
from tests.replay.answers import chart, no_days, nobody, search, summary

QUICK: dict[str, Any] = {"first_wait": 0.01, "longest_wait": 0.05, "deadline": 8.0, "timeout": 3.0, "attempts": 3}
KEYED = {**QUICK, "finnhub": {"api_key": "CANARY-9f31c7"}}
WEEK = {date(2024, 3, 4): 10.0, date(2024, 3, 5): 11.0, date(2024, 3, 6): 12.0}
CHART, SUMMARY, SEARCH, NEWS = "finance.yahoo.com/v8/finance/chart/", "quoteSummary/", "v1/finance/search", "api.finnhub.io/api/v1//company-news"
NOW = datetime(2024, 3, 6, 22, 0, tzinfo=UTC)
STORY = {"datetime": int((NOW - timedelta(hours=2)).timestamp()), "headline": "AAA rises", "id": 7, "source": "Wire", "url": "u", "related": "AAA"}


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[Replay]:
    pytest.importorskip("trustme", reason="needs trustme: pip install -r requirements.txt")
    import yfinance

    with replaying(tmp_path) as server, leading_to(server):
        yfinance.set_tz_cache_location(str(tmp_path / "yfinance"))
        server.on("fc.yahoo.com", page("gone", 404))
        server.on("getcrumb", Answer(200, b"crumb", "text/plain"))
        server.on("v7/finance/quote", data({"quoteResponse": {"result": [], "error": None}}))
        server.on("fundamentals-timeseries", data({"timeseries": {"result": [], "error": None}}))
        yield server


def truncated(answer: Answer) -> Answer:
    """As from a proxy that closes early: a gzip stream that ends in its middle, with a length that fits."""
    packed = gzip.compress(answer.body * 3)
    return Answer(body=packed[: len(packed) // 2], headers={"Content-Encoding": "gzip"})


GOOD: dict[str, Answer] = {
    "prices": chart("AAA", WEEK),
    "yahoo news": search([("a", "AAA rises", NOW - timedelta(hours=2), ("AAA",))]),
    "finnhub news": data([STORY]),
}
ROUTE = {"prices": CHART + "AAA", "yahoo news": SEARCH, "finnhub news": NEWS}


def fetch(what: str, settings: dict[str, Any] = QUICK) -> tuple[Any, Any]:
    """(the source, its frame or the DataError it raised)."""
    from mech_exo.datasource.news import FinnhubNews, YahooNews

    makers: dict[str, Callable[[], Any]] = {
        "prices": lambda: OHLCDownloader(settings, clock=lambda: NOW),
        "yahoo news": lambda: YahooNews(settings, clock=lambda: NOW),
        "finnhub news": lambda: FinnhubNews({**KEYED, **settings}, clock=lambda: NOW),
    }
    source = makers[what]()
    try:
        return source, source.fetch(["AAA"])
    except DataError as error:
        return source, error


PASSING: dict[str, Callable[[Answer], Answer]] = {
    "429 with Retry-After": lambda _: data({}, status=429, Retry_After="0.3"),
    "500": lambda _: page(status=500),
    "503": lambda _: page(status=503),
    "truncated gzip": truncated,
    "HTML with status 200": lambda _: page(),
    "malformed JSON": lambda good: Answer(body=good.body[: len(good.body) // 2]),
    "empty body": lambda _: Answer(body=b""),
    "a cut connection": lambda good: Answer(body=good.body, cut=True),
    "JSON of another shape": lambda _: data({"surprise": True}),
}


@pytest.mark.parametrize("what", GOOD)
@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_is_waited_out(replay: Replay, what: str, fault: str) -> None:
    replay.on(ROUTE[what], PASSING[fault](GOOD[what]), GOOD[what])
    began = time.monotonic()
    source, frame = fetch(what)
    assert not isinstance(frame, DataError), frame
    assert frame.height and source.report[0].status is Status.OK
    if "Retry-After" in fault:
        assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("what", GOOD)
@pytest.mark.parametrize("fault", PASSING)
def test_a_lasting_fault_is_a_failure_and_never_an_empty_answer(replay: Replay, what: str, fault: str) -> None:
    replay.on(ROUTE[what], PASSING[fault](GOOD[what]))
    source, error = fetch(what, {**QUICK, "attempts": 2})
    assert isinstance(error, DataError) and error.remedy
    assert source.report[0].status is Status.FAILED and source.report[0].detail


@pytest.mark.parametrize("what", GOOD)
def test_a_time_out_is_a_failure_in_time(replay: Replay, what: str) -> None:
    replay.on(ROUTE[what], Answer(body=GOOD[what].body, pause=4.0))
    began = time.monotonic()
    source, error = fetch(what, {**QUICK, "timeout": 0.4, "attempts": 2})
    assert isinstance(error, DataError) and "could not be reached" in source.report[0].detail
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize("what", GOOD)
def test_a_trickle_that_never_ends_is_left_at_the_deadline_of_the_symbol(replay: Replay, what: str) -> None:
    """Slow loris: every byte comes in time, the answer never does."""
    replay.on(ROUTE[what], Answer(body=b" " * 10_000 + GOOD[what].body, trickle=0.05))
    began = time.monotonic()
    source, error = fetch(what, {**QUICK, "timeout": 30.0, "deadline": 1.0, "attempts": 50})
    assert isinstance(error, DataError) and source.report[0].status is Status.FAILED
    assert time.monotonic() - began < 4.0


def test_the_answer_about_another_symbol_is_refused(replay: Replay) -> None:
    replay.on(CHART + "AAA", chart("ZZZ", WEEK))
    source, error = fetch("prices")
    assert isinstance(error, DataError)
    assert (source.report[0].status, source.report[0].detail) == (Status.REFUSED, "Yahoo answered about another symbol, ZZZ")


def test_news_about_another_symbol_are_not_ours(replay: Replay) -> None:
    replay.on(NEWS, data([STORY, {**STORY, "id": 8, "headline": "ZZZ falls", "related": "ZZZ"}]))
    assert fetch("finnhub news")[1]["headline"].to_list() == ["AAA rises"]
    replay.on(SEARCH, search([("a", "ZZZ falls", NOW - timedelta(hours=2), ("ZZZ",))]))
    assert fetch("yahoo news")[1].is_empty()


def test_a_delisted_symbol_is_unknown_and_not_asked_again(replay: Replay) -> None:
    replay.on(CHART + "AAA", nobody())
    source, error = fetch("prices")
    assert isinstance(error, DataError) and source.report[0].status is Status.UNKNOWN
    assert len(replay.requests(CHART + "AAA")) <= 4, "time zone and prices, each with yfinance's other cookie once; that is all"


def test_an_all_empty_batch_is_an_error(replay: Replay) -> None:
    for name in ("AAA", "BBB"):
        replay.on(CHART + name, no_days(name))
    source = OHLCDownloader(QUICK, clock=lambda: NOW)
    with pytest.raises(DataError, match="none of 2 did"):
        source.fetch(["AAA", "BBB"])
    assert [one.status for one in source.report] == [Status.EMPTY] * 2


def test_a_half_empty_batch_keeps_what_came_and_names_the_rest(replay: Replay) -> None:
    replay.on(CHART + "AAA", chart("AAA", WEEK))
    replay.on(CHART + "BBB", no_days("BBB"))
    replay.on(CHART + "CCC", page(status=500))
    source = OHLCDownloader({**QUICK, "attempts": 2}, clock=lambda: NOW)
    assert source.fetch(["AAA", "BBB", "CCC"])["symbol"].unique().to_list() == ["AAA"]
    assert [one.status for one in source.report] == [Status.OK, Status.EMPTY, Status.FAILED]


CONSENT = page('<html><form action="https://consent.yahoo.com/v2/collectConsent"><input name="csrfToken" value="x"/>'
               '<input name="sessionId" value="s"/></form></html>')  # fmt: skip


def test_a_consent_page_is_agreed_to_and_the_data_follow(replay: Replay) -> None:
    away = Answer(302, b"", headers={"Location": "https://consent.yahoo.com/v2/collectConsent?sessionId=s"})
    back = Answer(302, b"", headers={"Location": "https://query2.finance.yahoo.com/v8/finance/chart/AAA"})
    asked: list[str] = []

    def consent(one: Asked) -> Answer:
        asked.append(one.path)
        return CONSENT if len(asked) == 1 else back

    replay.serve("consent.yahoo.com", consent)
    replay.serve(CHART + "AAA", in_turn(away, chart("AAA", WEEK)))
    _, frame = fetch("prices")
    assert not isinstance(frame, DataError), frame
    assert frame.height == 3 and len(asked) == 2


def test_a_consent_page_that_stays_is_a_failure(replay: Replay) -> None:
    replay.on("consent.yahoo.com", CONSENT)
    replay.on(CHART + "AAA", Answer(302, b"", headers={"Location": "https://consent.yahoo.com/v2/collectConsent?sessionId=s"}))
    source, error = fetch("prices", {**QUICK, "attempts": 2})
    assert isinstance(error, DataError) and source.report[0].status is Status.FAILED


def test_an_expired_crumb_is_fetched_anew(replay: Replay) -> None:
    fresh = iter(["old", *["new"] * 20])
    replay.serve("getcrumb", lambda _: Answer(200, next(fresh).encode(), "text/plain"))
    unauthorised = data({"finance": {"result": None, "error": {"code": "Unauthorized", "description": "Invalid Crumb"}}}, status=401)
    good = summary(trailingPE=9.0, forwardPE=8.0)
    replay.serve(SUMMARY + "AAA", lambda asked: good if asked.query.get("crumb") == "new" else unauthorised)
    replay.on("guce.yahoo.com", CONSENT)
    replay.on("consent.yahoo.com", page())
    facts = FundamentalFetcher(QUICK, clock=lambda: NOW).fetch(["AAA"])
    assert facts.filter(metric="pe_ratio")["value"].to_list() == [9.0]


CANARY = "CANARY-9f31c7"


def test_a_key_stands_in_no_log_error_report_database_or_snapshot(replay: Replay, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The whole command, with every fault in turn, at its most talkative: then every byte it left behind is searched."""
    from mech_exo.utils.workspace import create

    home = tmp_path / "w"
    create(home)
    last = calendar.latest_session(datetime.now(UTC))
    days = calendar.sessions(last - timedelta(days=10), last)[-3:].tolist()
    config = (home / "config" / "data.yml").read_text()
    config = config.replace("symbols: []", "symbols: [AAA, BBB]").replace("bars: null", "bars: yahoo").replace("news: []", "news: [finnhub]")
    (home / "config" / "data.yml").write_text(config.replace("fundamentals: []", "fundamentals: [finnhub]"))
    secret = home / "config" / "api_keys_local.yml"
    secret.write_text(f'finnhub: {{api_key: "{CANARY}"}}\n')
    secret.chmod(0o600)
    replay.on(CHART + "AAA", chart("AAA", dict(zip(days, (10.0, 11.0, 12.0), strict=True))))
    replay.on(CHART + "BBB", nobody())
    replay.on(SUMMARY, page(status=404))
    faults = [data({"error": f"bad key {CANARY}"}, status=401), page(f"<html>{CANARY}</html>"), Answer(body=b"{"), Answer(cut=True)]
    replay.on("api.finnhub.io", *faults)
    caplog.set_level(logging.DEBUG)
    variables = {name: value for name, value in environment(replay).items() if value is not None}
    ran = subprocess.run(
        [sys.executable, "-m", "mech_exo.cli", "--home", str(home), "--debug", "data", "update"],
        env={**os.environ, **variables, "XDG_CACHE_HOME": str(tmp_path / "cache")}, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr.decode()
    assert b"the key was not accepted" in ran.stdout + ran.stderr
    NewsScraper(KEYED, clock=lambda: NOW)
    with pytest.raises(DataError) as caught:
        FundamentalFetcher({**KEYED, "attempts": 1}, clock=lambda: NOW).fetch(["BBB"])
    texts = {"stdout": ran.stdout, "stderr": ran.stderr, "error": repr(caught.value).encode(), "log": caplog.text.encode()}
    texts |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != secret}
    assert len(texts) > 8
    assert [name for name, text in texts.items() if CANARY.encode() in text] == []
    with DataStorage.snapshot(home) as snapshot:
        assert snapshot.status().bars == 3


def test_the_canary_would_be_found(tmp_path: Path) -> None:
    """The search above sees a key inside a database file."""
    with sqlite3.connect(tmp_path / "x.db") as con:
        con.execute("create table t (v text)")
        con.execute("insert into t values (?)", (CANARY,))
    con.close()
    assert CANARY.encode() in (tmp_path / "x.db").read_bytes()
