"""Every service's own protocol against a local server: what arrives is an acknowledgement, everything else is a failure that says why."""

from __future__ import annotations

import json
import logging
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from mech_exo.datasource.replay.server import Answer
from mech_exo.domain.errors import ConfigError
from mech_exo.reporting.alerts.channels import Channel, register
from mech_exo.reporting.alerts.sending import Outcome, attempt, sender
from mech_exo.reporting.alerts.wording import written
from mech_exo.utils import log
from mech_exo.utils.alert_settings import ChannelRules, Kind, MailRules, Severity
from tests.reporting.alerts.servers import CHAT, DISCORD, NTFY, TOKEN, WEBHOOK, Mail, World, too_many

SECRETS = {Kind.SLACK: WEBHOOK, Kind.TELEGRAM: TOKEN, Kind.DISCORD: DISCORD, Kind.NTFY: NTFY}
SERVICES = tuple(SECRETS)
PATIENCE = 1.0
EVIL = "<!channel> <@U1|x> [a](https://evil.example) *b* @everyone </pre><script>alert(1)</script>\r\nBcc: all@example.com"


def channel(kind: Kind, port: int = 0, security: str = "none") -> Channel:
    if kind is Kind.EMAIL:
        mail = MailRules.model_validate({"server": "127.0.0.1", "port": port, "security": security, "sender": "exo@example.com", "to": "me@example.com"})
        return Channel("mail", ChannelRules(kind=kind, mail=mail), "a-password-of-smtp", "exo")
    return Channel(kind.value, ChannelRules(kind=kind), SECRETS[kind], str(CHAT) if kind is Kind.TELEGRAM else "")


def send(kind: Kind, title: str = "Title", text: str = "text", **where: object) -> Outcome:
    return sender(channel(kind, **where), PATIENCE).send(written(kind, title, text, Severity.CRITICAL))  # type: ignore[arg-type]


def of(servers: World, kind: Kind) -> object:
    return getattr(servers, kind.value)


@pytest.mark.parametrize("kind", SERVICES)
def test_arrives_as_it_was_written(servers: World, kind: Kind) -> None:
    assert send(kind, EVIL, EVIL) == Outcome(True)
    (got,) = of(servers, kind).got
    text = json.dumps(got)
    assert "secret" not in text.lower() or kind is Kind.NTFY
    if kind is Kind.SLACK:
        assert "<!channel" not in text and got["attachments"][0]["text"].startswith("&lt;!channel&gt; &lt;@U1|x&gt; [a]") and not got["mrkdwn"]
        assert got["attachments"][0]["title"].startswith("&lt;!channel&gt; &lt;@U1")
    if kind is Kind.TELEGRAM:
        assert "parse_mode" not in got and got["chat_id"] == "4242" and got["text"].startswith("<!channel> <@U1|x> [a](https://evil.example)")
    if kind is Kind.DISCORD:
        assert "@everyone" not in got["content"] and "\\[a\\]\\(https" in got["content"]


@pytest.mark.parametrize("kind", SERVICES)
@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_refusal_is_a_failure_without_doubt(servers: World, kind: Kind, status: int) -> None:
    of(servers, kind).fault = lambda _: Answer(status, b"<html>no</html>", "text/html")
    got = send(kind)
    assert not got.arrived and not got.doubt and str(status) in got.said


@pytest.mark.parametrize("kind", [Kind.SLACK, Kind.TELEGRAM, Kind.NTFY])
def test_too_many_requests_is_a_failure(servers: World, kind: Kind) -> None:
    of(servers, kind).fault = too_many(7)
    got = send(kind)
    assert not got.arrived and "429" in got.said and got.retry_after == (7.0 if kind is Kind.TELEGRAM else None)


@pytest.mark.parametrize("kind", SERVICES)
def test_a_server_that_hangs_or_hangs_up_leaves_doubt(servers: World, kind: Kind) -> None:
    of(servers, kind).fault = lambda _: Answer(pause=1.5)
    got = send(kind)
    assert not got.arrived and got.doubt
    of(servers, kind).fault = lambda _: Answer(200, b'{"ok": tr' * 50, cut=True)
    got = send(kind)
    assert not got.arrived and got.doubt


@pytest.mark.parametrize("kind", [Kind.SLACK, Kind.TELEGRAM])
@pytest.mark.parametrize("body", [b"<html>welcome to the hotel</html>", b"", b"\xff\xfe", b"[]", b'{"ok": "yes"}'])
def test_garbage_is_no_acknowledgement(servers: World, kind: Kind, body: bytes) -> None:
    of(servers, kind).fault = lambda _: Answer(200, body, "text/html")
    assert not send(kind).arrived


@pytest.mark.parametrize("kind", SERVICES)
def test_a_redirect_is_no_acknowledgement(servers: World, kind: Kind) -> None:
    of(servers, kind).fault = lambda _: Answer(302, b"", headers={"Location": "https://hc-ping.example/elsewhere"})
    assert not send(kind).arrived
    assert servers.pings() == []


