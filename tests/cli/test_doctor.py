"""`exo doctor`: sound workspaces are found sound, each fault is found by its own check with a command that mends it, nothing is written.

Long because every check of one doctor has its fault here: one that is missing is seen only where all of them stand.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mech_exo.cli.checks import CHECKS, _answer, examine, outside, program, stores
from mech_exo.cli.checks.finding import Answer, Check, Needs, Patient, State, within
from tests.cli.typed import taken
from tests.faults.small_disk import disk_of
from tests.session.stage import set_line

Exo = Callable[..., Any]
BY_NAME = {check.name: check for check in CHECKS}
CANARY = "canary-doctor-77f1-must-not-be-seen"


@pytest.fixture
def home(played_home: Path, tmp_path: Path) -> Path:
    """A copy of the sample market with 23 nights, to be broken."""
    shutil.copytree(played_home, tmp_path / "w")
    return tmp_path / "w"


def asked(name: str, home: Path, *, offline: bool = True, now: datetime | None = None) -> Answer:
    """What one check answers, as `exo doctor` has it."""
    answer = _answer(BY_NAME[name], Patient(home, now or datetime.now(UTC), offline))
    if answer.remedy.startswith("exo "):
        taken(answer.remedy)  # a command that the command line takes as it is printed
    return answer


def tree(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Every file and folder below ``folder``: mode, time of the last change, contents."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        contents = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_mtime_ns, contents)
    return found


def test_a_sound_workspace_has_no_fault_and_nothing_in_it_is_touched(exo: Exo, home: Path) -> None:
    before = tree(home)
    ran = exo("doctor", "--home", home, "--offline", "--json")
    assert ran.code == 0, ran.out
    said = json.loads(ran.out)
    assert [found["check"] for found in said["findings"]] == [check.name for check in CHECKS]
    states = {found["check"]: found["state"] for found in said["findings"]}
    assert said["ok"] is True
    assert said["counts"]["fault"] == 0
    assert {states[name] for name in ("python", "packages", "config", "secrets", "store", "snapshot", "ledger", "factors", "calendar", "time zones")} == {"ok"}
    assert all(found["rule"] and found["value"] for found in said["findings"])
    assert tree(home) == before


def test_for_a_person_each_finding_has_its_sign_and_each_fault_its_command(exo: Exo, home: Path) -> None:
    (home / "config" / "risk_limits.yml").write_text("portfolio: {max_drawdown: [}\n")
    ran = exo("doctor", "--home", home, "--offline")
    assert ran.code == 1
    assert "✔ ledger" in ran.out
    assert "✘ config" in ran.out
    assert f"→ exo --home {home} config check" in ran.out
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_outside_a_workspace_the_program_itself_is_looked_at(exo: Exo, tmp_path: Path, words: tuple[str, ...]) -> None:
    ran = exo("doctor", "--home", tmp_path, "--offline", *words)
    assert ran.code == 0
    assert "python" in ran.out
    assert list(tmp_path.iterdir()) == []
    assert asked("workspace", tmp_path / "nowhere").state is State.FAULT
    assert asked("ledger", tmp_path / "nowhere").state is State.UNKNOWN


def _yaml(home: Path) -> None:
    (home / "config" / "strategy.yml").write_text("selection: [\n")


def _unknown_key(home: Path) -> None:
    set_line(home / "config" / "strategy.yml", "  top: 30 ", "  tpo: 30 ")


def _unknown_factor(home: Path) -> None:
    (home / "config" / "factors.yml").write_text("technical: {momentm_12_1: {weight: 1, direction: higher_better}}\n")


def _open_keys(home: Path) -> None:
    (home / "config" / "api_keys_local.yml").write_text(f"slack_webhook: {CANARY}\n")
    (home / "config" / "api_keys_local.yml").chmod(0o640)


def _plain_password(home: Path) -> None:
    (home / "config" / "api_keys_local.yml").write_text(f"dashboard_password: {CANARY}\n")
    (home / "config" / "api_keys_local.yml").chmod(0o600)


def _world_writable(home: Path) -> None:
    (home / "config").chmod(0o777)


def _torn_store(home: Path) -> None:
    database = home / "data" / "mech_exo.duckdb"
    os.truncate(database, database.stat().st_size // 2)


def _rubbish_store(home: Path) -> None:
    (home / "data" / "mech_exo.duckdb").write_bytes(b"no database at all" * 1000)


def _flipped_snapshot(home: Path) -> None:
    path = next((home / "data" / "snapshots").glob("*.duckdb"))
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)


def _lost_snapshot(home: Path) -> None:
    next((home / "data" / "snapshots").glob("*.duckdb")).unlink()


def _torn_ledger(home: Path) -> None:
    path = home / "data" / "ledger.sqlite"
    os.truncate(path, path.stat().st_size // 2)


def _lost_ledger(home: Path) -> None:
    (home / "data" / "ledger.sqlite").unlink()


def _changed_ledger(home: Path) -> None:
    import sqlite3

    with contextlib.closing(sqlite3.connect(home / "data" / "ledger.sqlite")) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS journal_update")
        triggers = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")]
        for name in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE journal SET key = key || 'x' WHERE seq = 5")


def _lost_mark(home: Path) -> None:
    (home / "data" / "ledger.sqlite.mark").unlink()


FAULTS = [
    (_yaml, "config", "config check"), (_unknown_key, "config", "config check"), (_unknown_factor, "config", "config check"),
    (_open_keys, "secrets", "chmod 600 "), (_plain_password, "dashboard", "dash --set-password"), (_world_writable, "permissions", "chmod o-w "),
    (_torn_store, "store", "data restore "), (_rubbish_store, "store", "data restore "), (_flipped_snapshot, "snapshot", "data publish"),
    (_lost_snapshot, "snapshot", "data publish"), (_torn_ledger, "ledger", "ledger restore "), (_lost_ledger, "ledger", "ledger restore "),
    (_changed_ledger, "ledger", "ledger restore "), (_lost_mark, "ledger", "ledger restore "),
]  # fmt: skip


@pytest.mark.parametrize(("breaking", "name", "remedy"), FAULTS, ids=[breaking.__name__ for breaking, *_ in FAULTS])
def test_what_is_broken_is_a_fault_of_its_check_with_the_command_that_mends_it(home: Path, breaking: Callable[[Path], None], name: str, remedy: str) -> None:
    assert asked(name, home).state is State.OK
    breaking(home)
    before = tree(home)
    answer = asked(name, home)
    assert answer.state is State.FAULT, answer
    assert remedy in answer.remedy
    assert CANARY not in str(answer)
    assert tree(home) == before


def test_the_mode_of_a_key_file_is_said_and_left_to_its_owner_who_mends_it_by_the_command(home: Path) -> None:
    _open_keys(home)
    answer = asked("secrets", home)
    assert "0640" in answer.value
    subprocess.run(answer.remedy, shell=True, check=True)
    assert asked("secrets", home).state is State.OK


def test_keys_in_the_template_are_moved_by_the_command(home: Path) -> None:
    set_line(home / "config" / "api_keys.yml", 'slack_webhook: ""', f'slack_webhook: "{CANARY}"')
    answer = asked("secrets", home)
    assert answer.state is State.WARNING
    assert CANARY not in str(answer)
    subprocess.run(answer.remedy.split(" && exo")[0], shell=True, check=True)
    assert asked("secrets", home).state is State.OK


def test_no_secret_is_shown(exo: Exo, home: Path) -> None:
    (home / "config" / "api_keys_local.yml").write_text(
        f"heartbeat_url: http://127.0.0.1:9/{CANARY}\nalert_urls: {{pager: '{CANARY}://x'}}\ndashboard_token: {CANARY}\nib_account: U7654321\n"
    )
    (home / "config" / "alerts.yml").write_text("channels: {pager: {kind: url}}\nsingle_critical_channel: true\n")
    set_line(home / "config" / "broker.yml", "kind: paper ", "kind: ib ")
    ran = exo("doctor", "--home", home, "--offline")
    assert CANARY not in ran.out + ran.err
    assert "U7654321" not in ran.out + ran.err


def test_the_stores_tell_who_is_writing_instead_of_calling_it_damage(home: Path) -> None:
    from mech_exo.datasource.storage.connection import WriterLock
    from mech_exo.utils.lock import ProcessLock

    lock = WriterLock(home / "data" / "mech_exo.duckdb")
    lock.take()
    held = ProcessLock(home / "data" / "ledger.sqlite.lock")
    try:
        for name in ("store", "snapshot", "ledger"):
            answer = asked(name, home)
            assert answer.state is State.UNKNOWN
            assert f"process {os.getpid()}" in answer.value
            assert answer.remedy == f"ps -p {os.getpid()}"
        assert f"by process {os.getpid()}" in asked("left over", home).value
    finally:
        lock.release()
        held.release()
    assert asked("ledger", home).state is State.OK


def test_a_snapshot_older_than_the_database_is_a_warning(home: Path) -> None:
    import duckdb

    with duckdb.connect(str(home / "data" / "mech_exo.duckdb")) as connection:
        connection.execute("insert into meta values ('note', 'changed', now())")
    answer = asked("snapshot", home)
    assert answer.state is State.WARNING
    assert "data publish" in answer.remedy


def test_halt_left_overs_and_a_clock_that_ran_backwards(home: Path) -> None:
    from mech_exo.execution import safety

    assert {asked(name, home).state for name in ("halt", "left over", "clock")} == {State.OK}
    safety.halt(home, "a strange fill")
    assert "a strange fill" in asked("halt", home).value
    assert asked("halt", home).state is State.WARNING
    (home / "data" / "snapshots" / "publishing-1.partial").write_bytes(b"")
    left = asked("left over", home)
    assert left.state is State.WARNING
    subprocess.run(left.remedy, shell=True, check=True)
    assert asked("left over", home).state is State.OK
    late = asked("clock", home, now=datetime.now(UTC) - timedelta(hours=3))
    assert late.state is State.FAULT
    assert "timedatectl" in late.remedy


def test_disk_is_measured_against_what_a_night_needs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 500 * stores.MB + stores._published(Patient(home, datetime.now(UTC)))
    free = {State.FAULT: needed - 1, State.WARNING: needed + 1, State.OK: 4 * needed}
    for state, there in free.items():
        monkeypatch.setattr(stores.shutil, "disk_usage", lambda _, there=there: shutil._ntuple_diskusage(there, 0, there))
        assert asked("disk", home).state is state


def test_on_a_read_only_and_full_disk_records_are_still_verified(played_home: Path, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in played_home.rglob("*") if path.is_file())
    with disk_of(size // 1_000_000 + 3, tmp_path / "disk") as disk:
        home = disk / "w"
        shutil.copytree(played_home, home)
        with contextlib.suppress(OSError), (disk / "filler").open("wb") as file:
            while True:
                file.write(b"\0" * 65536)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        found = {one.check: one for _, one in examine(CHECKS, Patient(home, datetime.now(UTC), offline=True))}
        states = {name: one.state for name, one in found.items()}
    assert {states[name] for name in ("store", "snapshot", "ledger", "config")} == {State.OK}
    assert states["disk"] is State.FAULT
    assert states["workspace"] is State.FAULT
    assert not any("failed, please report" in one.value for one in found.values())


def test_as_another_user_every_check_answers(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("becoming another user takes root")
    asked("store", home), asked("alerts", home)  # import what the child may not read
    home.parent.chmod(0o700)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        found = [f"{one.check}={one.state}={one.value}" for _, one in examine(CHECKS, Patient(home, datetime.now(UTC), offline=True))]
        os.write(writer, "\n".join(found).encode()[:60_000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        lines = said.read().decode().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    states = dict(line.split("=")[:2] for line in lines if line.count("=") >= 2)
    assert set(states) == set(BY_NAME)
    assert states["ledger"] == states["workspace"] == "unknown"
    assert not any("failed, please report" in line for line in lines)


def test_a_check_that_breaks_is_a_finding_and_stops_no_other(home: Path) -> None:
    def broken(_: Patient) -> Answer:
        raise ZeroDivisionError("one by nothing")

    def gone(_: Patient) -> Answer:
        raise PermissionError(13, "Permission denied", "/root/x")

    checks = [Check("a", "S", "r", broken), Check("b", "S", "r", gone), Check("c", "S", "r", lambda _: Answer(State.OK, "fine"), Needs.WORKSPACE)]
    found = [one for _, one in examine(checks, Patient(home, datetime.now(UTC)))]
    assert [one.state for one in found] == [State.UNKNOWN, State.UNKNOWN, State.OK]
    assert "ZeroDivisionError" in found[0].value
    assert "/root/x" in found[1].value


def test_packages_and_python_outside_their_bounds(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    from packaging.requirements import Requirement

    monkeypatch.setattr(program, "_declared", lambda: program._Declared(">=9.1", [Requirement("numpy>=99"), Requirement("no-such-package-here>=1"), Requirement("yaml-x; extra == 'dash'")], ["dash"]))
    assert asked("python", home).state is State.FAULT
    answer = asked("packages", home)
    assert answer.state is State.FAULT
    assert "no-such-package-here is missing" in answer.value
    assert "'numpy>=99'" in answer.remedy
    assert "yaml-x" not in answer.value


def test_a_package_of_another_version_than_the_lock_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy==1.0.0 \\\n    --hash=sha256:00\ncolorama==1 ; sys_platform == 'win32'\n")
    monkeypatch.setattr(program, "SOURCE", tmp_path)
    answer = asked("lock", home)
    assert answer.state is State.WARNING
    assert "tested with 1.0.0" in answer.value
    assert "colorama" not in answer.value


def test_a_calendar_that_ends_and_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path) -> None:
    assert asked("calendar", home, now=datetime(2049, 6, 1, tzinfo=UTC)).state is State.FAULT
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/1/nothing")
    assert asked("compile cache", home).state is State.WARNING
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not" / "yet"))
    assert asked("compile cache", home).state is State.OK
    assert not (tmp_path / "not").exists()


@contextlib.contextmanager
def _server(ahead: float) -> Iterator[str]:
    class Clock(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(404)
            self.send_header("Date", format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True))
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Clock) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(("ahead", "state"), [(0.0, State.OK), (30.0, State.WARNING), (-30.0, State.WARNING), (3600.0, State.FAULT)])
def test_the_clock_is_compared_with_a_sources_server(home: Path, monkeypatch: pytest.MonkeyPatch, ahead: float, state: State) -> None:
    set_line(home / "config" / "data.yml", "  bars: null ", "  bars: yahoo ")
    with _server(ahead) as address:
        monkeypatch.setattr(outside, "SERVERS", {"yahoo": address})
        assert asked("network clock", home, offline=False).state is state
    assert asked("network clock", home, offline=True).state is State.UNKNOWN


def test_where_nobody_answers_the_clock_is_unknown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_line(home / "config" / "data.yml", "  bars: null ", "  bars: yahoo ")
    monkeypatch.setattr(outside, "SERVERS", {"yahoo": "http://127.0.0.1:9/"})
    assert asked("network clock", home, offline=False).state is State.UNKNOWN


def test_a_broker_that_is_not_there_is_a_fault_within_seconds(home: Path) -> None:
    set_line(home / "config" / "broker.yml", "kind: paper ", "kind: ib ")
    set_line(home / "config" / "broker.yml", "  port: null ", "  port: 1 ")
    assert asked("broker", home, offline=False).state is State.FAULT  # no account
    (home / "config" / "api_keys_local.yml").write_text("ib_account: DU1234567\n")
    (home / "config" / "api_keys_local.yml").chmod(0o600)
    answer = asked("broker", home, offline=False)
    assert answer.state is State.FAULT
    assert "broker check" in answer.remedy


def test_waiting_ends_whatever_is_waited_for() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError, match="within 0"):
        within(0.05, never.wait)
    never.set()
    assert within(5.0, lambda: 3) == 3
    with pytest.raises(ValueError, match="said"):
        within(5.0, lambda: int("said"))


def test_alerts_and_heartbeat(home: Path) -> None:
    assert {asked(name, home).state for name in ("alerts", "heartbeat")} == {State.WARNING}
    (home / "config" / "api_keys_local.yml").write_text(f"slack_webhook: https://hooks.example/{CANARY}\nheartbeat_url: https://hc.example/{CANARY}\n")
    (home / "config" / "api_keys_local.yml").chmod(0o600)
    (home / "config" / "alerts.yml").write_text("single_critical_channel: true\n")
    assert asked("heartbeat", home).state is State.OK
    idle = asked("alerts", home)
    assert idle.state is State.WARNING
    assert "no process delivers" in idle.value
    assert idle.remedy.endswith("alert run")


def test_a_factor_that_looks_ahead_is_a_fault(home: Path) -> None:
    (home / "peek.py").write_text(
        "import numpy as np\nfrom mech_exo.plugins import Direction, Factor, Family\n\n"
        "def tomorrow(inputs, rows, params):\n    return inputs.close[np.minimum(rows + 1, len(inputs.close) - 1)]\n\n"
        'PEEK = Factor(name="peek", family=Family.TECHNICAL, inputs=("close",), unit="ratio", direction=Direction.HIGHER_BETTER, source="tests", compute=tomorrow)\n'
    )
    factors = home / "config" / "factors.yml"
    text = re.sub(r"(?m)^plugins:.*\n", "", factors.read_text())
    factors.write_text(text.replace("technical:\n", "technical:\n  peek: {weight: 5, direction: higher_better}\n") + "\nplugins: [peek.py]\n")
    answer = asked("factors", home)
    assert answer.state is State.FAULT, answer
    assert "peek" in answer.value
