"""`exo risk status` and `exo risk what-if` from their outermost edge: without a workspace, with one, with a paper book."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from mech_exo.domain.orders import OrderReason
from mech_exo.domain.verdict import RiskState
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import BookId, BookLine, DayFigures, SessionRow
from mech_exo.execution.safety import HaltSwitch
from mech_exo.risk.usage import LABELS

BOOK = BookId("paper", "default")
SESSIONS = (date(2024, 5, 2), date(2024, 5, 3), date(2024, 5, 6))


def line(symbol, shares, mark, entry, stop=math.nan, age=1):
    return BookLine(
        symbol, shares, mark, 0, entry, max(entry, mark), age, math.nan, stop, math.nan, OrderReason.HARD_STOP, 0.0, OrderReason.NONE,
        math.nan, math.nan, OrderReason.NONE, math.nan, entry,
    )  # fmt: skip


def day(nav, index, cash, flow=0.0):
    return DayFigures(nav, index, cash, nav - cash, 0.0, flow, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, RiskState.ACTIVE)


def booked(home, lines, cash, *, earlier=((100_000.0, 1.0), (110_000.0, 1.1)), index=1.056, flow=0.0, scale=1.0):
    """Two earlier closes, then one with ``lines``."""
    nav = cash + sum(x.shares * x.mark for x in lines)
    with Ledger.open(default_path(home)) as ledger:
        for session, (before, grown) in zip(SESSIONS, earlier, strict=False):
            ledger.book_session(SessionRow(BOOK, session, day(before, grown, before), ()))
        ledger.book_session(SessionRow(BOOK, SESSIONS[-1], replace(day(nav, index, cash, flow), scale=scale), tuple(lines)))
    return nav


def imported(home, prices, sectors):
    """A published store with a bar of each session and sectors."""
    from mech_exo.datasource.storage import DataStorage

    rows = [{"symbol": s, "date": d, **dict.fromkeys(("open", "high", "low", "close"), p), "volume": 1e6} for s, p in prices.items() for d in SESSIONS]
    with DataStorage(home / "data" / "mech_exo.duckdb") as storage:
        storage.store_ohlc_data(pl.DataFrame(rows))
        storage.store_sectors(pl.DataFrame([{"symbol": s, "sector": x, "valid_from": SESSIONS[0]} for s, x in sectors.items()]))
        storage.publish()


@pytest.fixture
def at_level(workspace):
    """A workspace whose stops are taken to fill at their level: three sessions of bars tell no overnight gaps."""
    path = workspace / "config" / "risk_limits.yml"
    text = path.read_text()
    assert "gap_stress: 0.99" in text
    path.write_text(text.replace("gap_stress: 0.99", "gap_stress: null"))
    return workspace


def test_the_users_own_command_works_without_any_workspace(tmp_path):
    words = [sys.executable, "-m", "mech_exo.cli", "risk", "status", "--nav", "100000"]
    root = str(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    ran = subprocess.run(words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for label in LABELS.values():
        assert label in " ".join(ran.stdout.split())
    assert "100,000.00 USD" in ran.stdout and "150,000" in ran.stdout
    assert "has no config folder: the built-in default limits apply" in " ".join(ran.stdout.split())
    assert "active" in ran.stdout and list(tmp_path.iterdir()) == [], "looking makes nothing"


def test_an_empty_workspace_with_a_nav(exo, workspace):
    ran = exo("risk", "status", "--nav", 100000, "--home", workspace, "--json")
    data = json.loads(ran.out)
    assert ran.code == 0 and data["nav"] == 100_000 and data["state"] == "active"
    assert data["drawdown"] == 0.0, "the account begins here: it has nothing to have fallen from"
    assert [u["code"] for u in data["limits"]] == [code.value for code in LABELS]
    assert {u["code"]: u["headroom"] for u in data["limits"]}["max_gross_exposure"] == 150_000
    assert not any("config folder" in note for note in data["notes"])
    with_peak = json.loads(exo("risk", "status", "--nav", 95000, "--peak", 100000, "--home", workspace, "--json").out)
    assert with_peak["state"] == "active" and with_peak["drawdown"] == pytest.approx(0.05)


def test_without_a_nav_or_a_book_it_says_what_to_do(exo, workspace):
    ran = exo("risk", "status", "--home", workspace)
    assert ran.code == 2 and "risk needs a NAV" in ran.err and "--nav 100000" in ran.err and ran.out == ""


@pytest.mark.parametrize("nav", ["0", "-1", "nan", "inf", "many"])
def test_an_impossible_nav_is_refused(exo, workspace, nav):
    ran = exo("risk", "status", "--nav", nav, "--home", workspace)
    assert ran.code == 2 and "--nav" in ran.err and "Traceback" not in ran.err


def test_a_broken_limit_is_exit_code_2(exo, workspace):
    assert exo("risk", "status", "--nav", 80000, "--peak", 100000, "--home", workspace).code == 2
    assert "broken: max_drawdown is 20.00%" in exo("risk", "status", "--nav", 80000, "--peak", 100000, "--home", workspace).out


def test_the_paper_book_is_measured_with_the_stores_sectors(exo, workspace):
    nav = booked(workspace, [line("AAA", 90.0, 100.0, 90.0, stop=76.5), line("BBB", -40.0, 50.0, 55.0)], 98_600.0)
    imported(workspace, {"AAA": 100.0, "BBB": 50.0, "CCC": 20.0}, {"AAA": "Tech", "BBB": "Energy", "CCC": "Tech"})
    ran = exo("risk", "status", "--home", workspace, "--json")
    data = json.loads(ran.out)
    assert nav == 105_600.0 and (data["nav"], data["cash"]) == (nav, 98_600.0)
    assert data["source"] == "book paper/default at the close of 2024-05-06" and data["as_of"] == "2024-05-06"
    assert data["drawdown"] == pytest.approx(1 - 1.056 / 1.1) and data["state"] == "active"
    held = {p["symbol"]: p for p in data["positions"]}
    assert (held["AAA"]["sector"], held["BBB"]["sector"], held["BBB"]["shares"]) == ("Tech", "Energy", -40)
    assert held["AAA"]["at_risk"] == pytest.approx(90 * 23.5) and held["BBB"]["at_risk"] == pytest.approx(40 * 12.5)
    assert ran.code == 2 and [v["code"] for v in data["violations"]] == ["max_single_trade_risk"]  # 2,115 of at most 2,112
    shown = exo("risk", "status", "--home", workspace).out
    assert "AAA" in shown and "76.50" in shown and "broken: max_single_trade_risk of AAA" in shown


def test_deposits_are_no_drawdown_and_no_gain(exo, workspace):
    """50,000 came in while the time-weighted index fell by 4 %: the drawdown is 4 %."""
    booked(workspace, [], 155_600.0, flow=50_000.0)
    data = json.loads(exo("risk", "status", "--home", workspace, "--json").out)
    assert data["nav"] == 155_600.0 and data["drawdown"] == pytest.approx(1 - 1.056 / 1.1)


def test_the_first_session_has_no_drawdown(exo, workspace):
    booked(workspace, [], 100_000.0, earlier=(), index=1.0)
    data = json.loads(exo("risk", "status", "--home", workspace, "--json").out)
    assert data["drawdown"] == 0.0 and data["state"] == "active"


def test_without_a_store_sectors_are_unknown_and_that_is_said(exo, workspace):
    booked(workspace, [line("AAA", 10.0, 100.0, 90.0)], 100_000.0)
    data = json.loads(exo("risk", "status", "--home", workspace, "--json").out)
    assert {u["code"]: u["status"] for u in data["limits"]}["max_sector_exposure"] == "unknown"
    assert any("sectors are unknown" in note for note in data["notes"])
    assert any("sector of AAA is unknown" in note for note in data["notes"])


def test_a_given_nav_replaces_the_books_own(exo, workspace):
    booked(workspace, [line("AAA", 90.0, 100.0, 90.0)], 96_600.0)
    data = json.loads(exo("risk", "status", "--nav", 60000, "--home", workspace, "--json").out)
    assert data["nav"] == pytest.approx(60_000.0) and data["gross_exposure"] == 9_000.0
    assert any("the book's own is 105,600.00" in note for note in data["notes"])
    assert "max_position" in {v["code"] for v in data["violations"]}
    assert data["drawdown"] == pytest.approx(1 - 105_600 / 110_000)  # the book's own: nothing was lost by stating another NAV


def test_a_halt_is_seen(exo, at_level):
    booked(at_level, [], 105_600.0)
    HaltSwitch(at_level).halt("fire drill")
    data = json.loads(exo("risk", "status", "--home", at_level, "--json").out)
    assert data["state"] == "halted" and "halted: fire drill" in data["notes"]
    ran = exo("risk", "what-if", "BUY 10 AAA", "--price", 10, "--sector", "Tech", "--home", at_level, "--json")
    assert ran.code == 2 and json.loads(ran.out)["binding"] == "halted"


def what_if(exo, home, *words):
    ran = exo("risk", "what-if", *words, "--home", home, "--json")
    return ran.code, json.loads(ran.out)


def test_what_if_is_cut_with_its_code(exo, at_level):
    code, data = what_if(exo, at_level, "BUY 100 AAPL", "--price", 150, "--sector", "Tech", "--nav", 100000, "--peak", 100000)
    assert (code, data["approved_shares"], data["binding"], data["approved_in_full"]) == (2, 66, "max_position", False)
    assert {"max_position", "max_single_trade_risk"} == {b["code"] for b in data["breaches"]}
    shown = exo("risk", "what-if", "BUY", "100", "AAPL", "--price", 150, "--sector", "Tech", "--nav", 100000, "--peak", 100000, "--home", at_level)
    assert "BUY 100 AAPL: 66 of 100 approved (max_position)" in shown.out and "the position would be 15% of NAV, 10% of NAV is allowed (max_position)" in shown.out


def test_what_if_denies_what_nobody_knows_the_gaps_of(exo, workspace):
    arguments = ("BUY 60 AAPL", "--price", 150, "--sector", "Tech", "--nav", 100000, "--peak", 100000)
    code, data = what_if(exo, workspace, *arguments)
    assert (code, data["approved_shares"], data["binding"]) == (2, 0, "unknown_risk")
    shown = exo("risk", "what-if", *arguments, "--home", workspace).out
    rule = "its stop may lose 0.02 of NAV after an overnight gap (max_single_trade_risk, gap_stress) and its gaps are unknown"
    assert rule in " ".join(shown.split()) and "give --gap 0.08 for 8%" in " ".join(shown.split())


def test_status_shows_what_is_asked_of_orders_alone(exo, at_level):
    path = at_level / "config" / "risk_limits.yml"
    text = path.read_text()
    assert "max_orders_per_minute: null" in text and "shorts: any" in text
    path.write_text(text.replace("max_orders_per_minute: null", "max_orders_per_minute: 7").replace("shorts: any", "shorts: never"))
    shown = " ".join(exo("risk", "status", "--nav", 100000, "--home", at_level).out.split())
    assert "asked of each order: no limit; short selling: never" in shown and "sent at most: 500 orders a session, 7 orders a minute" in shown


def test_what_if_is_told_the_gap(exo, workspace):
    """Stop at 127.50: after a gap of 8 % it fills at 117.30, 32.70 a share; of 66 shares 2,158 USD, above 2 % of NAV: 61 pass."""
    arguments = ("BUY 100 AAPL", "--price", 150, "--sector", "Tech", "--nav", 100000)
    code, data = what_if(exo, workspace, *arguments, "--gap", 0.08)
    assert (code, data["approved_shares"], data["binding"]) == (2, 61, "max_single_trade_risk")
    risk = next(line for line in data["limits"] if line["code"] == "max_single_trade_risk" and line["who"] == "AAPL")
    assert risk["after"] == pytest.approx(61 * 32.70 / 100_000)
    assert what_if(exo, workspace, *arguments, "--gap", 0)[1]["approved_shares"] == 66
    ran = exo("risk", "what-if", *arguments, "--gap", -0.1, "--home", workspace)
    assert ran.code == 2 and "--gap must be a fraction of at least 0; got -0.1" in ran.err


def test_the_governor_leaves_what_if_and_status_less_gross_exposure(exo, at_level):
    """At a share of 0.05 of 150 %: 7.5 % of NAV, where a position alone might have 10 %."""
    booked(at_level, [], 100_000.0, scale=0.05)
    data = json.loads(exo("risk", "status", "--home", at_level, "--json").out)
    assert next(line for line in data["limits"] if line["code"] == "max_gross_exposure")["limit"] == pytest.approx(0.075)
    _, data = what_if(exo, at_level, "BUY 100 AAPL", "--price", 150, "--sector", "Tech")
    assert (data["approved_shares"], data["binding"]) == (50, "governor")


def test_what_if_within_the_limits_is_approved_in_full(exo, at_level):
    code, data = what_if(exo, at_level, "buy 60 aapl", "--price", 150, "--sector", "Tech", "--nav", 100000, "--peak", 100000)
    assert (code, data["approved_shares"], data["binding"], data["order"]["symbol"]) == (0, 60, None, "AAPL")


def test_what_if_denies_the_unknown(exo, at_level):
    arguments = ("BUY 100 AAPL", "--nav", 100000)
    assert what_if(exo, at_level, *arguments, "--sector", "Tech")[1]["binding"] == "unknown_price"
    assert what_if(exo, at_level, *arguments, "--price", 150)[1]["binding"] == "unknown_sector"
    _, data = what_if(exo, at_level, *arguments, "--price", 150, "--sector", "Tech", "--peak", 150000)
    assert (data["approved_shares"], data["binding"], data["state"]) == (0, "max_drawdown", "reducing")


def test_what_if_reads_price_and_sector_from_the_store_and_reductions_pass(exo, at_level):
    booked(at_level, [line("AAA", 90.0, 100.0, 90.0)], 96_600.0)
    imported(at_level, {"AAA": 100.0, "CCC": 20.0}, {"AAA": "Tech", "CCC": "Tech"})
    code, data = what_if(exo, at_level, "BUY 100 CCC")
    assert (code, data["order"]["price"], data["order"]["sector"], data["approved_shares"]) == (0, 20.0, "Tech", 100)
    assert what_if(exo, at_level, "SELL 90 AAA")[1]["approved_shares"] == -90
    HaltSwitch(at_level).halt("drill")
    assert what_if(exo, at_level, "SELL 50 AAA")[0] == 0


def test_what_if_denies_what_the_night_would_for_the_data(exo, at_level):
    """Bars without volume: the gate blocks the name, which may still be sold."""
    booked(at_level, [line("AAA", 90.0, 100.0, 90.0)], 96_600.0)
    rows = [{"symbol": s, "date": d, **dict.fromkeys(("open", "high", "low", "close"), 20.0), "volume": 0.0} for s in ("AAA", "CCC") for d in SESSIONS]
    path = at_level / "rows.csv"
    pl.DataFrame(rows).write_csv(path)
    assert exo("data", "import", path, "--home", at_level).code in (0, 1)
    code, data = what_if(exo, at_level, "BUY 100 CCC", "--sector", "Tech")
    assert (code, data["approved_shares"], data["binding"]) == (2, 0, "data_quality")
    assert any("the data of CCC are in doubt: zero_volume at" in note for note in data["notes"])
    shown = exo("risk", "what-if", "BUY", "100", "CCC", "--sector", "Tech", "--home", at_level)
    assert "CCC: its data are in doubt (exo data quality)" in shown.out
    assert what_if(exo, at_level, "SELL 90 AAA")[1]["approved_shares"] == -90


@pytest.mark.parametrize("words", ["", "BUY AAPL", "BUY 0 AAPL", "BUY -5 AAPL", "BUY 1.5 AAPL", "HOLD 5 AAPL", "BUY 5 AAPL now"])
def test_an_order_that_cannot_be_read(exo, workspace, words):
    ran = exo("risk", "what-if", words, "--price", 10, "--nav", 100000, "--home", workspace)
    assert ran.code == 2 and "an order reads BUY or SELL" in ran.err and 'what-if "BUY 100 AAPL"' in ran.err


def test_an_impossible_price_is_refused(exo, workspace):
    ran = exo("risk", "what-if", "BUY 5 AAPL", "--price", 0, "--nav", 100000, "--home", workspace)
    assert ran.code == 2 and "--price must be above 0" in ran.err


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A workspace with 300 sessions of three names and a book of them at the last close: (home, closes by symbol)."""
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.utils import calendar

    home = tmp_path_factory.mktemp("measured")
    sessions = calendar.sessions(date(2023, 1, 3), date(2024, 5, 8))[-300:].astype(object).tolist()
    rng = np.random.default_rng(7)
    moves = 0.01 * rng.standard_normal((300, 1)) + 0.01 * rng.standard_normal((300, 3))
    closes = dict(zip(("AAA", "BBB", "CCC"), (100.0 * np.exp(np.cumsum(moves, axis=0))).T, strict=True))
    rows = [
        {"symbol": s, "date": d, **dict.fromkeys(("open", "high", "low", "close"), p), "volume": 1e4 * (1 + k % 3)}
        for s, path in closes.items()
        for k, (d, p) in enumerate(zip(sessions, path, strict=True))
    ]
    with DataStorage(home / "data" / "mech_exo.duckdb") as storage:
        storage.store_ohlc_data(pl.DataFrame(rows))
        sectors = {"AAA": "Tech", "BBB": "Energy", "CCC": "Tech"}
        storage.store_sectors(pl.DataFrame([{"symbol": s, "sector": x, "valid_from": sessions[0]} for s, x in sectors.items()]))
        storage.publish()
    held = [line("AAA", 60.0, closes["AAA"][-1], 90.0, stop=70.0), line("BBB", -50.0, closes["BBB"][-1], 55.0)]
    cash = 100_000.0 - sum(x.shares * x.mark for x in held)
    with Ledger.open(default_path(home)) as ledger:
        ledger.book_session(SessionRow(BOOK, sessions[-2], day(104_000.0, 1.04, 104_000.0), ()))
        ledger.book_session(SessionRow(BOOK, sessions[-1], day(100_000.0, 1.0, cash), tuple(held)))
    return home, closes


