"""Local servers that speak what Slack, Telegram, Discord, ntfy and a mail server speak, and can fail in every way the tests name."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from mech_exo.datasource.replay.server import Answer, Asked, Replay, data, leading_to, replaying

TOKEN = "123456789:AAfakeTokenOfTheTestBot_abcdefghijklmno"
CHAT = 4242
WEBHOOK = "https://hooks.slack.com/services/T00000001/B00000002/abcdefghSECRETijklmn"
DISCORD = "https://discord.com/api/webhooks/987654321012345678/aTokenOfDiscord_thatIsSecret"
NTFY = "https://ntfy.sh/exo-secret-topic"


@dataclass
class Service:
    """What one service was told, in order. ``fault`` answers instead of it while it is set: before (``taken`` False) or after taking."""

    got: list[dict[str, Any]] = field(default_factory=list)
    fault: Callable[[Asked], Answer | None] = lambda _: None
    taken_first: bool = False
    after: Callable[[dict[str, Any]], None] = lambda _: None

    def serve(self, asked: Asked, good: Answer) -> Answer:
        wrong = self.fault(asked)
        if wrong is not None and not self.taken_first:
            return wrong
        self.got.append(json.loads(asked.body))
        self.after(self.got[-1])
        return wrong or good


class Slack(Service):
    """Incoming webhooks: JSON in, the two letters ``ok`` out."""

    @property
    def texts(self) -> list[str]:
        return [f"{one['attachments'][0]['title']}\n{one['attachments'][0]['text']}" for one in self.got]


@dataclass
class Telegram(Service):
    """The Bot API: ``sendMessage``, and ``getUpdates`` which forgets what is below the offset and waits for what is not there yet."""

    updates: list[dict[str, Any]] = field(default_factory=list)
    offsets: list[int | None] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    poll_fault: Callable[[Asked], Answer | None] = lambda _: None

    @property
    def texts(self) -> list[str]:
        return [one["text"] for one in self.got]

    def write(self, text: str, chat: int = CHAT, at: float | None = None, update_id: int | None = None) -> int:
        """Somebody writes to the bot."""
        with self.changed:
            number = update_id or 1000 + len(self.updates)
            said = {"message_id": number, "date": int(time.time() if at is None else at), "text": text, "from": {"id": chat}, "chat": {"id": chat, "type": "private"}}
            self.updates.append({"update_id": number, "message": said})
            self.changed.notify_all()
        return number

    def answer(self, asked: Asked) -> Answer:
        token, method = asked.path.removeprefix("/bot").split("/")
        if token != TOKEN:
            return data({"ok": False, "error_code": 401, "description": "Unauthorized"}, 401)
        if method == "getUpdates":
            return self.poll_fault(asked) or self._updates(json.loads(asked.body))
        assert method == "sendMessage"
        return self.serve(asked, data({"ok": True, "result": {"message_id": len(self.got), "date": 0}}))

    def _updates(self, asked: dict[str, Any]) -> Answer:
        self.offsets.append(asked.get("offset"))
        end = time.monotonic() + min(asked["timeout"], 3)
        with self.changed:
            while True:
                found = [one for one in self.updates if one["update_id"] >= asked.get("offset", 0)]
                if found or not self.changed.wait(max(0.0, end - time.monotonic())) or time.monotonic() >= end:
                    return data({"ok": True, "result": found})


def too_many(seconds: int = 7) -> Callable[[Asked], Answer]:
    """429, as Telegram and everybody else say it."""
    body = {"ok": False, "error_code": 429, "description": f"Too Many Requests: retry after {seconds}", "parameters": {"retry_after": seconds}}
    return lambda _: data(body, 429, Retry_After=str(seconds))


class Mail:
    """A mail server: EHLO, STARTTLS, AUTH PLAIN and LOGIN, MAIL, RCPT, DATA. ``fault``: verb to reply, "" to hang up, None to say nothing."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.got: list[EmailMessage] = []
        self.logins: list[str] = []
        self.fault: dict[str, str | None] = {}
        self.after: Callable[[EmailMessage], None] = lambda _: None
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def texts(self) -> list[str]:
        return [f"{one['Subject']}\n{one.get_body(('plain',)).get_content()}" for one in self.got]

    def close(self) -> None:
        self.stopped.set()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        try:
            self._session(connection)
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            connection.close()

    def _session(self, connection: socket.socket, *, secure: bool = False) -> None:
        file = connection.makefile("rb")

        def say(text: str) -> None:
            connection.sendall(f"{text}\r\n".encode())

        if not secure:
            say("220 local ESMTP")
        while line := file.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            verb = verb.upper()
            if verb in self.fault:
                reply = self.fault[verb]
                if reply is None:
                    self.stopped.wait(20)
                    return
                if not reply:
                    return
                say(reply)
            elif verb == "EHLO":
                offers = ["local", "SIZE 10000000", *([] if secure or self._context is None else ["STARTTLS"]), "AUTH PLAIN LOGIN"]
                for n, offer in enumerate(offers):
                    say(f"250{'-' if n < len(offers) - 1 else ' '}{offer}")
            elif verb == "STARTTLS" and self._context is not None:
                say("220 go ahead")
                with self._context.wrap_socket(connection, server_side=True) as inner:
                    self._session(inner, secure=True)
                return
            elif verb == "AUTH":
                kind, _, words = rest.partition(" ")
                if kind.upper() == "LOGIN":
                    if not words:
                        say("334 VXNlcm5hbWU6")
                        words = file.readline().decode().strip()
                    say("334 UGFzc3dvcmQ6")
                    self.logins.append(f"{base64.b64decode(words).decode()}:{base64.b64decode(file.readline()).decode()}")
                else:
                    self.logins.append(base64.b64decode(words).decode().strip("\0").replace("\0", ":"))
                say("235 welcome")
            elif verb == "DATA":
                say("354 end with .")
                lines = []
                while (text := file.readline()) not in (b".\r\n", b""):
                    lines.append(text[1:] if text.startswith(b"..") else text)
                found = message_from_bytes(b"".join(lines), policy=policy.default)
                assert isinstance(found, EmailMessage)
                self.got.append(found)
                self.after(found)
                reply = self.fault.get("END", "250 taken")
                if reply is None:
                    self.stopped.wait(20)
                if not reply:
                    return
                say(reply)
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                assert re.match(r"(MAIL FROM:|RCPT TO:)", f"{verb} {rest}") or verb in ("RSET", "NOOP", "MAIL", "RCPT"), line
                say("250 fine")


@dataclass
class World:
    """Every server at once, and the environment that leads to them."""

    replay: Replay
    mail: Mail
    slack: Slack = field(default_factory=Slack)
    telegram: Telegram = field(default_factory=Telegram)
    discord: Service = field(default_factory=Service)
    ntfy: Service = field(default_factory=Service)

    def listen(self) -> None:
        self.replay.serve("hooks.slack.com", lambda asked: self.slack.serve(asked, Answer(200, b"ok", "text/html")))
        self.replay.serve("api.telegram.org", self.telegram.answer)
        self.replay.serve("discord.com", lambda asked: self.discord.serve(asked, Answer(204, b"")))
        self.replay.serve("ntfy.sh", lambda asked: self.ntfy.serve(asked, data({"id": "x"})))
        self.replay.serve("hc-ping.example", lambda _: Answer(200, b"OK", "text/plain"))

    def pings(self) -> list[str]:
        return [one.path for one in self.replay.requests("hc-ping.example")]


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """The servers, and every client of this process and its children led to them."""
    with replaying(folder) as replay, leading_to(replay):
        mail = Mail()
        made = World(replay, mail)
        made.listen()
        try:
            yield made
        finally:
            mail.close()
