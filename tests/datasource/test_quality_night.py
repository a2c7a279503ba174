"""What the gate blocks is not bought that night, the night says which order was withheld and why, and paper still equals history."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mech_exo.assembly import UNASSESSED, Workspace
from mech_exo.datasource.quality import assess
from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.errors import MissingDataError
from tests.session.stage import body, days, decide_every, play, set_line, stored
from tests.session.test_parity import paper_equals_backtest

Exo = Callable[..., Any]
NIGHTS = days("2021-04-20", 12)
PRICES = ("open", "high", "low", "close")


def halved(frame: pl.DataFrame, symbols: list[str], since: Any) -> pl.DataFrame:
    """Prices of ``symbols`` halved and their volume doubled from a session on: a split that nobody stored."""
    here = pl.col("symbol").is_in(symbols) & (pl.col("date") >= since)
    return frame.with_columns(
        *(pl.when(here).then(pl.col(name) / 2.0).otherwise(pl.col(name)).alias(name) for name in PRICES),
        pl.when(here).then(pl.col("volume") * 2.0).otherwise(pl.col("volume")).alias("volume"),
    )


def assessed(home: Path) -> None:
    workspace = Workspace.open(home)
    with DataStorage(DataStorage.path_in(home)) as storage:
        assess(storage, workspace.config, now=datetime.now(UTC))
        storage.publish()


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names a clean night buys."""
    home = stored(tmp_path_factory.mktemp("clean") / "w")
    assessed(home)
    play(home, NIGHTS[:1])
    night = body(home, NIGHTS[0])
    assert not [line for line in night["breaches"] if line["code"] == "data_quality"] and not any("doubt" in t for t in night["warnings"])
    return sorted(line["symbol"] for line in night["orders"] if line["shares"] > 0)


