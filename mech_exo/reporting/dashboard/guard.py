"""What stands before the application: no request reaches it that did not pass here, and no answer leaves without its headers.

In this order: the Host must be one of ours (a page elsewhere may make its own name point here), the method one that reads, a POST small
and sent by a page of ours, and, where a password is set, its sender logged in.
"""

from __future__ import annotations

import html
import ipaddress
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from werkzeug.wrappers import Request, Response

from mech_exo.reporting.dashboard.packed import Packer
from mech_exo.utils import log

if TYPE_CHECKING:
    from dash import Dash

    from mech_exo.reporting.dashboard.auth import Access
    from mech_exo.utils.dashboard_settings import DashboardConfig

Start = Callable[..., Any]
LOGIN, LOGOUT, HEALTH, METRICS, CALLBACK = "/login", "/logout", "/healthz", "/metrics", "/_dash-update-component"
POSTS = {LOGIN: 4_096, LOGOUT: 4_096, CALLBACK: 1_048_576}
"""The only addresses that take a POST, and how many bytes of it."""
READS = ("GET", "HEAD")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
LOGIN_PAGE = (Path(__file__).with_name("login.html")).read_text("utf-8")
FEATURES = ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "hid", "microphone", "midi", "payment", "usb")
_logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """How the pages are reached. ``names``: further host names; ``anywhere``: bound to more than loopback, so any IP address is ours too.

    A page of another site can make its own *name* point here, never an address. ``https``: cookies are for https alone.
    """

    names: frozenset[str] = frozenset()
    anywhere: bool = False
    https: bool = False

    @classmethod
    def at(cls, host: str, settings: DashboardConfig, *, anywhere: bool) -> Door:
        """The door of pages bound to ``host``, which is one of their names."""
        return cls(frozenset((*settings.names, host.lower().strip("[]").rstrip("."))), anywhere, settings.https)

    def knows(self, host: str) -> bool:
        """Whether a Host header names us, whatever its port."""
        name = host_name(host)
        if name is None:
            return False
        return name in LOOPBACK or name in self.names or (self.anywhere and _is_address(name))


def protect(app: Dash, access: Access | None, paths: Iterable[str], door: Door | None = None) -> None:
    """Put the guard before ``app``; everything must have been added to it."""
    policy = content_policy(app.csp_hashes())
    app.server.wsgi_app = Guard(app.server.wsgi_app, access, door or Door(), policy, frozenset(paths))


