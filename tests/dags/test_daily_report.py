"""The flow of the daily report: what it may repeat, that it runs without a server, and that the digest arrives once."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mech_exo.domain.errors import ConfigError, DataError, InputError, MissingDataError
from mech_exo.execution.ledger import Ledger, default_path
from tests.reporting.alerts import homes
from tests.reporting.alerts.servers import World
from tests.reporting.nights import TWO, fill_ledger

pytestmark = pytest.mark.skipif(importlib.util.find_spec("prefect") is None, reason="the extra `flows` is not installed")


@pytest.fixture(scope="module")
def flow(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("daily_report", repository / "dags" / "daily_report.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def booked(folder: Path, port: int = 25, **rules: object) -> Path:
    """A workspace with a booked night and nothing stored."""
    homes.home(folder, port, **rules)
    with Ledger.open(default_path(folder)) as ledger:
        fill_ledger(ledger)
    return folder


def test_prefect_may_repeat_the_sending_alone(repository: Path) -> None:
    program = (
        "import importlib.util, json; from prefect import Task\n"
        "spec = importlib.util.spec_from_file_location('daily_report', 'dags/daily_report.py')\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "tasks = {task.name: [task.retries, task.persist_result] for task in vars(module).values() if isinstance(task, Task)}\n"
        "print(json.dumps([tasks, module.daily_report.retries, list(module.daily_report.parameters.properties)]))\n"
    )
    asked = {**os.environ, "PREFECT_TASKS_DEFAULT_RETRIES": "5", "PREFECT_FLOWS_DEFAULT_RETRIES": "5"}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=repository, env=asked)
    assert json.loads(ran.stdout.splitlines()[-1]) == [{"write": [0, False], "send": [3, False]}, 0, ["home", "date"]]


def test_once_writes_and_says_what_is_missing(
    flow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = booked(tmp_path / "w")
    monkeypatch.setattr(sys, "argv", ["daily_report.py", "--once", "--home", str(home)])
    assert flow.main() == ConfigError.exit_code
    said = capsys.readouterr()
    assert said.out.strip() == f"the report of {TWO} is written" and "write digest: [NAME]" in said.err
    assert {path.suffix for path in (home / "reports" / "daily").iterdir()} == {".html", ".json", ".md"}


def test_the_digest_arrives_by_mail_once_and_a_refusal_is_worth_another_try(flow: ModuleType, servers: World, tmp_path: Path) -> None:
    home = booked(tmp_path / "w", servers.mail.port, digest=["mail"])
    session = flow.write(str(home), None)
    assert session == TWO
    assert flow.send(str(home), session) == "the digest reached mail"
    (mail,) = servers.mail.got
    text = mail.get_body(("plain",)).get_content()
    assert str(TWO) in mail["subject"] and "Needs you:" in text and "AAA" in text
    assert "before" in flow.send(str(home), session) and len(servers.mail.got) == 1

    lost = booked(tmp_path / "lost", 1, digest=["mail"])
    with pytest.raises(DataError, match="mail"):
        flow.send(str(lost), flow.write(str(lost), TWO))


def test_a_wrong_question_is_an_error_with_its_remedy(flow: ModuleType, tmp_path: Path) -> None:
    empty = homes.home(tmp_path / "w")
    with pytest.raises(MissingDataError, match="no session is booked"):
        flow.write(str(empty), None)
    with pytest.raises(InputError, match="YYYY-MM-DD"):
        flow.session_of("yesterday")
