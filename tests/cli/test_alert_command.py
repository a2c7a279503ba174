"""``exo alert``: what it prints, what it refuses, what its exit code says."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from mech_exo.datasource.replay.server import Answer
from tests.conftest import Ran
from tests.reporting.alerts.homes import alerts, home, post, write
from tests.reporting.alerts.servers import TOKEN, World

Exo = Callable[..., Ran]


@pytest.fixture
def place(servers: World, tmp_path: Path) -> Path:
    return home(tmp_path / "w", servers.mail.port, commands={"chats": [4242]})


def test_test_sends_to_every_channel_or_to_one(servers: World, place: Path, exo: Exo) -> None:
    ran = exo("alert", "test", "--home", place)
    assert ran.code == 0 and ran.out.count("arrived") == 3
    assert len(servers.slack.got) == len(servers.telegram.got) == len(servers.mail.got) == 1
    servers.slack.fault = lambda _: Answer(403, b"invalid_token")
    ran = exo("alert", "test", "slack", "--home", place, "--json")
    assert ran.code == 1 and json.loads(ran.out)[0]["arrived"] is False and "403" in json.loads(ran.out)[0]["said"]
    ran = exo("alert", "test", "fax", "--home", place)
    assert ran.code == 2 and "mail, slack, telegram" in ran.err


def test_once_status_and_list_tell_the_same(servers: World, place: Path, exo: Exo) -> None:
    post(place, alerts(2, "critical"), datetime.now(UTC))
    servers.telegram.fault = lambda _: Answer(500, b"no")
    ran = exo("alert", "run", "--once", "--home", place, "--json")
    said = json.loads(ran.out)
    assert ran.code == 1 and said["arrived"] == {"slack": 2, "mail": 2} and "500" in said["failed"]["telegram"]
    status = json.loads(exo("alert", "status", "--home", place, "--json").out)
    by_name = {one["name"]: one for one in status["channels"]}
    assert by_name["telegram"]["waiting"] == {"critical": 2} and by_name["telegram"]["failures"] == 1 and by_name["telegram"]["next_try"]
    assert by_name["slack"]["waiting"] == {} and by_name["slack"]["last_success"] and status["chats"] == ["…242"]
    rows = json.loads(exo("alert", "list", "--home", place, "--json").out)
    assert len(rows) == 6 and sum(row["state"] == "delivered" for row in rows) == 4
    waiting = json.loads(exo("alert", "list", "--waiting", "--home", place, "--json").out)
    assert {(row["channel"], row["id"]) for row in waiting} == {("telegram", "a-0"), ("telegram", "a-1")}
    text = exo("alert", "status", "--home", place)
    assert text.code == 0 and "no process delivers now: exo alert run" in text.out and "2 critical" in text.out
    assert "Alert a-1." in exo("alert", "list", "--home", place).out
    assert exo("alert", "show", "a-1", "--home", place).out.endswith("Alert a-1.\n\ntext 1\n")
    assert exo("alert", "show", "nothing", "--home", place).code == 2


def test_before_anything_happened(place: Path, exo: Exo) -> None:
    assert "nothing" in exo("alert", "list", "--home", place).out
    ran = exo("alert", "status", "--home", place)
    assert ran.code == 0 and "never" in ran.out
    assert exo("alert", "run", "--once", "--home", place).out.strip() == "nothing was due"


def test_nobody_to_tell_is_a_users_mistake(workspace: Path, exo: Exo) -> None:
    for words in (("run", "--once"), ("test",)):
        ran = exo("alert", *words, "--home", workspace)
        assert ran.code == 2 and "alerts need a channel" in ran.err and "slack_webhook" in ran.err
    assert exo("alert", "status", "--home", workspace).code == 0


def test_check_judges_the_channels_and_a_night_does_not(place: Path, exo: Exo) -> None:
    assert exo("config", "check", "--home", place).code == 0
    write(place, channels={"slack": {"kind": "slack"}})
    ran = exo("config", "check", "--home", place)
    assert ran.code == 2 and "at least two channels" in ran.err
    assert "at least two" not in exo("config", "show", "--home", place).err


def test_secrets_are_not_shown(place: Path, exo: Exo) -> None:
    keys = yaml.safe_load((place / "config" / "api_keys_local.yml").read_text())
    (place / "config" / "api_keys_local.yml").write_text(yaml.safe_dump(keys | {"alert_urls": {"pager": "jsons://pager.example/apart"}}))
    out = exo("config", "show", "--effective", "--home", place).out
    assert not any(secret in out for secret in (TOKEN, "hooks.slack.com", "secret-uuid", "pager.example")) and "pager" in out


def test_without_apprise_the_command_that_installs_it_is_named(place: Path, exo: Exo, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "apprise" else found(name, *rest))
    ran = exo("alert", "test", "--home", place)
    assert ran.code == 2 and 'pip install "mech-exo[alerts]"' in ran.err
