"""Telegram commands against a server that speaks the Bot API: only the allowed, each once, and a halt that is carried out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mech_exo.assembly import Workspace
from mech_exo.datasource.replay.server import Answer, data
from mech_exo.execution import safety
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.reporting.alerts import commands as commands_
from mech_exo.reporting.alerts.answers import Answers
from mech_exo.reporting.alerts.commands import Commands
from mech_exo.reporting.alerts.rows import Asked
from mech_exo.reporting.alerts.telegram import Bot, TelegramError
from tests.execution.ledger_rows import BOOK, session
from tests.reporting.alerts.homes import home
from tests.reporting.alerts.servers import CHAT, TOKEN, World, too_many
from tests.reporting.alerts.test_office import office

NOW = datetime.now(UTC).replace(microsecond=0)


class Desk:
    """The commands of a workspace, to be restarted at will."""

    def __init__(self, place: Path, chats: tuple[int, ...] = (CHAT,)) -> None:
        self.place, self.chats = place, list(chats)
        self.start()

    def start(self) -> None:
        self.office = office(self.place / "data" / "deliveries.sqlite", lambda: NOW, commands={"chats": self.chats})  # type: ignore[arg-type]
        self.commands = Commands(self.office, Bot(TOKEN, 1.0), Answers(self.office, self.place, lambda: Workspace.open(self.place)))

    def restart(self) -> None:
        self.office.store.close()
        self.start()
        self.commands.resume()


@pytest.fixture
def desk(servers: World, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(home(tmp_path / "w"))
    yield made
    made.office.store.close()


def ask(desk: Desk, servers: World, *texts: str, **how: Any) -> list[str]:
    before = len(servers.telegram.got)
    for text in texts:
        servers.telegram.write(text, **({"at": NOW.timestamp()} | how))
    desk.commands.poll(1)
    return servers.telegram.texts[before:]


def test_halt_halts_and_says_what_happened(desk: Desk, servers: World) -> None:
    with Ledger.open(default_path(desk.place)):
        pass
    (said,) = ask(desk, servers, "/halt")
    assert said.startswith("HALTED since ") and "/halt by Telegram" in said and "journal" not in said
    assert safety.HaltSwitch(desk.place).state().halted
    with Ledger.open(default_path(desk.place)) as ledger:  # a night that writes does not stop it
        assert ledger.is_halted
        safety.HaltSwitch(desk.place).resume()
        (said,) = ask(desk, servers, "/Halt@the_bot now")
        assert said.startswith("HALTED") and "The journal does not have it" in said
        assert safety.HaltSwitch(desk.place).state().halted


def test_nothing_resumes_or_buys(desk: Desk, servers: World) -> None:
    safety.halt(desk.place, "by hand")
    said = ask(desk, servers, "/resume", "/run", "/buy AAPL 100", "halt", "", "/help")
    assert len(said) == 5 and all(text.startswith("There is no such command") for text in said[:4]) and "/halt" in said[4]
    assert safety.HaltSwitch(desk.place).state().reason == "by hand"


def test_figures_are_those_of_the_ledger(desk: Desk, servers: World) -> None:
    assert "needs a booked session" in ask(desk, servers, "/pnl")[0]
    with Ledger.open(default_path(desk.place)) as ledger:
        ledger.book_session(session())
    name = Workspace.open(desk.place).book_id()
    assert name == BOOK, "the sample rows are of the default book"
    status, positions, pnl = ask(desk, servers, "/status", "/positions", "/pnl")
    with Ledger.open(default_path(desk.place), read_only=True) as ledger:
        row = ledger.last_session(BOOK)
    assert row is not None
    assert "not halted" in status and str(row.session) in status and f"NAV {row.day.nav:,.2f} USD" in status and "no alarm" in status
    held = [line for line in row.lines if line.shares]
    assert all(f"{line.symbol} {line.shares:,.0f} × {line.mark:,.2f}" in positions for line in held) and held
    assert f"NAV {row.day.nav:,.2f}" in pnl and f"prices {row.day.price_pnl:,.2f}".replace("-", "−") in pnl


def test_strangers_get_nothing_and_are_logged_once_an_hour(desk: Desk, servers: World, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(commands_.LOG, "warning", lambda text, *values: said.append(text % values))
    for _ in range(3):
        assert ask(desk, servers, "/halt", "/status", chat=987654321) == []
    assert not safety.HaltSwitch(desk.place).state().halted
    assert len(said) == 1 and "…321" in said[0] and "987654321" not in said[0]


def test_a_halt_needs_no_configuration_and_goes_first(desk: Desk, servers: World) -> None:
    (desk.place / "config" / "strategy.yml").write_text("nonsense: [")
    halted, pnl = ask(desk, servers, "/pnl", "/halt")
    assert halted.startswith("HALTED since ") and pnl.startswith("That cannot be said now: ")
    (status,) = ask(desk, servers, "/status")
    assert status.startswith("HALTED: /halt by Telegram")


def test_a_bug_in_an_answer_is_said_and_ends_nothing(desk: Desk, servers: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answers, "_pnl", lambda _: 1 / 0)
    assert ask(desk, servers, "/pnl", "/help")[0] == "That cannot be said now; see the log of exo alert run."


def test_a_halt_left_behind_is_carried_out_where_the_ledger_is_damaged(desk: Desk, servers: World) -> None:
    default_path(desk.place).write_bytes(b"no database" * 500)
    desk.office.store.take_command(Asked(1, CHAT, "/halt", NOW.timestamp() - 5))
    desk.restart()
    assert safety.HaltSwitch(desk.place).state().halted and "The journal does not have it" in servers.telegram.texts[-1]
    assert ask(desk, servers, "/status")[0].startswith("HALTED: /halt by Telegram")


def test_no_command_is_carried_out_twice(desk: Desk, servers: World) -> None:
    assert len(ask(desk, servers, "/help")) == 1
    desk.restart()
    assert ask(desk, servers) == [] and servers.telegram.offsets[-1] == 1001
    safety.resume(desk.place, "x")
    servers.telegram.updates.clear()  # a server that forgets the offset and tells the same again
    assert ask(desk, servers, "/help", update_id=1000) == []


def test_old_commands_are_not_carried_out_and_say_so(desk: Desk, servers: World) -> None:
    (said,) = ask(desk, servers, "/halt", at=NOW.timestamp() - 11 * 60)
    assert "Not carried out" in said and "11 minutes ago" in said
    assert not safety.HaltSwitch(desk.place).state().halted


def test_a_halt_a_killed_process_left_behind_is_carried_out_unless_overtaken(desk: Desk, servers: World) -> None:
    def left(number: int) -> None:
        desk.office.store.take_command(Asked(number, CHAT, "/halt", NOW.timestamp() - 5))
        desk.restart()

    left(1)
    assert safety.HaltSwitch(desk.place).state().halted and servers.telegram.texts[-1].startswith("HALTED")
    with Ledger.open(default_path(desk.place)) as ledger:
        ledger.halt("the other process got as far as this")
    safety.resume(desk.place, "looked at")
    left(2)
    assert not safety.HaltSwitch(desk.place).state().halted, "halted and resumed since: not a second time"
    assert "Ask again" in servers.telegram.texts[-1]
    desk.restart()
    assert len(servers.telegram.got) == 2


@pytest.mark.parametrize("answer", [data({"ok": True, "result": {}}), data([1]), Answer(200, b"<html>"), data({"ok": True, "result": [{"x": 1}]}), Answer(502, b"")])
def test_garbage_is_an_error_and_moves_nothing(desk: Desk, servers: World, answer: Answer) -> None:
    servers.telegram.poll_fault = lambda _: answer
    with pytest.raises(TelegramError):
        desk.commands.poll(0)
    assert desk.office.store.fact("telegram offset") is None


def test_updates_that_are_no_messages_are_passed_over(desk: Desk, servers: World) -> None:
    servers.telegram.updates += [{"update_id": 5, "edited_message": {}}, {"update_id": 6, "message": {"chat": {"id": CHAT}, "photo": []}}, {"update_id": 7, "message": None}]
    assert ask(desk, servers) == [] and desk.office.store.fact("telegram offset") == "7"


def test_patience_asked_for_is_told_and_the_token_is_not(desk: Desk, servers: World) -> None:
    servers.telegram.poll_fault = too_many(9)
    with pytest.raises(TelegramError) as error:
        desk.commands.poll(0)
    assert error.value.retry_after == 9.0 and error.value.status == 429
    with pytest.raises(TelegramError) as error:
        Bot(TOKEN + "x", 1.0).updates(None, 0)
    assert error.value.status == 401
    servers.telegram.poll_fault = lambda _: Answer(pause=1.5)
    start = time.monotonic()
    with pytest.raises(TelegramError) as error:
        desk.commands.poll(0)
    assert time.monotonic() - start < 60 and TOKEN not in str(error.value) and error.value.__cause__ is None and TOKEN not in repr(desk.commands._bot)
