"""Commands to a gateway in another process, one JSON object a line: ``{"call": "exchange.fill", "args": ["mx1-…"], "named": {"price": 5.0}}``.

The answer is ``{"value": …}`` or ``{"error": "…"}``. A name that is no method is read.
"""

from __future__ import annotations

import json
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from tests.gateway.server import FakeGateway

ROOT = Path(__file__).resolve().parents[2]


class ControlServer:
    """Serves commands on a port of its own."""

    def __init__(self, gateway: FakeGateway, port: int = 0) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(json.dumps(obey(gateway, json.loads(line))).encode() + b"\n")

        server = socketserver.ThreadingTCPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True, name="control").start()


def obey(gateway: FakeGateway, command: dict[str, Any]) -> dict[str, Any]:
    """Carry out one command."""
    try:
        with gateway.exchange.lock:
            found = reduce(getattr, command["call"].split("."), gateway)
            value = found(*command.get("args", ()), **command.get("named", {})) if callable(found) else found  # type: ignore[operator]
            gateway.save()
    except Exception as error:  # noqa: BLE001  (whatever it was, the other process is told)
        return {"error": f"{type(error).__name__}: {error}"}
    return {"value": plain(value)}


def plain(value: Any) -> Any:
    """As JSON can say it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else repr(value)


class RemoteGateway:
    """A gateway in another process: ``remote("exchange.trade", "AAPL", 150.0)``."""

    def __init__(self, port: int, control: int) -> None:
        self.port = port
        self._link = socket.create_connection(("127.0.0.1", control))
        self._lines = self._link.makefile("r")

    def __call__(self, call: str, *args: Any, **named: Any) -> Any:
        """Carry out a command there. RuntimeError when it failed."""
        self._link.sendall(json.dumps({"call": call, "args": args, "named": named}).encode() + b"\n")
        answer = json.loads(self._lines.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        self._lines.close()
        self._link.close()


@contextmanager
def gateway_process(*words: str) -> Iterator[tuple[RemoteGateway, subprocess.Popen[str]]]:
    """Start a gateway process with these arguments; ends with the block."""
    command = [sys.executable, "-m", "tests.gateway", *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ports = process.stdout.readline().split()
        remote = RemoteGateway(int(ports[0]), int(ports[1]))
        try:
            yield remote, process
        finally:
            remote.close()
            process.kill()
