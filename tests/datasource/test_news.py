from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.datasource import DataStorage, NewsScraper
from mech_exo.datasource.fetching import Status
from mech_exo.datasource.news import plain_text
from mech_exo.domain.errors import DataError, InputError
from tests.replay.answers import search
from tests.replay.server import Answer, Replay, data, page, recorded

Shared = Callable[[str], Path]
QUICK = {"first_wait": 0.01, "longest_wait": 0.05, "deadline": 10.0, "timeout": 5.0}
KEYED = {**QUICK, "finnhub": {"api_key": "SECRETKEY"}}
SEARCH, NEWS = "v1/finance/search", "api.finnhub.io/api/v1//company-news"
NOW = datetime(2025, 2, 25, 12, 0, tzinfo=UTC)


def scraper(config: object = QUICK, now: datetime = NOW) -> NewsScraper:
    return NewsScraper(config, clock=lambda: now)


def item(key: str, title: str, hours: float, related: tuple[str, ...] = ("AAA",)) -> tuple[str, str, datetime, tuple[str, ...]]:
    return key, title, NOW - timedelta(hours=hours), related


def test_headlines_of_a_recorded_answer(replay: Replay, shared: Shared) -> None:
    replay.on(SEARCH, recorded(shared("data/api/yahoo/search-AAPL.json")))
    one = scraper()
    news = one.fetch(["AAPL"])
    assert news.columns == ["symbol", "published", "headline", "source", "id", "url", "sentiment"]
    story = "Indonesia and Apple said to agree on terms to lift iPhone 16 ban"
    assert ("AAPL", datetime(2025, 2, 25, 5, 54, 47, tzinfo=UTC), story, "Bloomberg") in [row[:4] for row in news.iter_rows()]
    assert news["published"].is_sorted() and news["sentiment"].is_null().all(), "sentiment is not guessed"
    assert one.report[0].rows == news.height > 1


def test_headlines_of_finnhub_with_a_key(replay: Replay, shared: Shared) -> None:
    samples = json.loads(shared("data/api/finnhub_recorded_samples.json").read_text())
    replay.on(SEARCH, search([]))
    replay.on(NEWS, data(samples["/company-news?symbol=AAPL (2024-10-14)"]))
    news = scraper(KEYED, datetime(2024, 10, 15, tzinfo=UTC)).fetch(["AAPL"], days=2)
    assert news.height > 1 and set(news["source"]) and news["id"].n_unique() == news.height
    asked = replay.requests(NEWS)[0].query
    assert (asked["symbol"], asked["from"], asked["to"]) == ("AAPL", "2024-10-13", "2024-10-15")


def test_the_same_story_twice_is_kept_once_as_first_published(replay: Replay) -> None:
    theirs = [item("y1", "AAA beats the Street!", 5), item("y2", "AAA beats the street", 3), item("y3", "AAA to split", 1)]
    replay.on(SEARCH, search(theirs))
    then = int((NOW - timedelta(hours=9)).timestamp())
    early = {"datetime": then, "headline": "AAA &amp; beats: the Street", "id": 7, "source": "Wire", "url": "u"}
    same = early | {"headline": "AAA beats the Street", "datetime": early["datetime"] + 60}
    replay.on(NEWS, data([early, same]))
    rows = scraper(KEYED).fetch("AAA").select("id", "headline").rows()
    assert rows == [("7", "AAA & beats: the Street"), ("y3", "AAA to split")]


def test_only_news_of_the_symbol_and_the_days_asked_for(replay: Replay) -> None:
    found = [item("a", "Ours", 2), item("b", "Another's", 2, ("BBB",)), item("c", "Nobody's", 2, ())]
    replay.on(SEARCH, search([*found, item("d", "Old", 49), item("e", "Tomorrow's", -3)]))
    assert scraper().fetch("AAA", days=2)["headline"].to_list() == ["Ours"]


def test_markup_is_removed(replay: Replay) -> None:
    replay.on(SEARCH, search([item("a", "<b>AAA</b>&nbsp;up 5&#37; &lt;script&gt;alert(1)&lt;/script&gt;\n now", 2)]))
    assert scraper().fetch("AAA")["headline"].to_list() == ["AAA up 5% alert(1) now"]


@given(st.text(st.sampled_from("<>/&;ab lt gt#38 \n\t"), max_size=40))
def test_no_tag_survives(text: str) -> None:
    import re

    plain = plain_text(text)
    assert not re.search(r"<[^<>]*>", plain) and plain == " ".join(plain.split())


def test_a_quiet_symbol_is_empty_and_a_failed_one_is_not(replay: Replay) -> None:
    replay.on(SEARCH, search([]))
    one = scraper()
    assert one.fetch(["AAA"]).is_empty()
    assert one.report[0].status is Status.EMPTY
    replay.on(SEARCH, page(status=500))
    with pytest.raises(DataError, match="AAA: failed"):
        scraper({**QUICK, "attempts": 2}).fetch(["AAA"])


def test_the_same_question_is_asked_anew_every_time(replay: Replay) -> None:
    """yfinance remembers a search for the life of the process, which would be tonight's news tomorrow."""
    replay.on(SEARCH, search([item("a", "First", 2)]), search([item("a", "First", 2), item("b", "Second", 1)]))
    one = scraper()
    assert one.fetch("AAA").height == 1
    assert one.fetch("AAA").height == 2


@pytest.mark.parametrize("fault", [data({}, status=429), page(status=500), page(), Answer(body=b"{}"), Answer(body=b'{"news": [')])
def test_a_passing_fault_is_waited_out(replay: Replay, fault: Answer) -> None:
    replay.on(SEARCH, fault, search([item("a", "Ours", 2)]))
    assert scraper().fetch("AAA")["headline"].to_list() == ["Ours"]


def test_an_answer_of_another_shape_is_a_failure(replay: Replay) -> None:
    replay.on(SEARCH, data({"news": [{"relatedTickers": ["AAA"], "shouldNot": "exist"}]}))
    with pytest.raises(DataError, match=r"could not be read \(KeyError\)"):
        scraper({**QUICK, "attempts": 1}).fetch("AAA")


def test_one_vendor_down_is_said_beside_the_others_news(replay: Replay) -> None:
    replay.on(SEARCH, search([item("a", "Ours", 2)]))
    replay.on(NEWS, data({"error": "You don't have access to this resource."}, status=403))
    one = scraper(KEYED)
    assert one.fetch("AAA").height == 1
    assert one.report[0].status is Status.OK and one.report[0].detail == "the key was not accepted for this"


def test_days_must_be_at_least_one() -> None:
    with pytest.raises(InputError, match="at least 1 day"):
        scraper().fetch("AAA", days=0)


def test_what_it_fetches_is_what_the_store_takes(replay: Replay, tmp_path: Path) -> None:
    replay.on(SEARCH, search([item("a", "Ours", 2)]))
    with DataStorage(tmp_path / "store.duckdb") as storage:
        assert storage.store_news(scraper().fetch("AAA")).new == 1
        assert storage.store_news(scraper().fetch("AAA")).new == 0
