"""What must be told of a night, and of one that could not be performed: rows of the ledger's outbox."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import LedgerError, MechExoError
from mech_exo.nightly.values import Done, Evening, withheld

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import Alert
    from mech_exo.session import NightResult

SHOWN = 20
PATIENCE = 5.0
"""Seconds a failed night waits for another process that writes the ledger, to tell that it failed."""


def known_alerts(ledger: Ledger) -> set[str]:
    """The ids of what is in the outbox."""
    return {row.id for row in ledger.alerts()}


def alarms(ledger: Ledger, known: set[str]) -> tuple[str, ...]:
    """What comparing and sending put in the outbox as critical: a position without its stop, an order given up."""
    return tuple(f"{row.title}: {row.text}" for row in ledger.alerts() if row.severity == "critical" and row.id not in known)


def alerts_of(result: NightResult, steps: Sequence[Done[Any]]) -> tuple[Alert, ...]:
    """What must be told of a night: its outcome, and one alert for each step that wants attention."""
    from mech_exo.domain.verdict import RiskState
    from mech_exo.execution.rows import Alert

    session = result.session
    told = "\n".join(done.said for done in steps)
    found = [Alert(f"night-{session}", "info", f"Night of {session}", told)]  # repeated or not: the first may have died before telling
    if result.day.state is not RiskState.ACTIVE:
        said = "No new risk is taken." if result.day.state is RiskState.HALTED else "Risk is being reduced."
        found.append(Alert(f"state-{session}", "critical", f"{session}: {result.day.state.value.upper()}", f"{said} See exo risk status"))
    if result.gate.breaks:
        found.append(
            Alert(f"break-{session}", "critical", f"{session}: ledger and broker differ", _lines([str(one) for one in result.gate.breaks]))
        )
    if result.missed:
        said = "They were booked, nothing was decided at them."
        found.append(Alert(f"missed-{session}", "warning", f"{session}: {len(result.missed)} nights were missed before", said))
    wanted = [done for done in steps if done.attention]
    found += [Alert(f"{done.step}-{session}", "warning", f"{session}: {done.step}", _lines(done.attention)) for done in wanted]
    if doubtful := [sent for sent in result.sent if sent.outcome == "unknown"]:
        said = "The broker has not said what became of them; no new risk is taken until it has. Look at the broker, then: exo reconcile"
        title = f"{session}: {len(doubtful)} {'order is' if len(doubtful) == 1 else 'orders are'} in doubt"
        found.append(Alert(f"doubt-{session}", "critical", title, f"{said}\n{_lines(withheld(doubtful))}"))
    return tuple(found)


def post_failure(evening: Evening, error: Exception) -> None:
    """An evening that could not be done is told, each reason once, where the ledger can be written at all."""
    from mech_exo.execution.ledger import Ledger, default_path
    from mech_exo.execution.rows import Alert
    from mech_exo.utils.calendar import latest_session

    if evening.past or not default_path(evening.home).exists():
        return
    session = evening.session or latest_session(evening.now)
    row = Alert(f"failed-{session}", "critical", f"The night of {session} could not be performed", _told(error))
    with suppress(LedgerError, OSError), Ledger.open(default_path(evening.home), wait=PATIENCE) as ledger:
        known = {alert.id: alert.text for alert in ledger.alerts()}
        if known.get(row.id, row.text) != row.text:
            row = replace(row, id=f"{row.id}-{hashlib.sha256(row.text.encode()).hexdigest()[:8]}")
        ledger.post_alert(row)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, MechExoError) else f"{type(error).__name__}: {error}"


def _lines(said: Sequence[str]) -> str:
    more = [f"… and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
    return "\n".join([*said[:SHOWN], *more])
