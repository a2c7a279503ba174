"""``update``: the real clients against the replay server, into a real store."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from mech_exo.datasource import DataStorage, OHLCDownloader
from mech_exo.datasource.base import Kind
from mech_exo.datasource.fetching import Status
from mech_exo.datasource.replay.server import Answer, Asked, Replay, data
from mech_exo.datasource.update import UpdateReport, update
from mech_exo.domain.errors import ConfigError, MissingDataError
from mech_exo.domain.panel import PriceBasis
from mech_exo.utils import calendar
from mech_exo.utils.settings import ApiKeys, Config, DataConfig, Keys, StrategyConfig, UniverseRules
from mech_exo.utils.source_settings import SourcesConfig
from tests.datasource.market import bars
from tests.replay.answers import chart, nobody, search

CHART = "finance.yahoo.com/v8/finance/chart/"
SEARCH = "v1/finance/search"
FIRST, TONIGHT = date(2024, 2, 1), datetime(2024, 3, 6, 22, 0, tzinfo=UTC)
DAYS = calendar.sessions(FIRST, date(2024, 3, 8)).tolist()


@pytest.fixture
def storage(tmp_path: Path) -> DataStorage:
    with DataStorage(DataStorage.path_in(tmp_path / "w")) as opened:
        yield opened


def config(*symbols: str, universe: str | None = None, key: str = "", **sources: object) -> Config:
    chosen = SourcesConfig(history_start=FIRST, **({"bars": "yahoo"} | sources))  # type: ignore[arg-type]
    rules = StrategyConfig(universe=UniverseRules(name=universe))
    return Config(data=DataConfig(symbols=symbols, sources=chosen), strategy=rules, keys=ApiKeys(finnhub=Keys(api_key=key)))


def run(storage: DataStorage, settings: Config, now: datetime = TONIGHT, **words: object) -> UpdateReport:
    return update(storage, settings, now=now, **words)  # type: ignore[arg-type]


def closes(day: date, base: float = 10.0) -> float:
    return base + DAYS.index(day)


def serve(replay: Replay, symbol: str, until: date = date(2024, 3, 6), scale: float = 1.0, without: tuple[date, ...] = ()) -> None:
    """Yahoo's chart of ``symbol`` from the day asked for to ``until``."""

    def answer(asked: Asked) -> Answer:
        since = datetime.fromtimestamp(int(asked.query["period1"]), UTC).date() if "period1" in asked.query else DAYS[-3]
        days = [day for day in DAYS if since <= day <= until and day not in without]
        return chart(symbol, {day: closes(day) * scale for day in days})

    replay.serve(CHART + symbol, answer)


def asked_since(replay: Replay, symbol: str) -> list[date]:
    """From which days bars of ``symbol`` were asked for; yfinance's own question for a time zone aside."""
    found = [one.query for one in replay.requests(CHART + symbol) if "period1" in one.query]
    return [datetime.fromtimestamp(int(query["period1"]), UTC).date() for query in found]


def test_the_first_night_takes_the_history_and_the_next_only_what_is_missing(replay: Replay, storage: DataStorage) -> None:
    serve(replay, "AAA", date(2024, 3, 5))
    first = run(storage, config("AAA"), TONIGHT.replace(day=5))
    assert (first.session, first.downloads[0].new, first.downloads[0].missing) == (date(2024, 3, 5), 23, 0)
    assert first.attention == ()
    serve(replay, "AAA")
    second = run(storage, config("AAA")).downloads[0]
    assert (second.new, second.unchanged, second.restated) == (1, 11, 0), "one session more, and ten looked at again"
    assert asked_since(replay, "AAA") == [FIRST, date(2024, 2, 20)]
    assert storage.view().panel().close[-1, 0] == closes(date(2024, 3, 6))


def test_what_is_up_to_date_is_not_asked_for(replay: Replay, storage: DataStorage) -> None:
    serve(replay, "AAA")
    run(storage, config("AAA"))
    replay.asked.clear()
    again = run(storage, config("AAA"))
    assert (again.downloads[0].current, again.downloads[0].outcomes, again.changed) == (1, (), False)
    assert replay.asked == []


def test_a_vendors_correction_within_ten_sessions_is_a_restatement(replay: Replay, storage: DataStorage) -> None:
    serve(replay, "AAA", date(2024, 3, 5))
    run(storage, config("AAA"), TONIGHT.replace(day=5))
    replay.on(CHART + "AAA", chart("AAA", {day: closes(day) + (0.5 if day == date(2024, 3, 4) else 0.0) for day in DAYS[13:24]}))
    report = run(storage, config("AAA")).downloads[0]
    assert (report.new, report.restated, report.unchanged) == (1, 1, 9)
    panel = storage.view().panel()
    assert panel.close[panel.sessions.tolist().index(date(2024, 3, 4)), 0] == closes(date(2024, 3, 4)) + 0.5


