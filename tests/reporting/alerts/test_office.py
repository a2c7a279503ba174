"""What goes next and what waits: laws over any sequence of alerts, failures, hangs and deaths."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import Alert
from mech_exo.reporting.alerts.channels import Channel, Directory
from mech_exo.reporting.alerts.office import Office, backoff, is_quiet
from mech_exo.reporting.alerts.rows import Posted
from mech_exo.reporting.alerts.sending import Outcome
from mech_exo.reporting.alerts.store import DeliveryStateError, DeliveryStore
from mech_exo.utils.alert_settings import AlertsConfig, ChannelRules, Kind, QuietHours, RetryRules, Severity
from tests.reporting.alerts.homes import Clock, alerts

BOTH = ("one", "two")
OK, REFUSED, LOST = Outcome(True), Outcome(False, "error=500"), Outcome(False, "no answer", doubt=True)


def office(path: Path, clock: Clock, names: tuple[str, ...] = BOTH, per_minute: int = 600, **rules: object) -> Office:
    channels = {name: Channel(name, ChannelRules(kind=Kind.TELEGRAM, per_minute=per_minute), "x") for name in names}
    directory = Directory(channels, dict.fromkeys(Severity, names), ())
    made = Office(DeliveryStore(path), AlertsConfig.model_validate(rules), directory, clock, random.Random(1))
    made.open()
    return made


def posted(n: int, severity: str = "info", text: str = "") -> Posted:
    return Posted(f"a-{n}", severity, f"Alert a-{n}.", text or f"text {n}", 0.0)


def drain(one: Office, channel: str = "one") -> list[str]:
    """Titles of what goes at once."""
    found = []
    while (parcel := one.take(channel)) is not None:
        found.append(parcel.message.title)
        one.settle(parcel, OK)
    return found


class Deliveries(RuleBasedStateMachine):
    """Whatever is posted, fails, hangs or dies: nothing is lost, and what was acknowledged never goes again."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.made = self._open()
        self.posted: set[str] = set()
        self.acknowledged: dict[str, list[str]] = {name: [] for name in BOTH}
        self.tried: dict[str, set[str]] = {name: set() for name in BOTH}
        self.last_failure = dict.fromkeys(BOTH, float("-inf"))

    def _open(self) -> Office:
        return office(self.folder / "d.sqlite", self.clock, retry={"shortest_seconds": 30.0})

    def teardown(self) -> None:
        self.made.store.close()
        shutil.rmtree(self.folder)

    @rule(count=st.integers(1, 12), severity=st.sampled_from(Severity), same=st.booleans())
    def post(self, count: int, severity: Severity, same: bool) -> None:
        first = len(self.posted)
        rows = [posted(first + n, severity, "the same" if same else "") for n in range(count)]
        assert self.made.post(*rows) == count and self.made.post(*rows) == 0
        self.posted |= {row.id for row in rows}

    @rule(channel=st.sampled_from(BOTH), outcome=st.sampled_from([OK, OK, REFUSED, LOST, None]))
    def send(self, channel: str, outcome: Outcome | None) -> None:
        parcel = self.made.take(channel)
        if parcel is None:
            return
        assert self.made.now() - self.last_failure[channel] >= 30.0, "a channel rests after any failure"
        known = set(self.acknowledged[channel])
        assert not known & set(parcel.alerts), "what was acknowledged goes again"
        doubtful = {one for one in parcel.alerts if one in self.tried[channel]}
        assert ("(repeated)" in parcel.message.title + parcel.message.text) is bool(doubtful)
        if outcome is None:  # killed before the outcome was noted
            self.made.store.close()
            self.made = self._open()
            self.tried[channel] |= set(parcel.alerts)
            return
        self.made.settle(parcel, outcome)
        if outcome.arrived:
            self.acknowledged[channel] += parcel.alerts
        else:
            self.last_failure[channel] = self.made.now()
            if outcome.doubt:
                self.tried[channel] |= set(parcel.alerts)

    @rule(minutes=st.sampled_from([0.1, 1.0, 20.0, 70.0]))
    def wait(self, minutes: float) -> None:
        self.clock.move(minutes=minutes)

    @precondition(lambda self: self.posted)
    @rule()
    def everything_arrives_in_the_end(self) -> None:
        for _ in range(8):
            self.clock.move(minutes=70.0)
            for channel in BOTH:
                while (parcel := self.made.take(channel)) is not None:
                    self.made.settle(parcel, OK)
                    self.acknowledged[channel] += parcel.alerts
        assert all(set(self.acknowledged[channel]) == self.posted for channel in BOTH)

    @invariant()
    def nothing_is_told_twice(self) -> None:
        for told in self.acknowledged.values():
            assert len(told) == len(set(told))