@pytest.mark.parametrize("kind", SERVICES)
def test_no_secret_leaves_in_words_or_logs(servers: World, kind: Kind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even with --debug and every library talking, from a server that answers with the secret, one not to be trusted, or none."""
    secret = SECRETS[kind]
    register(secret)
    log.setup(debug=True)
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", logging.DEBUG)
    of(servers, kind).fault = lambda _: Answer(500, secret.encode(), "text/html")
    said = [send(kind)]
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    said.append(send(kind))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    said.append(send(kind))
    log.setup()
    told = "".join(one.said for one in said) + capsys.readouterr().err
    assert "urllib3" in told and not any(one.arrived for one in said)
    assert secret.rpartition("/")[2].rpartition(":")[2] not in told


def test_an_untrusted_certificate_is_a_failure(servers: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(other))
    for kind in SERVICES:
        assert not send(kind).arrived
        assert of(servers, kind).got == []


def test_mail_has_both_parts_and_one_header_each(servers: World) -> None:
    assert send(Kind.EMAIL, EVIL, "a <b> & c\nsecond", port=servers.mail.port) == Outcome(True)
    (got,) = servers.mail.got
    assert got["To"] == "me@example.com" and got["Bcc"] is None and "\n" not in got["Subject"] and "<!channel>" in got["Subject"]
    assert "a <b> & c\nsecond" in got.get_body(("plain",)).get_content().replace("\r\n", "\n")
    page = got.get_body(("html",)).get_content()
    assert "a &lt;b&gt; &amp; c<br>second" in page and "<script" not in page
    assert servers.mail.logins == ["exo:a-password-of-smtp"]


@pytest.mark.parametrize(
    ("fault", "doubt"),
    [({"MAIL": "451 later"}, False), ({"RCPT": "550 nobody"}, False), ({"END": "452 full"}, False), ({"AUTH": "535 no"}, False), ({"DATA": ""}, True), ({"END": ""}, True)],
)
def test_mail_that_is_refused_or_cut_is_a_failure(servers: World, fault: dict[str, str], doubt: bool) -> None:
    servers.mail.fault.update(fault)
    got = send(Kind.EMAIL, port=servers.mail.port)
    assert (got.arrived, got.doubt) == (False, doubt) and got.said and "a-password-of-smtp" not in got.said


def test_mail_goes_over_starttls_and_not_past_a_wrong_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "mail.pem"
    authority.cert_pem.write_to_path(str(bundle))
    mail = Mail(context)
    try:
        assert not send(Kind.EMAIL, port=mail.port, security="starttls").arrived and mail.got == [] and mail.logins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        assert send(Kind.EMAIL, port=mail.port, security="starttls") == Outcome(True)
        assert len(mail.got) == 1
    finally:
        mail.close()


def test_a_server_that_is_down_is_a_failure() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        got = send(Kind.EMAIL, port=free.getsockname()[1])
    assert not got.arrived


def test_an_address_apprise_does_not_know_is_refused_without_showing_it() -> None:
    for secret in ("https://hooks.slack.com/services/only-one-piece", "gibberish-secret"):
        one = replace(channel(Kind.SLACK), secret=secret)
        log.redact(secret)
        with pytest.raises(ConfigError, match="needs an address that apprise takes") as error:
            sender(one, PATIENCE)
        assert secret not in str(error.value)


def test_any_apprise_address_is_a_channel(servers: World) -> None:
    servers.replay.on("pager.example", Answer(200, b"ok"))
    one = Channel("pager", ChannelRules(kind=Kind.URL), "jsons://pager.example/path")
    assert sender(one, PATIENCE).send(written(Kind.URL, "T", EVIL, Severity.WARNING)) == Outcome(True)
    (asked,) = servers.replay.requests("pager.example")
    assert json.loads(asked.body)["message"].startswith("<!channel>") and json.loads(asked.body)["type"] == "warning"


def test_an_attempt_that_never_ends_is_left_and_one_that_breaks_is_a_failure(servers: World) -> None:
    servers.telegram.fault = lambda _: Answer(200, b" " * 400, trickle=0.02)  # a byte now and then: no timeout of a socket ends that
    one = sender(channel(Kind.TELEGRAM), PATIENCE)
    said = written(Kind.TELEGRAM, "t", "x", Severity.INFO)
    got = attempt(one, said, 0.3)
    assert not got.arrived and got.doubt and "no end after 0.3 seconds" in got.said

    class Broken:
        def send(self, _: object) -> Outcome:
            raise RuntimeError("a plugin's own fault with its secret")

    assert attempt(Broken(), said, 5.0) == Outcome(False, "RuntimeError while sending", doubt=True)


def test_a_second_webhook_by_its_address_is_escaped_like_the_first(servers: World) -> None:
    for kind, secret in ((Kind.DISCORD, "discord://987654321012345678/aTokenOfDiscord_thatIsSecret"), (Kind.SLACK, WEBHOOK)):
        one = Channel("second", ChannelRules(kind=kind), secret)
        assert sender(one, PATIENCE).send(written(one.kind, "T", EVIL, Severity.INFO)) == Outcome(True)
    assert "@everyone" not in json.dumps(servers.discord.got) and "<!channel" not in json.dumps(servers.slack.got)
    mail = Channel("mail", ChannelRules.model_construct(kind=Kind.EMAIL, mail=None, per_minute=10), f"mailto://127.0.0.1:{servers.mail.port}/?from=exo@example.com&to=me@example.com")
    assert sender(mail, PATIENCE).send(written(Kind.EMAIL, "T", "a <b>", Severity.INFO)) == Outcome(True)
    assert "a &lt;b&gt;" in servers.mail.got[0].get_body(("html",)).get_content()
