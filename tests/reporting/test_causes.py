"""The day's P&L by cause and position: it adds up whatever happened, and the causes are those of the tear sheet's attribution."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.assembly import Workspace
from mech_exo.domain.orders import OrderReason
from mech_exo.execution.rows import EventLine, SessionRow
from mech_exo.performance.factor_attribution import Exposures, attribute
from mech_exo.performance.holdings import HOLDING
from mech_exo.reporting.account import account_record
from mech_exo.reporting.causes import Explained, Session, day_causes, explain, journaled_scores, last_returns
from mech_exo.reporting.query import night_report
from tests.execution.ledger_rows import BOOK, NAN, day, line
from tests.reporting.nights import ONE, TWO
from tests.session.stage import days, decide_every, play, stored

NONE = OrderReason.NONE
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
NIGHTS = 12


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Nights of the sample market, a split (SYN003 on 2021-05-03) among them. Not to be changed."""
    found = stored(tmp_path_factory.mktemp("causes") / "w")
    decide_every(found, 4)
    play(found, days("2021-04-26", NIGHTS))
    return found


def parts_of(causes):
    return {part.name: part.pnl for part in causes.parts}


def test_every_night_of_a_market_adds_up_and_nothing_is_left_over(home):
    workspace = Workspace.open(home)
    traded = 0
    with workspace.ledger(read_only=True) as ledger:
        for booked in ledger.day_history(workspace.book_id()):
            report = night_report(ledger, workspace.book_id(), booked.session, workspace)
            causes, figures = report.causes, booked.day
            parts = parts_of(causes)
            assert causes.why == "" or booked.session == ledger.day_history(workspace.book_id())[0].session
            if causes.why:
                continue
            cent = 1e-7 * figures.nav
            assert math.fsum(parts.values()) == pytest.approx(report.money.pnl, abs=cent)
            assert parts["residual"] == pytest.approx(0.0, abs=cent)
            of_account = figures.interest - figures.borrow + parts["residual"]
            assert math.fsum(one.pnl for one in causes.positions) + of_account == pytest.approx(report.money.pnl, abs=cent)
            assert causes.price == pytest.approx(figures.price_pnl, abs=cent)
            assert parts["dividends"] == pytest.approx(figures.dividends, abs=cent)
            assert parts["commission"] == pytest.approx(-figures.commission, abs=cent)
            assert parts["slippage"] == pytest.approx(-figures.slippage, abs=cent)
            for one in causes.positions:
                assert one.price == pytest.approx(one.market + one.selection + one.specific + one.trading, abs=cent)
                assert one.pnl == pytest.approx(one.price + one.dividends - one.commission - one.slippage, abs=cent)
            traded += figures.traded > 0.0
    assert traded > 2, "sessions with fills were among them"


def test_a_live_day_is_explained_as_the_tear_sheet_explains_a_history(home):
    workspace = Workspace.open(home)
    book = workspace.book_id()
    with workspace.ledger(read_only=True) as ledger:
        last = ledger.last_session(book).session
        known = workspace.seen(last)
        history = ledger.day_history(book)
        decided, before = ledger.decision(book, history[-2].session), ledger.session(book, history[-2].session)
        record = account_record(ledger, book, known.panel, workspace.config)
        causes = night_report(ledger, book, last, workspace).causes
    factors, scores = journaled_scores(decided)
    table = np.array([scores.get(name, np.full(len(factors), np.nan)) for name in known.panel.symbols])
    exposures = Exposures(np.array([0]), factors, (table,), (table,))
    column = known.panel.column_of
    held = np.array([(0, column(one.symbol), one.shares, one.mark) for one in before.lines if one.shares], HOLDING)
    events = record.events[record.events["row"] == len(history) - 1].copy()
    events["row"] = 1
    close = known.panel.close[-2:]
    returns = np.vstack([np.full(close.shape[1], np.nan), last_returns(known.panel)])
    whole = attribute(record.sessions[-2:], record.days[-2:], events, held, returns, close, exposures).by_session.row(1, named=True)
    parts = parts_of(causes)
    for name in ("market", *factors, "trading", "interest", "commission", "slippage", "borrow"):
        assert parts[name] == pytest.approx(whole[name], abs=1e-6), name
    assert parts["specific"] + parts["dividends"] == pytest.approx(whole["specific"], abs=1e-6)


def test_the_returns_are_those_a_backtest_is_explained_with(home):
    from mech_exo.backtest.factors import session_returns

    panel = Workspace.open(home).seen().panel
    for row in (len(panel.sessions) - 1, 700, 333):
        cut = panel.upto(row)
        np.testing.assert_array_equal(last_returns(cut), session_returns(cut)[-1])


prices = st.floats(1.0, 500.0)
held = st.dictionaries(st.sampled_from(SYMBOLS), st.tuples(st.integers(-200, 200).filter(bool), prices), max_size=4)


