from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource import OHLCDownloader
from mech_exo.datasource.base import Source
from mech_exo.datasource.fetching import FetchSettings, Status, settings_from
from mech_exo.domain.errors import ConfigError, DataError, InputError
from mech_exo.utils.settings import ApiKeys, Config, DataConfig, Keys
from tests.replay.answers import chart, no_days, nobody
from tests.replay.server import Answer, Asked, Replay, data, page, recorded

Shared = Callable[[str], Path]
QUICK = {"first_wait": 0.01, "longest_wait": 0.05, "deadline": 10.0, "timeout": 5.0}
WEEK = {date(2024, 3, 4): 10.0, date(2024, 3, 5): 11.0, date(2024, 3, 6): 12.0}
CHART = "finance.yahoo.com/v8/finance/chart/"


@pytest.fixture
def yahoo(shared: Shared) -> Callable[[str], Answer]:
    return lambda name: recorded(shared(f"data/api/yahoo/{name}.json"))


def test_bars_actions_and_report_of_a_recorded_answer(replay: Replay, yahoo: Callable[[str], Answer]) -> None:
    replay.on(CHART + "AAPL", yahoo("chart-AAPL-2020-08-31-to-2020-11-07"))
    downloader = OHLCDownloader(QUICK)
    bars = downloader.fetch(["AAPL"], start=date(2020, 8, 31), end=date(2020, 11, 6))
    assert bars.columns == ["symbol", "date", "open", "high", "low", "close", "volume", "split_ratio", "dividend"]
    assert bars.row(0) == ("AAPL", date(2020, 8, 31), 127.58, 131.0, 126.0, 129.04, 225702700.0, 4.0, 0.0)
    assert bars.row(-1)[1:] == (date(2020, 11, 6), 118.32, 119.2, 116.13, 118.69, 114457900.0, 1.0, 0.205)
    assert bars.height == 49 and bars["date"].is_sorted() and bars.null_count().sum_horizontal()[0] == 0
    (outcome,) = downloader.report
    assert (outcome.status, outcome.rows, outcome.first, outcome.last) == (Status.OK, 49, date(2020, 8, 31), date(2020, 11, 6))


def test_prices_before_a_split_are_as_printed_that_day(replay: Replay, shared: Shared) -> None:
    """Apple closed at 300.35 on 2020-01-02 and was split 4:1 that August; Yahoo shows a quarter of it."""
    early, late = (
        json.loads(shared(f"data/api/yahoo/chart-AAPL-{span}.json").read_text())["response"]["bodyJson"]
        for span in ("2020-01-01-to-2020-01-03", "2020-08-31-to-2020-11-07")
    )
    old, new = (body["chart"]["result"][0] for body in (early, late))
    new["timestamp"] = old["timestamp"] + new["timestamp"]
    columns = [("quote", name) for name in ("open", "high", "low", "close", "volume")]
    for kind, name in (*columns, ("adjclose", "adjclose")):
        new["indicators"][kind][0][name] = old["indicators"][kind][0][name] + new["indicators"][kind][0][name]
    replay.on(CHART + "AAPL", data(late))
    bars = OHLCDownloader(QUICK).fetch(["AAPL"], start=date(2020, 1, 1), end=date(2020, 1, 3))
    first = bars.row(0, named=True)
    assert first["date"] == date(2020, 1, 2)
    assert (first["open"], first["high"], first["low"], first["close"]) == (296.24, 300.6, 295.19, 300.35)
    assert first["volume"] == old["indicators"]["quote"][0]["volume"][0] / 4
    asked = replay.requests(CHART + "AAPL")[-1].query
    assert int(asked["period2"]) > time.time() - 60, "splits after the period's end are needed to undo them"


def test_a_dividend_before_a_split_is_what_was_paid(replay: Replay) -> None:
    replay.on(CHART + "AAA", chart("AAA", WEEK, splits={date(2024, 3, 6): (2, 1)}, dividends={date(2024, 3, 5): 0.25}))
    bars = OHLCDownloader(QUICK).fetch("AAA", period="5d")
    assert bars["close"].to_list() == [20.0, 22.0, 12.0]
    assert bars["dividend"].to_list() == [0.0, 0.5, 0.0]
    assert bars["split_ratio"].to_list() == [1.0, 1.0, 2.0]
    assert bars["volume"].to_list() == [500_000.0, 500_000.0, 1_000_000.0]


