"""The Prefect flow: what it may repeat, that it runs without a server, and that it is served for real."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mech_exo.assembly import Workspace
from mech_exo.nightly import Evening, Step
from mech_exo.utils.calendar import latest_session, session_close
from tests.session import tonight
from tests.session.stage import set_line

pytestmark = pytest.mark.skipif(importlib.util.find_spec("prefect") is None, reason="the extra `flows` is not installed")
FAILING = Path(__file__).with_name("failing_send.py")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    """An evening of today's calendar whose bars have come. Not to be changed."""
    found = tonight.evening(tmp_path_factory.mktemp("flow") / "w", ends=datetime.now(UTC))
    assert session_close(latest_session(found.now)) < datetime.now(UTC)
    set_line(found.home / "config" / "data.yml", "night_after_close: 60 ", "night_after_close: 0 ")  # due as soon as it is closed, at any hour
    return found


@pytest.fixture
def evening(prepared: Evening, tmp_path: Path) -> Evening:
    shutil.copytree(prepared.home, tmp_path / "w")
    return replace(prepared, home=tmp_path / "w")


def around(prefect: Path) -> dict[str, str]:
    """The environment of a child: Prefect's own folder, and defaults that would repeat every task if the flow let them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    return {**kept, "PREFECT_HOME": str(prefect), "PREFECT_TASKS_DEFAULT_RETRIES": "2", "PREFECT_FLOWS_DEFAULT_RETRIES": "2"}


def booked(home: Path) -> Any:
    with Workspace.open(home).ledger(read_only=True) as ledger:
        return ledger.last_session(Workspace.open(home).book_id())


def test_prefect_may_repeat_the_download_alone(repository: Path) -> None:
    program = (
        "import importlib.util, json, sys; from prefect import Task\n"
        "spec = importlib.util.spec_from_file_location('nightly', 'dags/nightly.py')\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "tasks = {task.name: [task.retries, task.persist_result] for task in vars(module).values() if isinstance(task, Task)}\n"
        "print(json.dumps([tasks, module.nightly.retries, list(module.nightly.parameters.properties)]))\n"
    )
    settings = {**os.environ, "PREFECT_TASKS_DEFAULT_RETRIES": "5", "PREFECT_FLOWS_DEFAULT_RETRIES": "5"}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=repository, env=settings)
    tasks, of_flow, parameters = json.loads(ran.stdout.splitlines()[-1])
    assert list(tasks) == [str(step) for step in Step]
    assert {name for name, (retries, _) in tasks.items() if retries} == {"download"}
    assert (tasks["submit"], of_flow, parameters) == ([0, False], 0, ["home", "date"])


def test_once_needs_no_server(evening: Evening, repository: Path, tmp_path: Path) -> None:
    words = [sys.executable, "dags/nightly.py", "--once", "--home", str(evening.home)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, cwd=repository, env=around(tmp_path / "prefect"), timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert [line.split()[0] for line in ran.stdout.splitlines() if line[0] != " "] == [str(step) for step in Step]
    assert booked(evening.home).session == latest_session(evening.now)
    assert not list((tmp_path / "prefect").rglob("*.db")), "a server was started"
    assert tonight.KEY not in ran.stdout + ran.stderr


def test_once_says_what_is_wrong_without_a_traceback(
    evening: Evening, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the script's own ``main``: what it does not catch would be raised here."""
    spec = importlib.util.spec_from_file_location("nightly", repository / "dags" / "nightly.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for words, said in ((("--date", "2021-13-01"), "2021-13-01"), (("--date", "2021-07-04"), "a night belongs to a trading session")):
        monkeypatch.setattr(sys, "argv", ["nightly.py", "--once", "--home", str(evening.home), *words])
        assert script.main() != 0
        assert said in capsys.readouterr().err


def test_schedule_without_prefect_says_how_to_get_it(exo: Callable[..., Any], workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "prefect" else known(name, *more))
    ran = exo("--home", workspace, "schedule")
    assert ran.code == 2 and 'pip install "mech-exo[flows]"' in ran.err and "exo run" in ran.err


def test_the_next_nights_are_shown(exo: Callable[..., Any], workspace: Path) -> None:
    found = json.loads(exo("--home", workspace, "schedule", "--show", "--count", "300", "--json").out)
    assert found["minutes_after_close"] == 60 and len(found["runs"]) == 300
    sessions = [row["session"] for row in found["runs"]]
    assert sessions == sorted(set(sessions))
    shown = exo("--home", workspace, "schedule", "--show").out
    assert sessions[0] in shown and "New York" in shown


# --- served ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """`exo schedule` as a process of its own, with all it says in a file."""

    evening: Evening
    prefect: Path
    said: Path
    process: subprocess.Popen[bytes]

    def wait_for(self, happened: Callable[[], Any]) -> Any:
        """What ``happened`` gives as soon as it is something."""
        deadline = time.monotonic() + 240
        while not (found := happened()):
            assert time.monotonic() < deadline and self.process.poll() is None, self.said.read_text()[-5000:]
            time.sleep(0.5)
        return found


@pytest.fixture(scope="module")
def served(prepared: Evening, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all that need one: a start of Prefect's costs more than a night."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(prepared.home, folder / "w")
    evening, said = replace(prepared, home=folder / "w"), folder / "said.txt"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "mech_exo.cli", "--home", str(evening.home), "schedule"],
            stdout=file, stderr=subprocess.STDOUT, cwd=repository, env=around(folder / "prefect"), start_new_session=True,
        )  # fmt: skip
        try:
            yield Served(evening, folder / "prefect", said, process)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


