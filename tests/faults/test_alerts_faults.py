"""The delivery process among failures: servers that hang, floods, a full disk, a busy ledger, two processes. Trading never waits for it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mech_exo.assembly import Workspace
from mech_exo.datasource.replay.server import Answer
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import Alert
from mech_exo.reporting.alerts import service as running
from mech_exo.reporting.alerts.answers import Answers
from mech_exo.reporting.alerts.service import Service
from mech_exo.reporting.alerts.store import DeliveryStateError, DeliveryStore
from mech_exo.utils.config import load
from tests.faults.small_disk import disk_of
from tests.reporting.alerts.homes import Clock, alerts, home, post, write
from tests.reporting.alerts.servers import CHAT, World, too_many

PATIENCE = 180.0


@pytest.fixture
def place(servers: World, tmp_path: Path) -> Path:
    return home(tmp_path / "w", servers.mail.port)


@contextmanager
def delivering(place: Path, *, clock: Callable[[], object] | None = None) -> Iterator[Service]:
    """``exo alert run`` in a thread of this process."""
    options = {} if clock is None else {"clock": clock}
    made = Service(place, load(place), lambda: Workspace.open(place), **options)  # type: ignore[arg-type]
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join(PATIENCE)
        made.close()


def once(place: Path, clock: Callable[[], object]) -> running.Told:
    made = Service(place, load(place), lambda: Workspace.open(place), clock)  # type: ignore[arg-type]
    try:
        return made.once()
    finally:
        made.close()


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"it did not happen in {PATIENCE:g} s: {what}"
        time.sleep(0.02)


def test_a_channel_that_hangs_holds_no_other_and_no_writer(servers: World, place: Path) -> None:
    release = threading.Event()

    def hang(_: object) -> Answer:
        release.wait(PATIENCE)
        return Answer()

    servers.telegram.fault = hang
    post(place, alerts(3, "critical"))
    with delivering(place):
        until(lambda: len(servers.slack.got) == len(servers.mail.got) == 3, "the others deliver")
        with Ledger.open(default_path(place)) as ledger:  # as a night does, which does not wait for a lock
            assert ledger.post_alert(Alert("meanwhile", "critical", "Meanwhile", "x"))
        until(lambda: len(servers.slack.got) == len(servers.mail.got) == 4, "what is posted meanwhile is delivered")
        assert servers.telegram.got == []
        release.set()
        servers.telegram.fault = lambda _: None
        until(lambda: len(servers.telegram.got) >= 4, "it delivers once it answers")
    assert "Meanwhile" in "".join(servers.telegram.texts)


def test_a_bug_in_a_thread_ends_the_process_and_the_next_takes_up_the_rest(servers: World, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    post(place, alerts(1, "critical"))
    made = Service(place, load(place), lambda: Workspace.open(place))
    with monkeypatch.context() as patch:
        patch.setattr(made.office, "settle", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            made.run()
    made.close()
    with delivering(place):
        until(lambda: len(servers.slack.got) == 2, "the next process sends what is in doubt")
    assert "(repeated)" in servers.slack.texts[1]


def test_everything_down_then_back_nothing_is_lost(servers: World, place: Path) -> None:
    clock = Clock()
    faults = [too_many(3), lambda _: Answer(503, b"no"), lambda _: Answer(200, b"garbage", cut=True)]
    servers.mail.fault["MAIL"] = "451 later"
    post(place, [*alerts(2, "critical"), *alerts(4, "info", "b")])
    for fault in faults:
        servers.slack.fault = servers.telegram.fault = fault
        told = once(place, clock)
        assert set(told.failed) == {"slack", "telegram", "mail"} and not told.arrived
        clock.move(minutes=1)
    servers.slack.fault = servers.telegram.fault = lambda _: None
    servers.mail.fault.clear()
    assert not once(place, clock).failed
    for texts in (servers.slack.texts, servers.telegram.texts, servers.mail.texts):
        assert all(any(f"{name}-{n}." in text for text in texts) for name, count in (("a", 2), ("b", 4)) for n in range(count))


def test_ten_thousand_alerts_are_a_handful_of_messages_and_none_is_lost(servers: World, tmp_path: Path) -> None:
    place, clock = home(tmp_path / "w", servers.mail.port, per_minute=10), Clock()
    post(place, [*alerts(10_000, "info"), *alerts(2, "critical", "c")])
    told = once(place, clock)
    assert told.failed == {} and set(told.arrived.values()) == {3}
    digest = next(text for text in servers.telegram.texts if "10,000 alerts" in text)
    lines = [line for line in digest.split("\n") if line.startswith("[info]")]
    more = re.search(r"… and ([\d,]+) more", digest)
    assert more is not None and len(lines) + int(more[1].replace(",", "")) == 10_000
    with DeliveryStore(place / "data" / "deliveries.sqlite") as store:
        rows = store.listed(100_000)
    assert len(rows) == 3 * 10_002 and {row.state for row in rows} == {"delivered"}
    with Ledger.open(default_path(place), read_only=True) as ledger:
        assert len(ledger.alerts()) == 10_002


def test_a_ledger_that_is_being_written_is_read_and_never_held(servers: World, place: Path) -> None:
    clock = Clock()
    post(place, alerts(1))
    with Ledger.open(default_path(place)) as ledger, ledger.transaction():
        ledger.post_alert(alerts(2)[1])
        assert once(place, clock).trouble is None and len(servers.slack.got) == 1
    clock.move(minutes=1)
    once(place, clock)
    assert len(servers.slack.got) == 2


def test_a_damaged_ledger_is_told_and_delivery_goes_on(servers: World, place: Path) -> None:
    clock = Clock()
    post(place, alerts(1))
    once(place, clock)
    whole = default_path(place).read_bytes()
    default_path(place).write_bytes(b"\0" * len(whole))
    for file in place.glob("data/ledger.sqlite-*"):
        file.unlink()
    assert once(place, clock).trouble is not None
    clock.move(minutes=2)
    once(place, clock)
    assert "The ledger cannot be read" in servers.slack.texts[-1] and servers.pings()[-1].endswith("/fail")
    default_path(place).unlink()
    assert "is gone" in str(once(place, clock).trouble)
    default_path(place).write_bytes(whole)
    assert once(place, clock).trouble is None
    assert "All clear" in servers.slack.texts[-1]


def test_a_night_that_does_not_come_is_told_and_its_coming_pings(servers: World, place: Path) -> None:
    clock = Clock()
    post(place, [Alert("night-2024-03-06", "info", "Night of 2024-03-06", "booked")])
    once(place, clock)
    assert servers.pings() == ["/22222222-secret-uuid", "/11111111-secret-uuid"]
    clock.move(days=1, hours=2)  # the close of the 7th was at 21:00 UTC: due at 22:00, missed at 23:30
    once(place, clock)
    assert "CRITICAL: The night of 2024-03-07 did not come" in servers.telegram.texts[-1]
    post(place, [Alert("night-2024-03-07", "info", "Night of 2024-03-07", "booked")])
    once(place, clock)
    assert any("All clear: The night came after all" in text for text in servers.telegram.texts)
    assert servers.pings().count("/22222222-secret-uuid") == 2


def test_the_digest_of_a_night_goes_whole_to_those_who_get_it(servers: World, place: Path) -> None:
    rules = dict(load(place).alerts.model_dump(mode="json", exclude_defaults=True))
    write(place, **rules | {"digest": ["mail"]})
    (place / "reports" / "daily").mkdir(parents=True, exist_ok=True)
    (place / "reports" / "daily" / "2024-03-06.md").write_text("# Night\n\n| a | b |\n|---|---|\n<b>&\n" + "line\n" * 3000)
    post(place, [Alert("night-2024-03-06", "info", "Night of 2024-03-06", "booked")])
    once(place, Clock())
    once(place, Clock())
    (digest,) = [one for one in servers.mail.got if "digest" in one["Subject"]]
    assert digest["Subject"] == "Mech-Exo: digest of 2024-03-06"
    page = digest.get_body(("html",)).get_content()
    assert page.count("line<br>") == 3000 and "&lt;b&gt;&amp;" in page
    assert not any("digest" in text for text in servers.slack.texts)


def test_no_alarm_waits_for_the_answer_to_a_question(servers: World, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    write(place, **load(place).alerts.model_dump(mode="json", exclude_defaults=True) | {"commands": {"chats": [CHAT]}})

    def slow(*_: object) -> str:
        until(lambda: servers.slack.got, "the alarm arrives meanwhile")
        return "figures"

    monkeypatch.setattr(Answers, "answer", slow)
    servers.telegram.write("/pnl", at=clock().timestamp())
    post(place, alerts(1, "critical"))
    once(place, clock)
    assert "figures" in servers.telegram.texts and len(servers.slack.got) == 1


def test_a_damaged_record_is_told_once_an_hour_however_often_the_process_is_restarted(servers: World, place: Path) -> None:
    clock, record = Clock(), place / "data" / "deliveries.sqlite"
    record.parent.mkdir(exist_ok=True)
    record.write_bytes(b"no database" * 500)
    for minutes, told in ((0, 1), (1, 1), (58, 1), (2, 2)):
        clock.move(minutes=minutes)
        with pytest.raises(DeliveryStateError, match=r"move .* away"):
            once(place, clock)
        assert len(servers.slack.got) == len(servers.telegram.got) == told
    record.unlink()
    post(place, alerts(1, "critical"))
    assert once(place, clock).failed == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(6, tmp_path / "disk") as disk:
        yield disk


def test_a_full_disk_is_told_once_and_everything_is_delivered_after_it(servers: World, small_disk: Path) -> None:
    place, clock = home(small_disk / "w", servers.mail.port, watch={"disk_free_mb": 1}), Clock()
    post(place, alerts(3, "critical"))
    once(place, clock)
    assert len(servers.slack.got) == 3
    post(place, alerts(40, "info", "b"))
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096) == 4096:
            pass
    for _ in range(2):  # the next process keeps silent for the hour
        with pytest.raises(DeliveryStateError, match="free disk space"):
            once(place, clock)
    for texts in (servers.slack.texts, servers.telegram.texts, servers.mail.texts):
        assert len(texts) == 4 and "alerts cannot be delivered" in texts[-1]
    filler.unlink()
    assert once(place, clock).failed == {}
    assert "40 alerts (40 info)" in "".join(servers.slack.texts)


def test_one_process_delivers_and_stops_when_told(servers: World, place: Path) -> None:
    words = [sys.executable, "-m", "mech_exo.cli", "alert", "run", "--home", str(place)]
    post(place, alerts(1, "critical"))
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: servers.slack.got, "the first delivers")
        second = subprocess.run([*words, "--once"], capture_output=True, text=True, timeout=PATIENCE)
        assert second.returncode == 2 and f"process {first.pid} holds" in second.stderr and "Traceback" not in second.stderr
    finally:
        first.send_signal(signal.SIGTERM)
        _, err = first.communicate(timeout=PATIENCE)
    assert first.returncode == 0 and "Traceback" not in err
    assert any(path.endswith("/start") for path in servers.pings())
