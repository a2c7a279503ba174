"""Serving the pages: waitress, one process, never the development server."""

from __future__ import annotations

import errno
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import UserError
from mech_exo.reporting.dashboard.guard import POSTS

if TYPE_CHECKING:
    from dash import Dash

THREADS = 4
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
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for each request that waits: a flood would fill the disk
    return waitress.create_server(
        app.server, sockets=_sockets(host, port), threads=THREADS, ident=None, max_request_body_size=max(POSTS.values()),
        max_request_header_size=MOST_HEADER, channel_timeout=IDLE, clear_untrusted_proxy_headers=True,
    )  # fmt: skip


def run(server: Any, ready: Callable[[], None] = lambda: None) -> None:
    """Serve until Ctrl-C or SIGTERM; what is being answered is finished first."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
    ready()
    try:
        server.run()  # which ends on both
    finally:
        let_go(server)


def let_go(server: Any) -> None:
    """Close its sockets and every connection, with what a browser that left has not fetched; nothing else may serve it any more."""
    from waitress import wasyncore

    connections = getattr(server, "map", None) or server._map
    for each in list(connections.values()):
        if hasattr(each, "outbufs"):
            each.handle_close()
    wasyncore.close_all(connections, ignore_all=True)


def addresses(server: Any) -> list[tuple[str, int]]:
    """Where it listens."""
    found = getattr(server, "effective_listen", None) or [(server.effective_host, server.effective_port)]
    return [(str(host), int(port)) for host, port in found]


def _loopback(host: str) -> bool:
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for _, address in _meant(host))


def _meant(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses ``host`` stands for: localhost may be two."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UserError(f"--host must be an address of this machine; {host!r} is none", remedy="leave it out, or use 127.0.0.1") from None
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _sockets(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of ``host`` that this machine has."""
    listening: list[socket.socket] = []
    refused: OSError | None = None
    for family, address in _meant(host):
        try:
            listening.append(socket.create_server((address, port), family=family))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                refused = error
                break
            refused = refused or error
    if refused is not None and (not listening or refused.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)):
        for each in listening:
            each.close()
        raise _refused(host, port, refused) from refused
    return listening


def _refused(host: str, port: int, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        free = port + 1 if port < 65535 else 8050
        return UserError(f"a port serves one program; {port} on {host} is taken", remedy=f"exo dash --port {free}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UserError(f"ports below 1024 are the system's; {port} may not be used", remedy="exo dash --port 8050")
    return UserError(f"--host must be an address of this machine; {host}: {error.strerror}", remedy="leave it out, or use 127.0.0.1")


def _stop(*_: object) -> None:
    raise SystemExit(0)
