"""Live against its replay, in dollars: each cause, brought about on purpose, lands in its own column with the dollars it cost."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mech_exo.assembly import Workspace
from mech_exo.datasource.demo import LABEL
from mech_exo.datasource.storage import DataStorage
from mech_exo.decision.strategy import cost_params
from mech_exo.domain.errors import InputError, MissingDataError
from mech_exo.domain.orders import Order
from mech_exo.execution.broker import Acknowledgement
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.paper import PaperBroker
from mech_exo.execution.rows import Flow, SessionRow
from mech_exo.kernels.records import CostParams
from mech_exo.nightly import reports
from mech_exo.reporting.drift import drift
from mech_exo.reporting.drift.facts import booked
from mech_exo.reporting.drift.values import Cause, DriftReport, headline, load, save
from mech_exo.session import NightResult, run_night
from tests.execution.ledger_rows import BOOK
from tests.execution.ledger_rows import day as figures
from tests.session.stage import days, decide_every, held, market, play, stored

Exo = Callable[..., Any]
NIGHTS = days("2021-06-21", 18)
EVERY = 4
"""The book is decided anew at nights 0, 4, 8, 12, 16: what is done at one of them shows in every later one."""


@pytest.fixture(scope="module")
def unplayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of the sample market. Not to be changed."""
    home = stored(tmp_path_factory.mktemp("drift") / "unplayed")
    decide_every(home, EVERY)
    return home


@pytest.fixture(scope="module")
def begun(unplayed: Path) -> Path:
    """The same, six nights later. Not to be changed."""
    home = unplayed.with_name("begun")
    shutil.copytree(unplayed, home)
    play(home, NIGHTS[:6])
    return home


@pytest.fixture(scope="module")
def undisturbed(begun: Path) -> Path:
    """All nights, with a deposit, and nothing that went wrong. Not to be changed."""
    home = begun.with_name("undisturbed")
    shutil.copytree(begun, home)
    pay(home)
    play(home, NIGHTS[6:])
    return home


@pytest.fixture
def home(begun: Path, tmp_path: Path) -> Path:
    """A copy of the begun workspace, with the same deposit as the undisturbed one."""
    shutil.copytree(begun, tmp_path / "w")
    pay(tmp_path / "w")
    return tmp_path / "w"


def pay(home: Path) -> None:
    workspace = Workspace.open(home)
    with workspace.ledger() as ledger:
        ledger.record_flow(Flow("deposit", workspace.book_id(), NIGHTS[9], 5_000.0))


def report(home: Path, first: date | None = None, last: date | None = None) -> DriftReport:
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        return drift(workspace, ledger, workspace.book_id(), first, last)


def nav(home: Path) -> float:
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        row = ledger.last_session(workspace.book_id())
    assert row is not None and row.session == NIGHTS[-1]
    return row.day.nav


class Disturbed(PaperBroker):
    """A paper broker that refuses orders of ``refused``, and halves those of ``halved``."""

    def __init__(self, ledger: Ledger, workspace: Workspace, costs: CostParams, refused: Sequence[str], halved: Sequence[str]) -> None:
        settings = workspace.config.strategy
        book = workspace.book_id()
        super().__init__(ledger, book, costs=costs, initial_cash=settings.initial_cash, terms=workspace.strategy.terms)
        self.refused, self.halved = refused, halved

    def place(self, order: Order, legs: Sequence[Order] = ()) -> Acknowledgement:
        if order.symbol in self.refused:
            return Acknowledgement(order.id, False, None, "refused for the test")
        answer = super().place(order, legs)
        if order.symbol in self.halved:
            self._column(order.symbol)["order"] = order.shares // 2
        return answer


def disturbed(
    home: Path, nights: Sequence[date], *, slippage: float = 0.0, fee: float = 1.0, refused: Sequence[str] = (), halved: Sequence[str] = ()
) -> list[NightResult]:
    """``nights`` with a broker whose fills cost ``slippage`` (a fraction) more and ``fee`` times the commission."""
    workspace = Workspace.open(home)
    costs = cost_params(workspace.config.strategy.costs)
    costs = costs._replace(
        slippage=costs.slippage + slippage, per_share=costs.per_share * fee, min_order=costs.min_order * fee,
        max_fraction=costs.max_fraction * fee,
    )  # fmt: skip
    with workspace.ledger() as ledger:
        broker = Disturbed(ledger, workspace, costs, refused, halved)
        desks = replace(workspace.desks(ledger), broker=broker, books=broker)
        return [run_night(desks, night) for night in nights]


