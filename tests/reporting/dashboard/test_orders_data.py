"""Orders as the page tells them: what the ledger says, costs that add up, the way of each order, and every filter."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.assembly import Workspace
from mech_exo.domain.errors import InputError, MissingDataError
from mech_exo.domain.panel import BarPanel
from mech_exo.execution.tracker import ExecutionTracker, summed
from mech_exo.reporting.dashboard import account_data, orders_data
from mech_exo.reporting.dashboard.orders_data import chosen, executions, explained, of_gross
from mech_exo.reporting.dashboard.pages import orders
from mech_exo.reporting.dashboard.reader import Reader
from tests.browser.workspaces import copy as browser_copy
from tests.reporting.dashboard.book import journaled, part, reader, rows, sample, texts, tile


@pytest.fixture(scope="module")
def known():
    return account_data.booked(reader(), {})


@pytest.fixture(scope="module")
def made(known):
    return executions(reader(), known.book)


def test_every_order_is_a_row_and_so_is_every_resting_level_that_filled(made):
    planned = {id_: (symbol, shares, filled, state) for id_, symbol, shares, filled, state in rows("SELECT id, symbol, shares, filled, state FROM orders")}
    shown = {row["key"]: (row["symbol"], row["shares"], row["filled"], row["state"]) for row in made.rows}
    assert planned == {key: value for key, value in shown.items() if key in planned}
    others = {key: value[1] for key, value in shown.items() if key not in planned}
    told = rows("SELECT order_id, sum(shares) FROM fills WHERE order_id NOT IN (SELECT id FROM orders) GROUP BY 1")
    assert others == dict(told) and len(others) > 10 and len(shown) == len(made.rows)
    assert [row["session"] for row in made.rows] == sorted((row["session"] for row in made.rows), reverse=True)


def test_parts_of_the_costs_add_up_in_every_row_and_are_the_tracker_s(known, made):
    filled = [row for row in made.rows if row["filled"] and row["decided"]]
    assert len(filled) > 50
    for row in filled:
        assert row["delay"] + row["impact"] + row["fees"] == pytest.approx(row["shortfall"], abs=1e-9)
        total = summed(made.costs[row["key"]])
        assert row["shortfall_bps"] == pytest.approx(total.shortfall_bps) and row["slippage_bps"] == pytest.approx(total.slippage_bps)
        decided, shares, price, fee = rows(
            "SELECT o.price, f.shares, f.price, f.commission FROM orders o JOIN fills f ON f.order_id = o.id WHERE o.id = ?", row["key"]
        )[0]
        assert row["fill_price"] == pytest.approx(price) and row["fees"] == fee and row["price"] == decided
        ratio, dividend = action(row["symbol"], row["session"])  # the decision's price in the session's shares, without its dividend
        assert row["shortfall"] == pytest.approx((price - (decided / ratio - dividend)) * shares + fee, abs=1e-6)
    with Workspace.open(sample().home).ledger(read_only=True) as ledger:
        alone = ExecutionTracker(ledger, known.book).summary()
    shown = made.summary(None, None)
    assert (shown.fills, shown.commission) == (alone.fills, pytest.approx(alone.commission))
    assert shown.slippage == pytest.approx(alone.slippage)  # the paper broker's references are the bars


def action(symbol: str, session: str) -> tuple[float, float]:
    """Split ratio and dividend of a session, read from the store."""
    panel = bars()
    row, column = panel.sessions.tolist().index(date.fromisoformat(session)), panel.column_of(symbol)
    return float(panel.split_ratio[row, column]), float(panel.dividend[row, column])


@functools.cache
def bars() -> BarPanel:
    return Workspace.open(sample().home).storage.view().panel(start=date.fromisoformat(rows("SELECT min(session) FROM orders")[0][0]))


def test_the_share_of_costs_is_that_of_the_booked_sessions(known):
    ((gross, paid),) = rows("SELECT sum(price_pnl + dividends + interest), sum(commission + slippage + borrow) FROM sessions")
    found = of_gross(reader(), known.book)
    assert found.gross == pytest.approx(gross) and found.total == pytest.approx(paid)
    page = orders.layout(reader(), {})
    assert tile(page, "Costs of gross P&L")[0] == f"{100 * paid / gross:.1f}\u00a0%"
    assert tile(page, "Orders")[0] == str(len(chosen(executions(reader(), known.book).rows, {})))


def test_contributions_sum_to_the_score_of_everything_the_last_decision_ordered(known, made):
    scored = 0
    for row in made.rows[:40]:
        if not row["decided"]:
            continue
        way = explained(reader(), known.book, row["key"], known.sessions[-1])
        assert (way.symbol, way.order_id, str(way.session)) == (row["symbol"], row["key"], row["decided"])
        if way.score is not None:
            assert math.fsum(step.contribution for step in way.steps if step.contribution is not None) == pytest.approx(way.score, abs=1e-12)
            body = json.loads(journaled("decision", f"{known.book}/{way.session}")["body"])
            line = next(one for one in body["scores"] if one["symbol"] == way.symbol)
            assert (way.score, way.rank) == (line["score"], line["rank"])
            scored += 1
        assert any(row["key"] in line for line in way.story)
        assert {cost.order_id for cost in way.costs} == ({row["key"]} if row["filled"] else set())
    assert scored > 5


def test_the_drawer_shows_the_sum_and_the_command_that_says_the_same(known, made):
    row = next(one for one in made.rows if one["decided"] and one["reason"] == "rebalance")
    page = orders.layout(reader(), {"explain": row["key"]})
    drawer = part(page, "orders-rows-drawer")
    said = texts(drawer)
    way = explained(reader(), known.book, row["key"], known.sessions[-1])
    assert drawer.opened and f"exo why {way.symbol} --date {way.session}" in said
    assert said[said.index("Sum = score") + 1 :][3] == f"{way.score:,.4f}".replace("-", "−")
    assert part(page, "orders-waterfall") is not None


def test_a_name_that_was_not_ordered_is_explained_too(known):
    body = json.loads(journaled("decision", f"{known.book}/{known.sessions[-1]}")["body"])
    held = {line["symbol"] for line in journaled("session", f"{known.book}/{known.sessions[-1]}")["lines"]}
    other = next(line["symbol"] for line in reversed(body["scores"]) if line["symbol"] not in held)
    way = explained(reader(), known.book, other, known.sessions[-1])
    assert way.order_id is None and way.score is not None and other in way.verdict


@pytest.mark.parametrize(("asked", "error"), [("NOSUCH", InputError), ("mx1-" + "0" * 24, InputError)])
def test_what_is_not_known_is_an_answer_with_a_remedy(known, asked, error):
    with pytest.raises(error):
        explained(reader(), known.book, asked, known.sessions[-1])
    said = texts(part(orders.layout(reader(), {"explain": asked}), "orders-rows-drawer"))
    assert any("was not known" in text for text in said) and not any("Traceback" in text for text in said)


def test_a_session_without_a_decision_says_so(tmp_path):
    from tests.reporting.dashboard.serving import booked_workspace, reader_of

    over = reader_of(booked_workspace(tmp_path / "w"))
    book = account_data.booked(over, {}).book
    with pytest.raises(MissingDataError, match="2024-01-02"):
        explained(over, book, "AAA", date(2024, 1, 2))


def test_what_was_withheld_is_what_the_decision_journaled():
    over = reader()
    known = account_data.booked(over, {})
    seen = 0
    for session in known.sessions:
        body = json.loads(journaled("decision", f"{known.book}/{session}")["body"])
        night = account_data.night(over, known.book, session) if body["breaches"] and seen < 5 else None
        if night is not None:
            assert [(one.code, one.who, one.limit, one.value) for one in night.withheld] == [
                (line["code"], line["symbol"], line["limit"], line["value"]) for line in body["breaches"]
            ]
            said = texts(orders.layout(over, {"session": session.isoformat()}))
            assert all((line["symbol"] or "whole book") in said for line in body["breaches"])
            seen += 1
    assert seen > 0


ROW = st.fixed_dictionaries(
    {
        "session": st.dates(date(2024, 1, 1), date(2024, 3, 1)).map(str), "state": st.sampled_from(("filled", "denied", "unknown", "live")),
        "symbol": st.sampled_from("ABC"), "leg": st.booleans(), "filled": st.sampled_from((0, 5)),
    }
)  # fmt: skip
ASKED = st.fixed_dictionaries(
    {}, optional={"since": st.dates(date(2024, 1, 1), date(2024, 3, 1)).map(str), "until": st.dates(date(2024, 1, 1), date(2024, 3, 1)).map(str),
                  "state": st.sampled_from(("filled", "unknown")), "symbol": st.sampled_from("AB"), "legs": st.sampled_from(("1", ""))},
)  # fmt: skip


@given(st.lists(ROW, max_size=30), ASKED)
def test_a_filter_takes_nothing_away_that_it_does_not_name(made, asked):
    found = chosen(made, asked)
    for row in made:
        fits = all(row[name] == asked[name] for name in ("state", "symbol") if asked.get(name))
        fits &= date.fromisoformat(asked.get("since", "1900-01-01")) <= date.fromisoformat(row["session"])
        fits &= date.fromisoformat(row["session"]) <= date.fromisoformat(asked.get("until") or "2100-01-01")
        rests = row["leg"] and not row["filled"] and row["state"] != "unknown"  # what filled or is in doubt is never hidden
        assert (row in found) is (fits and (asked.get("legs") == "1" or not rests))


def test_the_table_is_asked_for_a_page_at_a_time(known):
    found = orders.rows_of(reader(), {"state": "filled"})
    assert [row["key"] for row in found] == [row["key"] for row in chosen(executions(reader(), known.book).rows, {"state": "filled"})]
    assert orders_data.known(math.nan) is None and sample().home.exists()


def test_the_drift_kept_by_the_last_night_is_shown_with_its_age_and_of_its_own_book_alone(tmp_path):
    from datetime import UTC, datetime

    from mech_exo.reporting.drift.values import DriftParts, DriftReport, save

    built = sample()
    home = browser_copy(built, tmp_path / "w").home
    over = Reader(home, lambda: Workspace.open(home), lambda: built.now)
    parts_of = DriftParts(1.0, -20.5, -3.25, 0.0, 0.0, 0.0, 0.75)
    day = date(2026, 1, 5)
    made = DriftReport(str(Workspace.open(home).book_id()), day, day, datetime(2026, 1, 6, 1, 2, tzinfo=UTC), "c", 1e5, 78.0, 100.0, parts_of, (), (), (), ())
    (home / "reports" / "drift.json").unlink(missing_ok=True)
    assert "exo report drift" in texts(orders.layout(over, {}))
    save(made, home / "reports")
    said = texts(orders.layout(over, {}))
    assert "−20.50" in said and "−22.00" in said and any("Made 2026-01-06 01:02 UTC" in text for text in said)
    save(dataclasses.replace(made, book="another/book"), home / "reports")
    assert "exo report drift" in texts(orders.layout(over, {}))
