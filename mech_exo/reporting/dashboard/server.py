"""Serving the pages: waitress, one process, never the development server."""

from __future__ import annotations

import errno
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import UserError
from mech_exo.reporting.dashboard.guard import POSTS

if TYPE_CHECKING:
    from dash import Dash

THREADS = 8
MOST_HEADER = 32_768
IDLE = 60
UNLOCKED = "exo dash --set-password   (or leave out --host: only this machine can reach it then)"


def check_host(host: str, *, locked: bool) -> bool:
    """Whether ``host`` can be reached from other machines.

    Raises UserError where it can and no password is set, or where it is no address of this machine.
    """
    open_to_others = not _loopback(host)
    if open_to_others and not locked:
        raise UserError(f"pages that others can reach need a password; --host {host} is no loopback address", remedy=UNLOCKED)
    return open_to_others


def bind(app: Dash, host: str, port: int) -> Any:
    """A waitress server that holds its socket; ``port`` 0 takes a free one.

    Raises UserError where the port is taken or may not be used.
    """
    import waitress

    if app.server.debug or any(getattr(app._dev_tools, name, False) for name in ("ui", "props_check", "serve_dev_bundles", "hot_reload")):
        raise AssertionError("pages with money on them are never served in debug mode")
    try:
        return waitress.create_server(
            app.server, host=host, port=port, threads=THREADS, ident=None, max_request_body_size=max(POSTS.values()),
            max_request_header_size=MOST_HEADER, channel_timeout=IDLE, clear_untrusted_proxy_headers=True,
        )  # fmt: skip
    except OSError as error:
        raise _refused(host, port, error) from error


def run(server: Any, ready: Callable[[], None] = lambda: None) -> None:
    """Serve until Ctrl-C or SIGTERM; what is being answered is finished first."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
    ready()
    try:
        server.run()  # which ends on both
    finally:
        server.close()


def addresses(server: Any) -> list[tuple[str, int]]:
    """Where it listens."""
    found = getattr(server, "effective_listen", None) or [(server.effective_host, server.effective_port)]
    return [(str(host), int(port)) for host, port in found]


def _loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UserError(f"--host must be an address of this machine; {host!r} is none", remedy="leave it out, or use 127.0.0.1") from None
    return all(ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_loopback for each in found)


def _refused(host: str, port: int, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        free = port + 1 if port < 65535 else 8050
        return UserError(f"a port serves one program; {port} on {host} is taken", remedy=f"exo dash --port {free}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UserError(f"ports below 1024 are the system's; {port} may not be used", remedy="exo dash --port 8050")
    return UserError(f"--host must be an address of this machine; {host}: {error.strerror}", remedy="leave it out, or use 127.0.0.1")


def _stop(*_: object) -> None:
    raise SystemExit(0)