@pytest.fixture(scope="module")
def doubtful_home(wanted: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of those names missed a split on the very night."""
    home = stored(
        tmp_path_factory.mktemp("doubtful") / "w", lambda what, frame: halved(frame, wanted[:3], NIGHTS[0]) if what == "bars" else frame
    )
    assessed(home)
    decide_every(home, 3)
    return home


@pytest.fixture
def doubtful(doubtful_home: Path, tmp_path: Path) -> Path:
    shutil.copytree(doubtful_home, tmp_path / "w")
    return tmp_path / "w"


def test_the_night_says_which_order_was_withheld_and_why(exo: Exo, doubtful: Path, wanted: list[str]) -> None:
    play(doubtful, NIGHTS[:1])
    night = body(doubtful, NIGHTS[0])
    withheld = {line["symbol"] for line in night["breaches"] if line["code"] == "data_quality"}
    assert withheld and withheld <= set(wanted[:3]) and not withheld & {line["symbol"] for line in night["orders"]}
    name = min(withheld)
    (told,) = [text for text in night["warnings"] if text.startswith(f"{name}: new risk withheld")]
    assert f"missed_split at {NIGHTS[0]}: -5" in told and "as a 2:1 split would, none is stored" in told
    assert exo("--home", doubtful, "why", name, "--date", NIGHTS[0]).out.count("data quality") >= 1
    report = exo("--home", doubtful, "report", "daily", "--date", NIGHTS[0])
    pages = [path.read_text() for path in (doubtful / "reports").rglob("*.md")] + [report.out]
    assert any("data_quality" in page or "data quality" in page for page in pages) and any("new risk withheld" in page for page in pages)


def test_paper_equals_history_where_names_are_blocked(doubtful: Path, wanted: list[str]) -> None:
    result = paper_equals_backtest(doubtful, NIGHTS[0], NIGHTS[-1])
    assert not set(result.fills["symbol"]) & set(wanted[:3]) and len(result.fills) > 5
    assert any("data in doubt denied new risk" in text and wanted[0] in text for text in result.warnings)
    workspace = Workspace.open(doubtful)
    with workspace.ledger(read_only=True) as ledger:
        assert all(workspace.replay(ledger, night).identical for night in NIGHTS[::3])


def test_a_repair_lets_the_name_be_bought_and_the_past_night_replays_as_it_was(exo: Exo, doubtful: Path, wanted: list[str]) -> None:
    play(doubtful, NIGHTS[:1])
    proposed = json.loads(exo("--home", doubtful, "data", "repair", "--dry-run", "--json").out)
    assert {(line["symbol"], line["kind"]) for line in proposed["proposals"]} == {(symbol, "split") for symbol in wanted[:3]}
    assert proposed["snapshot"] is None and proposed["changed_rows"] == 0
    certain = {line["symbol"] for line in proposed["proposals"] if line["certain"]}
    assert certain
    applied = json.loads(exo("--home", doubtful, "data", "repair", "--json").out)
    assert applied["changed_rows"] == len(certain)
    again = json.loads(exo("--home", doubtful, "data", "repair", "--json").out)
    assert again["changed_rows"] == 0 and {line["symbol"] for line in again["proposals"]} == set(wanted[:3]) - certain
    workspace = Workspace.open(doubtful)
    now = workspace.known()
    doubted = now.universe.verdicts(np.array([now.panel.row_of(NIGHTS[3])])) == 2
    assert {now.panel.symbols[j] for j in np.flatnonzero(doubted.any(axis=0))} == set(wanted[:3]) - certain
    assert set(workspace.known(NIGHTS[3]).doubts) == set(wanted[:3]), "at that close the repair was not known"
    with workspace.ledger(read_only=True) as ledger:
        replayed = workspace.replay(ledger, NIGHTS[0])
    assert replayed.identical


def test_what_nobody_assessed_is_said_and_publishing_assesses_it(exo: Exo, tmp_path: Path) -> None:
    home = stored(tmp_path / "w")
    play(home, NIGHTS[:1])
    assert UNASSESSED in body(home, NIGHTS[0])["warnings"]
    assert exo("--home", home, "data", "publish").code == 0
    workspace = Workspace.open(home)
    assert UNASSESSED not in workspace.known(NIGHTS[1]).warnings
    with workspace.ledger(read_only=True) as ledger:
        assert workspace.replay(ledger, NIGHTS[0]).identical, "that night they were not assessed"
    play(home, NIGHTS[1:2])
    with workspace.ledger(read_only=True) as ledger:
        assert workspace.replay(ledger, NIGHTS[1]).identical


def test_too_few_usable_bars_are_no_night(doubtful: Path) -> None:
    workspace = Workspace.open(doubtful)
    known = workspace.known(NIGHTS[0])
    verdict = known.universe.verdict
    assert verdict is not None
    usable = known.universe.member[-1] & ~np.isnan(known.panel.close[-1])
    share = (usable & (verdict[-1] < 2)).sum() / usable.sum()
    assert share < 0.99
    set_line(doubtful / "config" / "data.yml", "min_coverage: 0.5 ", "min_coverage: 0.99 ")
    count = int((usable & (verdict[-1] == 2)).sum())
    with pytest.raises(MissingDataError, match=f"of the members that traded in the month before; .* and {count} whose data are in doubt") as raised:
        Workspace.open(doubtful).known(NIGHTS[0])
    assert "exo data quality" in str(raised.value.remedy)


def test_accepting_clears_for_the_next_decision(exo: Exo, doubtful: Path, wanted: list[str]) -> None:
    name = wanted[0]
    assert exo("--home", doubtful, "data", "quality", "accept", name, NIGHTS[0], "missed_split", "--because", " ").code == 2
    assert exo("--home", doubtful, "data", "quality", "accept", name, NIGHTS[1], "missed_split", "--because", "x").code == 2
    assert exo("--home", doubtful, "data", "quality", "accept", name, NIGHTS[0], "missed_split", "--because", "spin-off").code == 0
    told = json.loads(exo("--home", doubtful, "data", "quality", "--symbol", name, "--json").out)
    assert [(line["verdict"], line["check"]) for line in told] == [("ok", "missed_split")] and "accepted: spin-off" in told[0]["evidence"]
    verdict = Workspace.open(doubtful).known().universe
    panel = Workspace.open(doubtful).known().panel
    assert verdict.verdict is not None and not verdict.verdict[:, panel.column_of(name)].any()


def test_the_commands_speak_to_a_person(exo: Exo, doubtful: Path, wanted: list[str]) -> None:
    ran = exo("--home", doubtful, "data", "quality")
    assert ran.code == 0 and "Trend" in ran.out and "missed_split" in ran.out and "coverage" in ran.out
    one = exo("--home", doubtful, "data", "quality", "--symbol", wanted[0], "--check", "missed_split", "--since", "2021-01-01")
    assert one.code == 0 and "1 findings" not in one.out and "2:1 split" in one.out.replace("\n", " ")
    assert exo("--home", doubtful, "data", "quality", "--check", "nonsense").code == 2
    assert exo("--home", doubtful, "data", "quality", "--since", "yesterday").code == 2
    assert exo("--home", doubtful, "data", "repair", "--dry-run", "--symbol", "NOBODY").code == 2
    dry = exo("--home", doubtful, "data", "repair", "--dry-run", "--number", 1)
    assert dry.code == 0 and "Certain: 1" in dry.out and "a 2:1 split takes effect" in dry.out.replace("\n", " ")
