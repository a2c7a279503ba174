"""Sending one message through one channel: Telegram by its own client, everything else by apprise, imported when first needed.

apprise answers yes or no and tells the reason to its log alone; that is caught, masked and kept. Its redirects are off: what was sent to
another place is not acknowledged.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mech_exo.domain.errors import ConfigError, UserError
from mech_exo.reporting.alerts.channels import LOCAL, Channel
from mech_exo.reporting.alerts.telegram import Bot, TelegramError
from mech_exo.reporting.alerts.wording import Message
from mech_exo.utils.alert_settings import Kind, MailSecurity, Severity
from mech_exo.utils.log import mask, mask_accounts

if TYPE_CHECKING:
    from apprise import NotifyBase

INSTALL = 'pip install "mech-exo[alerts]"'
LONGEST_REASON = 300
STATUS = re.compile(r"error=(\d{3})\b|\((\d{3}), b['\"]")
"""How apprise tells an answer of HTTP, and smtplib one of a mail server."""
PORTS = {MailSecurity.STARTTLS: 587, MailSecurity.TLS: 465, MailSecurity.NONE: 25}
OURS = threading.local()
"""The lines apprise logs in this thread while it sends."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt. ``doubt``: it failed and may have arrived all the same; ``retry_after``: seconds the server asks for."""

    arrived: bool
    said: str = ""
    doubt: bool = False
    retry_after: float | None = None


class Sender(Protocol):
    """A way to send messages."""

    def send(self, message: Message) -> Outcome:
        """Send one message; every failure is an outcome."""


def sender(channel: Channel, answer_seconds: float) -> Sender:
    """The sender of a channel. Raises UserError without apprise, ConfigError where its address is none that apprise knows."""
    if channel.kind is Kind.TELEGRAM:
        _require()
        return TelegramSender(Bot(channel.secret, answer_seconds), channel.user)
    return AppriseSender(channel, answer_seconds)


def attempt(sender: Sender, message: Message, seconds: float) -> Outcome:
    """Send, for at most ``seconds``: an attempt that hangs is left to itself, failed and in doubt."""
    done: queue.Queue[Outcome] = queue.Queue()

    def send() -> None:
        try:
            done.put(sender.send(message))
        except Exception as error:  # noqa: BLE001 - the outermost edge of a thread: whatever a plugin raises is a failed attempt
            done.put(Outcome(False, f"{type(error).__name__} while sending", doubt=True))

    threading.Thread(target=send, daemon=True).start()
    try:
        return done.get(timeout=seconds)
    except queue.Empty:
        return Outcome(False, f"no end after {seconds:g} seconds", doubt=True)


class TelegramSender:
    """Writes to one chat."""

    def __init__(self, bot: Bot, chat: str) -> None:
        self._bot, self._chat = bot, chat

    def send(self, message: Message) -> Outcome:
        """Send one message."""
        try:
            self._bot.send(self._chat, f"{message.title}\n{message.text}".strip())
        except TelegramError as error:
            return Outcome(False, _reason(str(error)), doubt=error.status is None or error.status == 200, retry_after=error.retry_after)
        return Outcome(True)


class AppriseSender:
    """Sends through a plugin of apprise to one place."""

    def __init__(self, channel: Channel, answer_seconds: float) -> None:
        self._kind = channel.kind
        self._plugin = _plugin(channel, answer_seconds)

    def send(self, message: Message) -> Outcome:
        """Send one message."""
        from apprise import Apprise, NotifyFormat, NotifyType

        types = {Severity.INFO: NotifyType.INFO, Severity.WARNING: NotifyType.WARNING, Severity.CRITICAL: NotifyType.FAILURE}
        type_ = types[message.severity]
        with _heard() as lines:
            if self._kind is Kind.URL:  # apprise knows what must be escaped there
                every = Apprise()
                every.add(self._plugin)
                body = message.text or message.title
                arrived = bool(every.notify(body=body, title=message.title, notify_type=type_, body_format=NotifyFormat.TEXT))
            else:
                body = message.page or message.text or message.title
                arrived = bool(self._plugin.send(body=body, title=message.title, notify_type=type_))
        if arrived:
            return Outcome(True)
        said = _reason("; ".join(dict.fromkeys(lines)) or "apprise gave no reason")
        status = STATUS.search(said)
        return Outcome(False, said, doubt=status is None or (status[1] or status[2]).startswith("2"))


