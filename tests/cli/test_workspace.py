"""`exo init`, `exo config` and the manners of the whole command line: errors, exit codes, --home, --json, laziness."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from mech_exo.cli import COMMANDS, hoisted, output
from mech_exo.cli import __main__ as edge
from mech_exo.utils.config import config_hash
from mech_exo.utils.settings import Config
from mech_exo.utils.workspace import TEMPLATES

Exo = Callable[..., Any]
CANARY = "canary-cli-51b0-must-not-be-seen"
HEAVY = ("numpy", "pandas", "polars", "pyarrow", "duckdb", "numba", "pydantic", "yaml", "plotly", "jinja2", "yfinance", "exchange_calendars", "rich", "tenacity")


def test_init_makes_a_workspace_that_checks(exo: Exo, tmp_path: Path) -> None:
    made = exo("init", tmp_path / "w")
    assert made.code == 0
    assert sorted(p.name for p in (tmp_path / "w").iterdir()) == ["config", "data", "reports"]
    assert exo("config", "check", "--home", tmp_path / "w").code == 0


def test_init_never_overwrites(exo: Exo, tmp_path: Path) -> None:
    exo("init", tmp_path)
    mine = tmp_path / "config" / "strategy.yml"
    mine.write_text("initial_cash: 5000\n")
    (tmp_path / "config" / "data.yml").unlink()
    refused = exo("init", tmp_path)
    assert refused.code == 2
    assert "must not overwrite" in refused.err
    assert not (tmp_path / "config" / "data.yml").exists()
    assert exo("init", "--missing", tmp_path).code == 0
    assert mine.read_text() == "initial_cash: 5000\n"
    assert (tmp_path / "config" / "data.yml").exists()


def test_init_into_a_file_is_a_plain_message(exo: Exo, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    refused = exo("init", tmp_path / "f")
    assert refused.code == 2
    assert "Traceback" not in refused.err


def test_init_as_json(exo: Exo, tmp_path: Path) -> None:
    made = json.loads(exo("init", tmp_path / "w", "--json").out)
    assert len(made["written"]) == len(TEMPLATES)
    assert all(Path(path).exists() for path in made["written"])


def test_check_as_json_carries_the_hash(exo: Exo, workspace: Path) -> None:
    answer = json.loads(exo("--home", workspace, "config", "check", "--json").out)
    assert answer["ok"] is True
    assert answer["config_hash"] == json.loads(exo("config", "show", "--json", "--home", workspace).out)["config_hash"]


def test_check_names_the_mistake_and_leaves_stdout_empty(exo: Exo, workspace: Path) -> None:
    (workspace / "config" / "risk_limits.yml").write_text("portfolio: {max_drawdown: 10}\n")
    wrong = exo("config", "check", "--json", "--home", workspace)
    assert (wrong.code, wrong.out) == (2, "")
    assert "risk_limits.yml: portfolio.max_drawdown: must be a number above 0 and at most 1; got 10" in wrong.err
    assert "Traceback" not in wrong.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("technical: {momentm_12_1: {weight: 1, direction: higher_better}}", "technical.momentm_12_1: .*(.|\n)*did you mean momentum_12_1"),
        ("quality: {rsi_14: {weight: 1, direction: mean_revert}}", "quality.rsi_14: rsi_14 must stand under technical; it stands under quality"),
        ("technical: {rsi_14: {weight: 1, direction: mean_revert, params: {widow: 9}}}", "technical.rsi_14: .*'widow'"),
    ],
)
def test_check_knows_the_factors(exo: Exo, workspace: Path, text: str, expected: str) -> None:
    (workspace / "config" / "factors.yml").write_text(text)
    wrong = exo("config", "check", "--home", workspace)
    assert wrong.code == 2
    assert re.search(r"factors\.yml: " + expected, wrong.err), wrong.err


def test_show_effective_has_every_value_the_hash_and_dollars(exo: Exo, workspace: Path) -> None:
    import yaml

    shown = exo("config", "show", "--effective", "--home", workspace)
    assert shown.code == 0
    read_back = Config.model_validate(yaml.safe_load(shown.out))
    assert config_hash(read_back) in shown.out
    assert "2,000 USD" in shown.out
    assert "150,000 USD" in shown.out
    answer = json.loads(exo("config", "show", "--effective", "--json", "--home", workspace).out)
    assert answer["limits_usd"]["position_sizing.max_position"] == pytest.approx(10_000)
    assert answer["limits_usd"]["governor.soft_drawdown"] == pytest.approx(5_000)  # half of the hard one
    assert answer["limits_usd"]["portfolio.max_daily_loss"] is None
    assert answer["config"]["risk"]["portfolio"]["max_drawdown"] == 0.1


def test_show_without_effective_has_only_what_differs(exo: Exo, workspace: Path) -> None:
    (workspace / "config" / "risk_limits.yml").write_text("portfolio: {max_drawdown: 0.07}\nposition_sizing: {max_sector_exposure: null}\n")
    answer = json.loads(exo("config", "show", "--json", "--home", workspace).out)
    assert answer["config"]["risk"] == {"position_sizing": {"max_sector_exposure": None}, "portfolio": {"max_drawdown": 0.07}}
    assert answer["limits_usd"]["position_sizing.max_sector_exposure"] is None
    assert "no limit" in exo("config", "show", "--home", workspace).out


def test_no_command_shows_a_secret(exo: Exo, workspace: Path) -> None:
    (workspace / "config" / "api_keys_local.yml").write_text(f"finnhub: {{api_key: {CANARY}}}\nslack_webhook: {CANARY}\n")
    for words in (("show",), ("show", "--effective"), ("show", "--effective", "--json"), ("check",)):
        ran = exo("config", *words, "--home", workspace)
        assert ran.code == 0
        assert CANARY not in ran.out + ran.err
    assert exo("config", "show", "--effective", "--home", workspace).out.count("********") == 2


def test_home_may_stand_anywhere_or_in_the_environment(exo: Exo, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = [("--home", workspace, "config", "check"), ("config", "--home", workspace, "check"), ("config", "check", f"--home={workspace}")]
    assert [exo(*words).code for words in ways] == [0, 0, 0]
    assert "EXO_HOME" not in os.environ
    monkeypatch.setenv("EXO_HOME", str(workspace))
    assert exo("config", "check").code == 0
    assert exo("config", "check", "--home", workspace / "elsewhere").code == 2
    assert os.environ["EXO_HOME"] == str(workspace)


def test_global_options_are_hoisted_but_nothing_after_two_dashes() -> None:
    assert hoisted(["data", "import", "--home", "w", "f", "--debug"]) == ["--home", "w", "--debug", "data", "import", "f"]
    assert hoisted(["a", "--", "--home", "w"]) == ["a", "--", "--home", "w"]
    with pytest.raises(typer.BadParameter):
        hoisted(["a", "--home"])


def test_the_repository_itself_is_a_workspace(exo: Exo, repository: Path) -> None:
    assert exo("config", "check", "--home", repository).code == 0


@pytest.mark.parametrize("words", [("nonsense",), ("config", "nonsense"), ("config", "check", "--nonsense"), ("init", "a", "b"), ("--home",)])
def test_wrong_usage_is_exit_code_two_without_traceback(exo: Exo, words: tuple[str, ...]) -> None:
    ran = exo(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err


def test_a_misspelt_command_is_guessed(exo: Exo) -> None:
    assert "backtest" in exo("bactest").err


def test_version(exo: Exo) -> None:
    from mech_exo import __version__

    ran = exo("--version")
    assert (ran.code, ran.out) == (0, f"exo {__version__}\n")


def test_help_lists_every_command(exo: Exo) -> None:
    ran = exo("--help")
    assert ran.code == 0
    assert [command.name for command in COMMANDS if f"\n  {command.name} " not in ran.out] == []


def test_every_listed_command_loads_and_has_help(exo: Exo) -> None:
    failed = {command.name: ran.err for command in COMMANDS if (ran := exo(command.name, "--help")).code != 0}
    assert failed == {}


def test_help_imports_nothing_heavy() -> None:
    probe = f"import sys; sys.argv = ['exo', '--help']; from mech_exo.cli.__main__ import main; main(); print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "Usage: exo" in ran.stdout
    assert ran.stderr.strip() == "[]"


def test_python_dash_m_works_as_exo() -> None:
    ran = subprocess.run([sys.executable, "-m", "mech_exo.cli", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("exo ")


def boom() -> None:
    """Fails as no command should."""
    raise ZeroDivisionError(f"division by\n{CANARY}")


def interrupted() -> None:
    """Is stopped by Ctrl-C."""
    raise KeyboardInterrupt


@pytest.fixture
def with_command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    def put(function: Callable[[], None]) -> None:
        from mech_exo.cli import workspace

        monkeypatch.setattr(workspace, "init", function)

    return put


def test_a_bug_is_one_line_and_a_traceback_only_on_request(exo: Exo, with_command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mech_exo.utils import log

    log.redact(CANARY)
    with_command(boom)
    ran = exo("init")
    assert ran.code == edge.UNEXPECTED
    assert len(ran.err.splitlines()) == 1
    assert "ZeroDivisionError" in ran.err
    assert "report" in ran.err
    loud = exo("init", "--debug")
    assert "Traceback" in loud.err
    monkeypatch.setenv("EXO_DEBUG", "1")
    assert "Traceback" in exo("init").err
    assert CANARY not in ran.err + loud.err


def test_ctrl_c_is_130_with_one_line(exo: Exo, with_command: Any) -> None:
    with_command(interrupted)
    ran = exo("init")
    assert (ran.code, ran.err) == (130, "exo: interrupted\n")


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_real_ctrl_c_of_a_running_command() -> None:
    probe = (
        "import sys, time, mech_exo.cli.workspace as w\n"
        "def init():\n    print('up', flush=True); time.sleep(60)\n"
        "w.init = init\nfrom mech_exo.cli.__main__ import main\nsys.exit(main(['init']))"
    )
    child = subprocess.Popen([sys.executable, "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (130, "exo: interrupted\n")


def test_json_knows_unknown_as_null_never_as_zero() -> None:
    from datetime import UTC, date, datetime
    from enum import StrEnum

    import numpy as np
    import polars as pl

    class Colour(StrEnum):
        RED = "red"

    data = {
        "nan": float("nan"), "inf": float("inf"), "array": np.array([1.0, np.nan]), "scalar": np.int64(3), "day": np.datetime64("2024-01-02", "D"),
        "frame": pl.DataFrame({"a": [1.5, None]}), "date": date(2024, 1, 2), "instant": datetime(2024, 1, 2, tzinfo=UTC), "path": Path("x"),
        "enum": Colour.RED, Colour.RED: True, "tuple": (1, None), "set": {2, 1},
    }  # fmt: skip
    assert output.plain(data) == {
        "nan": None, "inf": None, "array": [1.0, None], "scalar": 3, "day": "2024-01-02", "frame": [{"a": 1.5}, {"a": None}], "date": "2024-01-02",
        "instant": "2024-01-02T00:00:00+00:00", "path": "x", "enum": "red", "red": True, "tuple": [1, None], "set": [1, 2],
    }  # fmt: skip
    with pytest.raises(TypeError, match="no JSON form"):
        output.plain(object())