@st.composite
def sessions(draw):
    """Two books and fills between them that explain the difference in shares, closes and a cross-section."""
    first, last = draw(held), draw(held)
    closes = {symbol: draw(prices) for symbol in SYMBOLS}
    before = SessionRow(BOOK, ONE, day(), tuple(line(s, float(n), mark=p) for s, (n, p) in first.items()))
    events = []
    for symbol in SYMBOLS:
        moved = last.get(symbol, (0, 0.0))[0] - first.get(symbol, (0, 0.0))[0]
        if moved:
            price, reference, fee = draw(prices), draw(prices), draw(st.floats(0.0, 5.0))
            kind = draw(st.sampled_from(("order", "stop", "target")))
            events.append(EventLine(symbol, kind, "filled", NONE, float(moved), price, reference, fee, -(moved * price + fee)))
        if symbol in first and draw(st.booleans()):
            amount = first[symbol][0] * draw(st.floats(0.01, 2.0))
            events.append(EventLine(symbol, "dividend", "filled", NONE, float(first[symbol][0]), 1.0, NAN, 0.0, amount))
    row = SessionRow(BOOK, TWO, day(interest=draw(st.floats(-5.0, 5.0)), borrow=draw(st.floats(0.0, 5.0))),
                     tuple(line(s, float(n), mark=closes[s]) for s, (n, _) in last.items()), tuple(draw(st.permutations(events))))  # fmt: skip
    factors = tuple(f"f{k}" for k in range(draw(st.integers(0, 3))))
    small = st.floats(-0.1, 0.1)
    scores = {symbol: np.array([draw(small) * 30 for _ in factors]) for symbol in draw(st.sets(st.sampled_from(SYMBOLS)))}
    explained = Explained(ONE, factors, draw(small), np.array([draw(small) for _ in factors]), scores)
    return before, row, Session(closes, explained, "")


@given(sessions(), st.floats(-1e4, 1e4))
@settings(max_examples=150, deadline=None)
def test_the_parts_sum_to_the_pnl_whatever_happened(made, pnl):
    before, row, session = made
    causes = day_causes(row, before, pnl, session)
    assert math.fsum(part.pnl for part in causes.parts) == pytest.approx(pnl, abs=1e-6)
    booked = row.day.interest - row.day.borrow + parts_of(causes)["residual"]
    assert math.fsum(one.pnl for one in causes.positions) + booked == pytest.approx(pnl, abs=1e-6)
    reversed_ = dataclasses.replace(row, events=row.events[::-1], lines=row.lines[::-1])
    again = day_causes(reversed_, before, pnl, session)
    assert {one.symbol: one.pnl for one in again.positions} == pytest.approx({one.symbol: one.pnl for one in causes.positions}, abs=1e-9)
    without = day_causes(row, before, pnl, Session({}, None, "no bars"))
    assert [one.pnl for one in without.positions] == [one.pnl for one in causes.positions], "what a name earned needs no market data"
    assert without.price == pytest.approx(causes.price, abs=1e-9)
    value = any(one.shares for one in before.lines)
    assert (parts_of(without)["market"] is None) is value
    assert (without.why == "no bars") is (value or any(event.kind != "dividend" for event in row.events))


def test_an_unknown_mark_makes_its_position_and_the_whole_unknown_and_never_nothing():
    before = SessionRow(BOOK, ONE, day(), (line("AAA", 10.0, mark=5.0), line("BBB", 10.0, mark=5.0)))
    row = SessionRow(BOOK, TWO, day(NAN), (line("AAA", 10.0, mark=NAN), line("BBB", 10.0, mark=6.0)))
    causes = day_causes(row, before, None, Session({"AAA": NAN, "BBB": 6.0}, None, "why"))
    assert {one.symbol: one.pnl for one in causes.positions} == {"AAA": None, "BBB": 10.0}
    assert causes.price is None and causes.pnl is None and parts_of(causes)["residual"] is None
    assert parts_of(causes)["specific"] is None and parts_of(causes)["commission"] == 0.0


def test_what_the_books_do_not_explain_is_shown():
    before = SessionRow(BOOK, ONE, day(), (line("AAA", 10.0, mark=5.0),))
    row = SessionRow(BOOK, TWO, day(), (line("AAA", 12.0, mark=5.0),))  # two shares nobody bought
    causes = day_causes(row, before, 3.0, Session({"AAA": 5.0}, None, "why"))
    assert parts_of(causes)["residual"] == pytest.approx(-7.0), "the shares that came are worth 10, the account earned 3"


def test_without_scores_or_names_there_is_no_cross_section(home):
    panel = Workspace.open(home).seen().panel
    assert explain(panel, None).explained is None and "no decision" in explain(panel, None).why
    with Workspace.open(home).ledger(read_only=True) as ledger:
        decided = ledger.decision(BOOK, ledger.last_session(BOOK).session)
    few = explain(panel.select(panel.symbols[:3]), decided)
    assert few.explained is None and "too few" in few.why
