"""Vendors' answers behind a local HTTPS proxy, so that the unmodified client libraries talk to it.

The server takes CONNECT for any host, shows a certificate for that host signed by its own authority, and answers from a
route table. Every request is written down. Nothing leaves this machine: what no route knows is answered with 404.
"""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from mech_exo.domain.errors import DataError

if TYPE_CHECKING:
    import trustme


@dataclass(frozen=True)
class Asked:
    """A request as it arrived. ``path`` without the query; ``query`` holds the first value of every parameter; ``body`` of a POST."""

    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """A response. ``pause`` seconds pass before it; ``cut`` breaks the connection halfway through the body; with ``trickle`` the body
    comes byte by byte, so many seconds between two, until the client leaves."""

    status: int = 200
    body: bytes = b"{}"
    kind: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0
    cut: bool = False
    trickle: float = 0.0


def data(value: object, status: int = 200, **headers: str) -> Answer:
    """An answer of JSON."""
    return Answer(status, json.dumps(value).encode(), headers={name.replace("_", "-"): text for name, text in headers.items()})


def page(text: str = "<html><body>Service unavailable</body></html>", status: int = 200) -> Answer:
    """An answer of HTML."""
    return Answer(status, text.encode(), "text/html")


def recorded(path: Path) -> Answer:
    """An answer as recorded by node-yahoo-finance2: status, type and body."""
    response = json.loads(path.read_text())["response"]
    text = response["bodyText"] if "bodyText" in response else json.dumps(response["bodyJson"])
    return Answer(response["status"], text.encode(), response["headers"].get("content-type", "application/json"))


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    """One answer after another; the last one is repeated."""
    left, lock = list(answers), threading.Lock()

    def answer(_: Asked) -> Answer:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer


@dataclass
class Replay:
    """What the server answers and what it was asked. A route is a piece of ``host/path``; the first that fits answers."""

    proxy: str
    authority: Path
    asked: list[Asked] = field(default_factory=list)
    routes: dict[str, Callable[[Asked], Answer]] = field(default_factory=dict)

    def on(self, piece: str, *answers: Answer) -> None:
        """Answer requests whose ``host/path`` holds ``piece`` with ``answers``, one after another."""
        self.routes[piece] = in_turn(*answers)

    def serve(self, piece: str, answer: Callable[[Asked], Answer]) -> None:
        """Answer requests whose ``host/path`` holds ``piece`` with what ``answer`` says."""
        self.routes[piece] = answer

    def requests(self, piece: str) -> Sequence[Asked]:
        """What was asked of ``piece`` so far."""
        return [one for one in self.asked if piece in one.host + one.path]

    def answer(self, asked: Asked) -> Answer:
        """The answer to ``asked``; 404 for what no route knows."""
        self.asked.append(asked)
        for piece, route in self.routes.items():
            if piece in asked.host + asked.path:
                return route(asked)
        return page("no such route", 404)


@contextmanager
def replaying(folder: Path) -> Iterator[Replay]:
    """A running server; its authority's certificate lies in ``folder``.

    Raises
    ------
    DataError
        ``trustme``, which makes the certificates, is not installed.
    """
    try:
        import trustme
    except ImportError as error:
        raise DataError("the replay server needs the package trustme", remedy="pip install -r requirements.txt") from error
    authority = trustme.CA()
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Tunnel)
    server.daemon_threads = True
    replay = Replay(f"http://127.0.0.1:{server.server_port}", bundle)
    server.replay = replay  # type: ignore[attr-defined]
    server.contexts = _Certificates(authority)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield replay
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


PROXIES = ("HTTPS_PROXY", "https_proxy")
NOT_PROXIED = ("NO_PROXY", "no_proxy")
AUTHORITIES = ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def environment(replay: Replay) -> dict[str, str | None]:
    """What leads every HTTP client of a process to ``replay``: variables to set, None: to take away."""
    proxied: dict[str, str | None] = dict.fromkeys(PROXIES, replay.proxy)
    return proxied | dict.fromkeys(NOT_PROXIED) | dict.fromkeys(AUTHORITIES, str(replay.authority))


@contextmanager
def leading_to(replay: Replay) -> Iterator[None]:
    """Within, every HTTP client of this process, and of those it starts, talks to ``replay``."""
    wanted = environment(replay)
    before = {name: os.environ.get(name) for name in wanted}
    try:
        _set(wanted)
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class _Certificates:
    """One TLS context per host, HTTP/1.1 only."""

    def __init__(self, authority: trustme.CA) -> None:
        self._authority, self._lock = authority, threading.Lock()
        self._made: dict[str, ssl.SSLContext] = {}

    def of(self, host: str) -> ssl.SSLContext:
        with self._lock:
            if host not in self._made:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._authority.issue_cert(host).configure_cert(context)
                context.set_alpn_protocols(["http/1.1"])
                self._made[host] = context
            return self._made[host]


class _Tunnel(BaseHTTPRequestHandler):
    """CONNECT, then TLS on the same socket, then plain requests until the client leaves."""

    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_CONNECT(self) -> None:
        """Open the tunnel."""
        host = self.path.rpartition(":")[0]
        self.send_response(200, "Connection established")
        self.end_headers()
        try:
            inner = self.server.contexts.of(host).wrap_socket(self.connection, server_side=True)  # type: ignore[attr-defined]
        except (ssl.SSLError, OSError):
            self.close_connection = True
            return
        try:
            _Inner(inner, self.client_address, self.server, host)
        finally:
            inner.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


class _Inner(BaseHTTPRequestHandler):
    """The requests inside the tunnel."""

    protocol_version = "HTTP/1.1"
    timeout = 20

    def __init__(self, socket: ssl.SSLSocket, address: object, server: object, host: str) -> None:
        self.host = host
        super().__init__(socket, address, server)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer."""
        self._reply(b"")

    def do_POST(self) -> None:
        """Answer what was sent along."""
        self._reply(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _reply(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        answer = self.server.replay.answer(Asked(self.host, parts.path, query, dict(self.headers), body))  # type: ignore[attr-defined]
        time.sleep(answer.pause)
        try:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if answer.trickle:
                self._trickle(answer)
            else:
                self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
        except OSError:  # the client has left
            self.close_connection = True
        if answer.cut:
            self.close_connection = True

    def _trickle(self, answer: Answer) -> None:
        for byte in answer.body:
            self.wfile.write(bytes((byte,)))
            self.wfile.flush()
            time.sleep(answer.trickle)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""