def test_a_split_since_is_undone_in_the_overlap_too(replay: Replay, storage: DataStorage) -> None:
    serve(replay, "AAA", date(2024, 3, 5))
    run(storage, config("AAA"), TONIGHT.replace(day=5))
    split = date(2024, 3, 6)
    halved = {day: closes(day) / 2 for day in DAYS[12:23]}
    answer = chart("AAA", {**halved, split: closes(split) / 2}, splits={split: (2, 1)})
    replay.on(CHART + "AAA", rescaled(answer, 0.5))
    report = run(storage, config("AAA")).downloads[0]
    assert (report.new, report.restated, report.outcomes[0].status) == (1, 0, Status.OK)
    assert storage.view().panel().split_ratio[-1, 0] == 2.0


def rescaled(answer: Answer, step: float) -> Answer:
    import json

    value = json.loads(answer.body)
    quote = value["chart"]["result"][0]["indicators"]["quote"][0]
    quote["open"] = quote["low"] = [close - step for close in quote["close"]]
    quote["high"] = [close + step for close in quote["close"]]
    quote["volume"] = [2_000_000] * (len(quote["close"]) - 1) + [1_000_000]
    return data(value)


def test_an_empty_answer_is_not_taken_for_no_change(replay: Replay, storage: DataStorage) -> None:
    serve(replay, "AAA", date(2024, 3, 4))
    serve(replay, "BBB", date(2024, 3, 4))
    run(storage, config("AAA", "BBB"), TONIGHT.replace(day=4))
    serve(replay, "AAA")
    replay.on(CHART + "BBB", nobody())
    report = run(storage, config("AAA", "BBB"))
    stale = report.downloads[0].outcomes[1]
    assert (stale.status, stale.missing) == (Status.UNKNOWN, (date(2024, 3, 5), date(2024, 3, 6)))
    assert report.attention == (
        "BBB, bars from yahoo: unknown (no such symbol at Yahoo, or delisted); 2 sessions missing: 2024-03-05, 2024-03-06",
    )
    assert storage.reach().last == {"AAA": date(2024, 3, 6), "BBB": date(2024, 3, 4)}, "the last good data stay"


def test_a_gap_inside_is_said_by_its_dates(replay: Replay, storage: DataStorage) -> None:
    serve(replay, "AAA", without=(date(2024, 2, 14), date(2024, 3, 1)))
    report = run(storage, config("AAA"))
    assert report.attention == ("AAA, bars from yahoo: 2 sessions missing: 2024-02-14, 2024-03-01",)


def test_another_scale_is_refused_and_named(replay: Replay, storage: DataStorage) -> None:
    serve(replay, "AAA", date(2024, 3, 5))
    serve(replay, "BBB", date(2024, 3, 5))
    run(storage, config("AAA", "BBB"), TONIGHT.replace(day=5))
    serve(replay, "AAA", scale=4.0)
    serve(replay, "BBB")
    report = run(storage, config("AAA", "BBB")).downloads[0]
    assert [one.status for one in report.outcomes] == [Status.REFUSED, Status.OK]
    assert "differ from those stored by a factor of 4" in report.attention[0]
    assert storage.view(date(2024, 3, 5)).panel().close[-1, 0] == closes(date(2024, 3, 5))


def test_a_vendor_that_is_down_is_asked_for_one_batch_only(replay: Replay, storage: DataStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OHLCDownloader, "batch", 2)
    names = ("AAA", "BBB", "CCC", "DDD")
    replay.serve(CHART, lambda asked: Answer(status=503, headers={"Retry-After": "100000"}))
    report = run(storage, config(*names)).downloads[0]
    assert [one.status for one in report.outcomes] == [Status.FAILED] * 4
    assert "Yahoo answered 503" in report.trouble
    assert not replay.requests(CHART + "CCC"), "it is not asked for hours"


def test_one_symbol_that_never_comes_does_not_cost_the_others_theirs(replay: Replay, storage: DataStorage) -> None:
    serve(replay, "AAA", date(2024, 3, 4))
    serve(replay, "BBB", date(2024, 3, 5))
    run(storage, config("AAA"), TONIGHT.replace(day=4))
    run(storage, config("BBB"), TONIGHT.replace(day=5))
    serve(replay, "AAA")
    serve(replay, "CCC")
    replay.on(CHART + "BBB", Answer(body=b""))
    report = run(storage, config("AAA", "BBB", "CCC")).downloads[0]
    assert {one.symbol: one.status for one in report.outcomes} == {"AAA": Status.OK, "BBB": Status.FAILED, "CCC": Status.OK}
    assert report.trouble == "" and storage.reach().last["CCC"] == date(2024, 3, 6), "each was alone in its batch, BBB the first"