Deliveries.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestDeliveries = Deliveries.TestCase


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_few_go_one_by_one_critical_first(tmp_path: Path, clock: Clock) -> None:
    made = office(tmp_path / "d", clock)
    made.post(posted(1), posted(2, "warning"), posted(3, "critical"))
    assert drain(made) == ["CRITICAL: Alert a-3.", "warning: Alert a-2.", "Alert a-1."]


def test_a_flood_is_a_digest_and_critical_ones_still_go_singly(tmp_path: Path, clock: Clock) -> None:
    made = office(tmp_path / "d", clock)
    made.post(*(posted(n) for n in range(10_000)), posted(10_001, "critical"))
    assert drain(made) == ["CRITICAL: Alert a-10001.", "10,000 alerts (10,000 info)"]
    made.post(*(posted(n, "critical") for n in range(20_000, 20_100)))
    assert drain(made) == ["CRITICAL: 100 alerts (100 critical)"]


def test_the_rate_of_a_channel_survives_a_restart(tmp_path: Path, clock: Clock) -> None:
    made = office(tmp_path / "d", clock, per_minute=2)
    made.post(posted(1), posted(2), posted(3))
    assert len(drain(made)) == 2
    made.store.close()
    made = office(tmp_path / "d", clock, per_minute=2)
    assert drain(made) == [] and made.next_at("one") == made.now() + 60
    clock.move(seconds=60)
    assert drain(made) == ["Alert a-3."]


def test_the_same_words_within_the_window_are_counted_and_told_at_its_end(tmp_path: Path, clock: Clock) -> None:
    made = office(tmp_path / "d", clock)
    same = [Posted(f"b-{n}", "critical", "Broker gone", "the same", 0.0) for n in range(9)]
    made.post(same[0])
    assert drain(made) == ["CRITICAL: Broker gone"]
    clock.move(minutes=10)
    made.post(*same[1:])
    assert drain(made) == []
    clock.move(minutes=49)
    assert drain(made) == []
    clock.move(minutes=1)
    assert drain(made) == ["CRITICAL: Broker gone (×8)"]


def test_info_waits_in_quiet_hours_and_nothing_else_does(tmp_path: Path, clock: Clock) -> None:
    made = office(tmp_path / "d", clock, quiet={"begins": "17:00", "ends": "07:00"})  # New York; the clock begins there at 17:00
    made.post(posted(1), posted(2, "warning"))
    assert drain(made) == ["warning: Alert a-2."]
    clock.move(hours=13, minutes=59)
    assert drain(made) == []
    clock.move(minutes=1)
    assert drain(made) == ["Alert a-1."]


def test_quiet_hours_follow_the_clock_of_their_zone() -> None:
    night = QuietHours.model_validate({"begins": "22:00", "ends": "07:00", "zone": "Europe/Berlin"})
    assert [is_quiet(night, datetime(2024, 3, day, hour, 30, tzinfo=UTC)) for day, hour in ((30, 20), (30, 21), (31, 4), (31, 5))] == [False, True, True, False]
    noon = QuietHours.model_validate({"begins": "12:00", "ends": "13:00", "zone": "UTC"})
    assert [is_quiet(noon, datetime(2024, 3, 1, hour, tzinfo=UTC)) for hour in (11, 12, 13)] == [False, True, False]


def test_waits_double_and_never_fall_below_the_shortest() -> None:
    rules = RetryRules()
    assert [backoff(rules, n, 0.0) for n in (1, 2, 3, 6, 1000)] == [30, 60, 120, 900, 900]
    assert [backoff(rules, n, 0.999) for n in (1, 2)] == pytest.approx([30, 30.03])
    assert all(30 <= backoff(rules, n, n / 50) <= 900 for n in range(1, 50))


def test_a_server_that_asks_for_patience_gets_it(tmp_path: Path, clock: Clock) -> None:
    made = office(tmp_path / "d", clock)
    made.post(posted(1))
    parcel = made.take("one")
    assert parcel is not None
    made.settle(parcel, Outcome(False, "error=429", retry_after=400.0))
    clock.move(seconds=399)
    assert made.take("one") is None
    clock.move(seconds=1)
    again = made.take("one")
    assert again is not None and "(repeated)" not in again.message.title, "it was refused: nothing can have arrived"


