"""Every reason for refusing a bar, at its boundary; and that nothing else is touched."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from mech_exo.datasource import base, inspection
from mech_exo.datasource.columns import typed
from mech_exo.datasource.inspection import Inspection, Reason
from tests.datasource.market import NOW, bars, changed, days


def inspect(frame: pl.DataFrame, *, now: datetime = NOW) -> Inspection:
    return inspection.inspect(typed(frame, {**base.BARS, **base.BAR_EXTRAS}), now=now)


def reasons(found: Inspection) -> dict[str, int]:
    return dict(found.refused["reason"].value_counts().iter_rows())


def test_good_bars_pass_untouched_and_are_known_at_their_close() -> None:
    frame = bars()
    found = inspect(frame.sample(fraction=1.0, shuffle=True, seed=1))
    assert found.refused.is_empty() and found.duplicates == 0
    assert found.bars.drop("known_at").rename({"session": "date"}).equals(frame)
    assert found.bars["known_at"][0] == datetime(2021, 1, 4, 21, tzinfo=UTC)
    early = inspect(bars(("AAA",), [date(2021, 11, 26)]), now=datetime(2022, 1, 1, tzinfo=UTC))
    assert early.bars["known_at"][0] == datetime(2021, 11, 26, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"symbol": "aaa"}, Reason.SYMBOL),
        ({"symbol": None}, Reason.SYMBOL),
        ({"symbol": "AAA\nB"}, Reason.SYMBOL),
        ({"symbol": "A" * 17}, Reason.SYMBOL),
        ({"date": None}, Reason.DATE),
        ({"date": date(2021, 1, 9)}, Reason.SESSION),
        ({"date": date(2021, 1, 18)}, Reason.SESSION),
        ({"date": date(1889, 1, 18)}, Reason.SESSION),
        ({"date": date(2021, 6, 1)}, Reason.FUTURE),
        ({"date": date(2031, 6, 2)}, Reason.FUTURE),
        ({"date": date(2121, 6, 2)}, Reason.SESSION),
        ({"close": None}, Reason.NO_PRICE),
        ({"open": float("nan")}, Reason.NO_PRICE),
        ({"open": 0.0}, Reason.PRICE),
        ({"low": -1.0}, Reason.PRICE),
        ({"high": float("inf")}, Reason.PRICE),
        ({"volume": None}, Reason.VOLUME),
        ({"volume": -1.0}, Reason.VOLUME),
        ({"volume": float("nan")}, Reason.VOLUME),
        ({"high": 49.0, "open": 50.0, "low": 48.0, "close": 48.5}, Reason.RANGE),
        ({"high": 51.0, "open": 50.0, "low": 49.5, "close": 49.0}, Reason.RANGE),
    ],
)
def test_a_bad_row_is_refused_for_its_reason_and_alone(cells: dict[str, object], reason: Reason) -> None:
    frame = bars()
    found = inspect(changed(frame, "AAA", days()[3], **cells))
    assert reasons(found) == {reason.value: 1}
    assert found.refused["place"].to_list() == [3]
    assert found.bars.height == frame.height - 1
    assert set(inspection.REMEDIES) == set(Reason)


@pytest.mark.parametrize(("stretch", "good"), [(0.9e-4, True), (1.1e-4, False)])
def test_the_range_rule_forgives_rounding_and_no_more(stretch: float, good: bool) -> None:
    row = {"symbol": "AAA", "date": days()[0], "open": 50.0, "high": 50.0 / (1.0 + stretch), "low": 49.0, "close": 49.5, "volume": 1.0}
    assert inspect(pl.DataFrame([row])).refused.is_empty() is good
    row = {**row, "high": 51.0, "low": 49.5 / (1.0 - stretch)}
    assert inspect(pl.DataFrame([row])).refused.is_empty() is good


def test_a_volume_of_zero_is_a_bar() -> None:
    assert inspect(bars().with_columns(volume=pl.lit(0.0))).refused.is_empty()


def test_todays_bar_is_refused_until_the_close() -> None:
    frame = bars(("AAA",), [date(2021, 6, 1)])
    assert reasons(inspect(frame, now=datetime(2021, 6, 1, 19, 59, 59, tzinfo=UTC))) == {Reason.FUTURE.value: 1}
    assert inspect(frame, now=datetime(2021, 6, 1, 20, tzinfo=UTC)).bars.height == 1


def test_equal_doubles_are_dropped_and_contradicting_ones_all_refused() -> None:
    frame = bars()
    twice = pl.concat([frame, frame.head(3), frame.head(1)])
    found = inspect(twice)
    assert (found.bars.height, found.duplicates, found.refused.height) == (20, 4, 0)
    contradicting = pl.concat([frame, changed(frame, "AAA", days()[2], volume=5.0).filter(pl.col("volume") == 5.0)])
    found = inspect(contradicting)
    assert reasons(found) == {Reason.CONFLICT.value: 2} and found.refused["place"].to_list() == [2, 20]
    assert found.bars.height == 19 and found.duplicates == 0


def test_a_good_and_a_bad_row_for_one_day_leave_the_good_one() -> None:
    frame = bars()
    found = inspect(pl.concat([frame, changed(frame, "AAA", days()[2], open=0.0).filter(pl.col("open") == 0.0)]))
    assert reasons(found) == {Reason.PRICE.value: 1} and found.bars.height == 20


def test_actions_survive_a_refused_bar_but_not_a_doubtful_day() -> None:
    frame = bars(("AAA",)).with_columns(
        split_ratio=pl.when(pl.col("date") == days()[2]).then(2.0).otherwise(0.0),
        dividend=pl.when(pl.col("date") == days()[4]).then(0.3).otherwise(None),
    )
    frame = changed(frame, "AAA", days()[2], open=0.0)
    frame = changed(frame, "AAA", days()[4], symbol="aaa")
    actions = inspect(frame).actions
    assert actions.filter(pl.col("kind") == "split").filter(pl.col("value") != 1.0).select("session", "value").rows() == [(days()[2], 2.0)]
    assert actions.filter(pl.col("kind") == "dividend").is_empty()


@pytest.mark.parametrize(("name", "value", "reason"), [("split_ratio", -2.0, Reason.SPLIT), ("dividend", -0.1, Reason.DIVIDEND)])
def test_an_impossible_action_refuses_the_row(name: str, value: float, reason: Reason) -> None:
    frame = bars().with_columns(pl.lit(0.0).alias(name))
    found = inspect(changed(frame, "BBB", days()[1], **{name: value}))
    assert reasons(found) == {reason.value: 1}
    assert found.actions.filter(pl.col("value") == value).is_empty()


def test_sectors_are_undated_while_they_stand_still_and_dated_when_they_move() -> None:
    moved = (pl.col("symbol") == "AAA") & (pl.col("date") >= days()[6])
    found = inspect(bars().with_columns(sector=pl.when(moved).then(pl.lit("Energy")).otherwise(pl.lit("Utilities"))))
    assert found.sectors.sort("symbol", "valid_from").rows() == [
        ("AAA", "Utilities", days()[0]),
        ("AAA", "Energy", days()[6]),
        ("BBB", "Utilities", None),
    ]