def content_policy(scripts: Iterable[str]) -> str:
    """Content-Security-Policy: everything from here, and of inline scripts only those with these hashes.

    Inline styles are allowed: Mantine, AG Grid and Plotly write style elements and attributes at run time, whose hashes nobody can know.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {' '.join(scripts)}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


class Guard:
    """WSGI middleware; ``paths`` are the pages, to which a login may lead back."""

    def __init__(self, inner: Start, access: Access | None, door: Door, policy: str, paths: frozenset[str]) -> None:
        self._inner, self._access, self.door, self._paths = inner, access, door, paths
        self._packer = Packer()
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Permissions-Policy": ", ".join(f"{feature}=()" for feature in FEATURES),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        self._cookie = "__Host-mechexo" if door.https else "mechexo"

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer a request."""
        request = Request(environ)
        answer = self._refused(request) or self._entrance(request)
        if answer is None:
            answer = Response.from_app(self._inner, environ)
        return self._dressed(request, answer)(environ, start)

    def _refused(self, request: Request) -> Response | None:
        """The answer to what may not even be asked."""
        if not self.door.knows(request.environ.get("HTTP_HOST", "")):
            return _plain(HTTPStatus.FORBIDDEN, "This address is not one of this server's names; see docs/dashboard.md.")
        if request.method == "POST":
            return self._refused_post(request)
        if request.method not in READS or request.path in (CALLBACK, LOGOUT):
            allowed = "POST" if request.path in POSTS else "GET, HEAD"
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "These pages can only be read.", Allow=allowed)
        site, mode = request.headers.get("Sec-Fetch-Site", ""), request.headers.get("Sec-Fetch-Mode", "navigate")
        if site in ("cross-site", "same-site") and mode != "navigate":
            return _plain(HTTPStatus.FORBIDDEN, "Another site may link here, but not read.")
        return None

    def _refused_post(self, request: Request) -> Response | None:
        most = POSTS.get(request.path)
        if most is None:
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "These pages can only be read.", Allow="GET, HEAD")
        if request.content_length is None:
            return _plain(HTTPStatus.LENGTH_REQUIRED, "How long is it?")
        if request.content_length > most:
            return _plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {most} bytes.")
        return None if _from_here(request) else _plain(HTTPStatus.FORBIDDEN, "Only a page of this server may send this.")

    def _entrance(self, request: Request) -> Response | None:
        """Login, logout, and the way to the login for who is not logged in; None: come in."""
        access = self._access
        if access is None or not access.locked:
            if request.path == METRICS and access is not None and access.wants_token and not _bears(request, access):
                return _plain(HTTPStatus.UNAUTHORIZED, "This needs the token.", **{"WWW-Authenticate": "Bearer"})
            return _moved("/") if request.path in (LOGIN, LOGOUT) else None
        token = request.cookies.get(self._cookie)
        if request.path == LOGOUT:
            access.sessions.end(token)
            answer = _moved(LOGIN)
            answer.delete_cookie(self._cookie, secure=self.door.https, httponly=True, samesite="Strict")
            return answer
        if access.sessions.holds(token):
            request.environ["mechexo.open"] = True
            return _moved(self._way_back(request)) if request.path == LOGIN else None
        if request.path == HEALTH:
            return None
        if request.path == METRICS and _bears(request, access):
            return None
        if request.path == LOGIN:
            return self._login(request, access)
        if request.method == "GET" and request.path in self._paths:
            way = quote(request.full_path.rstrip("?"), safe="")
            return _moved(f"{LOGIN}?next={way}" if way != "%2F" else LOGIN)
        return _plain(HTTPStatus.UNAUTHORIZED, "Log in first.")

    def _login(self, request: Request, access: Access) -> Response:
        if request.method != "POST":
            return self._asked(request, "", HTTPStatus.OK)
        form = parse_qs(request.get_data(cache=False).decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=4)
        early = access.throttle.wait(request.remote_addr or "") > 0.0
        token, wait = access.enter(form.get("password", [""])[0], request.remote_addr or "")
        if token is None:
            if not early:  # these are few; a stranger's haste must not fill the log, and the disk the nights need
                _logger.warning("a wrong password from %s", request.remote_addr)
            if wait > 0.0:
                answer = self._asked(request, f"Wrong, or too early: the next try is in {math.ceil(wait)} s.", HTTPStatus.TOO_MANY_REQUESTS)
                answer.headers["Retry-After"] = str(math.ceil(wait))
                return answer
            return self._asked(request, "That is not the password.", HTTPStatus.UNAUTHORIZED)
        answer = _moved(self._way_back(request))
        answer.set_cookie(self._cookie, token, httponly=True, samesite="Strict", secure=self.door.https, path="/")
        return answer

    def _asked(self, request: Request, said: str, status: HTTPStatus) -> Response:
        way = html.escape(quote(self._way_back(request), safe=""))
        page = LOGIN_PAGE.replace("{said}", html.escape(said)).replace("{way}", way)
        return Response(page, status=status, mimetype="text/html")

    def _way_back(self, request: Request) -> str:
        """The page that was wanted, if it is one of ours."""
        wanted = urlsplit(request.args.get("next", "/"))
        if wanted.scheme or wanted.netloc or wanted.path not in self._paths:
            return "/"
        return wanted.path + (f"?{quote(wanted.query, safe='=&%+,.:-_')}" if wanted.query else "")

    def _dressed(self, request: Request, answer: Response) -> Response:
        for name in ("Server", "X-Powered-By", "Access-Control-Allow-Origin"):
            answer.headers.pop(name, None)
        answer.headers.update(self._headers)
        if answer.status_code == HTTPStatus.OK and _lasting(request):
            answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        elif answer.status_code != HTTPStatus.NOT_MODIFIED:
            answer.headers["Cache-Control"] = "no-store"
        return self._packer.packed(request, answer)


def host_name(host: str) -> str | None:
    """The name in a Host header or an Origin's authority without its port, in lower case; None for what is none."""
    if not host or any(letter in host for letter in "/\\@?#, \t\r\n") or len(host) > 255:
        return None
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
        return (parts.hostname or "").rstrip(".") or None
    except ValueError:
        return None


def _bears(request: Request, access: Access) -> bool:
    return access.bearer(request.headers.get("Authorization", ""), request.remote_addr or "")


def _from_here(request: Request) -> bool:
    """Whether the browser says that a page of this very server sends it. One that says nothing at all is no browser we can trust to."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin") or request.headers.get("Referer")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc.lower() == request.environ["HTTP_HOST"].lower()
    return site == "same-origin"


def _lasting(request: Request) -> bool:
    """Whether the address changes when its content does: Dash names its bundles by version, and our assets by time."""
    path = request.path
    return path.startswith("/_dash-component-suites/") or (path.startswith("/assets/") and "m" in request.args)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _plain(status: HTTPStatus, said: str, **headers: str) -> Response:
    return Response(f"{said}\n", status=status, mimetype="text/plain", headers=headers)


def _moved(place: str) -> Response:
    return Response("", status=HTTPStatus.SEE_OTHER, headers={"Location": place}, mimetype="text/plain")