def test_what_the_book_risks_is_measured_on_the_stores_bars(exo, measured):
    home, closes = measured
    ran = exo("risk", "status", "--home", home, "--json")
    data = json.loads(ran.out)
    values = np.array([60.0 * closes["AAA"][-1], -50.0 * closes["BBB"][-1]])
    returns = np.column_stack([closes[s][-252:] / closes[s][-253:-1] - 1.0 for s in ("AAA", "BBB")])
    pnl = returns @ values
    assert data["risk"]["volatility_ann"] == pytest.approx(np.std(pnl, ddof=1) * math.sqrt(252.0), rel=1e-9)
    assert data["risk"]["value_at_risk"] == pytest.approx(-np.quantile(pnl, 0.05), rel=1e-9) and data["risk"]["unknown"] == {}
    assert sum(p["component"] for p in data["positions"]) == pytest.approx(data["risk"]["volatility_ann"])
    assert data["drawdown"] == pytest.approx(1.0 - 1.0 / 1.04) == data["all_time_drawdown"]
    assert data["session_return"] == pytest.approx(1.0 / 1.04 - 1.0) and data["governor_share"] == 1.0
    lines = {s["scenario"]: s for s in data["stress"]}
    assert lines["1987-like gap"]["pnl"] is not None and lines["2020-03"]["basis"].startswith("beta ×") and lines["2020-03"]["unmeasured"] == []
    assert lines["sector -30 %"]["detail"] == "Tech" and lines["sector -30 %"]["pnl"] == pytest.approx(-0.3 * values[0])


