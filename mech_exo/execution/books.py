"""The seam to the account as the night keeps it: a session is played into it, a decision reads it, levels and orders go back.

The paper broker keeps its own by the fill model; a broker behind a wire has one that is fed by its executions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np

from mech_exo.domain.orders import Fill
from mech_exo.domain.panel import BarPanel
from mech_exo.execution.rows import EventLine, SessionRow, StateChange


@dataclass(frozen=True, slots=True, eq=False)
class Desk:
    """Copies of the account for a decision, laid on a panel: BOOK ``(N,)``, live ``(N,)``, ACCOUNT ``(1,)``, DAY ``(T,)``."""

    book: np.ndarray
    live: np.ndarray
    account: np.ndarray
    days: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class PlayedSession:
    """What a session did: its fills, its events, and how each order that was open ended."""

    session: date
    fills: tuple[Fill, ...]
    events: tuple[EventLine, ...]
    ended: tuple[StateChange, ...]


class Books(Protocol):
    """An account from its last booked session on."""

    def begin(self) -> None:
        """Restore the account from the ledger, the broker being connected."""
        ...

    @property
    def nav(self) -> float:
        """Net asset value in USD at the last booked close."""
        ...

    def trade_session(self, panel: BarPanel, row: int, flow: float = 0.0) -> PlayedSession:
        """Play session ``row`` of ``panel`` with ``flow`` USD in at the open; once, in order."""
        ...

    def desk(self, panel: BarPanel) -> Desk:
        """The account as a decision takes it, copied."""
        ...

    def take_levels(self, decided: np.ndarray) -> None:
        """Take over what a decision wrote to its copy of the book, except the orders themselves."""
        ...

    def row(self, decided: np.ndarray, day: np.void, played: PlayedSession) -> SessionRow:
        """The session as it is to be booked."""
        ...
