"""A night: once, in order, blind to the next session, obedient to HALT, and what it orders is what risk approved."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mech_exo.assembly import Workspace
from mech_exo.domain.orders import OrderKey, OrderState
from mech_exo.domain.verdict import RiskState
from mech_exo.execution.rows import Flow
from mech_exo.execution.sending import SendOutcome
from mech_exo.utils.calendar import next_session
from tests.session.stage import body, days, decide_every, held, journal, members, play, raw_body, stored

Exo = Callable[..., Any]
NIGHTS = days("2022-01-03", 25)  # two decisions: the first and the 22nd
LONG = days("2021-04-20", 64)  # SYN003 splits on 2021-05-03, SYN002 is delisted on 2021-07-12


@pytest.fixture(scope="module")
def played(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book played through a split and a delisting, decided every 5 sessions. Not to be changed."""
    home = tmp_path_factory.mktemp("played") / "w"
    shutil.copytree(sample_home, home)
    decide_every(home, 5)
    play(home, LONG)
    return home


def test_a_second_run_of_the_same_night_does_nothing(exo: Exo, sample: Path) -> None:
    night = NIGHTS[0]
    assert exo("run", "--date", night, "--home", sample).code == 0
    before, reports = journal(sample), {path: path.stat().st_mtime_ns for path in (sample / "reports").rglob("*")}
    again = exo("run", "--date", night, "--home", sample)
    assert again.code == 0 and f"{night} is booked already: nothing to do" in again.out
    data = json.loads(exo("run", "--date", night, "--home", sample, "--json").out)
    assert data["repeated"] and data["sent"] == data["fills"] == data["reports"] == []
    assert journal(sample) == before
    assert {path: path.stat().st_mtime_ns for path in (sample / "reports").rglob("*")} == reports


def test_a_run_stopped_before_its_reports_writes_the_same_ones_when_it_is_run_again(exo: Exo, sample: Path) -> None:
    assert exo("run", "--date", NIGHTS[0], "--home", sample).code == 0
    folder = sample / "reports" / "daily"
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / f"{NIGHTS[0]}.md").unlink()
    again = json.loads(exo("run", "--date", NIGHTS[0], "--home", sample, "--json").out)
    assert again["repeated"] and len(again["reports"]) == 3
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == written


def test_missed_sessions_are_booked_in_order_and_order_nothing(exo: Exo, sample: Path) -> None:
    first, filled, quiet, later = NIGHTS[0], NIGHTS[1], NIGHTS[2], NIGHTS[3]
    decide_every(sample, 1)
    (opening,) = play(sample, [first])
    ran = exo("run", "--date", later, "--home", sample)
    assert ran.code == 0, ran.err
    for missed in (filled, quiet):
        assert f"{missed} had not been run" in ran.out
    workspace = Workspace.open(sample)
    with workspace.ledger(read_only=True) as ledger:
        book = workspace.book_id()
        assert [row.session for row in ledger.day_history(book)] == [first, filled, quiet, later]
        assert [ledger.decision(book, day) is not None for day in (filled, quiet)] == [False, False]
        assert {row.decided for row in ledger.orders(book)} <= {first, later}
        entries = {row.fill.symbol for row in ledger.fills(book) if row.fill.session == filled and row.fill.shares > 0}
    assert entries == {sent.symbol for sent in opening.sent}, "what was ordered before trades in the missed session"
    refused = exo("why", "SYN001", "--date", quiet, "--home", sample)
    assert refused.code == 3 and "booked later without deciding" in refused.err


def test_in_missed_sessions_the_decided_levels_are_at_work(sample: Path) -> None:
    opening, late = play(sample, [NIGHTS[0], NIGHTS[11]])
    assert late.missed == tuple(NIGHTS[1:11]) and opening.decision is not None
    levels = {order.symbol: order for order in opening.decision.orders}
    workspace = Workspace.open(sample)
    panel = workspace.known(NIGHTS[11]).panel
    with workspace.ledger(read_only=True) as ledger:
        exits = [row.fill for row in ledger.fills(workspace.book_id()) if row.fill.shares < 0 and row.fill.session in late.missed]
    assert {fill.reason.value for fill in exits} >= {"hard_stop"}
    for fill in exits:
        bar = list(panel.sessions.astype(object)).index(fill.session), panel.column_of(fill.symbol)
        order = levels[fill.symbol]
        if fill.reason.value == "hard_stop":
            assert order.stop_level is not None and panel.low[bar] <= order.stop_level
            assert fill.reference == pytest.approx(min(order.stop_level, panel.open[bar]), rel=1e-12)
        else:
            assert fill.reason.value == "profit_target" and order.target_level is not None and panel.high[bar] >= order.target_level


