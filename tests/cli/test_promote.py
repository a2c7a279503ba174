"""`exo backtest promote | rollback | promotions | trials` from their outermost edge."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mech_exo.backtest import promotion
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.trial_rows import Metric, Promotion, Sweep, Trial
from mech_exo.utils.config import config_hash, load
from tests.session.stage import set_line

Exo = Callable[..., Any]
PERIOD = ("--start", "2021-01-04", "--end", "2022-12-30")
FILES = ("strategy.yml", "risk_limits.yml", "factors.yml")
LENIENT = (
    "promotion: {min_sessions: 100, min_trades: 1, min_deflated_sharpe: 0, max_pbo: null, max_drawdown: 1, max_cost_share: null, "
    "require_walk_forward: false}\n"
)
SAID = ("--yes", "--reason", "because")


@pytest.fixture(scope="module")
def tried(market_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A workspace with one saved run of another configuration (17 names, a stop at 9 %) than its own, and the run's id."""
    import contextlib

    from mech_exo.cli.__main__ import main

    home = tmp_path_factory.mktemp("promote") / "w"
    shutil.copytree(market_home, home)
    own = {name: (home / "config" / name).read_bytes() for name in FILES}
    set_line(home / "config" / "strategy.yml", "  top: 30", "  top: 17")
    set_line(home / "config" / "risk_limits.yml", "  hard: 0.15", "  hard: 0.09")
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert main(["--home", str(home), "backtest", "run", *PERIOD, "--json"]) == 0
    for name, text in own.items():
        (home / "config" / name).write_bytes(text)
    return home, json.loads(out.getvalue())["run_id"]