def test_info_is_given_up_by_a_row_and_a_warning_critical_never(tmp_path: Path, clock: Clock) -> None:
    made = office(tmp_path / "d", clock, names=("one",))
    made.post(posted(1), posted(2, "critical"))
    clock.move(days=2, hours=23)
    made.give_up()
    assert {row.state for row in made.store.listed(10)} == {"waiting"}
    clock.move(hours=2)
    made.give_up()
    made.give_up()
    assert {row.id: row.state for row in made.store.listed(10) if row.id.startswith("a-")} == {"a-1": "gave_up", "a-2": "waiting"}
    clock.move(days=13)
    made.give_up()
    assert drain(made) == ["CRITICAL: Alert a-2.", "warning: 1 info alerts could not be delivered to one in 3 days and were given up"]


def test_a_channel_that_is_gone_leaves_its_alerts_to_the_present_ones(tmp_path: Path, clock: Clock) -> None:
    made = office(tmp_path / "d", clock)
    made.post(posted(1, "critical"))
    assert drain(made, "one")
    made.store.close()
    made = office(tmp_path / "d", clock, names=("one", "three"))
    assert drain(made, "one") == [] and drain(made, "three") == ["CRITICAL: Alert a-1."]
    assert {row.channel: row.state for row in made.store.listed(9)} == {"one": "delivered", "two": "withdrawn", "three": "delivered"}


def test_the_outbox_is_read_from_where_it_was_left_a_restored_ledger_from_the_start(tmp_path: Path, clock: Clock) -> None:
    made, path = office(tmp_path / "d", clock), tmp_path / "w" / "data" / "ledger.sqlite"
    assert default_path(tmp_path / "w") == path
    with Ledger.open(path) as ledger:
        for alert in alerts(3):
            ledger.post_alert(alert)
        assert [one.id for one in made.collect(ledger)] == ["a-0", "a-1", "a-2"]
        assert made.collect(ledger) == ()
        ledger.post_alert(Alert("late", "odd", "t", "x"))
        (late,) = made.collect(ledger)
        assert late.severity == "critical", "a severity nobody knows is told as the gravest"
    other = tmp_path / "other.sqlite"  # a backup in its place: shorter, then with rows of its own
    with Ledger.open(other) as ledger:
        ledger.post_alert(alerts(3)[0])
        ledger.post_alert(Alert("new", "info", "t", "x"))
        ledger.post_alert(Alert("a-1", "critical", "A night performed again", "failed"))
        new, again = made.collect(ledger)
        assert new.id == "new" and again.id.startswith("a-1-"), "other words under a known id are told"
    known = sorted(row.id for row in made.store.listed(99) if row.channel == "one")
    assert known == ["a-0", "a-1", again.id, "a-2", "late", "new"]


def test_a_clock_that_is_set_back_holds_no_alert(tmp_path: Path, clock: Clock) -> None:
    made = office(tmp_path / "d", clock, per_minute=2)
    clock.move(days=300)  # a wrong clock, until the network sets it
    made.keep_time()
    made.post(*(posted(n, "critical") for n in range(2)))
    assert len(drain(made)) == 2
    made.post(posted(2, "critical"))
    parcel = made.take("two")
    assert parcel is not None
    made.settle(parcel, REFUSED)
    clock.move(days=-300)
    made.keep_time()
    clock.move(minutes=1)
    assert len(drain(made, "one")) == 1 and len(drain(made, "two")) == 2
    (rests,) = {made.store.channel(name).rests_until <= made.now() for name in BOTH}
    assert rests


def test_the_record_is_private_numbered_and_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    store = DeliveryStore(path)
    store.remember("x", "1")
    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("d.sqlite*")} == dict.fromkeys(("d.sqlite", "d.sqlite-wal", "d.sqlite-shm"), 0o600)
    store._run("PRAGMA user_version = 9")
    store.close()
    with pytest.raises(DeliveryStateError, match=re.escape("version 9")):
        DeliveryStore(path)
    path.write_bytes(b"no database" * 500)
    with pytest.raises(DeliveryStateError, match=r"move .* away"):
        DeliveryStore(path)
