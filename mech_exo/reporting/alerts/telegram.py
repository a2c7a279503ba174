"""Telegram's Bot API over plain HTTPS: ``sendMessage`` and ``getUpdates``. The token is part of every address: no address leaves this file.

Messages are plain text without a ``parse_mode``, so that nothing in them is markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

API = "https://api.telegram.org"
POLL_SECONDS = 25
LONGEST = 4096
"""Characters of one message, in units of UTF-16."""


class TelegramError(Exception):
    """Telegram did not do what was asked. ``retry_after``: seconds it asks for; ``status``: its answer, None when there was none."""

    def __init__(self, said: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(said)
        self.status, self.retry_after = status, retry_after


@dataclass(frozen=True, slots=True)
class Update:
    """A message someone wrote to the bot. ``at``: Unix seconds; ``chat`` None and ``text`` empty for anything else."""

    id: int
    chat: int | None = None
    text: str = ""
    at: float = 0.0


class Bot:
    """One bot. Two calls at once are two connections; safe in threads."""

    def __init__(self, token: str, answer_seconds: float) -> None:
        self._token, self._patience = token, answer_seconds

    def __repr__(self) -> str:
        return "Bot(********)"

    def send(self, chat: str, text: str) -> None:
        """Write ``text`` to a chat. Raises TelegramError."""
        words = {"chat_id": chat, "text": text, "disable_web_page_preview": True}
        self._call("sendMessage", words, self._patience)

    def updates(self, after: int | None, seconds: int = POLL_SECONDS) -> Sequence[Update]:
        """Wait up to ``seconds`` for messages later than the update ``after``. Raises TelegramError."""
        asked: dict[str, Any] = {"timeout": seconds, "allowed_updates": ["message"]}
        if after is not None:
            asked["offset"] = after + 1
        found = self._call("getUpdates", asked, seconds + self._patience)
        if not isinstance(found, list):
            raise TelegramError("getUpdates was answered with no list")
        return [_update(one) for one in found]

    def _call(self, method: str, asked: Mapping[str, Any], patience: float) -> Any:
        import requests

        try:
            answer = requests.post(
                f"{API}/bot{self._token}/{method}", json=asked, timeout=(self._patience, patience), allow_redirects=False
            )
        except requests.RequestException as error:  # its words hold the address, and the address the token
            raise TelegramError(f"{method}: {_kind(error)}") from None
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise TelegramError(f"{method}: answered {answer.status_code} with no JSON", status=answer.status_code)
        if body.get("ok") is not True:
            after = body.get("parameters", {}).get("retry_after") if isinstance(body.get("parameters"), dict) else None
            wait = float(after) if isinstance(after, (int, float)) and after >= 0 else None
            said = str(body.get("description", "no reason given"))[:200]
            raise TelegramError(f"{method}: {answer.status_code} {said}", status=answer.status_code, retry_after=wait)
        return body.get("result")


def _kind(error: Exception) -> str:
    """What went wrong with a connection, without its address."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not to be trusted"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    return "no connection" if isinstance(error, requests.exceptions.ConnectionError) else type(error).__name__


def _update(found: Any) -> Update:
    """An update as it came; one of no known shape is passed over by its id alone. Raises TelegramError without an id."""
    number = found.get("update_id") if isinstance(found, dict) else None
    if not isinstance(number, int):
        raise TelegramError("getUpdates was answered with an update without an id")
    said = found.get("message")
    chat = said.get("chat", {}).get("id") if isinstance(said, dict) and isinstance(said.get("chat"), dict) else None
    if not isinstance(chat, int) or not isinstance(said.get("text"), str) or not isinstance(said.get("date"), int):
        return Update(number, chat if isinstance(chat, int) else None)
    return Update(number, chat, said["text"], float(said["date"]))
