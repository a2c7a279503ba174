"""HALT: a file renamed into place, so that it works on a full disk, with the ledger locked and with the broker gone.

The file ``data/HALT.ready`` is made beforehand, large enough for the reason. Halting writes the reason over it in place
and renames it to ``data/HALT``: neither needs a free block. Whoever sends orders looks for the file before each one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mech_exo.domain.errors import LedgerError
from mech_exo.execution.ledger import Ledger, default_path, utc_now
from mech_exo.utils.log import mask, mask_accounts

SIZE = 1024


@dataclass(frozen=True, slots=True)
class HaltState:
    """Whether trading is halted, why and since when (None where the file does not say)."""

    halted: bool
    reason: str = ""
    since: datetime | None = None

    def __str__(self) -> str:
        return f"halted: {self.reason or 'no reason given'}" if self.halted else "not halted"


class HaltSwitch:
    """The HALT file of a workspace."""

    def __init__(self, home: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.path = home / "data" / "HALT"
        self._ready = home / "data" / "HALT.ready"
        self._clock = clock

    def arm(self) -> None:
        """Make the file that a halt renames. Done by every run; does nothing while it is there or a halt is in force."""
        if not self._ready.exists() and not self.path.exists():
            self._ready.parent.mkdir(parents=True, exist_ok=True)
            self._ready.write_bytes(b" " * SIZE)

    def state(self) -> HaltState:
        """Read the file; a HALT file that cannot be read is a halt."""
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return HaltState(False)
        except (OSError, UnicodeDecodeError):
            return HaltState(True, "the HALT file is there but cannot be read")
        try:
            said = json.loads(text)
            return HaltState(True, str(said["reason"]), datetime.fromisoformat(said["since"]))
        except (ValueError, KeyError, TypeError):
            return HaltState(True, text.strip())

    def halt(self, reason: str) -> HaltState:
        """Stop everything that adds risk. A second halt keeps the first reason."""
        known = self.state()
        if known.halted:
            return known
        self._write(reason)
        self._ready.replace(self.path)
        return self.state()

    def _write(self, reason: str) -> None:
        """The reason, over the prepared bytes. A disk that refuses even that does not stop the halt: a file is enough."""
        self._ready.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._ready, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with suppress(OSError):
                os.pwrite(descriptor, _message(reason, self._clock()), 0)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def resume(self) -> HaltState:
        """Take the file away again; returns what was in force. The operator's reason belongs in the ledger."""
        known = self.state()
        with suppress(FileNotFoundError):
            self.path.replace(self._ready)
        return known


def _message(reason: str, now: datetime) -> bytes:
    """Exactly ``SIZE`` bytes: JSON padded with spaces, the reason cut to fit. Others may read the file: no account number is in it."""
    said = mask(mask_accounts(reason))
    for length in range(len(said), -1, -1):
        text = json.dumps({"reason": said[:length], "since": now.isoformat()}).encode()
        if len(text) <= SIZE:
            return text.ljust(SIZE)
    raise ValueError("a halt message without a reason fits always")


@dataclass(frozen=True, slots=True)
class HaltOutcome:
    """What a halt or resume did: the state now, and whether the ledger has it (``note`` says why not)."""

    state: HaltState
    journaled: bool
    note: str = ""


def halt(home: Path, reason: str, *, clock: Callable[[], datetime] = utc_now) -> HaltOutcome:
    """Halt the workspace: the file first, the journal when it can be had at once."""
    switch = HaltSwitch(home, clock=clock)
    state = switch.halt(reason)
    if not default_path(home).exists():
        return HaltOutcome(state, False, "there is no ledger yet")
    try:
        with Ledger.open(default_path(home), clock=clock) as ledger:
            if not ledger.is_halted:
                ledger.halt(reason)
    except (LedgerError, OSError) as error:
        return HaltOutcome(state, False, str(error))
    return HaltOutcome(state, True)


def resume(home: Path, reason: str, *, clock: Callable[[], datetime] = utc_now) -> HaltOutcome:
    """End a halt: journaled first, then the file goes. LedgerError when the ledger cannot be written: it stays halted."""
    switch = HaltSwitch(home, clock=clock)
    journaled = default_path(home).exists()
    if journaled:
        with Ledger.open(default_path(home), clock=clock) as ledger:
            if ledger.is_halted or switch.state().halted:
                ledger.resume(reason)
    switch.resume()
    switch.arm()
    return HaltOutcome(switch.state(), journaled, "" if journaled else "there is no ledger yet")


def halt_reason(ledger: Ledger, switch: HaltSwitch) -> str | None:
    """Why nothing that adds risk may be sent, None when nothing forbids it: the file or the ledger, whichever says so."""
    state = switch.state()
    if state.halted:
        return state.reason or "HALT"
    if ledger.is_halted:
        return ledger.halts()[-1].reason
    return None
