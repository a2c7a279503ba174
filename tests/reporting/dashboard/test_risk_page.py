"""The figures of the page on risk, made again by hand from the ledger's rows and the stored bars."""

from __future__ import annotations

import itertools
import json
import math

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.cli.__main__ import main
from mech_exo.domain.verdict import BreachCode
from mech_exo.execution.rows import BookedDay
from mech_exo.reporting.dashboard.book_risk import book_risk_view, falls_of
from mech_exo.reporting.dashboard.pages import risk
from mech_exo.reporting.text import percent
from mech_exo.risk.usage import LimitStatus, LimitUsage, Unit
from mech_exo.utils.calendar import session_close
from tests.execution.ledger_rows import day
from tests.reporting.dashboard.book import part, reader, sample
from tests.reporting.dashboard.showing import drawn, journal, tile


@pytest.fixture(scope="module")
def view():
    return reader().once(("view",), lambda house, ledger: book_risk_view(house, ledger, ledger.books()[0]))


@pytest.fixture(scope="module")
def last():
    return journal("session")[-1]


def test_exposure_and_sectors_are_the_lines_at_their_marks(view, last):
    values = {line["symbol"]: line["shares"] * line["mark"] for line in last["lines"] if line["shares"]}
    nav = last["day"]["cash"] + sum(values.values())
    gross = sum(map(abs, values.values())) / nav
    assert view.nav == pytest.approx(nav)
    assert view.status.usage(BreachCode.GROSS).value == pytest.approx(gross)
    assert sum(longs - shorts for _, longs, shorts in view.sectors) == pytest.approx(gross)
    assert view.held == tuple(sorted(values))
    assert tile(drawn(risk.layout, {}), "Gross exposure") == percent(gross)


def test_correlations_are_those_of_the_names_returns(view, last):
    store = sample().home / "data" / "mech_exo.duckdb"
    held, window = view.held, view.status.risk.window
    with duckdb.connect(str(store), read_only=True) as con:
        rows = con.execute(
            "select symbol, session, arg_max(close, version) from bars where session <= ? and known_at <= ? group by all order by 1, 2",
            [last["session"], session_close(view.session)],
        ).fetchall()
        actions = con.execute("select symbol, session, kind, arg_max(value, version) from corporate_actions group by all").fetchall()
    days = sorted({row[1] for row in rows})
    close = {(symbol, session): value for symbol, session, value in rows}
    acted = {(symbol, session, kind): value for symbol, session, kind, value in actions}
    whole = [c for c, symbol in enumerate(held) if all((symbol, day) in close for day in days[-window - 1 :])]
    assert len(whole) > 8
    returns = np.full((window, len(held)), np.nan)
    for t, (before, now) in enumerate(itertools.pairwise(days[-window - 1 :])):
        for c in whole:
            symbol = held[c]
            ratio, paid = acted.get((symbol, now, "split"), 1.0), acted.get((symbol, now, "dividend"), 0.0)
            returns[t, c] = (close[symbol, now] + paid) * ratio / close[symbol, before] - 1.0
    assert view.correlation[np.ix_(whole, whole)] == pytest.approx(np.corrcoef(returns[:, whole].T), abs=1e-9)
    away = view.correlation[np.triu_indices(len(held), 1)]
    assert view.status.risk.worst_pair[2] == pytest.approx(away.max())
    assert view.status.risk.average_correlation == pytest.approx(away.mean())


def test_components_sum_to_the_volatility(view):
    lines = view.status.risk.positions
    assert math.fsum(line.share for line in lines) == pytest.approx(1.0)
    assert math.fsum(line.component for line in lines) == pytest.approx(view.status.risk.volatility_ann)


def test_the_fall_is_the_loop_over_a_year_of_closes(view):
    index = [1.0, *(row["day"]["index"] for row in journal("session"))]
    by_hand = [1.0 - index[t] / max(index[max(0, t - 252) : t + 1]) for t in range(1, len(index))]
    assert view.falls.fall == pytest.approx(by_hand, abs=1e-12)
    assert view.status.usage(BreachCode.DRAWDOWN).value == pytest.approx(by_hand[-1], abs=1e-12)
    assert [row["day"]["state"] for row in journal("session")] == list(view.falls.state)


def test_the_page_says_what_the_command_says(view, capsys):
    main(["--home", str(sample().home), "risk", "status", "--json"])
    said = json.loads(capsys.readouterr().out)
    for line, shown in zip(said["limits"], view.status.limits, strict=True):
        assert (line["code"], line["who"], line["status"]) == (shown.code.value, shown.who, shown.status.value)
        for name in ("limit", "value", "usage", "headroom"):
            ours = getattr(shown, name)
            assert line[name] == (None if ours is None else pytest.approx(ours, abs=1e-9))
    for line, shown in zip(said["stress"], view.status.stress, strict=True):
        assert (line["scenario"], line["pnl"]) == (shown.scenario, pytest.approx(shown.pnl, abs=1e-6))
    for name in ("volatility_ann", "value_at_risk", "expected_shortfall", "beta"):
        assert said["risk"][name] == pytest.approx(getattr(view.status.risk, name), abs=1e-9)


def test_the_margin_is_a_quarter_of_the_longs(view, last):
    longs = sum(line["shares"] * line["mark"] for line in last["lines"] if line["shares"] > 0.0)
    assert view.margin.required == pytest.approx(0.25 * longs)
    assert view.margin.excess == pytest.approx(view.nav - 0.25 * longs)


@given(st.lists(st.one_of(st.none(), st.floats(0.0, 3.0)), max_size=8))
def test_the_tightest_stands_first_and_unknown_before_all(uses):
    lines = tuple(
        LimitUsage(BreachCode.GROSS, str(n), 1.0, use, use, None, LimitStatus.UNKNOWN if use is None else LimitStatus.OK)
        for n, use in enumerate(uses)
    )
    off = LimitUsage(BreachCode.NET, "off", None, 1.0, None, None, LimitStatus.OK)
    order = LimitUsage(BreachCode.VOLUME, "order", 1.0, None, None, None, LimitStatus.OK, None, Unit.ORDER)
    found = [line.usage for line in risk.tightest((off, *lines, order))]
    assert len(found) == len(uses)
    assert [math.inf if use is None else use for use in found] == sorted((math.inf if use is None else use for use in uses), reverse=True)


def test_an_unknown_index_is_an_unknown_fall():
    days = [BookedDay(f"2024-01-0{n}", day(1.0, cash=1.0, index=value)) for n, value in ((2, 1.0), (3, math.nan))]
    assert np.isnan(falls_of(days).fall[-1])


def test_unknown_is_a_word_and_never_a_zero():
    assert risk.amount(None, Unit.NAV) == risk.amount(None, Unit.DAYS) == "unknown"
    assert risk.room(LimitUsage(BreachCode.BETA, "Beta", 1.0, None, None, None, LimitStatus.UNKNOWN, None, Unit.NUMBER)) == "unknown"


def test_every_limit_that_is_on_has_its_bar(view):
    figure = part(drawn(risk.layout, {}), "risk-limits").figure
    assert len(figure["data"][0]["y"]) == sum(line.limit is not None and line.unit is not Unit.ORDER for line in view.status.limits)