def test_too_many_requests_are_waited_out(replay: Replay) -> None:
    replay.on(CHART + "AAA", data({}, status=429, Retry_After="0.4"), chart("AAA", WEEK))
    began = time.monotonic()
    assert OHLCDownloader(QUICK).fetch(["AAA"]).height == 3
    assert time.monotonic() - began >= 0.4
    assert len(replay.requests(CHART + "AAA")) in (2, 3), "once more, and once for the time zone where yfinance does not know it yet"


def test_a_broken_server_is_given_up_at_the_deadline(replay: Replay) -> None:
    replay.on(CHART + "AAA", page(status=500))
    downloader = OHLCDownloader({**QUICK, "attempts": 10_000, "deadline": 0.6})
    began = time.monotonic()
    with pytest.raises(DataError, match="Yahoo answered 500"):
        downloader.fetch(["AAA"])
    assert time.monotonic() - began < 4.0
    assert len(replay.requests(CHART + "AAA")) > 3
    assert downloader.report[0].status is Status.FAILED


@pytest.mark.parametrize("fault", [page(), Answer(body=b"{}"), Answer(body=b""), Answer(body=b'{"chart": {"res'), data({"chart": "?"})])
def test_an_answer_that_is_no_data_is_asked_for_again(replay: Replay, fault: Answer) -> None:
    replay.on(CHART + "AAA", fault, chart("AAA", WEEK))
    assert OHLCDownloader(QUICK).fetch(["AAA"])["close"].to_list() == [10.0, 11.0, 12.0]


@pytest.mark.parametrize(("fault", "said"), [({"pause": 1.0}, "Timeout"), ({"cut": True}, "could not be reached")])
def test_a_hanging_or_cut_connection_is_tried_again(replay: Replay, fault: dict[str, float], said: str) -> None:
    broken = replace(chart("AAA", WEEK), **fault)
    replay.on(CHART + "AAA", broken, chart("AAA", WEEK))
    assert OHLCDownloader({**QUICK, "timeout": 0.3}).fetch(["AAA"]).height == 3
    replay.on(CHART + "AAA", broken)
    with pytest.raises(DataError, match=said):
        OHLCDownloader({**QUICK, "timeout": 0.3, "attempts": 2}).fetch(["AAA"])


@pytest.mark.parametrize("fault", [page(), Answer(body=b"{}"), data({"chart": "?"})])
def test_an_answer_that_stays_no_data_is_a_failure(replay: Replay, fault: Answer) -> None:
    replay.on(CHART + "AAA", fault)
    downloader = OHLCDownloader({**QUICK, "attempts": 2})
    with pytest.raises(DataError, match="at least one symbol must come back with prices"):
        downloader.fetch(["AAA"])
    assert downloader.report[0].status is Status.FAILED


def test_an_unknown_symbol_is_named_and_does_not_stop_the_others(replay: Replay) -> None:
    replay.on(CHART + "AAA", chart("AAA", WEEK))
    replay.on(CHART + "NOPE", nobody())
    replay.on(CHART + "REST", no_days("REST"))
    downloader = OHLCDownloader(QUICK)
    assert downloader.fetch(["NOPE", "AAA", "REST"])["symbol"].unique().to_list() == ["AAA"]
    assert [(one.symbol, one.status) for one in downloader.report] == [("NOPE", "unknown"), ("AAA", "ok"), ("REST", "empty")]
    assert "or delisted" in downloader.report[0].detail
    with pytest.raises(DataError, match=r"none of 2 did. NOPE: unknown .*; REST: empty"):
        downloader.fetch(["NOPE", "REST"])


def test_a_foreign_currency_is_refused(replay: Replay) -> None:
    replay.on(CHART + "AAA.L", chart("AAA.L", WEEK, currency="GBp"))
    replay.on(CHART + "BBB", chart("BBB", WEEK))
    downloader = OHLCDownloader(QUICK)
    assert downloader.fetch(["AAA.L", "BBB"])["symbol"].unique().to_list() == ["BBB"]
    assert downloader.report[0].status is Status.REFUSED and "GBp" in downloader.report[0].detail


def test_the_bar_of_an_open_session_is_left_out(replay: Replay) -> None:
    replay.on(CHART + "AAA", chart("AAA", WEEK))
    noon = datetime(2024, 3, 6, 17, 0, tzinfo=UTC)
    assert OHLCDownloader(QUICK, clock=lambda: noon).fetch(["AAA"])["date"].max() == date(2024, 3, 5)
    assert OHLCDownloader(QUICK, clock=lambda: noon.replace(hour=21)).fetch(["AAA"])["date"].max() == date(2024, 3, 6)


