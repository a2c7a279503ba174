"""Attacks on the real server over a real socket: every one must be answered by the guard, none by the application."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest
from werkzeug.routing import Map

from mech_exo.reporting.dashboard import guard
from mech_exo.reporting.dashboard.auth import Access, Password, hashed
from mech_exo.reporting.dashboard.guard import POSTS, Door, host_name
from mech_exo.utils import log
from tests.reporting import xss
from tests.reporting.dashboard.serving import Site, booked_workspace, reader_of, served

PASSWORD, TOKEN = "correct horse battery", "t0ken-of-the-scraper"
OPEN_TO_ALL = {"/healthz", "/login"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


@pytest.fixture(scope="module")
def stored() -> str:
    return hashed(PASSWORD)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return booked_workspace(tmp_path_factory.mktemp("attack") / "w", symbol="<script>pwned()</script>")


@pytest.fixture(scope="module")
def locked(home, stored) -> Iterator[Site]:
    with served(reader_of(home), Access(Password.read(stored), TOKEN, 100_000.0, CLOCK)) as site:
        yield site


@pytest.fixture(scope="module")
def unlocked(home) -> Iterator[Site]:
    with served(reader_of(home)) as site:
        yield site


@pytest.fixture(scope="module")
def cookie(locked) -> str:
    CLOCK.now += 100_000.0
    answer = locked.log_in(PASSWORD)
    assert answer.status == 303 and answer.get("Location") == "/"
    return answer.get("Set-Cookie").partition(";")[0]


def paths_of(rules: Map) -> list[str]:
    """An address for every route."""
    return sorted({re.sub(r"<[^>]*>", "x", rule.rule) for rule in rules.iter_rules()})


def callback_body(output: str, inputs: list[dict[str, object]] | None = None) -> bytes:
    return json.dumps({"output": output, "outputs": {"id": "made", "property": "data"}, "inputs": inputs or [], "changedPropIds": [], "state": []}).encode()


def posted(site: Site, path: str, body: bytes = b"{}", **headers: str | None):
    sent = {"Origin": site.origin, "Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return site.ask("POST", path, body, sent)


# Who is not logged in


def test_no_route_answers_who_is_not_logged_in(locked):
    routes = paths_of(locked.app.server.url_map)
    assert len(routes) > 8
    for path in [*routes, *(page.path for page in _pages()), "/assets/style.css", "/assets/exo.js", "/assets/favicon.svg", "/nowhere"]:
        for method in ("GET", "HEAD", "POST"):
            answer = locked.ask(method, path, b"{}" if method == "POST" else None, {"Origin": locked.origin, "Content-Type": "application/json"})
            if path in OPEN_TO_ALL and method != "POST":
                continue
            assert answer.status in (303, 401, 405), (method, path, answer.status)
            assert answer.status != 303 or answer.get("Location").startswith("/login"), (method, path)
            assert len(answer.body) < 100, (method, path)


def test_no_bundle_of_dash_is_served_to_who_is_not_logged_in(locked, cookie):
    page = locked.get("/", Cookie=cookie).body.decode()
    bundles = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(bundles) > 8
    for path in bundles:
        assert locked.get(path).status == 401, path
        assert locked.get(path, Cookie=cookie).status == 200, path


def test_no_callback_answers_who_is_not_logged_in(locked, cookie):
    names = list(locked.app.callback_map)
    assert "made.data" in names
    for name in names:
        assert posted(locked, "/_dash-update-component", callback_body(name)).status == 401, name
    inputs = [{"id": "url", "property": "pathname", "value": "/"}, {"id": "url", "property": "search", "value": ""},
              {"id": "stamp", "property": "data", "value": "x"}, {"id": "theme", "property": "data", "value": "light"}]  # fmt: skip
    assert posted(locked, "/_dash-update-component", callback_body("made.data", inputs), Cookie=cookie).status == 200


def test_health_tells_a_stranger_one_word_and_its_owner_all(locked, cookie):
    assert locked.get("/healthz").body in (b"ok\n", b"stale\n")
    assert locked.get("/healthz").get("Content-Type").startswith("text/plain")
    said = json.loads(locked.get("/healthz", Cookie=cookie).body)
    assert said["booked"] == "2024-01-03" and said["ledger_readable"] is True


def test_metrics_want_the_password_or_their_token(locked, cookie):
    CLOCK.now += 100_000.0
    assert locked.get("/metrics").status == 401
    assert locked.get("/metrics", Authorization=f"Bearer {TOKEN}x").status == 401
    assert locked.get("/metrics", Authorization=f"Basic {TOKEN}").status == 401
    for answer in (locked.get("/metrics", Authorization=f"Bearer {TOKEN}"), locked.get("/metrics", Cookie=cookie)):
        assert answer.status == 200 and b"mechexo_nav_usd" in answer.body
    assert locked.get("/", Authorization=f"Bearer {TOKEN}").status == 303  # the token opens nothing else


def test_a_token_alone_guards_the_metrics(home):
    with served(reader_of(home), Access(None, TOKEN, 1.0, Clock())) as site:
        assert site.get("/").status == 200
        assert site.get("/metrics").status == 401
        assert site.get("/metrics", Authorization=f"Bearer {TOKEN}").status == 200


# Guessing


def test_brute_force_is_slowed_until_the_right_word_comes_too_early(home, stored, monkeypatch):
    clock, logged = Clock(), []
    monkeypatch.setattr(guard._logger, "warning", lambda text, *values: logged.append(text % values))
    with served(reader_of(home), Access(Password.read(stored), "", 1.0, clock)) as site:
        answers = [site.log_in(f"guess number {n}") for n in range(4)]
        assert [answer.status for answer in answers] == [401, 401, 429, 429]
        assert answers[-1].get("Retry-After") == "2"
        forged = {"Origin": site.origin, "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
        assert site.ask("POST", "/login", b"password=x", forged).status == 429  # nobody is believed to come from elsewhere
        assert site.log_in(PASSWORD).status == 429
        assert logged == ["a wrong password from 127.0.0.1"] * 3, "what came too early fills no log"
        clock.now += 3.0
        assert site.log_in(PASSWORD).status == 303


def test_a_session_ends_with_time_and_with_logout(home, stored):
    clock = Clock()
    with served(reader_of(home), Access(Password.read(stored), "", 1.0, clock)) as site:
        old = site.log_in(PASSWORD).get("Set-Cookie").partition(";")[0]
        assert site.get("/", Cookie=old).status == 200
        assert posted(site, "/logout", b"", Cookie=old).status == 303
        assert site.get("/", Cookie=old).status == 303  # not only forgotten by the browser
        new = site.log_in(PASSWORD).get("Set-Cookie").partition(";")[0]
        clock.now += 3600.0
        assert site.get("/", Cookie=new).status == 303


@pytest.mark.parametrize("value", ["", "mechexo=", "mechexo=AAAA", "mechexo=" + "A" * 43, "mechexo=%00", "mechexo=\x01", "session=x; mechexo=../"])
def test_a_forged_cookie_is_none(locked, value):
    assert locked.get("/_dash-layout", Cookie=value).status in (400, 401)


def test_the_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(home, stored):
    for https, name in ((False, "mechexo="), (True, "__Host-mechexo=")):
        with served(reader_of(home), Access(Password.read(stored), "", 1.0, Clock()), Door(https=https)) as site:
            set_ = site.log_in(PASSWORD).get("Set-Cookie")
            assert set_.startswith(name) and "HttpOnly" in set_ and "SameSite=Strict" in set_ and "Path=/" in set_
            assert ("Secure" in set_) is https and "Domain" not in set_


# Other sites


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1@evil.example", "[::1", "localhost:x",
     "127.0.0.1, evil.example", "::1", "127.0.0.1/", "169.254.169.254", "0.0.0.0", "2130706433"],
)  # fmt: skip
def test_a_name_that_was_rebound_to_us_is_not_ours(locked, unlocked, host):
    for site in (locked, unlocked):
        for path in ("/", "/healthz", "/_dash-layout", "/login"):
            assert site.ask("GET", path, headers={"Host": host}).status in (400, 403), (host, path)


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}", "localhost:9000", "localhost."])
def test_our_own_names_are_known_whatever_the_port(unlocked, host):
    assert unlocked.ask("GET", "/healthz", headers={"Host": host.format(port=unlocked.port)}).status in (200, 503)


def test_a_server_bound_to_more_than_loopback_knows_addresses_and_configured_names():
    door = Door(frozenset({"desk.example.org"}), anywhere=True)
    assert door.knows("192.0.2.5:8050") and door.knows("[2001:db8::1]:8050") and door.knows("desk.example.org")
    assert not door.knows("evil.example") and not door.knows("desk.example.org.evil.example")
    assert not Door().knows("192.0.2.5")
    assert host_name("user@host") is None and host_name("a b") is None and host_name("HOST.:80") == "host"


def test_the_host_it_was_told_to_serve_is_a_name_of_its_own():
    from mech_exo.utils.dashboard_settings import DashboardConfig

    settings = DashboardConfig(names=("desk.example.org",))
    door = Door.at("Trading-Box.lan", settings, anywhere=True)
    assert door.knows("trading-box.lan:8050") and door.knows("desk.example.org") and not door.knows("box.lan")
    assert Door.at("::1", settings, anywhere=False).knows("[::1]:8050")


def test_no_request_without_a_host_or_with_two_of_them(unlocked):
    for lines in ("", "Host: 127.0.0.1\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", unlocked.port), timeout=10) as connection:
            connection.sendall(f"GET /_dash-layout HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
            assert connection.recv(64).split()[1] in (b"400", b"403")


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": None}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "file://"},
     {"Origin": None, "Referer": "https://evil.example/"}, {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
     {"Sec_Fetch_Site": "none"}, {"Origin": "http://127.0.0.1:{port}.evil.example"}, {"Origin": "http://127.0.0.1:{port}@evil.example"}],
)  # fmt: skip
def test_no_other_site_may_post(locked, unlocked, cookie, headers):
    for site in (locked, unlocked):
        sent = {name: value and value.format(port=site.port) for name, value in headers.items()}
        for path in POSTS:
            assert posted(site, path, Cookie=cookie, **sent).status == 403, path


def test_no_other_site_may_read_or_frame(unlocked):
    assert unlocked.get("/_dash-layout", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403
    assert unlocked.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200  # a link leads here
    answer = unlocked.get("/_dash-layout", Origin="https://evil.example")
    assert not answer.all("Access-Control-Allow-Origin")
    assert answer.get("Cross-Origin-Resource-Policy") == "same-origin" and answer.get("X-Frame-Options") == "DENY"


# What may be asked


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "GETX"])
def test_nothing_but_reading_is_possible(unlocked, method):
    for path in ("/", "/_dash-update-component", "/login", "/metrics", "/assets/exo.js"):
        assert unlocked.ask(method, path, b"{}", {"Origin": unlocked.origin}).status in (400, 405), path


def test_a_post_goes_to_callbacks_login_and_logout_alone(locked, unlocked, cookie):
    assert set(POSTS) == {"/_dash-update-component", "/login", "/logout"}
    for site in (locked, unlocked):
        for path in [*paths_of(site.app.server.url_map), "/", "/positions", "/export/x.csv", "/_reload-hash"]:
            if path not in POSTS:
                assert posted(site, path, Cookie=cookie).status == 405, path
        assert site.get("/_dash-update-component", Cookie=cookie).status == 405
        assert site.ask("GET", "/", headers={"X-HTTP-Method-Override": "DELETE", "Cookie": cookie}).status == 200


def test_a_body_is_bounded(locked, unlocked, cookie):
    for site in (locked, unlocked):
        for path, most in POSTS.items():
            assert posted(site, path, b"x" * (most + 1), Cookie=cookie).status == 413, path
        huge = {"Origin": site.origin, "Content-Length": str(10**12), "Cookie": cookie}
        assert site.ask("POST", "/_dash-update-component", None, huge).status == 413
        chunked = {"Origin": site.origin, "Transfer-Encoding": "chunked", "Cookie": cookie}
        assert site.ask("POST", "/login", b"2000\r\n" + b"x" * 0x2000 + b"\r\n0\r\n\r\n", chunked).status == 413
    assert unlocked.ask("GET", "/", headers={"X-Large": "x" * 70_000}).status in (400, 431)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"7", b'{"output": "made.data"}', b"\xff\xfe", b'{"output": "none.such", "inputs": []}',
                                  b'{"output": {"a": 1}, "outputs": 7, "inputs": 7, "changedPropIds": 7}'])  # fmt: skip
def test_a_malformed_callback_is_an_error_without_a_traceback(unlocked, body, caplog):
    answer = posted(unlocked, "/_dash-update-component", body)
    assert answer.status in (400, 415, 500)
    assert b"Traceback" not in answer.body and b"site-packages" not in answer.body and len(answer.body) < 200


TRAVERSAL = [
    "/assets/../auth.py", "/assets/%2e%2e/auth.py", "/assets/..%2fauth.py", "/assets/..%5cauth.py", "/assets//etc/passwd", "/assets/%2fetc%2fpasswd",
    "/assets/....//auth.py", "/assets/%252e%252e%252fauth.py", "/assets/..%c0%afauth.py", "/assets/exo.js/../../auth.py", "/assets/exo.js%00.css", "/assets/.",
    "/_dash-component-suites/dash/../dash/dash.py", "/_dash-component-suites/dash/dash.py", "/_dash-component-suites/os/../../etc/passwd",
    "/_dash-component-suites/mech_exo/utils/config.py", "/_dash-component-suites/dash/deps/../dash.py", "/_dash-component-suites/dash_ag_grid/%2e%2e/dash/dash.py",
    "/export/../../config/api_keys_local.yml", "/export/..%2f..%2fetc%2fpasswd.csv", "/export/%2fetc%2fpasswd.csv", "/export/made.csv", "/export/.csv",
    "//evil.example/assets/exo.js", "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSAL)
def test_no_path_leads_out(unlocked, home, path):
    (home / "config" / "api_keys_local.yml").write_text("sec_user_agent: the-secret-of-the-house\n")
    answer = unlocked.get(path)
    secrets = (b"root:", b"def hashed", b"the-secret-of-the-house", b"class Dash", b"def load")
    assert not any(secret in answer.body for secret in secrets)
    if answer.status == 200:  # the address was read as another one that is ours
        assert answer.body == unlocked.get("/assets/exo.js").body


@pytest.mark.parametrize("line", xss.HEADERS)
def test_no_header_can_be_added(locked, line):
    from urllib.parse import quote

    for path in (f"/login?next={quote(line)}", f"/positions?symbol={quote(line)}", f"/export/{quote(line)}.csv"):
        answer = locked.get(path)
        assert not answer.all("Set-Cookie") and "pwned" not in {name.lower() for name, _ in answer.headers}
        assert "\n" not in "".join(answer.all("Location"))


@pytest.mark.parametrize("way", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:pwned()", "/login", "/logout", "/nowhere", "http:/", *xss.HTML[:6]])
def test_a_login_leads_to_no_other_place_than_a_page(locked, cookie, way):
    from urllib.parse import quote

    answer = locked.get(f"/login?next={quote(way, safe='')}", Cookie=cookie)
    assert (answer.status, answer.get("Location")) == (303, "/")
    asked = locked.get(f"/login?next={quote(way, safe='')}").body.decode()
    assert "evil" not in asked and "pwned" not in asked


def test_a_login_leads_back_to_the_page_with_its_state(locked, cookie):
    first = locked.get("/positions?symbol=A%26B&session=2024-01-03")
    assert first.status == 303
    assert locked.get(first.get("Location"), Cookie=cookie).get("Location") == "/positions?symbol=A%26B&session=2024-01-03"


# What every answer carries


def test_every_answer_is_dressed(locked, unlocked, cookie):
    paths = ["/", "/login", "/healthz", "/metrics", "/assets/exo.js", "/_dash-layout", "/_dash-dependencies", "/nowhere", "/export/x.csv", "/_dash-component-suites/x/y.js"]
    for site in (locked, unlocked):
        for path in paths:
            for sent in ({}, {"Cookie": cookie}):
                answer = site.ask("GET", path, headers=sent)
                policy = dict(part.split(" ", 1) for part in answer.get("Content-Security-Policy").split("; "))
                assert "unsafe" not in policy["script-src"] and policy["default-src"] == "'none'", path
                assert policy["frame-ancestors"] == "'none'" and policy["connect-src"] == "'self'" and policy["base-uri"] == "'none'"
                assert answer.get("X-Content-Type-Options") == "nosniff" and answer.get("Referrer-Policy") == "same-origin"
                assert "camera=()" in answer.get("Permissions-Policy") and not answer.all("Server")
                assert not answer.all("Access-Control-Allow-Origin")
                assert "public" not in answer.get("Cache-Control"), path
    assert unlocked.get("/_dash-layout").get("Cache-Control") == "no-store"


def test_the_policy_allows_the_document_its_own_scripts_and_no_others(unlocked):
    import base64
    import hashlib

    page = unlocked.get("/")
    inline = re.findall(r"<script(?![^>]*src=)([^>]*)>(.*?)</script>", page.body.decode(), re.DOTALL)
    allowed = set(re.findall(r"'sha256-([^']+)'", page.get("Content-Security-Policy")))
    running = [text for attributes, text in inline if "application/json" not in attributes]
    assert {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running} == allowed
    assert not re.search(r"\son\w+=", page.body.decode()) and "https://" not in re.sub(r'"dash_version_url":"[^"]*"', "", page.body.decode())


def test_pages_hold_no_markup_of_what_others_wrote(unlocked):
    for page in _pages():
        inputs = [{"id": "url", "property": "pathname", "value": page.path}, {"id": "url", "property": "search", "value": f"?symbol={xss.HTML[0]}"},
                  {"id": "stamp", "property": "data", "value": "x"}, {"id": "theme", "property": "data", "value": "light"}]  # fmt: skip
        answer = posted(unlocked, "/_dash-update-component", callback_body("made.data", inputs))
        assert answer.status == 200 and answer.get("Content-Type").startswith("application/json")
        text = answer.body.decode()
        assert "dangerously_allow_html" not in text and '"dangerously_allow_code":true' not in text.replace(" ", ""), page.path
        assert '"Markdown"' not in text, page.path  # which would read what is text as markup


def test_secrets_and_accounts_are_masked_in_what_is_said(home):
    log.redact("s3cret-of-the-test")
    home_ = home.parent / "masked"
    booked_workspace(home_)
    (home_ / "config" / "strategy.yml").write_text("name: s3cret-of-the-test\nnonsense: U1234567\n")
    with served_broken(home_) as site:
        said = site.get("/healthz").body.decode()
        assert "s3cret-of-the-test" not in said and "U1234567" not in said


def served_broken(home):
    from mech_exo.utils.dashboard_settings import DashboardConfig
    from tests.reporting.dashboard import serving

    return serving.served(reader_of(home), settings=DashboardConfig())


def _pages():
    from mech_exo.reporting.dashboard.pages import pages

    return pages()
