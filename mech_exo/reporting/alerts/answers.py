"""What a Telegram command is answered. Every figure is that of the night's report; nothing here can add risk."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.domain.errors import LedgerError, MechExoError
from mech_exo.execution import safety
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.reporting.text import UNKNOWN, money, percent, shares
from mech_exo.utils import log
from mech_exo.utils.log import mask, mask_accounts

if TYPE_CHECKING:
    from mech_exo.reporting.alerts.office import Office
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.night import NightReport

LOG = log.get(__name__)
HELP = """/status  is it running, is it halted, what waits
/positions  what is held
/pnl  the last session's account
/halt  stop everything that adds risk, at once
/help  this
A halt is ended at the machine alone: exo resume --reason '…'"""


class Answers:
    """Answers for the workspace ``home``. /halt needs nothing but the folder; for figures ``open_house`` opens the workspace."""

    def __init__(self, office: Office, home: Path, open_house: Callable[[], House]) -> None:
        self._office, self._home, self._open = office, home, open_house

    def answer(self, text: str, at: float) -> str:
        """What ``text``, written at ``at`` (Unix seconds), is answered. A halt is carried out before it is."""
        command = command_of(text)
        known = {"/status": self._status, "/positions": self._positions, "/pnl": self._pnl}
        try:
            if command == "/halt":
                said = self._halt(at)
            elif command in known:
                said = known[command]()
            elif command in ("/help", "/start"):
                said = HELP
            else:
                said = f"There is no such command.\n{HELP}"
        except MechExoError as error:
            said = f"That cannot be said now: {error.message}"
        except OSError as error:
            said = f"That cannot be said now: {error.strerror or type(error).__name__}"
        except Exception:  # the edge: no question may end the delivery of alarms
            LOG.exception("the command %s could not be answered", command)
            said = "That cannot be said now; see the log of exo alert run."
        return mask(mask_accounts(said))

    def halted_since(self, at: float) -> bool:
        """Whether a halt or its end was journaled or is in force since ``at``: the command of then was carried out, or overtaken.

        A journal that cannot be read knows of none: to halt twice is better than not at all.
        """
        if safety.HaltSwitch(self._home).state().halted:
            return True
        try:
            with Ledger.open(default_path(self._home), read_only=True) as ledger:
                return any(row.at.timestamp() >= at for row in ledger.halts())
        except (LedgerError, OSError):
            return False

    def _halt(self, at: float) -> str:
        said = safety.halt(self._home, f"/halt by Telegram at {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC")
        note = "" if said.journaled else f"\nThe journal does not have it ({said.note}); the file HALT alone stops everything."
        since = "" if said.state.since is None else f" since {said.state.since:%Y-%m-%d %H:%M:%S} UTC"
        if not said.state.halted:
            return f"NOT HALTED: {said.note or 'the file HALT is not there'}. Halt at the machine: exo halt --reason '…'"
        return f"HALTED{since}: {said.state.reason}{note}\nCancels and reductions still pass; stops rest at the broker. Nothing was sold."

    def _status(self) -> str:
        lines = [self._halted()]
        try:
            night = self._night(self._open())
        except MechExoError as error:
            lines.append(error.message)
        else:
            nav, fall = money(night.money.nav), percent(night.drawdown)
            lines.append(f"last session booked: {night.session}, {night.state}; NAV {nav} USD, drawdown {fall}")
        alarms = self._office.store.alarms()
        lines += [f"{one.text} (since {datetime.fromtimestamp(one.since, UTC):%Y-%m-%d %H:%M} UTC)" for one in alarms] or ["no alarm"]
        waiting = {name: sum(counts.values()) for name, counts in self._office.store.waiting().items()}
        lines.append("alerts waiting: " + (", ".join(f"{name} {count}" for name, count in waiting.items()) or "none"))
        return "\n".join(lines)

    def _halted(self) -> str:
        """Whether a halt is in force; unknown where the file says nothing and the journal cannot be read."""
        switch = safety.HaltSwitch(self._home)
        try:
            with Ledger.open(default_path(self._home), read_only=True) as ledger:
                reason = safety.halt_reason(ledger, switch)
        except (LedgerError, OSError) as error:
            state = switch.state()
            return f"HALTED: {state.reason}" if state.halted else f"halted or not: {UNKNOWN}; {error}"
        return "not halted" if reason is None else f"HALTED: {reason}"

    def _positions(self) -> str:
        night = self._night(self._open())
        if not night.holdings:
            return f"Nothing is held at the close of {night.session}."
        lines = [f"At the close of {night.session}, USD:"]
        for one in sorted(night.holdings, key=lambda one: -abs(one.value or 0.0)):
            stop = "no stop" if one.stop is None else f"stop {money(one.stop)}"
            held = f"{one.symbol} {shares(one.shares)} × {money(one.price)}"
            lines.append(f"{held}: {percent(one.weight, 1)} of NAV, unrealised {money(one.unrealised)}, {stop}")
        return "\n".join(lines)

    def _pnl(self) -> str:
        night = self._night(self._open())
        cash = night.money
        parts = {
            "prices": cash.price_pnl, "dividends": cash.dividends, "interest": cash.interest, "borrow": _less(cash.borrow),
            "commission": _less(cash.commission), "slippage": _less(cash.slippage),
        }  # fmt: skip
        said = ", ".join(f"{name} {money(value)}" for name, value in parts.items())
        lines = [
            f"{night.session}, USD: {money(cash.pnl)} ({percent(cash.day_return)} of NAV)", said,
            f"NAV {money(cash.nav)}, before {money(cash.previous_nav)}, deposits and withdrawals {money(cash.flow)}",
            f"drawdown {percent(night.drawdown) if night.drawdown is not None else UNKNOWN}",
        ]  # fmt: skip
        return "\n".join(lines)

    def _night(self, house: House) -> NightReport:
        from mech_exo.reporting.query import night_report

        with house.journal() as ledger:
            return night_report(ledger, house.book_id(), None, house)


def command_of(text: str) -> str:
    """The command a message begins with: ``/Halt@my_bot now`` → ``/halt``."""
    words = text.split()
    return words[0].partition("@")[0].lower() if words else ""


def _less(value: float | None) -> float | None:
    return None if value is None else -value
