"""`exo execution costs | calibrate` on nights of the paper book, and on the book of an account whose fills contradict the model."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from mech_exo.assembly import Workspace
from mech_exo.domain.orders import Fill, Order, OrderReason
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import BookId, Intent
from mech_exo.execution.trial_rows import Promotion
from tests.cli.conftest import NIGHTS
from tests.conftest import Ran
from tests.execution.ledger_rows import session

Exo = Callable[..., Ran]
ACCOUNT = BookId("DU1234567", "default")


@pytest.fixture
def home(played_home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(played_home, tmp_path / "w"))


@pytest.fixture
def broker_home(market_home: Path, tmp_path: Path) -> Path:
    """80 orders of an account, filled 12 bps off the open with noise, at the tiered commission."""
    home = Path(shutil.copytree(market_home, tmp_path / "b"))
    panel = Workspace.open(home).storage.view().panel()
    first = panel.row_of(NIGHTS[0])
    chance, intents, fills = np.random.default_rng(3), [], []
    alive = np.flatnonzero(~np.isnan(panel.open[first - 30 : first + 12]).any(axis=0))
    for n in range(80):
        row, column = first + n // 10, int(alive[n % len(alive)])
        day, symbol = panel.sessions[row].astype(object), panel.symbols[column]
        shares, open_ = int(chance.choice([-1, 1]) * chance.integers(50, 3000)), float(panel.open[row, column])
        placed = Order(f"mx1-{n}", symbol, shares, day, OrderReason.REBALANCE)
        price = open_ * (1.0 + np.sign(shares) * 12e-4 + 2e-4 * chance.standard_normal())
        intents.append(Intent(placed, float(panel.close[row - 1, column])))
        fee = min(max(0.35, 0.0035 * abs(shares)), 0.01 * abs(shares) * price)
        time = Workspace.open(home).storage.last_recorded()
        assert time is not None
        fills.append(Fill(f"ib-{n}", placed.id, symbol, shares, float(price), fee, day, time, OrderReason.REBALANCE, open_))
    with Ledger.open(default_path(home)) as ledger:
        ledger.plan(intents, ACCOUNT, NIGHTS[0])
        for fill in fills:
            ledger.record_fill(ACCOUNT, fill)
        ledger.book_session(dataclasses.replace(session(NIGHTS[-1]), book=ACCOUNT))
    return home


def test_costs_of_paper_nights_are_those_that_were_booked(exo: Exo, home: Path) -> None:
    said = json.loads(exo("execution", "costs", "--json", "--home", home).out)
    with Ledger.open(default_path(home), read_only=True) as ledger:
        days = [booked.day for booked in ledger.day_history(BookId("paper", "default"))]
        count = len(ledger.fills())
    total = said["total"]
    assert total["fills"] == count > 20 and total["unarrived"] == total["unreported"] == 0
    assert total["slippage"] == pytest.approx(sum(day.slippage for day in days), rel=1e-9)
    assert total["commission"] == pytest.approx(sum(day.commission for day in days), rel=1e-9)
    assert total["delay"] + total["impact"] + total["fees"] == pytest.approx(total["shortfall"], rel=1e-9)
    assert 4.5 < total["slippage_bps"] <= 5.0 + 1e-6, "slippage_bps of the model; a profit target pays none"
    paid = sum(day.slippage + day.commission + day.borrow for day in days)
    assert said["kpi"]["costs"] == pytest.approx(paid) and said["kpi"]["at_most"] == 0.25


@pytest.mark.parametrize("by", ["symbol", "day", "order"])
def test_groups_sum_to_the_whole(exo: Exo, home: Path, by: str) -> None:
    said = json.loads(exo("execution", "costs", "--by", by, "--json", "--home", home).out)
    for name in ("fills", "traded", "shortfall", "slippage"):
        assert sum(row["costs"][name] for row in said["rows"]) == pytest.approx(said["total"][name], rel=1e-9)
    later = json.loads(exo("execution", "costs", "--by", by, "--since", str(NIGHTS[10]), "--json", "--home", home).out)
    assert later["total"]["fills"] < said["total"]["fills"]


def test_costs_a_person_reads(exo: Exo, home: Path) -> None:
    ran = exo("execution", "costs", "--by", "day", "--home", home)
    assert ran.code == 0
    for words in ("Execution of paper/default", "Delay, decision to arrival", "Impact, arrival to fill", "Shortfall", "of gross P&L, booked"):
        assert words in ran.out, words
    assert "No fills" in exo("execution", "costs", "--since", "2040-01-01", "--home", home).out
    assert exo("execution", "costs", "--since", "soon", "--home", home).code == 2


def test_an_empty_workspace_says_what_to_do(exo: Exo, workspace: Path) -> None:
    ran = exo("execution", "costs", "--home", workspace)
    assert ran.code == 3 and "exo run" in ran.err


def test_the_paper_book_calibrates_nothing(exo: Exo, home: Path) -> None:
    ran = exo("execution", "calibrate", "--home", home)
    assert ran.code == 0 and "made by the model itself" in ran.out and "the fills contradict no figure" in ran.out
    few = exo("execution", "calibrate", "--since", str(NIGHTS[-1]), "--home", home)
    assert few.code == 3 and "at least 50 filled market orders" in few.err and "more are needed" in few.err
    before = (home / "config" / "strategy.yml").read_bytes()
    ran = exo("execution", "calibrate", "--write", "--home", home)
    assert ran.code == 2 and "made by the model itself" in ran.err
    assert (home / "config" / "strategy.yml").read_bytes() == before


def test_what_is_proposed_is_written_only_when_asked_and_can_be_taken_back(exo: Exo, broker_home: Path) -> None:
    path = broker_home / "config" / "strategy.yml"
    before = path.read_text()
    said = json.loads(exo("execution", "calibrate", "--json", "--home", broker_home).out)
    found = {one["name"]: one for one in said["calibration"]["estimates"]}
    assert said["calibration"]["orders"] == 80 and said["written"] is None and path.read_text() == before
    slip = found["slippage_bps"]
    assert slip["low"] <= 12.0 <= slip["high"] and slip["present"] == 5.0 and slip["proposed"] == pytest.approx(slip["value"], abs=1e-4)
    assert found["impact"]["low"] <= 0.0 and found["impact"]["proposed"] == 0.0
    assert said["calibration"]["commission"]["proposed"] == "ib_tiered"
    shown = exo("execution", "calibrate", "--home", broker_home).out
    assert "80 market orders" in shown and "--write puts it into strategy.yml" in shown and "DU…567/default" in shown and "DU1234567" not in shown
    ran = exo("execution", "calibrate", "--write", "--home", broker_home)
    assert ran.code == 0, ran.err
    after = path.read_text()
    costs = yaml.safe_load(after)["costs"]
    assert costs["slippage_bps"] == slip["proposed"] and costs["commission"] == "ib_tiered" and costs["impact"] == 0.0
    assert [line.partition("#")[2] for line in after.splitlines()] == [line.partition("#")[2] for line in before.splitlines()]
    with Ledger.open(default_path(broker_home), read_only=True) as ledger:
        (row,) = ledger.rows(Promotion)
        assert row.run_id == "calibration" and {figure.name for figure in row.figures} >= {"slippage_bps", "slippage_bps_error"}
    again = json.loads(exo("execution", "calibrate", "--json", "--home", broker_home).out)
    assert again["proposed"] == {}, "what was written is not contradicted"
    assert exo("backtest", "rollback", "--yes", "--reason", "no", "--home", broker_home).code == 0
    assert path.read_text() == before
