"""What the pages ask of a workspace; ``mech_exo.assembly.Workspace`` is one.

Reporting does not know assembly: the command line joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

    from mech_exo.datasource.storage import DataStorage
    from mech_exo.decision.night import Known
    from mech_exo.decision.strategy import Strategy
    from mech_exo.domain.panel import BarPanel
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId
    from mech_exo.risk.model import Market
    from mech_exo.utils.settings import Config


class House(Protocol):
    """A workspace, read-only."""

    @property
    def home(self) -> Path:
        """Its folder."""

    @property
    def config(self) -> Config:
        """The effective configuration."""

    @property
    def strategy(self) -> Strategy:
        """The configured strategy."""

    @property
    def reports(self) -> Path:
        """Folder of reports."""

    @property
    def runs(self) -> Path:
        """Folder of saved backtests."""

    @property
    def storage(self) -> DataStorage:
        """The latest published snapshot. Raises MissingDataError."""

    def book_id(self) -> BookId:
        """The configured book."""

    def journal(self) -> AbstractContextManager[Ledger]:
        """The ledger to be read; an empty one where none has been begun."""

    def known(self, as_of: date | None = None, *, facts: Sequence[str] | None = None) -> Known:
        """What was known at a close. Raises MissingDataError."""

    def known_with(self, config: Config, as_of: date | None = None, recorded_by: datetime | None = None) -> Known:
        """As ``known``, for the configuration of a past night, and optionally what was stored by an instant."""

    def seen(self, as_of: date | None = None) -> Known:
        """As ``known``, however complete the session is."""

    def market(self, known: Known) -> Market:
        """``known`` as risk sees it."""

    def sectors(self, session: date) -> dict[str, str | None] | None:
        """Every name's sector; None where the session is not stored."""

    def benchmark(self, panel: BarPanel) -> np.ndarray | None:
        """``(T,)`` returns, NaN unknown."""
