"""Frames recorded from a real TWS at version 173 (the rust-ibapi project): what we say has their shape and, where they can be compared, their bytes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateway import FakeGateway, messages
from tests.gateway.account import Holding, Instrument
from tests.gateway.wire import Fields, Frames, fields_of, frame

VERSION = 173
ACCOUNT = "ACCOUNT_ID"


@pytest.fixture(scope="module")
def recorded(shared: Callable[[str], Path]) -> dict[str, tuple[Fields, list[Fields]]]:
    """Request and responses by name."""
    told = yaml.safe_load(shared("data/api/ib/rust-ibapi_tws_interactions_v173.yaml").read_text())
    assert told["header"]["server_version"] == VERSION
    return {
        one["name"]: (cut(one["request"]["raw"]), [cut(answer["raw"]) for answer in one["responses"]]) for one in told["interactions"]
    }


def cut(raw: str) -> Fields:
    """The recording was written with NULs as ``\\0``, which YAML reads as such."""
    return raw.split("\0")[:-1]


def said(message: list[object]) -> Fields:
    return fields_of(frame(message)[4:])


class Wire:
    """A client that speaks in frames."""

    def __init__(self, port: int) -> None:
        self._link = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        self._frames, self._waiting = Frames(), []
        self._link.sendall(b"API\0" + len(b"v157..178").to_bytes(4, "big") + b"v157..178")
        assert self.hear()[0] == str(VERSION)
        self.say(["71", "2", "5", ""])
        while self.hear()[3:4] != ["2158"]:
            pass

    def say(self, fields: Fields) -> None:
        self._link.sendall(frame(fields))

    def hear(self) -> Fields:
        while not self._waiting:
            self._waiting = [fields_of(body) for body in self._frames.feed(self._link.recv(65536))]
        return self._waiting.pop(0)

    def close(self) -> None:
        self._link.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with FakeGateway(VERSION, ACCOUNT, cash=269_339.33) as gateway:
        aapl = gateway.exchange.instrument("AAPL").con_id
        gateway.exchange.holdings[aapl] = Holding(-110, 201.8829709)
        gateway.exchange.marks[aapl] = 210.65
        one = Wire(gateway.port)
        yield one
        one.close()


def test_the_recording_holds_what_is_compared(recorded: dict[str, Any]) -> None:
    assert set(recorded) >= {"server_time", "managed_accounts", "positions", "account_summary"}


def test_server_time_is_the_recorded_frame(recorded: dict[str, Any]) -> None:
    ((answer,),) = (recorded["server_time"][1],)
    assert said(messages.current_time(1752606307)) == answer


def test_managed_accounts_is_the_recorded_frame(recorded: dict[str, Any]) -> None:
    assert [said(messages.managed_accounts(ACCOUNT))] == recorded["managed_accounts"][1]


def test_a_position_is_the_recorded_frame(recorded: dict[str, Any]) -> None:
    stock, *_, end = recorded["positions"][1]
    assert said(messages.position(ACCOUNT, Instrument.of("AAPL"), -110, 201.8829709)) == stock
    assert said(messages.position_end()) == end


def test_an_account_summary_is_the_recorded_frames(recorded: dict[str, Any]) -> None:
    *values, end = recorded["account_summary"][1]
    for request in values:
        assert said(messages.account_summary(9000, ACCOUNT, request[4], request[5], "USD")) == request
    assert said(messages.account_summary_end(9000)) == end


def test_recorded_requests_are_answered_in_the_recorded_shape(recorded: dict[str, Any], wire: Wire) -> None:
    """Same numbers, same count of fields, same order, and the same end; figures of the same account the same to the character."""
    for name in ("server_time", "managed_accounts", "positions", "account_summary"):
        request, answers = recorded[name]
        wire.say(request)
        for answer in answers:
            if "FUT" in answer:
                continue
            heard = wire.hear()
            assert (heard[:2], len(heard)) == (answer[:2], len(answer)), name
            if name == "positions" or "TotalCashValue" in answer:
                assert heard == answer
            elif name == "account_summary":
                assert heard[:5] == answer[:5]


def test_a_request_nobody_answers_leaves_the_connection_usable(recorded: dict[str, Any], wire: Wire) -> None:
    request, answers = recorded["pnl"]
    assert answers == []
    wire.say(request)
    wire.say(recorded["server_time"][0])
    assert wire.hear()[0] == "49"
