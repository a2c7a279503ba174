"""A workspace with two booked sessions behind the real server on a real socket, and a client that says exactly what it is told to."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mech_exo.assembly import Workspace
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.reporting.dashboard import server
from mech_exo.reporting.dashboard.app import create_app
from mech_exo.reporting.dashboard.auth import Access
from mech_exo.reporting.dashboard.guard import Door
from mech_exo.reporting.dashboard.reader import Reader
from mech_exo.utils.dashboard_settings import DashboardConfig
from mech_exo.utils.workspace import create
from tests.reporting.nights import fill_ledger

EVENING = datetime(2024, 1, 3, 23, 0, tzinfo=UTC)
"""When the second session has been booked in time."""


def booked_workspace(folder: Path, symbol: str = "AAA") -> Path:
    create(folder)
    with Ledger.open(default_path(folder)) as ledger:
        fill_ledger(ledger, symbol)
    return folder


def reader_of(home: Path, now: datetime = EVENING) -> Reader:
    return Reader(home, lambda: Workspace.open(home), lambda: now)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str:
        return ", ".join(self.all(name))


@dataclass(frozen=True)
class Site:
    """A served application."""

    app: Any
    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """``headers`` replace; one of None is not sent. Every request has a connection of its own."""
        sent = {"Host": self.host, **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None and "Content-Length" not in sent and "Transfer-Encoding" not in sent:
                connection.putheader("Content-Length", str(len(body)))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
                connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def log_in(self, password: str) -> Answer:
        from urllib.parse import urlencode

        form = {"Origin": self.origin, "Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", "/login", urlencode({"password": password}).encode(), form)


@contextmanager
def served(
    reader: Reader, access: Access | None = None, door: Door | None = None, settings: DashboardConfig | None = None
) -> Iterator[Site]:
    app = create_app(reader, settings or DashboardConfig(), access, door)
    listening = server.bind(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=(listening,))
    thread.start()
    try:
        yield Site(app, server.addresses(listening)[0][1])
    finally:
        listening.trigger.pull_trigger(lambda: server.let_go(listening))  # in the loop's own thread
        thread.join(20)
        listening.task_dispatcher.shutdown()
        assert not thread.is_alive()
        reader.close()
