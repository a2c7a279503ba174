"""Each check on a fault made by hand: what is found, at which row, with which verdict, and what makes it silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource.quality.findings import Evidence
from mech_exo.datasource.quality.gate import found_in
from mech_exo.datasource.quality.presence import wrong
from mech_exo.domain.panel import PRICE_FIELDS
from tests.datasource.faults import RULES, SESSIONS, clean, put, scaled, told


@pytest.mark.parametrize(("factor", "name"), [(0.5, "2:1"), (2 / 3, "3:2"), (1 / 7, "7:1"), (10.0, "1:10"), (3.0, "1:3")])
def test_a_missed_split_is_found_the_day_it_is_missed_and_a_stored_one_explains_it(factor, name):
    panel = scaled(clean(), 3, 200, SESSIONS, factor)
    assert told(panel) == [("missed_split", 200, "N03", "block")]
    text = found_in(Evidence(panel, RULES, 0.4))["evidence"][0]
    assert f"as a {name} split would, none is stored" in text and "in dollars" in text
    stored = replace(panel, split_ratio=put(panel, "split_ratio", 200, 3, 1.0 / factor).split_ratio)
    assert told(stored) == []
    assert told(replace(panel, dividend=put(panel, "dividend", 200, 3, float(panel.close[199, 3] - panel.close[200, 3])).dividend)) == (
        [] if factor < 1.0 else [("missed_split", 200, "N03", "block")]
    )


def test_real_news_comes_with_trade_and_only_warns():
    panel = scaled(clean(), 3, 200, SESSIONS, 0.5, volume=False)
    busy = put(panel, "volume", 200, 3, 2e7)
    assert told(busy) == [("jump", 200, "N03", "warn")]
    assert told(put(panel, "volume", 200, 3, 2e6)) == [("missed_split", 200, "N03", "block")]


def test_a_fall_in_the_course_of_the_day_is_no_split():
    panel = clean()
    opened = panel.open[200, 3]
    panel = scaled(panel, 3, 200, SESSIONS, 0.5)
    panel = put(put(panel, "open", 200, 3, opened), "high", 200, 3, opened * 1.01)
    assert told(panel) == [("jump", 200, "N03", "warn")]


def test_a_jump_at_no_simple_ratio_is_in_doubt_without_trade():
    assert told(scaled(clean(), 3, 200, SESSIONS, 0.42)) == [("jump", 200, "N03", "block")]
    assert told(scaled(clean(), 3, 200, SESSIONS, 0.42), RULES.model_copy(update={"mad_multiple": 1e3})) == []
    limit = found_in(Evidence(scaled(clean(), 3, 200, SESSIONS, 0.42), RULES, 2.0))
    assert limit.is_empty()  # data.max_jump


def test_bars_on_another_footing_are_told_at_the_return_and_what_they_were_taken_for_ends():
    found = told(scaled(clean(), 3, 200, 204, 0.1))
    assert found == [("missed_split", 200, "N03", "block"), ("late_split", 204, "N03", "block"), ("missed_split", 204, "N03", "ok")]
    assert told(scaled(clean(), 3, 200, 212, 0.1)) == [("missed_split", 200, "N03", "block"), ("missed_split", 212, "N03", "block")]
    far = RULES.model_copy(update={"reversal_sessions": 20})
    assert ("late_split", 212, "N03", "block") in told(scaled(clean(), 3, 200, 212, 0.1), far)


def test_a_hundredfold_price_is_a_wrong_unit():
    assert told(scaled(clean(), 3, 200, SESSIONS, 100.0)) == [("unit_error", 200, "N03", "block")]
    assert told(scaled(clean(), 3, 200, 202, 0.01)) == [("unit_error", 200, "N03", "block"), ("unit_error", 202, "N03", "block")]


def test_a_split_without_its_step_is_invented_and_one_on_the_wrong_day_late():
    assert told(put(clean(), "split_ratio", 200, 3, 3.0)) == [("invented_split", 200, "N03", "block")]
    late = put(scaled(clean(), 3, 200, SESSIONS, 1 / 3), "split_ratio", 203, 3, 3.0)
    assert told(late) == [("missed_split", 200, "N03", "block"), ("late_split", 203, "N03", "block"), ("missed_split", 203, "N03", "ok")]
    early = put(scaled(clean(), 3, 203, SESSIONS, 1 / 3), "split_ratio", 200, 3, 3.0)
    assert told(early) == [("invented_split", 200, "N03", "block"), ("invented_split", 203, "N03", "ok"), ("late_split", 203, "N03", "block")]


def test_missing_bars_make_a_name_stale_and_thin_until_they_come_back():
    found = told(put(clean(), "bar", slice(200, 212), 3, np.nan))
    assert ("stale", 204, "N03", "warn") in found and ("stale", 212, "N03", "ok") in found
    assert ("coverage", 212, "N03", "warn") in found
    assert [line for line in found if line[0] == "coverage"][-1][3] == "ok"
    assert told(put(clean(), "bar", slice(200, 204), 3, np.nan)) == []
    half = put(clean(), "bar", np.arange(200, 300)[np.arange(100) % 3 > 0], 3, np.nan)
    assert "block" in {verdict for check, _, _, verdict in told(half) if check == "coverage"}


def test_a_delisted_name_is_not_stale():
    panel = put(clean(), "bar", slice(200, SESSIONS), 3, np.nan)
    ended = panel.delisted.copy()
    ended[3] = 200
    assert told(replace(panel, delisted=ended)) == []


def test_sessions_without_volume_warn_and_a_row_of_them_blocks():
    assert told(put(clean(), "volume", 200, 3, 0.0)) == [("zero_volume", 200, "N03", "warn")]
    assert [line[3] for line in told(put(clean(), "volume", slice(200, 204), 3, 0.0))] == ["warn", "warn", "block", "block"]


def test_a_price_that_does_not_move_is_stuck():
    panel = clean()
    for name in PRICE_FIELDS:
        panel = put(panel, name, slice(200, 213), 3, panel.close[200, 3])
    assert [line for line in told(panel) if line[0] == "stuck_price"] == [
        ("stuck_price", 205, "N03", "warn"), ("stuck_price", 211, "N03", "block"), ("stuck_price", 213, "N03", "ok")
    ]  # fmt: skip


def test_two_symbols_with_one_history_are_one():
    panel = clean()
    both = {name: getattr(panel, name).copy() for name in (*PRICE_FIELDS, "volume")}
    for values in both.values():
        values[200:260, 20] = values[200:260, 4]
    found = [line for line in told(replace(panel, **both)) if line[0] == "duplicate"]
    assert found[0] == ("duplicate", 214, "N20", "block") and {line[2] for line in found} == {"N20"} and len(found) == 46


def test_a_symbol_that_comes_back_at_another_price_is_another_company():
    gap = put(clean(), "bar", slice(200, 262), 3, np.nan)
    assert [line for line in told(gap) if line[0] == "reused_symbol"] == [("reused_symbol", 262, "N03", "warn")]
    other = scaled(gap, 3, 262, SESSIONS, 5.0)
    assert ("reused_symbol", 262, "N03", "block") in told(other)
    assert "no bar for 62 sessions" in found_in(Evidence(other, RULES, 0.4)).filter(pl.col("check") == "reused_symbol")["evidence"][0]


def test_refused_rows_count_against_the_symbol_until_a_bar_takes_their_place():
    panel = clean()
    rows = list(range(200, 208))
    gone = put(panel, "bar", rows, 3, np.nan)
    refused = pl.DataFrame(
        {"symbol": ["N03"] * 8 + ["N04"], "session": [panel.sessions[r].item() for r in (*rows, 100)], "open": [0.0] * 9,
         "high": [10.0] * 9, "low": [9.0] * 9, "close": [9.5] * 9}
    )  # fmt: skip
    found = [line for line in told(gone, refused=refused) if line[0] == "refused"]
    assert [verdict for *_, verdict in found] == ["warn"] * 5 + ["block"] * 3 and {name for _, _, name, _ in found} == {"N03"}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ((0.0, 2.0, 1.0, 1.5), "open 0"),
        ((0.0, 0.0, 1.0, 1.5), "open 0, high 0"),
        ((1.2, 1.0, 2.0, 1.5), "high 1 below low 2"),
        ((3.0, 2.0, 1.0, 1.5), "open 3 outside low 1 to high 2"),
        ((None, 2.0, 1.0, 1.5), "no open"),
        ((1.5, 2.0, 1.0, 1.5), "its volume, date or symbol"),
    ],
)
def test_a_refused_row_says_what_is_wrong_with_it(row, text):
    assert wrong(*row) == text


def test_sources_that_disagree_and_reports_in_other_money():
    panel = clean()
    day = panel.sessions[210].item()
    disputes = pl.DataFrame(
        {"symbol": ["N01", "N02", "N03"], "session": [day] * 3, "value": [0.001, -0.02, 0.3], "evidence": ["a", "b", "c"]}
    )
    assert [line[1:] for line in told(panel, disputes=disputes)] == [(210, "N02", "warn"), (210, "N03", "block")]
    foreign = pl.DataFrame({"symbol": ["N01", "ELSEWHERE"], "session": [day, day], "unit": ["EUR", "JPY"]})
    assert told(panel, foreign=foreign) == [("currency", 210, "N01", "warn")]


def test_a_panel_of_one_session_or_few_names_is_bearable():
    one = clean().upto(0)
    assert told(one) == []
    pair = clean().select(["N00", "N01"])
    assert told(scaled(pair, 1, 200, SESSIONS, 0.5)) == [("missed_split", 200, "N01", "block")]
    assert date(2012, 1, 3) == one.sessions[0].item()