def test_a_day_without_prices_is_absent_and_contradictions_are_said(replay: Replay) -> None:
    replay.on(CHART + "AAA", chart("AAA", {**WEEK, date(2024, 3, 7): None, date(2024, 3, 8): 0.5}))
    downloader = OHLCDownloader(QUICK)
    bars = downloader.fetch(["AAA"])
    assert bars["date"].to_list() == [*WEEK, date(2024, 3, 8)]
    assert downloader.report[0].detail == "rows that contradict themselves: 1"


def test_many_symbols_at_once_keep_their_own_bars(replay: Replay) -> None:
    names = [f"S{number:02d}" for number in range(40)]
    busy, most = set[str](), [0]

    def answer(asked: Asked) -> Answer:
        busy.add(asked.path)
        most[0] = max(most[0], len(busy))
        time.sleep(0.01)
        busy.discard(asked.path)
        name = asked.path.rpartition("/")[2]
        return chart(name, {day: close + int(name[1:]) for day, close in WEEK.items()})

    replay.serve(CHART, answer)
    bars = OHLCDownloader({**QUICK, "workers": 3}).fetch(names)
    assert bars["symbol"].to_list() == [name for name in names for _ in WEEK]
    assert np.array_equal(bars["close"].to_numpy().reshape(-1, 3), np.array([10.0, 11.0, 12.0]) + np.arange(40)[:, None])
    assert 1 <= most[0] <= 3


def test_a_class_share_is_asked_for_with_a_dash_and_kept_with_its_point(replay: Replay) -> None:
    replay.on(CHART + "BRK-B", chart("BRK-B", WEEK))
    assert OHLCDownloader(QUICK).fetch(["brk.b"])["symbol"].unique().to_list() == ["BRK.B"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"symbols": []}, "at least one symbol"),
        ({"symbols": ["A/../B"]}, "a symbol has"),
        ({"symbols": ["A"], "period": "soon"}, "a period is like"),
        ({"symbols": ["A"], "interval": "1h"}, "bars are daily"),
        ({"symbols": ["A"], "start": date(2024, 2, 1), "end": date(2024, 1, 1)}, "start must not be after end"),
        ({"symbols": ["A"], "start": date(2024, 2, 1), "period": "1y"}, "either a period or a start"),
        ({"symbols": ["A"], "end": date(2024, 2, 1)}, "an end needs a start"),
    ],
)
def test_a_senseless_request_is_refused_before_anything_is_asked(words: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OHLCDownloader().fetch(**words)  # type: ignore[arg-type]


def test_configurations_of_every_kind() -> None:
    key = ApiKeys(finnhub=Keys(api_key="secret"))
    assert settings_from(None) == settings_from(DataConfig()) == FetchSettings()
    assert settings_from(Config(keys=key)).finnhub_key == settings_from({"finnhub": {"api_key": "secret"}}).finnhub_key == "secret"
    assert settings_from({"keys": {"finnhub": {"api_key": "k"}}, "workers": 2}) == FetchSettings(workers=2, finnhub_key="k")
    assert "secret" not in repr(settings_from(key))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"worker": 2}, "unknown key 'worker'"),
        ({"workers": 0}, "above 0"),
        ({"workers": "3"}, "must be a number"),
        ({"finnhub": "k"}, "finnhub"),
        (7, "got int"),
    ],
)
def test_a_wrong_configuration_is_refused(config: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OHLCDownloader(config)


def test_it_is_a_source() -> None:
    assert isinstance(OHLCDownloader(), Source)


def test_what_it_fetches_is_what_the_store_takes(replay: Replay, tmp_path: Path) -> None:
    from mech_exo.datasource import DataStorage

    replay.on(CHART + "AAA", chart("AAA", WEEK, splits={date(2024, 3, 6): (2, 1)}, dividends={date(2024, 3, 5): 0.25}))
    bars = OHLCDownloader(QUICK).fetch(["AAA"])
    with DataStorage(tmp_path / "store.duckdb") as storage:
        storage.store_ohlc_data(bars, source="yahoo")
        panel = storage.view().panel()
    assert panel.to_frame().select(bars.columns).equals(bars.with_columns(pl.col("volume").cast(pl.Float64)))


def test_yfinance_is_left_as_it_was_for_everybody_else(replay: Replay) -> None:
    import yfinance

    replay.on(CHART + "AAA", chart("AAA", WEEK))
    hidden = yfinance.config.debug.hide_exceptions
    OHLCDownloader(QUICK).fetch(["AAA"])
    assert yfinance.config.debug.hide_exceptions is hidden
    assert len(yfinance.Ticker("AAA").history(period="5d")) == 3, "its shared session is not a closed one"
