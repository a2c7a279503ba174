"""The page of data quality: coverage by a naive count, findings as the command has them, filters, foreign rows as text."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.cli.__main__ import main
from mech_exo.datasource.quality.presence import MONTH, present, usable
from mech_exo.domain.panel import BarPanel
from mech_exo.performance.figures import coverage_figure
from mech_exo.reporting.dashboard.data_state import Finding, _row, data_state, held_now
from mech_exo.reporting.dashboard.pages import quality
from mech_exo.reporting.text import percent
from tests.reporting.dashboard.book import part, reader, sample
from tests.reporting.dashboard.showing import drawn, journal, texts, tile
from tests.reporting.xss import ALL

SESSIONS = np.busday_offset("2024-01-01", np.arange(40), roll="forward")


@pytest.fixture(scope="module")
def state():
    return reader().once(("state",), lambda house, _: data_state(house))


@st.composite
def markets(draw):
    count = draw(st.integers(1, 5))
    bits = st.lists(st.lists(st.booleans(), min_size=count, max_size=count), min_size=40, max_size=40)
    traded, member, blocked = (np.array(draw(bits)) for _ in range(3))
    delisted = np.array(draw(st.lists(st.integers(0, 40), min_size=count, max_size=count)))
    return traded, member, blocked, delisted


@given(markets())
def test_a_share_is_the_naive_count(made):
    traded, member, blocked, delisted = made
    close = np.where(traded, 10.0, np.nan)
    bars = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.where(traded, 1.0, np.nan), "delisted": delisted,
            "delisting_value": np.full(len(delisted), np.nan)}  # fmt: skip
    panel = BarPanel.from_arrays(SESSIONS, [f"N{n}" for n in range(traded.shape[1])], bars)
    verdict = np.where(blocked, 2, 1).astype(np.int8)
    for found, members, doubts in ((usable(panel, member, verdict), member, blocked), (present(panel), np.ones_like(member), np.zeros_like(blocked))):
        for t in range(40):
            names = [n for n in range(traded.shape[1])
                     if members[t, n] and t < delisted[n] and traded[max(0, t - MONTH) : t + 1, n].any()]  # fmt: skip
            good = [n for n in names if traded[t, n] and not doubts[t, n]]
            assert np.isnan(found[t]) if not names else found[t] == len(good) / len(names)


def test_many_columns_are_counted_like_few():
    rng = np.random.default_rng(5)
    traded = rng.random((40, 700)) > 0.3
    close = np.where(traded, 10.0, np.nan)
    bars = dict.fromkeys(("open", "high", "low", "close", "volume"), close)
    panel = BarPanel.from_arrays(SESSIONS, sorted(f"N{n}" for n in range(700)), bars)
    alive = np.array([traded[max(0, t - MONTH) : t + 1].any(axis=0) for t in range(40)])
    assert present(panel) == pytest.approx((traded & alive).sum(axis=1) / alive.sum(axis=1))


def test_every_share_stands_at_its_day():
    share = np.linspace(0.0, 1.0, len(SESSIONS))
    cells = coverage_figure(SESSIONS, share).data[0]
    for day, value in zip(SESSIONS.astype(str), share, strict=True):
        year, month, number = day.split("-")
        row = list(cells.y).index(f"{('Jan', 'Feb')[int(month) - 1]} {year}")
        assert cells.z[row][int(number) - 1] == value
    assert np.isfinite(np.asarray(cells.z, float)).sum() == len(SESSIONS)


def test_the_page_says_what_the_command_says(state, capsys):
    main(["--home", str(sample().home), "data", "quality", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert {one["symbol"] for one in said["blocked"]} == {one.symbol for one in state.findings if one.verdict == "block"}
    assert sorted(said["warned"]) == sorted({o.symbol for o in state.findings} - {o.symbol for o in state.findings if o.verdict == "block"})
    assert {check: tuple(counts) for check, counts in said["counts"].items()} == dict(state.report.counts)
    page = drawn(quality.layout, {})
    assert tile(page, "Bars in the last session") == percent(said["coverage"], 1)
    assert tile(page, "Quarantined rows") == str(len(state.refused))


def test_held_names_are_those_of_the_last_book():
    lines = journal("session")[-1]["lines"]
    assert reader().once(("held now",), lambda _, ledger: held_now(ledger)) == {line["symbol"] for line in lines if line["shares"]}


def finding(symbol: str, check: str, verdict: str) -> Finding:
    from datetime import date

    return Finding(symbol, check, verdict, date(2024, 1, 2), None, 1.0, 1.0, "evidence", "exo data quality")


def test_held_names_stand_first_and_filters_keep_what_fits():
    every = (finding("AAA", "stale", "warn"), finding("BBB", "stale", "block"), finding("CCC", "coverage", "warn"))
    rows = quality.chosen(every, frozenset({"CCC"}), {})
    assert [row["symbol"] for row in rows] == ["CCC", "BBB", "AAA"]
    assert [row["symbol"] for row in quality.chosen(every, frozenset(), {"check": "stale", "verdict": "warn"})] == ["AAA"]
    assert [row["symbol"] for row in quality.chosen(every, frozenset(), {"symbol": "bbb"})] == ["BBB"]
    assert quality.chosen(every, frozenset(), {"check": "<script>"}) == []


@pytest.mark.parametrize("evil", ALL)
def test_a_refused_row_is_told_as_it_came(evil):
    from datetime import UTC, datetime

    text = json.dumps({"Symbol": evil, "date": "2024-01-02"})
    told = _row("a reason", evil, text, datetime(2024, 1, 2, tzinfo=UTC))
    assert (told.symbol, told.file, told.row, told.day) == (evil, evil, text, "2024-01-02")
    assert _row("x", None, evil, datetime(2024, 1, 2, tzinfo=UTC)).symbol == "" or evil == "null"


def test_the_year_of_the_address_is_the_calendars(state):
    year = str(state.sessions[0])[:4]
    shown = part(drawn(quality.layout, {"year": year}), "quality-calendar").figure["data"][0]
    assert {name[-4:] for name in shown["y"]} == {year}
    wrong = drawn(quality.layout, {"year": "1850", "check": "nothing", "verdict": "x", "symbol": "<b>"})
    assert any("last" in text.lower() or "widen" in text for text in texts(wrong))
