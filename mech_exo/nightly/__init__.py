"""The night as named steps: download → quality → publish → decide → submit → report → alert.

``exo run`` calls them in turn (:func:`perform`), the Prefect flow in ``dags/nightly.py`` each as a task. Every step opens what it needs
and leaves it closed, so that a night killed anywhere is simply performed again. Only one runs at a time: :func:`guarded`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mech_exo.domain.errors import LedgerError
from mech_exo.nightly.reports import keep_drift, study_factors, write_reports
from mech_exo.nightly.steps import Progress, alert, assess, decide, download, failed_sources, publish, report, silent, submit
from mech_exo.nightly.telling import alerts_of, post_failure
from mech_exo.nightly.values import Done, Evening, Night, Step, handed_over, session_of, withheld, workspace_of
from mech_exo.utils.lock import HeldError, ProcessLock

__all__ = [
    "LOCK", "Done", "Evening", "Night", "Step", "alert", "alerts_of", "assess", "decide", "download", "failed_sources", "guarded",
    "handed_over", "keep_drift", "perform", "publish", "report", "session_of", "study_factors", "submit", "withheld", "write_reports",
]  # fmt: skip

LOCK = Path("data") / "night.lock"


def perform(evening: Evening, progress: Progress = silent) -> Night:
    """The whole night, step by step, under the lock. ``progress`` is told what happens next.

    Raises
    ------
    LedgerError
        Another night is running.
    MechExoError
        A step failed; the alert is in the outbox.
    """
    with guarded(evening):
        steps: list[Done[Any]] = [download(evening, progress), assess(evening, progress), publish(evening)]
        progress("deciding")
        decided = decide(evening)
        progress("handing over the orders")
        sent = submit(evening, decided.value)
        progress("writing the report")
        told = report(evening, sent.value)
        steps += [decided, sent, told]
        return Night((*steps, alert(evening, sent.value, steps)), sent.value, told.value)


@contextmanager
def guarded(evening: Evening) -> Iterator[None]:
    """One night at a time, and whatever ends an evening early is put in the outbox. Raises LedgerError at once while another night runs.

    What was asked in vain leaves nothing behind: a workspace without data, or a session named by a person who reads the answer.
    """
    path = evening.home / LOCK
    if not path.parent.exists() or not any(path.parent.iterdir()):
        _worth_beginning(evening)
    try:
        lock = ProcessLock(path)
    except HeldError as error:
        raise LedgerError(
            f"one night runs at a time; process {error.holder} holds {path}",
            remedy=f"wait until it ends, or look at it: ps -p {error.holder}",
        ) from None
    try:
        yield
    except Exception as error:  # a fault of the program, too: it is told, and goes on up
        post_failure(evening, error)
        raise
    finally:
        lock.release()


def _worth_beginning(evening: Evening) -> None:
    """Raises ConfigError or MissingDataError where a workspace without any data could not get some either."""
    workspace = workspace_of(evening)
    if evening.past or not evening.download or workspace.config.data.sources.bars is None:
        _ = workspace.storage
