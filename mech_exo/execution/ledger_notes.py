"""What the ledger keeps beside orders and sessions: deposits, counted trials, halts, and the outbox of alerts. Part of :class:`Ledger`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any, TypeVar

from mech_exo.execution import ledger_tables as tables
from mech_exo.execution.rows import Adjustment, Alert, BookId, Flow, HaltRow, PostedAlert
from mech_exo.execution.trial_rows import Promotion, Sweep, Trial, TrialFigure

Row = TypeVar("Row")


class LedgerNotes(ABC):
    """Entries that move no order."""

    @abstractmethod
    def _run(self, sql: str, values: Sequence[object] = ()) -> list[Any]: ...

    @abstractmethod
    def now(self) -> datetime:
        """The clock that stamps the journal, UTC."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Group writes into one atomic commit."""

    @abstractmethod
    def append(self, row: object, key: str) -> None:
        """Chain ``row`` to the journal and to its tables, in the running transaction or one of its own."""

    @abstractmethod
    def once(self, row: Flow | Alert | Sweep | Promotion | Adjustment) -> bool:
        """Journal a row by its id; False when it is known."""

    @abstractmethod
    def rows(self, kind: type[Row]) -> tuple[Row, ...]:
        """Every row of one kind, oldest first."""

    def record_flow(self, row: Flow) -> bool:
        """Journal a deposit or withdrawal; False when it is known, LedgerError when its id is known with other figures."""
        return self.once(row)

    def flows(self, book: BookId, session: date | None = None) -> tuple[Flow, ...]:
        """Deposits and withdrawals, by session."""
        condition, values = tables.where(tables.filters(book, session=session))
        rows = self._run(f"SELECT id, account, strategy, session, amount, note FROM flows {condition} ORDER BY session, id", values)
        return tuple(Flow(i, BookId(a, s), date.fromisoformat(d), amount, note) for i, a, s, d, amount, note in rows)

    def record_trial(self, row: Trial) -> bool:
        """Count a backtest or sweep run once; False when the run is counted already."""
        return bool(self.record_trials((row,)))

    def record_trials(self, rows: Iterable[Trial]) -> int:
        """Count many runs in one commit; how many of them were not counted before."""
        counted = 0
        with self.transaction():
            for row in rows:
                if not self._run("SELECT 1 FROM trials WHERE run_id = ?", (row.run_id,)):
                    self.append(row, row.run_id)
                    counted += 1
        return counted

    def trials(self) -> tuple[Trial, ...]:
        """Every counted run, oldest first."""
        return self.rows(Trial)

    def trial_figures(self, name: str = "sharpe") -> tuple[TrialFigure, ...]:
        """One metric of every counted run, oldest first; nothing else of the rows is decoded."""
        return tuple(tables.trial_figure(*row) for row in self._run(tables.TRIAL_FIGURES, tables.metric_text(name)))

    def halt(self, reason: str) -> None:
        """Journal a halt: nothing that adds risk is sent until :meth:`resume`."""
        self.append(HaltRow(True, reason, self.now()), "halt")

    def resume(self, reason: str) -> None:
        """Journal the end of a halt."""
        self.append(HaltRow(False, reason, self.now()), "halt")

    def halts(self) -> tuple[HaltRow, ...]:
        """Halts and resumes, oldest first."""
        return self.rows(HaltRow)

    @property
    def is_halted(self) -> bool:
        """True when the last word on halting was a halt."""
        return self._run("SELECT halted FROM halts ORDER BY seq DESC LIMIT 1") == [(1,)]

    def post_alert(self, row: Alert) -> bool:
        """Put an alert in the outbox; False when one of that id is there already."""
        return self.once(row)

    def alerts(self) -> tuple[Alert, ...]:
        """Every alert, oldest first. Which of them were delivered is known to the delivery process alone (``data/deliveries.sqlite``)."""
        return tuple(Alert(*row) for row in self._run("SELECT id, severity, title, text FROM alerts ORDER BY seq"))

    def outbox(self, after: int = 0) -> tuple[PostedAlert, ...]:
        """Alerts of journal rows later than ``after``, oldest first."""
        sql = "SELECT seq, at, id, severity, title, text FROM alerts JOIN journal USING (seq) WHERE seq > ? ORDER BY seq"
        return tuple(PostedAlert(seq, datetime.fromisoformat(at), Alert(*row)) for seq, at, *row in self._run(sql, (after,)))