@pytest.fixture
def place(tried: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it whose thresholds everything passes."""
    shutil.copytree(tried[0], tmp_path / "w")
    (tmp_path / "w" / "config" / "research.yml").write_text(LENIENT)
    return tmp_path / "w"


@pytest.fixture
def run_id(tried: tuple[Path, str]) -> str:
    return tried[1]


def contents(place: Path) -> dict[str, bytes]:
    return {name: (place / "config" / name).read_bytes() for name in FILES}


def journal(place: Path) -> tuple[Promotion, ...]:
    with Ledger.open(default_path(place), read_only=True) as ledger:
        assert ledger.verify().sound
        return ledger.rows(Promotion)


def test_promote_makes_the_run_s_configuration_the_workspace_s(place: Path, run_id: str, exo: Exo) -> None:
    own, former = contents(place), config_hash(load(place))
    ran = exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic", "--json")
    assert ran.code == 0, ran.err
    data = json.loads(ran.out)
    assert {change["key"]: (change["before"], change["after"]) for change in data["changes"]} == {
        "strategy.selection.top": (30, 17),
        "risk.stops.hard": (0.15, 0.09),
    }
    now = load(place)
    run = json.loads((place / "data" / "runs" / run_id / "run.json").read_text())
    assert (now.strategy.selection.top, now.risk.stops.hard, config_hash(now)) == (17, 0.09, run["config_hash"])
    assert (place / "config" / "factors.yml").read_bytes() == own["factors.yml"], "what says the same stays as it is"
    (row,) = journal(place)
    assert (row.run_id, row.reason, row.former_hash, row.config_hash) == (run_id, "because", former, config_hash(now))
    assert (row.who, row.accepted, [file.name for file in row.files]) == (
        promotion.user(),
        ("synthetic",),
        ["strategy.yml", "risk_limits.yml"],
    )
    assert {metric.name: metric.value for metric in row.figures}["trials"] == 1.0
    assert data["promotion"]["at"] == row.at.isoformat()
    again = exo("--home", place, "backtest", "run", *PERIOD, "--json")
    assert json.loads(again.out)["run_id"] == run_id, "what trades now is what was tested"


def test_rollback_restores_byte_for_byte_and_one_after_the_other(place: Path, run_id: str, exo: Exo) -> None:
    own = contents(place)
    assert exo("--home", place, "backtest", "promote", "last", *SAID, "--accept", "synthetic").code == 0
    ran = exo("--home", place, "backtest", "rollback", "--yes", "--reason", "second thoughts")
    assert ran.code == 0, ran.err
    assert contents(place) == own
    first, second = journal(place)
    assert (second.undoes, second.run_id, second.reason, second.config_hash) == (first.id, run_id, "second thoughts", first.former_hash)
    nothing = exo("--home", place, "backtest", "rollback", *SAID)
    assert (nothing.code, "none is in force" in nothing.err) == (2, True)
    told = exo("--home", place, "backtest", "promotions")
    assert told.out.count(run_id) == 2
    assert "second thoughts" in told.out


def test_rollback_keeps_what_was_edited_meanwhile(place: Path, run_id: str, exo: Exo) -> None:
    exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic")
    edited = (place / "config" / "strategy.yml").read_text().replace("top: 17", "top: 11")
    (place / "config" / "strategy.yml").write_text(edited)
    ran = exo("--home", place, "backtest", "rollback", *SAID)
    assert "strategy.yml was edited since" in ran.err
    assert (place / "data" / "promotions" / journal(place)[1].id / "strategy.yml").read_text() == edited
    assert load(place).strategy.selection.top == 30


def test_rollback_does_not_restore_what_was_not_kept(place: Path, run_id: str, exo: Exo) -> None:
    exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic")
    (place / "data" / "promotions" / journal(place)[0].id / "strategy.yml").write_text("name: other")
    before = contents(place)
    ran = exo("--home", place, "backtest", "rollback", *SAID)
    assert (ran.code, "must be as they were kept" in ran.err) == (3, True)
    assert contents(place) == before


STRICT = {
    "min_sessions: 5000": "min_sessions: sessions 503, at least 5,000 is asked",
    "min_trades: 100000": r"min_trades: closed round trips \d+, at least 100,000 is asked",
    "min_deflated_sharpe: 1": r"min_deflated_sharpe: deflated Sharpe ratio 0\.\d+, at least 1\.000 is asked",
    "max_drawdown: 0.001": r"max_drawdown: drawdown \d+\.\d%, at most 0\.1% is asked",
    "max_cost_share: 0.00001": r"max_cost_share: costs of gross P/L (\d+\.\d%|unknown), at most 0\.0% is asked",
    "require_walk_forward: true": "require_walk_forward: walk-forward evaluation of this configuration: none in the ledger, one is required",
}


@pytest.mark.parametrize("threshold", STRICT)
def test_a_threshold_missed_is_named_with_value_and_bound(threshold: str, place: Path, run_id: str, exo: Exo) -> None:
    key = threshold.partition(":")[0]
    (place / "config" / "research.yml").write_text(re.sub(rf"{key}: [^,}}]+", threshold, LENIENT))
    before = contents(place)
    ran = exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic")
    assert ran.code == 2
    assert re.search(STRICT[threshold], ran.err), ran.err
    assert len(re.findall(r"^  \w+: ", ran.err, re.MULTILINE)) == 1, "and no other"
    assert (contents(place), journal(place)) == (before, ())


def test_every_threshold_missed_is_named_at_once(place: Path, run_id: str, exo: Exo) -> None:
    (place / "config" / "research.yml").unlink()
    ran = exo("--home", place, "backtest", "promote", run_id, *SAID)
    for name in ("min_sessions", "min_deflated_sharpe", "require_walk_forward", "synthetic data"):
        assert name in ran.err


def count(place: Path, *trials: Trial) -> None:
    with Ledger.open(default_path(place)) as ledger:
        ledger.record_trials(trials)


def test_a_walk_forward_of_the_same_configuration_satisfies(place: Path, run_id: str, exo: Exo) -> None:
    (place / "config" / "research.yml").write_text(LENIENT.replace("require_walk_forward: false", "require_walk_forward: true"))
    run = json.loads((place / "data" / "runs" / run_id / "run.json").read_text())
    known = (Metric("sharpe", 0.1),)
    count(place, Trial("w1", "walk_forward", "0" * 16, known), Trial("w2", "backtest", run["config_hash"], known))
    assert exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic").code == 2
    count(place, Trial("w3", "walk_forward", run["config_hash"], known))
    assert exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic").code == 0


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([0.15, 0.35], "max_pbo: probability of backtest overfitting 0.350, at most 0.200 is asked"),
        ([None], "max_pbo: probability of backtest overfitting unknown, at most 0.200 is asked"),
        ([0.15, 0.2], ""),
    ],
)
def test_a_run_from_a_sweep_answers_for_the_worst_of_its_sweeps(
    found: list[float | None], said: str, place: Path, run_id: str, exo: Exo
) -> None:
    (place / "config" / "research.yml").write_text(LENIENT.replace("max_pbo: null", "max_pbo: 0.2"))
    with Ledger.open(default_path(place)) as ledger:
        for number, pbo in enumerate(found):
            ledger.once(Sweep(f"s{number}", ("other", run_id), (Metric("pbo", pbo), Metric("spa", 0.01))))
        ledger.once(Sweep("another", ("other",), (Metric("pbo", 0.9),)))
    ran = exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic")
    assert (ran.code, said in ran.err) == (2 if said else 0, True), ran.err
    if not said:
        assert {metric.name: metric.value for metric in journal(place)[0].figures}["pbo"] == 0.2


def test_a_sweep_leaves_what_its_runs_answer_for(place: Path, run_id: str, exo: Exo) -> None:
    sets = ("--set", "strategy.selection.top=17,20,25", "--set", "risk.stops.hard=0.09")
    for _ in range(2):
        ran = exo("--home", place, "backtest", "sweep", *sets, *PERIOD, "--json")
        assert ran.code == 0, ran.err
    (place / "config" / "research.yml").write_text(LENIENT.replace("max_pbo: null", "max_pbo: 1"))
    told = json.loads(exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic", "--json").out)["report"]
    swept = json.loads(ran.out)["overfitting"]
    assert told["trials"] == 3
    assert [told[name] for name in ("pbo", "reality_check", "spa")] == [swept[name] for name in ("pbo", "reality_check", "spa")]
    with Ledger.open(default_path(place), read_only=True) as ledger:
        (row,) = ledger.rows(Sweep)
    assert run_id in row.run_ids


def test_a_run_that_was_never_compared_has_no_pbo_to_answer_for(place: Path, run_id: str, exo: Exo) -> None:
    (place / "config" / "research.yml").write_text(LENIENT.replace("max_pbo: null", "max_pbo: 0.2"))
    assert exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic").code == 0


def test_every_trial_of_the_ledger_deflates(place: Path, run_id: str, exo: Exo) -> None:
    count(place, *(Trial(f"t{n}", "sweep", "0" * 16, (Metric("sharpe", n / 10 - 2.0),)) for n in range(40)))
    ran = exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic", "--json")
    report = json.loads(ran.out)["report"]
    assert report["trials"] == 41
    assert report["deflated_sharpe"] < report["probabilistic_sharpe"]
    assert "after 41 trials" in ran.err


@pytest.mark.parametrize(
    ("accepted", "missing"), [((), "--accept synthetic --accept code --accept data"), (("synthetic", "code"), "--accept data")]
)
def test_other_data_and_other_code_must_be_stated(accepted: tuple[str, ...], missing: str, place: Path, run_id: str, exo: Exo) -> None:
    store_again(place)
    path = place / "data" / "runs" / run_id / "run.json"
    path.write_text(path.read_text())
    words = [word for one in accepted for word in ("--accept", one)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mech_exo.kernels.code_version", lambda: "f" * 16)
        ran = exo("--home", place, "backtest", "promote", run_id, *SAID, *words)
        assert ran.code == 2
        assert ran.err.rstrip().endswith(missing)
        both = exo(
            "--home", place, "backtest", "promote", run_id, *SAID, *(w for one in ("synthetic", "code", "data") for w in ("--accept", one))
        )
    assert both.code == 0, both.err
    assert journal(place)[0].accepted == ("synthetic", "code", "data")


def store_again(place: Path) -> None:
    """One close of the past is now another."""
    from datetime import date

    import polars as pl

    from mech_exo.assembly import Workspace
    from mech_exo.datasource.storage import DataStorage

    bars = Workspace.open(place).known().panel.to_frame()
    one = bars.filter(pl.col("date") == date(2021, 6, 1)).head(1).with_columns(pl.col("close") * 1.0001)
    with DataStorage(DataStorage.path_in(place)) as storage:
        storage.store_ohlc_data(one, source="again")
        storage.publish()


def test_another_data_yml_is_another_run(place: Path, run_id: str, exo: Exo) -> None:
    set_line(place / "config" / "data.yml", "max_jump: 0.4 ", "max_jump: 0.3 ")
    ran = exo("--home", place, "backtest", "promote", run_id, *SAID, "--accept", "synthetic")
    assert (ran.code, "data.max_jump is 0.3 and was 0.4" in ran.err) == (2, True)


def test_without_a_terminal_somebody_must_have_said_why(place: Path, run_id: str, exo: Exo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for words, said in (
        (("--yes",), "--yes stands only with --reason"),
        ((), "needs a human's yes"),
        (("--reason", "x"), "needs a human's yes"),
        (("--yes", "--reason", " "), "--reason"),
    ):
        for command in (("promote", run_id, "--accept", "synthetic"), ("rollback",)):
            ran = exo("--home", place, "backtest", *command, *words)
            assert (ran.code, said in ran.err) == (2, True), (words, ran.err)
    assert journal(place) == ()


def at_a_terminal(place: Path, typed: str, *words: str) -> tuple[int, str]:
    """The command with its input and its notices on a terminal: exit code and what the terminal showed."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "mech_exo.cli", "--home", str(place), "backtest", *words]
    child = subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    os.write(master, typed.encode())
    shown = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(master)
    child.communicate(timeout=120)
    return child.returncode, shown.decode()


def test_a_human_is_shown_what_changes_and_asked(place: Path, run_id: str) -> None:
    before = contents(place)
    code, shown = at_a_terminal(place, "n\n", "promote", run_id, "--accept", "synthetic")
    assert (code, contents(place), journal(place)) == (2, before, ())
    assert "nothing was changed" in shown
    code, shown = at_a_terminal(place, "y\nit passed\n", "promote", run_id, "--accept", "synthetic")
    assert code == 0, shown
    for said in (
        "strategy.selection.top: 30 → 17",
        "risk.stops.hard: 0.15 → 0.09",
        "passed",
        "accepted: it was made on synthetic data",
        "[y/N]",
    ):
        assert said in shown
    assert journal(place)[0].reason == "it passed"
    code, shown = at_a_terminal(place, "y\n", "rollback", "--reason", "no")
    assert (code, contents(place)) == (0, before), shown


def test_a_configuration_that_is_in_force_already_is_journaled_all_the_same(place: Path, exo: Exo) -> None:
    ran = exo("--home", place, "backtest", "run", *PERIOD, "--json")
    before, own = contents(place), json.loads(ran.out)["run_id"]
    ran = exo("--home", place, "backtest", "promote", own, *SAID, "--accept", "synthetic")
    assert ran.code == 0, ran.err
    assert "Nothing changes" in ran.err
    assert contents(place) == before
    assert (journal(place)[0].run_id, journal(place)[0].files) == (own, ())


def test_trials_count_and_say_what_luck_would_find(place: Path, exo: Exo) -> None:
    count(place, *(Trial(f"t{n}", "sweep", "0" * 16, (Metric("sharpe", value),)) for n, value in enumerate([0.5, None, 1.5])))
    data = json.loads(exo("--home", place, "backtest", "trials", "--json").out)
    assert (data["trials"], data["kinds"], data["unknown_sharpe"]) == (4, {"backtest": 1, "sweep": 3}, 1)
    assert data["best_sharpe"] == 1.5
    assert data["median_sharpe"] == 0.5 or data["median_sharpe"] < 1.5
    assert data["expected_best_sharpe"] > 0.0
    told = exo("--home", place, "backtest", "trials").out
    assert "4 looks at history are counted: 1 backtest, 3 sweep" in told
    assert "1 have no Sharpe ratio; they count all the same" in told


def test_before_the_first_run_there_is_nothing_to_tell(workspace: Path, exo: Exo) -> None:
    assert "No trial is counted yet" in exo("--home", workspace, "backtest", "trials").out
    assert json.loads(exo("--home", workspace, "backtest", "trials", "--json").out)["expected_best_sharpe"] is None
    assert "Nothing has been promoted" in exo("--home", workspace, "backtest", "promotions").out
    assert "must be saved first" in exo("--home", workspace, "backtest", "promote", "last", *SAID).err
    assert not default_path(workspace).exists()