def check_sums(found: DriftReport, home: Path) -> None:
    """The parts are the drift, each day and in all; live is what the ledger says."""
    for day in found.days:
        assert day.parts.total == pytest.approx(day.drift, abs=1e-9)
        assert day.drift == day.live_pnl - day.replay_pnl
    assert found.parts.total == pytest.approx(found.drift, abs=1e-8)
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        booked = {one.session: one.day for one in ledger.day_history(workspace.book_id())}
    for day in found.days:
        one = booked[day.session]
        assert day.live_pnl == pytest.approx(
            one.price_pnl + one.dividends + one.interest - one.borrow - one.commission - one.slippage, abs=1e-6
        )


def check_alone(found: DriftReport, home: Path, undisturbed: Path, cause: Cause) -> None:
    """Everything that ``home`` lost against the undisturbed book stands under ``cause``, to the cent, and nothing anywhere else."""
    check_sums(found, home)
    lost = nav(home) - nav(undisturbed)
    assert abs(lost) > 1.0, "the disturbance must show"
    parts = asdict(found.parts)
    assert parts.pop(cause.value) == pytest.approx(lost, abs=0.005)
    assert all(abs(value) < 0.005 for value in parts.values()), parts


def test_an_undisturbed_book_has_no_drift(undisturbed: Path) -> None:
    found = report(undisturbed)
    check_sums(found, undisturbed)
    assert found.parts.total == 0.0 and all(day.parts.total == 0.0 and day.apart == 0 for day in found.days)
    assert (found.positions, found.events, found.notes) == ((), (), ())
    assert [day.session for day in found.days] == NIGHTS
    assert found.live_pnl == pytest.approx(nav(undisturbed) - 100_000.0 - 5_000.0, abs=1e-6)
    assert headline(found).endswith("no drift")


def test_a_part_of_it_begins_with_the_books_state_of_that_day(undisturbed: Path) -> None:
    whole, part = report(undisturbed), report(undisturbed, NIGHTS[7], NIGHTS[14])
    assert [day.session for day in part.days] == NIGHTS[7:15]
    assert [day.live_pnl for day in part.days] == [day.live_pnl for day in whole.days[7:15]]
    assert part.parts.total == 0.0 and part.notes == ()


def test_worse_fills(home: Path, undisturbed: Path) -> None:
    disturbed(home, NIGHTS[6:], slippage=0.002)
    found = report(home)
    check_alone(found, home, undisturbed, Cause.PRICE)
    assert found.parts.price < 0.0
    said = [event for event in found.events if event.cause is Cause.PRICE]
    assert said == list(found.events) and all(event.usd is not None and event.usd < 0.0 for event in said)


def test_what_a_fill_cost_by_itself_is_its_worse_price(home: Path) -> None:
    """Before anything is decided on it, the part is the sum of shares × the difference of prices."""
    nights = disturbed(home, NIGHTS[6:10], slippage=0.002)
    found = report(home, NIGHTS[9], NIGHTS[9])
    fills = nights[-1].played.fills if nights[-1].played else ()
    base = cost_params(Workspace.open(home).config.strategy.costs).slippage
    worse = sum(abs(fill.shares) * fill.reference * 0.002 for fill in fills)
    assert base < 0.002 and len(fills) > 3
    assert found.parts.price == pytest.approx(-worse, abs=0.005)
    assert sum(event.usd or 0.0 for event in found.events) == pytest.approx(found.parts.price, abs=0.005)


def test_doubled_commission(home: Path, undisturbed: Path) -> None:
    disturbed(home, NIGHTS[6:], fee=2.0)
    found = report(home)
    check_alone(found, home, undisturbed, Cause.COSTS)
    assert found.parts.costs < 0.0


def test_missed_and_partial_orders(home: Path, undisturbed: Path, begun: Path) -> None:
    names = sorted(held(undisturbed, NIGHTS[10]))
    disturbed(home, NIGHTS[6:], refused=names[::4], halved=names[1::4])
    found = report(home)
    check_alone(found, home, undisturbed, Cause.MISSED)
    said = [event.said for event in found.events]
    assert any("+0 of" in one and "refused for the test" in one for one in said)
    assert any(day.apart for day in found.days) and found.days[5].apart == 0
    assert {position.symbol for position in found.positions} & set(names)


