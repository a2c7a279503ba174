"""What the first page says: whether it runs, what needs the operator, how the account has fared.

USD; fractions, never percent; None = unknown; instants in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain.errors import MechExoError
from mech_exo.domain.orders import OrderState
from mech_exo.domain.verdict import BreachCode
from mech_exo.performance.figures.returns import joined
from mech_exo.performance.ratios import from_first_close
from mech_exo.reporting.dashboard.account_data import Booked, account
from mech_exo.reporting.needs import SEVERITIES, Need, needs
from mech_exo.reporting.text import percent
from mech_exo.utils.calendar import due_and_next
from mech_exo.utils.log import mask, mask_accounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import OrderRow, PostedAlert
    from mech_exo.reporting.alerts.status import Status
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.reporting.night import NightReport

NEAREST = 5
DOUBTFUL = (OrderState.UNKNOWN, OrderState.SENDING)


@dataclass(frozen=True, slots=True)
class Running:
    """The last booked session and when it was booked; the session whose night is due by now; the next night."""

    booked: date
    booked_at: datetime | None
    due: date
    next: date
    next_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Sessions ``(T,)`` with NAV in USD and growth of 1 (flows taken out) at their closes; NaN unknown.

    ``benchmark`` ``(T,)``: the account's capital grown as the benchmark did since the first close; None where it is not stored.
    """

    sessions: NDArray[np.datetime64]
    nav: NDArray[np.float64]
    index: NDArray[np.float64]
    benchmark: NDArray[np.float64] | None
    limit: float | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the ledger holds that somebody must look at: orders in doubt, and what was raised since the night before the last one."""

    doubtful: tuple[OrderRow, ...]
    alerts: tuple[PostedAlert, ...]


def running(reader: Reader, known: Booked) -> Running:
    """When nights were and will be."""
    last = known.sessions[-1]
    row = reader.once(("booked at", known.book, last), lambda _, ledger: ledger.booked_at(known.book, last))
    minutes = reader.once_of_data(("night after close",), lambda house: house.config.data.night_after_close)
    (due, _), (following, at) = due_and_next(reader.clock(), minutes, 1)
    return Running(last, None if row is None else row.at, due, following, at)


def delivery(reader: Reader) -> Status | MechExoError:
    """How alerts are delivered; the error that says why nobody can tell."""
    from mech_exo.reporting.alerts.status import look

    try:
        return look(reader.home, reader.once_of_data(("config",), lambda house: house.config), reader.clock())
    except MechExoError as error:
        return error


def waiting(reader: Reader, known: Booked) -> Waiting:
    """What waits for the operator in the ledger."""
    return reader.once(("waiting", known.book), lambda _, ledger: _waiting(ledger, known))


def _waiting(ledger: Ledger, known: Booked) -> Waiting:
    before = ledger.booked_at(known.book, known.sessions[-2]) if len(known.sessions) > 1 else None
    told = f"-{known.sessions[-2]}" if len(known.sessions) > 1 else ""
    posted = [one for one in ledger.outbox(0 if before is None else before.seq) if one.alert.severity != "info"]
    news = [one for one in posted if not told or not one.alert.id.endswith(told)]
    return Waiting(ledger.orders(known.book, states=DOUBTFUL), tuple(reversed(news)))


def wanted(told_of: NightReport, left: Waiting, sent: Status | MechExoError) -> tuple[Need, ...]:
    """Everything that wants the operator now, the gravest first: what the night says itself, orders in doubt since, stops near, alerts.

    What the banner of every page says (a halt, a night that is missing) is not said again.
    """
    found = [*(need for need in needs(told_of) if not told_of.halted or "halted" not in need.text), *_of_orders(told_of, left)]
    found += [*_of_alerts(left), *_of_delivery(sent), *_of_stops(told_of)]
    return tuple(sorted(found, key=lambda need: SEVERITIES.index(need.severity)))


def _of_orders(told_of: NightReport, left: Waiting) -> list[Need]:
    """Orders in doubt that the night did not plan."""
    planned = {order.id for order in told_of.planned}
    return [
        Need(
            "critical", f"{row.order.symbol} {row.order.shares:+,} for {row.order.session} is in doubt: no new risk until it is settled",
            f"exo reconcile\nexo ledger settle {row.order.id} --as cancelled --reason '…'",
        )
        for row in left.doubtful
        if row.order.id not in planned
    ]  # fmt: skip


def _of_alerts(left: Waiting) -> list[Need]:
    """What was raised since the night before, a line each; its text is on the log's page."""
    return [Need(_severity(one.alert.severity), _masked(f"{one.alert.title}{_first(one.alert.text)}"), "") for one in left.alerts]


def _first(text: str) -> str:
    lines = text.strip().splitlines()
    return f": {lines[0]}{' …' if len(lines) > 1 else ''}" if lines else ""


def _of_delivery(sent: Status | MechExoError) -> list[Need]:
    if isinstance(sent, MechExoError):
        return [Need("warning", f"alerts cannot be delivered: {sent.message}", sent.remedy or "")]
    count, found = undelivered(sent), []
    if count:
        found.append(Need("warning", f"{count} alerts are not delivered yet", "exo alert status"))
    if not sent.channels:
        found.append(Need("warning", "no channel is configured: nobody tells you of alerts (config/alerts.yml)", "exo alert test"))
    elif sent.process is None:
        found.append(Need("critical" if count else "warning", "no process delivers alerts now", "exo alert run"))
    return [*found, *(Need("critical", _masked(text), "exo alert status") for text, _ in sent.alarms)]


def _of_stops(told_of: NightReport) -> list[Need]:
    near = [one for one in told_of.upcoming.exits if one.kind == "stop" and one.distance > 0.0]
    if not near:
        return []
    first = ", ".join(f"{one.symbol} {percent(one.distance, 1)}" for one in near[:NEAREST])
    more = f" and {len(near) - NEAREST} more" if len(near) > NEAREST else ""
    said = f"{len(near)} of {len(told_of.holdings)} positions are within {percent(told_of.upcoming.near, 0)} of their stop"
    return [Need("info", f"{said}: {first}{more}", "exo positions")]


def _severity(said: str) -> str:
    return said if said in SEVERITIES else "warning"


def undelivered(sent: Status) -> int:
    """Deliveries that wait, of every channel and severity."""
    return sum(sum(channel.waiting.values()) for channel in sent.channels)


def _masked(text: str) -> str:
    return mask(mask_accounts(text))


def curve(reader: Reader, known: Booked, until: date) -> Curve:
    """The account from its first booked session up to ``until``."""
    benchmark = account(reader, known.book).benchmark
    return reader.once(("curve", known.book, until), lambda house, ledger: _curve(house, ledger, known, until, benchmark))


def _curve(house: House, ledger: Ledger, known: Booked, until: date, benchmark: NDArray[np.float64] | None) -> Curve:
    from mech_exo.risk.usage import limit_of

    days = [one for one in ledger.day_history(known.book) if one.session <= until]
    nav, index = (np.array([getattr(one.day, name) for one in days], np.float64) for name in ("nav", "index"))
    theirs = None
    if benchmark is not None:
        theirs = joined(100.0 * index, from_first_close(benchmark[: len(days)])) / 100.0 * nav / index
    sessions = np.array([one.session for one in days], "datetime64[D]")
    return Curve(sessions, nav, index, theirs, limit_of(BreachCode.DRAWDOWN, house.config.risk))