def test_an_earlier_date_is_refused_with_the_next_night(exo: Exo, sample: Path) -> None:
    play(sample, NIGHTS[:2])
    before = journal(sample)
    ran = exo("run", "--date", NIGHTS[0], "--home", sample)
    assert (ran.code, ran.out) == (2, "") and "booked in order" in ran.err
    assert f"exo run --date {NIGHTS[2]}" in ran.err and journal(sample) == before


def test_a_date_that_is_no_session_is_refused(exo: Exo, sample: Path) -> None:
    for command in ("run", "plan"):
        ran = exo(command, "--date", "2022-01-01", "--home", sample)
        assert ran.code == 2 and "2021-12-31, the next 2022-01-03" in ran.err and "Traceback" not in ran.err
    with Workspace.open(sample).ledger() as ledger:
        assert ledger.books() == ()


def test_a_date_without_bars_books_nothing(exo: Exo, sample: Path) -> None:
    """A mistyped year must not turn the years before it into missed sessions."""
    play(sample, NIGHTS[:1])
    before = journal(sample)
    for command in ("run", "plan"):
        ran = exo(command, "--date", "2031-01-03", "--home", sample)
        assert (ran.code, ran.out) == (3, "") and "2031-01-03" in ran.err and "2024-12-31" in ran.err and "exo data import" in ran.err
    assert journal(sample) == before
    assert exo("run", "--date", NIGHTS[1], "--home", sample).code == 0


def test_halt_denies_increases_lets_reductions_pass_and_resume_ends_it(exo: Exo, sample: Path) -> None:
    decide_every(sample, 1)
    members(sample, [(f"SYN{k:03d}", "2019-01-02", "2022-01-05" if k in (2, 3) else None) for k in range(1, 16)])
    play(sample, NIGHTS[:2])
    leaving = {"SYN002", "SYN003"} & set(held(sample))
    assert leaving, held(sample)
    assert exo("halt", "--reason", "odd prices", "--home", sample).code == 0
    (halted,) = play(sample, NIGHTS[2:3])
    assert halted.decision is not None and halted.decision.verdict.state is RiskState.HALTED is halted.day.state
    orders = {order.symbol: order.shares for order in halted.decision.orders}
    assert leaving <= set(orders) and all(shares * held(sample)[symbol] < 0 for symbol, shares in orders.items())
    assert {sent.outcome for sent in halted.sent} == {SendOutcome.LIVE}
    shown = exo("plan", "--date", NIGHTS[2], "--home", sample)
    assert shown.code == 0 and "HALTED" in shown.out
    before = held(sample)
    (still,) = play(sample, NIGHTS[3:4])
    assert set(held(sample)) == set(before) - set(orders) - {f.symbol for f in still.played.fills}  # type: ignore[union-attr]
    assert exo("replay", NIGHTS[2], "--home", sample).code == 0, "a halted night is derived again as halted"
    assert exo("resume", "--reason", "vendor corrected", "--home", sample).code == 0
    (after,) = play(sample, NIGHTS[4:5])
    assert after.decision is not None and after.decision.verdict.state is RiskState.ACTIVE
    assert exo("replay", NIGHTS[2], "--home", sample).code == 0, "and still so after the halt has ended"