def test_an_update_cut_short_goes_on_where_it_stopped(replay: Replay, storage: DataStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OHLCDownloader, "batch", 2)
    names = ("AAA", "BBB", "CCC", "DDD")
    for name in names:
        serve(replay, name)

    class Interrupted(BaseException):
        pass

    def stop(text: str) -> None:
        if text.startswith("bars from yahoo: 2 of 4"):
            raise Interrupted

    with pytest.raises(Interrupted):
        run(storage, config(*names), progress=stop)
    assert set(storage.reach().last) == {"AAA", "BBB"}
    replay.asked.clear()
    report = run(storage, config(*names)).downloads[0]
    assert (report.current, len(report.outcomes)) == (2, 2)
    assert not replay.requests(CHART + "AAA")
    assert set(storage.reach().last) == set(names)


def test_who_is_asked_for(storage: DataStorage) -> None:
    from mech_exo.datasource.update import wanted

    tonight = date(2021, 1, 15)
    storage.store_ohlc_data(bars(("AAA", "BBB", "OLD")).filter((pl.col("symbol") != "OLD") | (pl.col("date") < date(2021, 1, 6))))
    storage.store_universe(pl.DataFrame({"symbol": ["UUU", "GONE"], "start": [date(2020, 1, 2)] * 2, "end": [None, date(2021, 1, 4)]}), name="mine")
    assert wanted(storage, config("DDD"), tonight) == ("DDD",)
    assert wanted(storage, config(universe="mine"), tonight) == ("UUU",)
    assert wanted(storage, config(), tonight) == ("AAA", "BBB", "OLD")
    short = config().model_copy(update={"strategy": StrategyConfig(max_missing_sessions=3)})
    assert wanted(storage, short, tonight) == ("AAA", "BBB")


def test_a_name_in_the_book_is_not_forgotten(replay: Replay, storage: DataStorage) -> None:
    serve(replay, "AAA")
    serve(replay, "HELD")
    report = run(storage, config("AAA"), held=("HELD",))
    assert report.symbols == ("AAA", "HELD") and "HELD" in storage.reach().last


def test_nobody_says_which(storage: DataStorage) -> None:
    with pytest.raises(MissingDataError, match="which symbols"):
        run(storage, config())


@pytest.mark.parametrize("source", ["edgar", "finnhub"])
def test_a_key_that_is_missing_is_said_before_anything_is_downloaded(replay: Replay, storage: DataStorage, source: str) -> None:
    serve(replay, "AAA")
    with pytest.raises(ConfigError, match="api_keys_local"):
        run(storage, config("AAA", fundamentals=(source,)))
    assert replay.asked == [] and storage.reach().last == {}


def test_nothing_configured_downloads_nothing(replay: Replay, storage: DataStorage) -> None:
    assert run(storage, config("AAA", bars=None)).downloads == ()
    assert run(storage, config("AAA"), kinds=(Kind.NEWS,)).downloads == ()
    assert replay.asked == []


def test_news_are_asked_for_once_a_session_and_from_the_day_before(replay: Replay, storage: DataStorage) -> None:
    stories = [("a", "AAA rises", TONIGHT.replace(hour=15), ("AAA",))]
    replay.on(SEARCH, search(stories))
    settings = config("AAA", "BBB", bars=None, news=("yahoo",))
    first = run(storage, settings).downloads[0]
    assert (first.new, [one.status for one in first.outcomes], first.attention) == (1, [Status.OK, Status.EMPTY], ())
    count = len(replay.requests(SEARCH))
    second = run(storage, settings, TONIGHT.replace(hour=23)).downloads[0]
    assert (second.current, len(replay.requests(SEARCH))) == (2, count)
    third = run(storage, settings, TONIGHT.replace(day=7)).downloads[0]
    assert (third.new, third.unchanged, third.current) == (0, 1, 0)


def test_files_are_a_source_too_and_adjusted_ones_are_taken_anew_after_a_split(storage: DataStorage, tmp_path: Path) -> None:
    folder = tmp_path / "w" / "files"
    folder.mkdir(parents=True)

    def write(scale: float, until: date) -> None:
        days = [day for day in DAYS if day <= until]
        frame = pl.DataFrame({"date": days, **{name: [closes(day) * scale for day in days] for name in ("open", "high", "low", "close")}})
        frame.with_columns(volume=pl.lit(1000)).write_csv(folder / "AAA.csv")

    settings = config("AAA", bars="csv", folder=Path("files"), adjusted="split")
    write(1.0, date(2024, 3, 5))
    assert run(storage, settings, TONIGHT.replace(day=5)).downloads[0].new == 23
    write(0.5, date(2024, 3, 6))
    report = run(storage, settings)
    assert (report.downloads[0].new, report.downloads[0].restated) == (1, 23)
    assert "adjusted anew by a factor of 0.5" in report.attention[0]
    panel = storage.view().panel()
    assert panel.price_basis is PriceBasis.SPLIT_ADJUSTED
    assert panel.close[:, 0].tolist() == [closes(day) * 0.5 for day in DAYS[:24]]


def test_a_missing_folder_is_trouble_and_not_a_quiet_night(storage: DataStorage) -> None:
    report = run(storage, config("AAA", bars="csv", folder=Path("nowhere")))
    assert "must exist" in report.downloads[0].trouble
    assert report.downloads[0].outcomes[0].status is Status.FAILED
    assert report.attention
