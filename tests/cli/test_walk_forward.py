"""`exo backtest walk-forward` and `exo backtest cross-validate` from their outermost edge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mech_exo.assembly import Workspace
from mech_exo.backtest.walk_result import Line
from mech_exo.cli.walk_forward import foretold

TOP = "strategy.selection.top"
SETS = ("--set", f"{TOP}=10,30", "--set", "strategy.schedule.every_sessions=21,63")
PERIOD = ("--start", "2021-01-04", "--end", "2023-12-26")
WALK = ("backtest", "walk-forward", *SETS, *PERIOD, "--train", "300", "--test", "150", "--purge", "21")
CROSS = ("backtest", "cross-validate", *SETS, *PERIOD, "--groups", "4", "--test-groups", "2", "--purge", "10", "--embargo", "10")


@pytest.fixture(scope="module")
def home(market_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market for this module alone."""
    place = tmp_path_factory.mktemp("walk") / "w"
    shutil.copytree(market_home, place)
    return place


def trials(home: Path):
    """What the ledger has counted."""
    with Workspace.open(home).journal() as ledger:
        return ledger.trials()


def test_a_walk_forward_for_a_machine_is_counted_once_and_kept(exo, home) -> None:
    ran = exo(*WALK, "--home", home, "--json")
    assert (ran.code, ran.err) == (0, "")
    data = json.loads(ran.out)
    assert data["objective"] == "sharpe" and data["candidates"] == 4
    first, *rest = data["windows"]
    assert first["test_start"] > first["train_end"] and len(rest) == 2 and first[TOP] in ("10", "30")
    assert all(row["sharpe_in_sample"] is not None and row["efficiency"] != 0 for row in data["windows"])
    assert [row["parameter"] for row in data["parameters"]] == [TOP, "strategy.schedule.every_sessions"]
    assert len(data["equity"]) == data["metrics"]["sessions"] == 450
    assert data["metrics"]["total_return"] == pytest.approx(data["equity"][-1]["growth"] - 1)
    assert "synthetic sample" in data["warnings"]
    kept = Path(data.pop("kept"))
    assert kept.parent == home / "data" / "walk_forward" and json.loads(kept.read_text("utf-8")) == data
    counted = [trial for trial in trials(home) if trial.kind == "walk_forward"]
    assert len(counted) == data["trials"] == 12
    assert json.loads(exo(*WALK, "--home", home, "--json").out) == data | {"kept": str(kept)}
    assert trials(home) == tuple(counted), "the same looks at history count once"


def test_a_walk_forward_for_a_person(exo, home) -> None:
    shown = exo(*WALK, "--home", home, "--objective", "max_drawdown")
    text = " ".join(shown.out.split())
    assert shown.code == 0 and "nan" not in text.lower() and "Traceback" not in shown.err
    for part in ("Walk-forward", "synthetic sample", "Chosen on", "Stability", "Out of sample, stitched", "Max drawdown", "efficiency",
                 "12 candidates played in training and counted in the ledger as trials; at most 4 in one window", "Kept:"):  # fmt: skip
        assert part in text, part


def test_the_tear_sheet_shows_the_evaluation_beside_the_configured_strategy(exo, home, tmp_path) -> None:
    ran = exo(*WALK, "--home", home, "--report", tmp_path / "deep" / "walk.html", "--json")
    data = json.loads(ran.out)
    page = Path(data["report"]).read_text("utf-8")
    assert ran.code == 0 and data["report"] == str(tmp_path / "deep" / "walk.html")
    assert "No walk-forward belongs to this run" not in page and TOP in page and "Window by window" in page
    first, last = data["windows"][0]["test_start"], data["windows"][-1]["test_end"]
    assert first in page and last in page
    (own,) = [trial for trial in trials(home) if trial.kind == "backtest"]
    assert (home / "data" / "runs" / own.run_id / "run.json").is_file(), "the configured run counts and is saved"
    blocked = exo(*WALK, "--home", home, "--report", home / "config" / "strategy.yml" / "r.html")
    assert blocked.code == 2 and "the report must be writable" in blocked.err


def test_optuna_on_the_command_line(exo, home) -> None:
    words = ("backtest", "walk-forward", *PERIOD, "--train", "400", "--test", "200", "--set", f"{TOP}=5..40", "--search", "optuna", "--trials", "4")
    one, same = (json.loads(exo(*words, "--seed", "7", "--home", home, "--json").out) for _ in range(2))
    assert one == same
    assert all(5 <= int(row[TOP]) <= 40 for row in one["windows"]) and one["trials"] > 2


def test_a_cross_validation_for_a_machine_and_for_a_person(exo, home) -> None:
    data = json.loads(exo(*CROSS, "--home", home, "--json").out)
    assert len(data["splits"]) == 6 and len(data["sharpes"]) == 3 == data["distribution"]["paths"]
    assert data["distribution"]["mean"] == pytest.approx(sum(data["sharpes"]) / 3)
    assert len([trial for trial in trials(home) if trial.kind == "cross_validation"]) == 4
    text = " ".join(exo(*CROSS, "--home", home).out.split())
    for part in ("Cross-validation", "6 splits, 3 paths", "Groups that judge", "Stability", "Sharpe ratio of the paths", "4 candidates counted"):
        assert part in text, part


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "top=1,2"), "did you mean strategy.selection.top?"),
        (("--set", f"{TOP}=0,5"), "must be a whole number at least 1 and at most 1000; got 0"),
        (("--set", f"{TOP}=5..40"), "--search optuna"),
        (("--set", TOP), "--set takes KEY=V1,V2"),
        (("--set", f"{TOP}=5", "--objective", "sharp"), "did you mean sharpe?"),
        (("--set", f"{TOP}=5", "--train", "4000"), "it has"),
        (("--set", f"{TOP}=5", "--step", "5"), "judged twice"),
        (("--set", f"{TOP}=5", "--purge", "755"), "leave at least 2 sessions"),
        (("--set", f"{TOP}=5", "--backend", "thread"), "must be one of serial, threads"),
        (("--set", f"{TOP}=5", "--search", "luck"), "luck"),
        ((), "--set"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_and_nothing_is_counted(exo, home, words, said) -> None:
    before = trials(home)
    ran = exo("backtest", "walk-forward", *words, "--home", home)
    assert (ran.code, ran.out) == (2, "") and said in ran.err and "bug" not in ran.err
    assert trials(home) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", f"{TOP}=5", "--groups", "2", "--test-groups", "2"), "left to train on"), (("--set", f"{TOP}=5..9"), "one by one"),
        (("--set", f"{TOP}=5", "--objective", "trades"), "must be a metric"), (("--set", f"{TOP}=5", "--purge", "900"), "fewer groups"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_cross_validation_is_named(exo, home, words, said) -> None:
    ran = exo("backtest", "cross-validate", *words, "--home", home)
    assert (ran.code, ran.out) == (2, "") and said in ran.err


@pytest.mark.parametrize(("slope", "said"), [(0.8, "held afterwards"), (0.2, "told little"), (-0.3, "was followed by worse"), (float("nan"), "Too few windows")])
def test_what_a_slope_means(slope, said) -> None:
    assert said in foretold(Line(slope, 0.0, 0.0, 6))