@pytest.mark.slow
def test_the_schedule_performs_the_night_that_is_due_and_knows_the_next(served: Served) -> None:
    evening = served.evening
    session = latest_session(evening.now)
    served.wait_for((evening.home / "reports" / "daily" / f"{session}.md").exists)
    served.wait_for(lambda: finished(served.prefect, f"night-{session}"))
    row = booked(evening.home)
    assert row is not None and row.session == session
    runs = flow_runs(served.prefect)
    assert runs[f"night-{session}"] == "COMPLETED"
    assert sum(state == "SCHEDULED" for state in runs.values()) == 5, runs
    searched = [path for folder in (served.prefect, evening.home, served.said.parent) for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in searched)
    holders = {path for path in searched if tonight.KEY.encode() in path.read_bytes()}
    assert holders == {evening.home / "config" / "api_keys_local.yml"}, "a key has left the file it was written to"


def flow_runs(folder: Path) -> dict[str, str]:
    import sqlite3

    (database,) = folder.glob("*.db")
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10) as connection:
        rows = connection.execute("select name, state_type, parameters from flow_run").fetchall()
    connection.close()
    assert all(set(json.loads(parameters)) <= {"home", "date"} for _, _, parameters in rows)
    assert all(re.fullmatch(r"night-\d{4}-\d\d-\d\d", name) for name, _, _ in rows)
    return {name: state for name, state, _ in rows}


def finished(folder: Path, name: str) -> bool:
    return flow_runs(folder).get(name) in ("COMPLETED", "FAILED", "CRASHED")


@pytest.mark.slow
def test_a_send_that_fails_is_not_repeated(evening: Evening, served: Served, repository: Path, tmp_path: Path) -> None:
    """Under Prefect's engine, with defaults that would repeat every task."""
    api = served.wait_for(lambda: re.search(r"Prefect's API: (\S+)", served.said.read_text()))[1]
    count = tmp_path / "sends"
    words = [sys.executable, str(FAILING), str(count), str(evening.home)]
    asked = around(tmp_path / "prefect") | {"PREFECT_API_URL": api}
    ran = subprocess.run(words, capture_output=True, text=True, check=False, cwd=repository, env=asked, timeout=300)
    assert ran.returncode != 0 and count.exists(), ran.stderr[-3000:]
    assert count.read_text() == "sent\n"
    with Workspace.open(evening.home).ledger(read_only=True) as ledger:
        assert any(row.id.startswith("failed-") for row in ledger.alerts())
