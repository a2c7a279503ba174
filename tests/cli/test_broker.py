"""`exo broker check` against a gateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import FakeGateway

Exo = Callable[..., Any]
ACCOUNT = "DU1234567"


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway(account=ACCOUNT) as one:
        yield one


@pytest.fixture
def place(workspace: Path, gateway: FakeGateway) -> Path:
    """A workspace configured for the gateway."""
    keys = workspace / "config" / "api_keys_local.yml"
    keys.write_text(f"ib_account: {ACCOUNT}\n")
    keys.chmod(0o600)
    settings = workspace / "config" / "broker.yml"
    settings.write_text(settings.read_text().replace("port: null ", f"port: {gateway.port} ").replace("connect_seconds: 15.0", "connect_seconds: 20.0"))
    return workspace


def test_everything_is_told_and_nothing_is_done(exo: Exo, gateway: FakeGateway, place: Path) -> None:
    gateway.exchange.manual_trade("AAPL", 7, 100.0)
    gateway.exchange.foreign_order("IBM", 3)
    ran = exo("broker", "check", "--home", place)
    assert ran.code == 0 and "DU…567, paper" in ran.out and "AAPL +7" in ran.out and "0 of this program, 1 of others" in ran.out
    said = json.loads(exo("broker", "check", "--home", place, "--json").out)
    assert (said["account"], said["kind"], said["port"], said["server_version"]) == ("DU…567", "paper", gateway.port, 178)
    assert (said["read_only"], said["cash"], said["nav"]) == (False, 100_000.0 - 701.0, 100_000.0)
    assert [(row["symbol"], row["shares"]) for row in said["positions"]] == [("AAPL", 7)]
    assert abs(said["clock_ahead"]) <= 2.0 and "23:45" in said["restart"]
    assert gateway.placed == [] and gateway.received[4] == 0
    assert ACCOUNT not in ran.out + ran.err


def test_a_read_only_interface(exo: Exo, gateway: FakeGateway, place: Path) -> None:
    gateway.read_only = True
    ran = exo("broker", "check", "--home", place, "--json")
    assert ran.code == 5 and json.loads(ran.out)["read_only"] is True and "untick Read-Only API" in ran.err


def test_a_clock_that_is_wrong(exo: Exo, gateway: FakeGateway, place: Path) -> None:
    from datetime import UTC, datetime, timedelta

    gateway.exchange.clock = lambda: datetime.now(UTC) - timedelta(seconds=30)
    ran = exo("broker", "check", "--home", place)
    assert ran.code == 5 and "clock" in ran.err and "network time" in ran.err


def test_nobody_is_there(exo: Exo, gateway: FakeGateway, place: Path) -> None:
    gateway.down()
    ran = exo("broker", "check", "--home", place)
    assert ran.code == 5 and "nothing does" in ran.err and "start Gateway or TWS" in ran.err
    assert "Traceback" not in ran.err and "ib_async" not in ran.err


def test_the_wrong_mode(exo: Exo, gateway: FakeGateway, place: Path) -> None:
    ran = exo("broker", "check", "--mode", "live", "--home", place)
    assert ran.code == 2 and "--mode live needs a live account" in ran.err and ACCOUNT not in ran.err
    assert gateway.received == {}


def test_without_an_account(exo: Exo, place: Path) -> None:
    (place / "config" / "api_keys_local.yml").unlink()
    ran = exo("broker", "check", "--home", place)
    assert ran.code == 2 and "ib_account" in ran.err and "api_keys_local.yml" in ran.err