def test_a_halt_after_the_decision_denies_the_entries_not_yet_sent(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mech_exo.execution.router import OrderRouter
    from mech_exo.execution.safety import HaltSwitch

    submit = OrderRouter.submit
    monkeypatch.setattr(OrderRouter, "submit", lambda self, session: HaltSwitch(sample).halt("now") and submit(self, session))
    (night,) = play(sample, NIGHTS[:1])
    assert night.decision is not None and night.decision.orders
    assert {sent.outcome for sent in night.sent} == {SendOutcome.DENIED}
    play(sample, NIGHTS[1:2])
    assert held(sample) == {}


def poisons() -> dict[str, Callable[[date, str, pl.DataFrame], pl.DataFrame]]:
    """What may be done to the tables after a night without the night noticing."""
    prices = ["open", "high", "low", "close"]

    known = {"fundamentals": "known_at", "news": "published"}

    def scaled(night: date, what: str, frame: pl.DataFrame) -> pl.DataFrame:
        if what == "fundamentals":
            return frame.with_columns(pl.when(pl.col("known_at").dt.date() > night).then(pl.col("value") * 1000.0).otherwise("value"))
        if what != "bars":
            return frame
        return frame.with_columns(pl.when(pl.col("date") > night).then(pl.col(c) * 1000.0).otherwise(pl.col(c)) for c in prices)

    def deleted(night: date, what: str, frame: pl.DataFrame) -> pl.DataFrame:
        if what in ("bars", "delistings"):
            return frame.filter(pl.col("date") <= night)
        if what == "sectors":
            return frame.filter(pl.col("valid_from") <= night)
        if what in known:
            return frame.filter(pl.col(known[what]).dt.date() <= night)
        members = frame.filter(pl.col("start") <= night)
        return members.with_columns(pl.when(pl.col("end") <= night).then("end"))

    def halved(night: date, what: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Every second company is gone from the next session on, and delisted there for nothing."""
        gone = pl.col("symbol").str.slice(-1).cast(pl.Int64) % 2 == 0
        if what == "bars":
            return frame.filter((pl.col("date") <= night) | ~gone)
        if what != "delistings":
            return frame
        listed = [f"SYN{k:03d}" for k in range(2, 61, 2)]
        kept = frame.filter((pl.col("date") <= night) | ~gone)
        fresh = [s for s in listed if s not in kept["symbol"].to_list()]
        rows = {
            "symbol": fresh,
            "date": [next_session(night)] * len(fresh),
            "kind": ["delisting"] * len(fresh),
            "value": [0.0] * len(fresh),
        }
        return pl.concat([kept, pl.DataFrame(rows, schema=frame.schema)])

    return {"scaled": scaled, "deleted": deleted, "halved": halved}


@pytest.mark.parametrize("kind", ["scaled", "deleted", "halved"])
def test_nothing_after_the_session_is_read(sample_home: Path, tmp_path: Path, kind: str) -> None:
    """All the nights up to D, decided on a store whose bars after D are corrupted, have the same bytes."""
    nights = days("2021-06-25", 12)  # two decisions, the second on the last night; later: delistings, members, splits
    change, last = poisons()[kind], nights[-1]
    clean, poisoned = tmp_path / "clean", tmp_path / "poisoned"
    shutil.copytree(sample_home, clean)
    stored(poisoned, lambda what, frame: change(last, what, frame), facts=True)
    for home in (clean, poisoned):
        decide_every(home, 11)
        play(home, nights)
    assert body(clean, last)["scheduled"] and body(clean, last)["orders"]
    for night in nights:
        assert raw_body(clean, night) == raw_body(poisoned, night), night


def test_deposits_move_the_nav_and_not_the_index(sample_home: Path, tmp_path: Path) -> None:
    days_of = {}
    for name, amount in (("without", 0.0), ("with", 50_000.0)):
        home = tmp_path / name
        shutil.copytree(sample_home, home)
        workspace = Workspace.open(home)
        if amount:
            with workspace.ledger() as ledger:
                ledger.record_flow(Flow("deposit-1", workspace.book_id(), NIGHTS[0], amount, "savings"))
                ledger.record_flow(Flow("withdrawal-1", workspace.book_id(), NIGHTS[8], -20_000.0))
        days_of[name] = [result.day for result in play(home, NIGHTS[:10])]
    first, alone, taken = days_of["with"][0], days_of["without"][0], days_of["with"][8]
    assert (first.flow, first.nav, first.index) == (50_000.0, alone.nav + 50_000.0, 1.0)
    before = days_of["with"][7]
    assert taken.flow == -20_000.0
    assert taken.index / before.index == pytest.approx((taken.nav - taken.flow) / before.nav, rel=1e-12)


def test_a_deposit_on_a_weekend_counts_at_the_next_open(sample: Path) -> None:
    workspace = Workspace.open(sample)
    with workspace.ledger() as ledger:
        ledger.record_flow(Flow("saturday", workspace.book_id(), date(2022, 1, 8), 1_234.5))
    assert [night.day.flow for night in play(sample, NIGHTS[3:7])] == [0.0, 0.0, 1_234.5, 0.0], "the 6th, 7th, 10th and 11th"


def test_a_delisted_holding_is_paid_out_and_leaves_the_book(played: Path) -> None:
    gone = date(2021, 7, 12)
    before, after = max(day for day in LONG if day < gone), gone
    assert held(played, before)["SYN002"] > 0 and "SYN002" not in held(played, after)
    workspace = Workspace.open(played)
    with workspace.ledger(read_only=True) as ledger:
        (fill,) = [row.fill for row in ledger.fills(workspace.book_id(), since=gone) if row.fill.symbol == "SYN002"]
    assert (fill.reason.value, fill.shares, fill.price) == ("delisted", -held(played, before)["SYN002"], 111.23)
    for night in (day for day in LONG if day >= gone):
        found = body(played, night)
        assert "SYN002" not in {line["symbol"] for line in (*found["orders"], *found["levels"], *found["targets"])}


def test_orders_carry_deterministic_ids(played: Path) -> None:
    workspace = Workspace.open(played)
    with workspace.ledger(read_only=True) as ledger:
        rows = ledger.orders(workspace.book_id())
    assert len(rows) > 60
    for row in rows:
        order = row.order
        assert order.id == OrderKey("paper", "default", order.session, order.symbol, order.side, order.reason.value).id()
        assert order.session == next_session(row.decided)
        assert (row.state, row.sends) in ((OrderState.FILLED, 1), (OrderState.LIVE, 1), (OrderState.EXPIRED, 1)), row
    assert len({row.order.id for row in rows}) == len(rows)


def test_a_holding_that_leaves_the_universe_is_sold_at_the_next_decision(sample: Path) -> None:
    decide_every(sample, 4)
    members(sample, [(f"SYN{k:03d}", "2019-01-02", "2022-01-06" if k == 3 else None) for k in range(1, 16)])
    nights = play(sample, NIGHTS[:6])  # decided on the 3rd and the 7th of January; SYN003 is out from the 6th on
    bought = nights[0].decision
    assert bought is not None and "SYN003" in {order.symbol for order in bought.orders}
    assert "SYN003" in held(sample, NIGHTS[4]), "kept until the book is decided anew"
    sold = nights[4].decision
    assert sold is not None and sold.scheduled
    (order,) = [order for order in sold.orders if order.symbol == "SYN003"]
    assert order.shares == -held(sample, NIGHTS[4])["SYN003"] and body(sample, NIGHTS[4])["excluded"]["SYN003"]
    assert "SYN003" not in held(sample, NIGHTS[5])


def test_names_without_a_sector_are_not_bought(tmp_path: Path) -> None:
    """The same market, but the sector of ten names is not known: an unknown sector denies."""
    unknown = {"SYN023", "SYN043", "SYN002", "SYN037", "SYN032", "SYN052", "SYN005", "SYN025", "SYN057", "SYN003"}

    def forget(what: str, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter(~pl.col("symbol").is_in(sorted(unknown))) if what == "sectors" else frame

    night = date(2021, 6, 30)  # on which these ten are the ten best
    (result,) = play(stored(tmp_path / "w", forget), [night])
    assert result.decision is not None and result.decision.orders
    assert not unknown & {order.symbol for order in result.decision.orders}
    assert {line["symbol"] for line in body(tmp_path / "w", night)["scores"][:10]} == unknown, "they are the best all the same"


def test_no_order_goes_beyond_what_risk_approved(played: Path) -> None:
    checked: Counter[str] = Counter()
    for night in LONG:
        found, have = body(played, night), held(played, night)
        approved = {line["symbol"]: line for line in found["targets"]}
        for order in found["orders"]:
            before, target = have.get(order["symbol"], 0), approved.get(order["symbol"])
            after = before + order["shares"]
            allowed = 0 if target is None else target["shares"]
            if order["reason"] == "governor":  # a share of every position, whatever is wanted of it
                assert 0 <= after * before < before * before, (night, order, before)
            else:
                assert after == allowed if order["reason"] == "rebalance" else after == 0, (night, order, before, target)
            assert abs(allowed) <= max(abs(target["wanted"]), abs(before)) if target else True
            checked[order["reason"]] += 1
        assert sum(abs(line["weight"]) for line in found["targets"] if line["weight"]) <= 1.5
        assert all(abs(line["weight"]) <= 0.10 for line in found["targets"] if line["weight"])
    assert checked["rebalance"] > 50


def test_fills_and_splits_add_up_to_the_positions(played: Path) -> None:
    workspace = Workspace.open(played)
    panel = workspace.known(LONG[-1]).panel
    with workspace.ledger(read_only=True) as ledger:
        book = workspace.book_id()
        fills = ledger.fills(book)
        lines = {night: held(played, night) for night in LONG}
        cash = {row.session: row.day.cash for row in ledger.day_history(book)}
    have: dict[str, int] = {}
    split = 0
    for night in LONG:
        row = list(panel.sessions.astype(object)).index(night)
        for symbol, shares in list(have.items()):
            ratio = panel.split_ratio[row, panel.column_of(symbol)]
            if ratio != 1.0:
                split, have[symbol] = split + 1, int(shares * ratio)
        for line in fills:
            if line.fill.session == night:
                have[line.fill.symbol] = have.get(line.fill.symbol, 0) + line.fill.shares
        have = {symbol: shares for symbol, shares in have.items() if shares}
        assert have == lines[night], night
    assert split == 1 and len(cash) == len(LONG)
