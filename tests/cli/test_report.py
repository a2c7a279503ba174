"""``exo report``: what the ledger says, on screen, as JSON and as files; every mistake with its remedy."""

from __future__ import annotations

import json
import webbrowser

import numpy as np
import polars as pl
import pytest

from mech_exo.assembly import Workspace
from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.panel import Universe
from mech_exo.execution.ledger import Ledger
from mech_exo.performance.trading import exposure
from mech_exo.reporting.account import account_record
from mech_exo.reporting.query import choose_book
from tests.reporting.nights import ONE, TWO, fill_ledger


@pytest.fixture
def booked(workspace):
    """A workspace with two booked sessions and no market data."""
    (workspace / "data").mkdir(exist_ok=True)
    with Ledger.open(workspace / "data" / "ledger.sqlite") as ledger:
        fill_ledger(ledger)
    return workspace


def add_bars(home):
    rows = [
        {"symbol": symbol, "date": on, "open": 100.0, "high": 111.0, "low": 99.0, "close": 110.11, "volume": 1e6}
        for symbol in ("AAA", "BBB")
        for on in (ONE, TWO)
    ]
    with DataStorage(home / "data" / "mech_exo.duckdb") as storage:
        storage.store_ohlc_data(pl.DataFrame(rows))
        storage.publish()


def test_daily_writes_three_files_and_prints_json_alone(exo, booked):
    ran = exo("report", "daily", "--json", "--home", booked)
    assert ran.code == 0, ran.err
    data = json.loads(ran.out)
    assert data["session"] == "2024-01-03" and data["money"]["nav"] == 101_000.0
    assert {line["name"]: line["value"] for line in data["limits"]}["Sector"] is None
    for kind in ("html", "json", "md"):
        assert (booked / "reports" / "daily" / f"2024-01-03.{kind}").is_file()


def test_daily_of_a_date_for_a_person(exo, booked):
    ran = exo("report", "daily", "--date", "2024-01-02", "--home", booked)
    assert ran.code == 0 and "no decision was journaled" in ran.out and "2024-01-02.html" in ran.out.replace("\n", "")


def test_daily_opens_the_page_or_says_that_it_cannot(exo, booked, tmp_path, monkeypatch):
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\necho "$@" > {seen}\n')
    browser.chmod(0o755)
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    webbrowser.register("a test's", None, webbrowser.GenericBrowser(str(browser)), preferred=True)
    page = booked / "reports" / "daily" / "2024-01-03.html"
    assert exo("report", "daily", "--open", "--home", booked).code == 0
    assert seen.read_text().strip() == page.absolute().as_uri()
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    page.unlink()
    ran = exo("report", "daily", "--open", "--home", booked)
    assert ran.code == 2 and "--open needs a browser" in ran.err and page.is_file()


def test_performance_measures_the_account(exo, booked):
    add_bars(booked)
    ran = exo("report", "performance", "--json", "--home", booked)
    assert ran.code == 0, ran.err
    data = json.loads(ran.out)
    m = data["metrics"]
    assert m["total_return"] == pytest.approx(0.01) and (m["orders"], m["fills"], m["open_trades"], m["trades"]) == (2, 1, 1, 0)
    assert m["win_rate"] is None and data["kpi"]["whole_period"]["sharpe"]["verdict"] == "not enough data"
    said = json.loads(exo("report", "daily", "--json", "--home", booked).out)["warnings"]
    assert said and set(said) <= set(data["warnings"])
    page = (booked / "reports" / "performance.html").read_text()
    assert "Account paper" in page and "all of it is out of sample" in page and "an account&#39;s P&amp;L is not attributed to factors" in page
    assert exo("report", "performance", "--home", booked).code == 0


def test_what_an_account_holds_adds_up_to_its_exposure_and_has_its_sectors(booked):
    add_bars(booked)
    workspace = Workspace.open(booked)
    known = workspace.known()
    sector = np.zeros(known.panel.shape, np.int16)
    universe = Universe(np.ones(known.panel.shape, np.bool_), sector, ("Energy",))
    with workspace.ledger(read_only=True) as ledger:
        record = account_record(ledger, choose_book(ledger, None), known.panel, workspace.config, universe=universe)
    gross, _ = exposure(record.days)
    held = record.holdings.group_by("date").agg(pl.col("weight").abs().sum()).sort("date")
    assert held["weight"].to_list() == pytest.approx(gross[gross > 0].tolist()) and held.height > 0
    assert set(record.holdings["sector"]) == set(record.trades["sector"]) == {"Energy"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("daily", "--date", "2024-01-04"), 3, "is not booked"),
        (("daily", "--book", "live/x"), 2, "paper/default"),
        (("performance",), 3, "exo data import"),
        (("daily", "--date", "yesterday"), 2, "yesterday"),
    ],
)
def test_mistakes_name_the_rule_and_the_remedy(exo, booked, words, code, said):
    ran = exo("report", *words, "--home", booked)
    assert ran.code == code and said in ran.err and ran.out == "" and "Traceback" not in ran.err


def test_without_a_ledger_the_first_run_is_named(exo, workspace):
    ran = exo("report", "daily", "--home", workspace)
    assert ran.code == 4 and "exo run" in ran.err


def test_a_session_the_store_lacks_is_named(exo, booked):
    row = {"symbol": "AAA", "date": TWO, "open": 100.0, "high": 111.0, "low": 99.0, "close": 110.11, "volume": 1e6}
    with DataStorage(booked / "data" / "mech_exo.duckdb") as storage:
        storage.store_ohlc_data(pl.DataFrame([row]))
        storage.publish()
    ran = exo("report", "performance", "--home", booked)
    assert ran.code == 3 and ("2024-01-02" in ran.err or "BBB" in ran.err)
