"""What the store learns too late, or does not know tonight: said, never acted on as if it were known."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mech_exo.assembly import Workspace
from mech_exo.datasource.storage import DataStorage
from mech_exo.execution.reconcile import BreakKind
from mech_exo.kernels.records import EventKind
from tests.session.stage import days, decide_every, play, set_line, stored

NIGHTS = days("2021-06-30", 9)


def test_a_split_that_comes_after_its_night_locks_the_name(sample: Path) -> None:
    first = play(sample, NIGHTS[:4])
    held = first[-1].portfolio.positions
    symbol = min(held)
    late = pl.DataFrame({"symbol": [symbol], "date": [NIGHTS[2]], "kind": ["split"], "value": [2.0]})
    with DataStorage(DataStorage.path_in(sample)) as storage:
        storage.store_corporate_actions(late, source="late")
        storage.publish()
    (night,) = play(sample, NIGHTS[4:5])
    breaks = [found for found in night.gate.breaks if found.symbol == symbol]
    assert [found.kind for found in breaks] == [BreakKind.LATE_ACTION]
    assert str(NIGHTS[2]) in breaks[0].note
    assert symbol in night.gate.locked


def test_a_split_in_time_is_booked_and_locks_nothing(sample: Path) -> None:
    play(sample, NIGHTS[:4])
    workspace = Workspace.open(sample)
    with workspace.ledger(read_only=True) as ledger:
        symbol = ledger.last_session(workspace.book_id()).lines[0].symbol
    due = pl.DataFrame({"symbol": [symbol], "date": [NIGHTS[4]], "kind": ["split"], "value": [2.0]})
    with DataStorage(DataStorage.path_in(sample)) as storage:
        storage.store_corporate_actions(due, source="in time")
        storage.publish()
    nights = play(sample, NIGHTS[4:7])
    assert any(line.symbol == symbol and line.kind == EventKind.SPLIT.name.lower() for line in nights[0].played.events)
    assert all(night.gate.clean for night in nights)


def test_a_held_name_without_a_bar_is_kept_at_a_decision(tmp_path: Path) -> None:
    probe = stored(tmp_path / "probe")
    decide_every(probe, 5)
    symbol = min(play(probe, NIGHTS[:5])[-1].portfolio.positions)

    def without(what: str, frame: pl.DataFrame) -> pl.DataFrame:
        if what != "bars":
            return frame
        return frame.filter(~((pl.col("symbol") == symbol) & (pl.col("date") == NIGHTS[5])))

    home = stored(tmp_path / "w", without)
    decide_every(home, 5)
    nights = play(home, NIGHTS[:6])
    decided = nights[5].decision
    assert decided.scheduled
    held = nights[5].portfolio.shares(symbol)
    target = next(target for target in decided.targets if target.symbol == symbol)
    assert target.wanted == held
    assert target.shares == held or target.binding  # only a limit may cut it, never the want of a bar
    assert target.shares > 0.8 * held


def test_the_ceiling_of_orders_is_a_key_of_the_configuration(sample: Path) -> None:
    set_line(sample / "config" / "risk_limits.yml", "max_orders_per_session: 500", "max_orders_per_session: 7")
    (night,) = play(sample, NIGHTS[:1])
    outcomes = [sent.outcome.value for sent in night.sent]
    assert outcomes.count("live") == 7
    assert outcomes.count("denied") == len(outcomes) - 7 > 0


def test_a_multiplier_for_no_sector_is_said_and_stops_nothing(sample: Path) -> None:
    set_line(sample / "config" / "factors.yml", "sector_adjustments: {}", "sector_adjustments: {Tekhnology: 1.2}")
    (night,) = play(sample, NIGHTS[:1])
    assert any("Tekhnology" in warning for warning in night.decision.warnings)