def test_a_night_that_was_not_run(home: Path, undisturbed: Path) -> None:
    play(home, [*NIGHTS[6:8], *NIGHTS[9:]])
    found = report(home)
    check_alone(found, home, undisturbed, Cause.MISSED)
    assert any("not run" in note for note in found.notes)
    assert [event.session for event in found.events if "not run" in event.said] == [NIGHTS[8]]


def test_a_halt_and_a_flattened_name(exo: Exo, home: Path, undisturbed: Path) -> None:
    play(home, NIGHTS[6:10])
    largest = max(held(home).items(), key=lambda pair: pair[1])[0]
    assert exo("flatten", "--symbol", largest, "--yes", "--reason", "test", "--home", home).code == 0
    play(home, NIGHTS[10:13])
    assert exo("resume", "--reason", "test over", "--home", home).code == 0
    play(home, NIGHTS[13:])
    found = report(home)
    check_alone(found, home, undisturbed, Cause.MANUAL)
    assert any(event.symbol == largest and "by the operator" in event.said for event in found.events)
    assert [event.session for event in found.events if event.said.startswith("halted")] == NIGHTS[10:13]


def without(symbol: str, night: date) -> Callable[[str, pl.DataFrame], pl.DataFrame]:
    def change(what: str, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter(~((pl.col("symbol") == symbol) & (pl.col("date") == night))) if what == "bars" else frame

    return change


def deliver(home: Path, symbol: str, night: date) -> None:
    """The bar of ``symbol`` that was missing, now."""
    bars = market().panel.to_frame().filter((pl.col("symbol") == symbol) & (pl.col("date") == night))
    with DataStorage(DataStorage.path_in(home)) as storage:
        assert storage.store_ohlc_data(bars, source=LABEL).new == 1
        storage.publish()


def test_a_bar_that_came_late(tmp_path: Path, undisturbed: Path) -> None:
    """Of a held name, on a night that decides: it is valued, traded and scored without the bar, and with it from the next night on."""
    before, after = held(undisturbed, NIGHTS[7]), held(undisturbed, NIGHTS[9])
    symbol = max((name for name in before if before[name] != after.get(name, 0)), key=lambda name: before[name])
    home = stored(tmp_path / "w", without(symbol, NIGHTS[8]))
    decide_every(home, EVERY)
    pay(home)
    play(home, NIGHTS[:9])
    deliver(home, symbol, NIGHTS[8])
    play(home, NIGHTS[9:])
    found = report(home)
    check_alone(found, home, undisturbed, Cause.LATE_DATA)
    assert [event.session for event in found.events] == [NIGHTS[8]] and "bars" in found.events[0].said
    assert abs(found.days[8].parts.late_data) > 0.01


def test_a_split_that_became_known_too_late(tmp_path: Path) -> None:
    """The price falls by a third, the shares stay, and the stop of before the split sells them: all of it is the split's doing."""
    nights, symbol, split = days("2020-06-01", 8), "SYN019", date(2020, 6, 9)
    assert nights[6] == split

    def ratio(what: str, frame: pl.DataFrame) -> pl.DataFrame:
        there = (pl.col("symbol") == symbol) & (pl.col("date") == split) if what == "bars" else pl.lit(value=False)
        if what != "bars":
            return frame
        assert frame.filter(there)["split_ratio"].to_list() == [1.5]
        return frame.with_columns(split_ratio=pl.when(there).then(1.0).otherwise(pl.col("split_ratio")))

    booked = {}
    for change in (lambda what, frame: frame, ratio):
        home = stored(tmp_path / str(len(booked)), change)
        decide_every(home, EVERY)
        last = play(home, nights)[-1]
        booked[home] = last.day.nav
        assert last.decision is not None and not last.decision.scheduled
    (clean, whole), (home, without_it) = booked.items()
    with DataStorage(DataStorage.path_in(home)) as storage:
        late = pl.DataFrame({"symbol": [symbol], "date": [split], "kind": ["split"], "value": [1.5]})
        storage.store_corporate_actions(late, source=LABEL)
        storage.publish()
    assert report(clean).parts.total == 0.0
    found = report(home)
    check_sums(found, home)
    parts = asdict(found.parts)
    assert without_it - whole < -1.0 and parts.pop("corporate_action") == pytest.approx(without_it - whole, abs=0.005)
    assert all(abs(value) < 0.005 for value in parts.values()), parts
    assert {event.cause for event in found.events} <= {Cause.CORPORATE_ACTION, Cause.LATE_DATA}


def test_several_at_once_still_add_up(exo: Exo, tmp_path: Path, undisturbed: Path) -> None:
    names = sorted(held(undisturbed, NIGHTS[10]))
    home = stored(tmp_path / "w", without(names[2], NIGHTS[4]))
    decide_every(home, EVERY)
    pay(home)
    play(home, NIGHTS[:5])
    deliver(home, names[2], NIGHTS[4])
    disturbed(home, NIGHTS[5:10], slippage=0.001, fee=3.0, refused=names[:1], halved=names[1:2])
    assert exo("flatten", "--symbol", names[3], "--yes", "--reason", "test", "--home", home).code == 0
    disturbed(home, NIGHTS[10:12], slippage=0.001, fee=3.0)
    assert exo("resume", "--reason", "test over", "--home", home).code == 0
    disturbed(home, NIGHTS[12:], slippage=0.001, fee=3.0)
    found = report(home)
    check_sums(found, home)
    assert found.drift == pytest.approx(nav(home) - nav(undisturbed), abs=0.005)
    parts = asdict(found.parts)
    assert abs(parts.pop("residual")) < 0.02 and parts.pop("corporate_action") == 0.0
    assert all(abs(value) > 0.5 for value in parts.values()), parts
    assert {event.cause for event in found.events} == set(Cause) - {Cause.CORPORATE_ACTION}


def test_it_is_kept_in_a_file_and_read_back(home: Path, tmp_path: Path) -> None:
    found = report(home)
    path = save(found, tmp_path)
    assert path.name == "drift.json" and load(tmp_path) == found
    assert load(tmp_path / "elsewhere") is None


def test_nothing_to_explain(unplayed: Path, undisturbed: Path) -> None:
    workspace = Workspace.open(unplayed)
    with Workspace.open(undisturbed).ledger(read_only=True) as ledger:
        book = workspace.book_id()
        with pytest.raises(MissingDataError, match="no session"):
            drift(workspace, ledger, book, date(2030, 1, 2))
        with pytest.raises(InputError, match="begins before it ends"):
            drift(workspace, ledger, book, NIGHTS[3], NIGHTS[2])
        with pytest.raises(MissingDataError, match="none"):
            drift(workspace, ledger, replace(book, strategy="other"))


def test_an_unknown_nav_is_no_drift(tmp_path: Path) -> None:
    first, second = days("2021-06-21", 2)
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        ledger.book_session(SessionRow(BOOK, first, figures(math.nan), ()))
        ledger.book_session(SessionRow(BOOK, second, figures(100.0), ()))
        for wanted in (first, second):  # of the session itself, and of the one it is measured from
            with pytest.raises(MissingDataError, match=f"that of {first} is unknown"):
                booked(ledger, BOOK, wanted)


def test_the_command(exo: Exo, home: Path) -> None:
    ran = exo("report", "drift", "--home", home)
    assert ran.code == 0 and "no drift" in ran.out and "Corporate actions" in ran.out
    assert load(home / "reports") is not None
    ran = exo("report", "drift", "--home", home, "--range", f"{NIGHTS[2]}..{NIGHTS[4]}", "--json")
    data = json.loads(ran.out)
    assert (data["start"], data["end"], len(data["days"])) == (str(NIGHTS[2]), str(NIGHTS[4]), 3)
    kept = load(home / "reports")
    assert kept is not None and kept.start == NIGHTS[0], "a part of the book does not take the place of the whole"
    ran = exo("report", "drift", "--home", home, "--range", "2030-01")
    assert ran.code == 3 and "no session" in ran.err


def test_a_replay_that_takes_too_long_is_given_up_and_what_was_kept_stays(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.open(shutil.copytree(undisturbed, tmp_path / "w"))
    assert reports.keep_drift(workspace) == ()
    before = load(workspace.reports)
    assert before is not None and len(before.days) <= reports.DRIFT_SESSIONS
    monkeypatch.setattr(reports, "DRIFT_PATIENCE", -1.0)
    (said,) = reports.keep_drift(workspace)
    assert "given up" in said and load(workspace.reports) == before
    monkeypatch.setattr(reports, "DRIFT_PATIENCE", 120.0)
    monkeypatch.setattr(reports, "DRIFT_SESSIONS", 2)
    assert reports.keep_drift(workspace) == ()
    last = load(workspace.reports)
    assert last is not None and last.days == before.days[-2:]
