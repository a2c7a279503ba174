"""What AG Grid asks of an endless table, and the CSV of it."""

from __future__ import annotations

import csv
import io
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.reporting.dashboard.address import parsed, search_of
from mech_exo.reporting.dashboard.rows import asked_for, csv_lines
from tests.reporting import xss

ROWS = [
    {"symbol": "AAPL", "shares": 10, "day": "2026-01-02"},
    {"symbol": "MSFT", "shares": None, "day": "2026-01-05"},
    {"symbol": "aal", "shares": -3, "day": None},
    {"symbol": "NVDA", "shares": 10, "day": "2026-01-02"},
]


def names(**request: object) -> list[str]:
    return [str(row["symbol"]) for row in asked_for(ROWS, request)]


@pytest.mark.parametrize(
    ("field", "wanted", "expected"),
    [
        ("symbol", {"filterType": "text", "type": "contains", "filter": "AA"}, ["AAPL", "aal"]),
        ("symbol", {"filterType": "text", "type": "notContains", "filter": "aa"}, ["MSFT", "NVDA"]),
        ("symbol", {"filterType": "text", "type": "equals", "filter": "msft"}, ["MSFT"]),
        ("symbol", {"filterType": "text", "type": "endsWith", "filter": "a"}, ["NVDA"]),
        ("shares", {"filterType": "number", "type": "greaterThan", "filter": 0}, ["AAPL", "NVDA"]),
        ("shares", {"filterType": "number", "type": "inRange", "filter": -5, "filterTo": 5}, ["aal"]),
        ("shares", {"filterType": "number", "type": "notEqual", "filter": 10}, ["MSFT", "aal"]),
        ("shares", {"filterType": "number", "type": "blank"}, ["MSFT"]),
        ("shares", {"filterType": "number", "type": "notBlank"}, ["AAPL", "aal", "NVDA"]),
        ("day", {"filterType": "date", "type": "lessThan", "dateFrom": "2026-01-05 00:00:00", "dateTo": None}, ["AAPL", "NVDA"]),
        ("day", {"filterType": "date", "type": "inRange", "dateFrom": "2026-01-03 00:00:00", "dateTo": "2026-01-09 00:00:00"}, ["MSFT"]),
        (
            "symbol",
            {"filterType": "text", "operator": "OR", "conditions": [{"type": "equals", "filter": "aapl"}, {"type": "equals", "filter": "nvda"}]},
            ["AAPL", "NVDA"],
        ),
    ],
)
def test_filters(field, wanted, expected):
    assert names(filterModel={field: wanted}) == expected


def test_unknown_sorts_last_either_way_and_equals_keep_their_order():
    assert names(sortModel=[{"colId": "shares", "sort": "asc"}]) == ["aal", "AAPL", "NVDA", "MSFT"]
    assert names(sortModel=[{"colId": "shares", "sort": "desc"}]) == ["AAPL", "NVDA", "aal", "MSFT"]
    assert names(sortModel=[{"colId": "shares", "sort": "desc"}, {"colId": "symbol", "sort": "desc"}])[:2] == ["NVDA", "AAPL"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(["contains", "inRange", "AND", "number", "date"]),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["filterType", "type", "filter", "filterTo", "conditions", "operator", "colId", "sort", "dateFrom"]), inner, max_size=4),
        max_leaves=12,
    )
)
def test_nonsense_is_ignored_never_an_error(request_):
    found = asked_for(ROWS, {"filterModel": {"symbol": request_, "shares": request_, "day": request_}, "sortModel": request_})
    assert all(row in ROWS for row in found)
    asked_for(ROWS, {"filterModel": request_, "sortModel": [request_]})


@given(st.lists(st.tuples(st.integers(-5, 5) | st.none(), st.integers(0, 3)), max_size=30))
def test_sorting_is_that_of_polars(pairs):
    rows = [{"a": a, "b": b, "n": n} for n, (a, b) in enumerate(pairs)]
    model = [{"colId": "a", "sort": "desc"}, {"colId": "b", "sort": "asc"}]
    schema = {"a": pl.Int64, "b": pl.Int64, "n": pl.Int64}
    expected = pl.DataFrame(rows, schema=schema).sort("a", "b", descending=[True, False], nulls_last=True, maintain_order=True)
    assert [row["n"] for row in asked_for(rows, {"sortModel": model})] == expected["n"].to_list()


def test_no_cell_of_a_csv_begins_a_formula():
    hostile = [*xss.FORMULAS, *xss.HTML, "plain", " =1+1", '"=1+1"', "﹦1+1", "\u200b@SUM(A1)"]
    text = csv_lines([("a", "=head"), ("n", "n")], [{"a": cell, "n": -1.5} for cell in hostile])
    read = list(csv.reader(io.StringIO(text)))
    assert read[0] == ["'=head", "n"]
    assert [row[1] for row in read[1:]] == ["-1.5"] * len(hostile)  # a number is a number
    for cell, (shown, _) in zip(hostile, read[1:], strict=True):
        assert shown in (cell, f"'{cell}")
        assert not re.match(r"[\s\u200b\"]*[=+@＝﹦-]|[\t\r\n]", shown)


def test_unknown_is_an_empty_cell():
    assert csv_lines([("a", "A")], [{"a": None}, {}, {"a": float("nan")}]) == "A\r\n" + '""\r\n' * 3


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), max_size=5))
def test_an_address_says_what_was_written_into_it(state):
    assert parsed(search_of(state)) == state


def test_an_address_too_long_or_none_is_an_empty_state():
    assert parsed("?" + "a=b&" * 1000) == parsed(None) == parsed(7) == {}
    assert parsed("?" + "a&=" + "&".join(f"k{n}=1" for n in range(60))) == {}
    assert search_of({"a": "1", "b": "2"}, a=None, c=3) == "?b=2&c=3"
