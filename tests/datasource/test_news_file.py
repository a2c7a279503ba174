"""Headlines from a file: clocks, mark-up, doubles, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from mech_exo.datasource import DataStorage
from mech_exo.datasource.importer import ImportRequest, run_import
from mech_exo.datasource.news_file import news_rows
from mech_exo.domain.errors import InputError

NOW = datetime(2024, 3, 10, tzinfo=UTC)


def one(published: object, headline: str = "AAA rises", symbol: str = "AAA") -> pl.DataFrame:
    return pl.DataFrame({"stock": [symbol], "date": [published], "title": [headline]}, strict=False)


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("2024-03-05 10:30:00-05:00", datetime(2024, 3, 5, 15, 30, tzinfo=UTC)),
        ("2024-03-05T10:30:00Z", datetime(2024, 3, 5, 10, 30, tzinfo=UTC)),
        ("2024-03-05T10:30+01:00", datetime(2024, 3, 5, 9, 30, tzinfo=UTC)),
        ("1709634600", datetime(2024, 3, 5, 10, 30, tzinfo=UTC)),
        (1709634600, datetime(2024, 3, 5, 10, 30, tzinfo=UTC)),
        ("2024-03-05", datetime(2024, 3, 6, 4, 59, 59, 999999, tzinfo=UTC)),
        (date(2024, 3, 5), datetime(2024, 3, 6, 4, 59, 59, 999999, tzinfo=UTC)),
        (datetime(2024, 3, 5, 10, 30, tzinfo=UTC), datetime(2024, 3, 5, 10, 30, tzinfo=UTC)),
    ],
)
def test_when_a_story_was_known(given: object, known: datetime) -> None:
    rows, said = news_rows(one(given), "wire", now=NOW)
    assert rows["published"].to_list() == [known] and said == ()
    assert rows.select("symbol", "headline", "source").row(0) == ("AAA", "AAA rises", "wire")


@pytest.mark.parametrize("given", ["2024-03-05 10:30:00", datetime(2024, 3, 5, 10, 30)])  # noqa: DTZ001
def test_an_hour_without_its_zone_is_refused(given: object) -> None:
    with pytest.raises(InputError, match="time zone"):
        news_rows(one(given), "wire", now=NOW)


def test_what_is_left_out_is_counted() -> None:
    frame = pl.concat([one("soon"), one("2024-03-05"), one("2024-03-06", "AAA RISES!"), one("2031-01-01"), one("2024-03-05", "<b> </b>"),
                       one("2024-03-05", symbol="A;B"), one("2024-03-05", "B &amp; C", "bbb")])  # fmt: skip
    rows, said = news_rows(frame, "wire", now=NOW)
    assert rows.select("symbol", "headline").rows() == [("AAA", "AAA rises"), ("BBB", "B & C")]
    assert "1 with no readable time of publication" in said[0] and "1 with published after now" in said[0]
    assert said[1] == "headlines that repeat another one: 1"


def test_a_missing_column_is_named_beside_those_there() -> None:
    with pytest.raises(InputError, match=r"missing: symbol, headline") as caught:
        news_rows(pl.DataFrame({"date": ["2024-03-05"], "close": [1.0]}), "wire", now=NOW)
    assert "there are date, close" in str(caught.value)


def test_the_ten_thousand_real_headlines(shared: Callable[[str], Path], tmp_path: Path) -> None:
    path = shared("data/text/analyst_ratings_headlines_10k.csv.gz")
    with DataStorage(tmp_path / "store.duckdb") as storage:
        first = run_import(storage, ImportRequest(news=path))
        again = run_import(storage, ImportRequest(news=path))
        news = storage.view().news()
    assert first.facts[0].new > 9_500 and (again.facts[0].new, again.facts[0].restated) == (0, 0)
    assert news.schema["published"] == pl.Datetime("us", "UTC")
    assert not news["headline"].str.contains(r"<[^<>]*>|&amp;").any() and news["known_at"].equals(news["published"].alias("known_at"))