def _plugin(channel: Channel, answer_seconds: float) -> NotifyBase:
    """The plugin of a channel, without pictures, redirects, waits or attempts of its own."""
    _require()
    from apprise import Apprise, AppriseAsset, NotifyFormat
    from apprise.common import OverflowMode

    asset = AppriseAsset(app_id="Mech-Exo", app_desc="Mech-Exo", http_redirects=False, async_mode=False)
    with _heard() as lines:
        found = Apprise.instantiate(_address(channel), asset=asset)
    if found is None:
        why = _reason("; ".join(lines)) or "apprise does not know it"
        raise ConfigError(
            f"the channel {channel.name} ({channel.kind}) needs an address that apprise takes; {why}", remedy=f"correct it in {LOCAL}"
        )
    found.request_rate_per_sec = 0.0
    found.socket_read_timeout, found.socket_connect_timeout = answer_seconds, answer_seconds
    found.redirects = False
    found.retry = 0
    if channel.kind is Kind.URL:
        found.overflow_mode = OverflowMode.TRUNCATE
    else:
        found.notify_format = NotifyFormat.HTML if channel.kind is Kind.EMAIL else NotifyFormat.TEXT
    for name, value in {"include_image": False, "include_footer": False, "include_timestamp": False, "avatar": False, "flags": 4}.items():
        if hasattr(found, name):  # Discord's flag 4: no preview of links
            setattr(found, name, value)
    return found


def _address(channel: Channel) -> str | dict[str, Any]:
    mail = channel.rules.mail
    if mail is None:
        if channel.kind is Kind.NTFY and channel.secret.startswith("http") and "//ntfy.sh/" not in channel.secret:
            return re.sub(r"^http", "ntfy", channel.secret, count=1)  # a server of one's own
        return channel.secret
    secure = mail.security is not MailSecurity.NONE
    mode = {MailSecurity.STARTTLS: "starttls", MailSecurity.TLS: "ssl", MailSecurity.NONE: "insecure"}[mail.security]
    return {
        "schema": "mailtos" if secure else "mailto", "host": mail.server, "smtp_host": mail.server, "secure": secure, "secure_mode": mode,
        "port": mail.port or PORTS[mail.security], "user": channel.user or None, "password": channel.secret or None,
        "from_addr": f"Mech-Exo <{mail.sender}>", "targets": [mail.to],
    }  # fmt: skip


def _require() -> None:
    """Raises UserError where the extra is not installed."""
    import importlib.util

    for package in ("apprise", "requests"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"alerts are delivered by the package {package}; it is not installed", remedy=INSTALL)


class _Listener(logging.Handler):
    """Keeps what the sending thread is told, and lets nothing through: apprise's own words may hold an address with its token."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = getattr(OURS, "lines", None)
        if lines is not None:
            text = record.getMessage()
            if record.levelno >= logging.WARNING or text.startswith(("Socket Exception", "Response Details")):
                lines.append(text)


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What apprise says of its failures in this thread within the block."""
    logger = logging.getLogger("apprise")
    if not any(isinstance(handler, _Listener) for handler in logger.handlers):
        logger.addHandler(_Listener())
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    OURS.lines = []
    try:
        yield OURS.lines
    finally:
        OURS.lines = None


def _reason(text: str) -> str:
    """One line, masked, cut."""
    return " ".join(mask(mask_accounts(text)).split())[:LONGEST_REASON]