def test_the_status_a_person_reads(exo, measured):
    home, _ = measured
    shown = " ".join(exo("risk", "status", "--home", home).out.split())
    for words in (
        "Drawdown 3.85% from the 12-month peak, 3.85% from the all-time peak; last session -3.85%", "governor 100% of full exposure",
        "What the book risks, by the last 252 sessions", "Stress: the book as it is. No stop is counted: in a gap it fills at the open",
        "beta × −20.0 % (2)", "sector -30 % (Tech)", "off: ", "without offsets USD", "component",
    ):  # fmt: skip
        assert words in shown, words


def test_what_if_shows_what_moves_and_the_room(exo, measured):
    home, closes = measured
    code, data = what_if(exo, home, "BUY 20 CCC")
    assert code == 0 and data["headroom"]["code"] in ("max_position", "max_sector_exposure", "max_single_trade_risk")
    moved = {(x["code"], x["who"]): (x["before"], x["after"]) for x in data["limits"]}
    nav, more = 100_000.0, 20 * closes["CCC"][-1]
    assert moved["max_position", "CCC"] == (0.0, pytest.approx(more / nav))
    assert moved["max_sector_exposure", "Tech"] == (pytest.approx(60 * closes["AAA"][-1] / nav), pytest.approx((60 * closes["AAA"][-1] + more) / nav))
    assert ("max_position", "AAA") not in moved and ("max_drawdown", None) not in moved
    shown = exo("risk", "what-if", "BUY 20 CCC", "--home", home).out
    assert "more before" in shown and "Limits it moves" in shown


def test_what_if_of_far_too_much_is_read_at_a_glance(exo, measured):
    home, _ = measured
    code, data = what_if(exo, home, "BUY 100000 CCC")
    assert code == 2 and any(line["who"] == "BBB" for line in data["limits"])
    shown = " ".join(exo("risk", "what-if", "BUY 100000 CCC", "--home", home).out.split())
    assert "of 100,000 approved" in shown and "other positions would pay for this order" in shown
    assert "lines of other names and sectors, all ok" in shown and "Single position │ BBB" not in shown
    ran = exo("risk", "what-if", f"BUY {10**21} CCC", "--home", home)
    assert ran.code == 2 and "at most 1,000,000,000 shares" in ran.err
    assert "the unknown price binds" in exo("risk", "what-if", "BUY 5 NOSUCH", "--home", home).out
