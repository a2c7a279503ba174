"""Telegram commands: taken from the chats that are allowed, each carried out once, however often the process is restarted.

A command is noted before it is carried out. Of those a killed process left unanswered only /halt is looked after: it is carried out unless
a halt has been in force since. To stop twice is better than not at all, and nothing else changes anything.
"""

from __future__ import annotations

from mech_exo.reporting.alerts.answers import Answers, command_of
from mech_exo.reporting.alerts.office import MINUTE, Office
from mech_exo.reporting.alerts.rows import Asked
from mech_exo.reporting.alerts.telegram import LONGEST, POLL_SECONDS, Bot, TelegramError, Update
from mech_exo.reporting.alerts.wording import cut, plain
from mech_exo.utils import log

LOG = log.get(__name__)
OFFSET, STRANGERS = "telegram offset", "telegram strangers told"
HOUR = 60 * MINUTE


class Commands:
    """Asks ``bot`` what was written to it and answers by ``answers``."""

    def __init__(self, office: Office, bot: Bot, answers: Answers) -> None:
        self._office, self._bot, self._answers = office, bot, answers
        self._rules, self._store = office.config.commands, office.store
        self._strangers = 0

    def resume(self) -> None:
        """Look after what the last process left unanswered."""
        for asked in self._store.unanswered():
            if command_of(asked.text) == "/halt" and not self._answers.halted_since(asked.at):
                self._carry_out(asked)
            else:
                self._reply(asked, "The delivery process was restarted while this was asked. Ask again.")

    def poll(self, seconds: int = POLL_SECONDS) -> int:
        """Wait up to ``seconds`` for commands and answer them; how many messages came. Raises TelegramError."""
        known = self._store.fact(OFFSET)
        updates = self._bot.updates(None if known is None else int(known), seconds)
        taken = [asked for update in sorted(updates, key=lambda one: one.id) if (asked := self._take(update)) is not None]
        for asked in sorted(taken, key=lambda one: command_of(one.text) != "/halt"):  # a halt waits for no figures
            self._carry_out(asked)
        return len(updates)

    def _take(self, update: Update) -> Asked | None:
        """One update: the offset moves past it before anything is done, in the commit that notes the command. None: nothing to do."""
        allowed = update.chat is not None and update.chat in self._rules.chats
        with self._store.transaction():
            self._store.remember(OFFSET, str(update.id))
            asked = Asked(update.id, update.chat or 0, update.text, update.at)
            new = allowed and bool(update.text) and self._store.take_command(asked)
        if not allowed:
            self._stranger(update.chat)
        return asked if new else None

    def _carry_out(self, asked: Asked) -> None:
        age = self._office.now() - asked.at
        if age > self._rules.oldest_minutes * MINUTE:
            self._reply(asked, f"Not carried out: this was written {age / MINUTE:,.0f} minutes ago. Write it again if it still holds.")
        else:
            self._reply(asked, self._answers.answer(asked.text, asked.at))

    def _reply(self, asked: Asked, text: str) -> None:
        """Note the answer, then send it: one that cannot be sent is not worth doing anything twice."""
        self._store.answered(asked.update_id, text, self._office.now())
        try:
            self._bot.send(str(asked.chat), cut(text, LONGEST, plain))
        except TelegramError as error:
            LOG.warning("a Telegram command was carried out, its answer could not be sent: %s", error)

    def _stranger(self, chat: int | None) -> None:
        """Nothing is answered; the log says so once an hour."""
        self._strangers += 1
        now = self._office.now()
        if now - float(self._store.fact(STRANGERS) or 0.0) >= HOUR:
            self._store.remember(STRANGERS, str(now))
            who = "unknown" if chat is None else f"…{str(chat)[-3:]}"
            LOG.warning("%d messages of Telegram chats that are not allowed (the last: %s); nothing was answered", self._strangers, who)
            self._strangers = 0
