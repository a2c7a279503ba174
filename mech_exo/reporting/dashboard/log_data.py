"""The ledger's journal as a timeline, each row in a sentence; one row in full; the chain; the tail of a log file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import LedgerError
from mech_exo.execution import codec
from mech_exo.execution.ledger_journal import Entry, Sought
from mech_exo.execution.ledger_tables import KINDS
from mech_exo.execution.rows import (
    Adjustment,
    Alert,
    Delivered,
    FillRow,
    Flow,
    HaltRow,
    Instrument,
    Plan,
    Protection,
    SessionRow,
    StateChange,
    Unseen,
    VerifyReport,
)
from mech_exo.execution.trial_rows import Promotion, Sweep, Trial
from mech_exo.reporting.text import money, shares, words
from mech_exo.utils.log import mask, mask_accounts

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.reporting.alerts.rows import DeliveryRow
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.dashboard.reader import Reader

GROUPS: dict[str, tuple[str, ...]] = {
    "decisions": ("decision", "plan"),
    "sessions": ("session",),
    "orders": ("state", "fill", "protection", "unseen"),
    "halts": ("halt",),
    "cash": ("flow",),
    "repairs": ("adjustment", "instrument"),
    "configuration": ("promotion",),
    "alerts": ("alert", "delivered"),
    "trials": ("trial", "sweep"),
}
"""What one filters by, and the kinds of rows that are it."""
LOG_FILES = ("data/mech_exo.log", "logs/mech_exo.log", "mech_exo.log")
TAIL = 200
TAIL_BYTES = 64 * 1024
MOST = 200_000
"""Characters of a row's body that a page shows; a decision of 3,000 names has millions."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the journal in a sentence; ``at`` UTC."""

    seq: int
    at: datetime
    kind: str
    said: str


@dataclass(frozen=True, slots=True)
class Detail:
    """A row in full: ``text`` is its JSON, indented and masked; ``cut`` says that it is longer than what is shown."""

    line: Line
    key: str
    hash: str
    text: str
    cut: bool


@dataclass(frozen=True, slots=True)
class Told:
    """An alert, when it was posted (UTC), and what became of it on each channel."""

    at: datetime
    severity: str
    title: str
    text: str
    state: str

    @property
    def tone(self) -> str:
        """How it is coloured."""
        return {"critical": "bad", "warning": "warn"}.get(self.severity, "info")


@dataclass(frozen=True, slots=True)
class Chain:
    """The journal as it stands: rows, the hash of the last, when it was written (UTC; None: empty)."""

    rows: int
    last_hash: str
    last_at: datetime | None


def sought(query: Mapping[str, str]) -> Sought:
    """What an address asks for: ``kind`` (a name of :data:`GROUPS`, several with commas), ``since``, ``until``, ``text``."""
    groups = [name for name in query.get("kind", "").split(",") if name in GROUPS]
    kinds = tuple(kind for name in groups for kind in GROUPS[name])
    return Sought(kinds, _date(query.get("since")), _date(query.get("until")), query.get("text", "").strip())


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def lines(reader: Reader, wanted: Sought, first: int, count: int) -> tuple[Line, ...]:
    """Rows ``first`` to ``first + count`` of those wanted, the newest first."""

    def make(_house: House, ledger: Ledger) -> tuple[Line, ...]:
        return tuple(_line(entry) for entry in ledger.entries(wanted, first, count))

    return reader.once(("journal", wanted, first, count), make)


def how_many(reader: Reader, wanted: Sought) -> int:
    """How many rows are wanted."""
    return reader.once(("journal rows", wanted), lambda _, ledger: ledger.count_entries(wanted))


def detail(reader: Reader, seq: int) -> Detail | None:
    """One row in full; None for a number the journal has not reached."""

    def make(_house: House, ledger: Ledger) -> Detail | None:
        entry = ledger.entry(seq)
        if entry is None:
            return None
        text = shown(json.dumps(_unfolded(json.loads(entry.body)), indent=2, ensure_ascii=False))
        return Detail(_line(entry), shown(entry.key), entry.hash, text[:MOST], len(text) > MOST)

    return reader.once(("journal row", seq), make)


def chain(reader: Reader) -> Chain:
    """The journal as it stands now; nothing is recomputed."""

    def make(_house: House, ledger: Ledger) -> Chain:
        last = ledger.entries(count=1)
        return Chain(last[0].seq, last[0].hash, last[0].at) if last else Chain(0, codec.GENESIS, None)

    return reader.once(("chain",), make)


def verified(reader: Reader) -> tuple[VerifyReport, datetime]:
    """The chain recomputed and every derived table rebuilt, and when that was done: once for each state of the ledger."""
    return reader.once(("verified",), lambda _, ledger: (ledger.verify(), reader.clock()))


def deliveries(reader: Reader, count: int = 20) -> tuple[Told, ...]:
    """The latest alerts, the newest first: those of the outbox and those the delivery process raised itself. Raises DataError."""
    from mech_exo.reporting.alerts.store import DeliveryStore

    def make(house: House, ledger: Ledger) -> tuple[Told, ...]:
        posted = ledger.outbox()[-count:]
        known = {one.alert.id: (one.at, one.alert.severity, one.alert.title, one.alert.text) for one in posted}
        states: dict[str, list[str]] = {}
        store = DeliveryStore.look(house.home)
        if store is not None:
            with store:
                for row in store.listed(count * 10):
                    known.setdefault(row.id, (datetime.fromtimestamp(row.at, UTC), row.severity, row.title, ""))
                    states.setdefault(row.id, []).append(_delivered(row))
        told = (
            Told(at, severity, shown(title), shown(text), "; ".join(states.get(id_, ())) or "not taken by a delivery process")
            for id_, (at, severity, title, text) in known.items()
        )
        return tuple(sorted(told, key=lambda one: one.at, reverse=True)[:count])

    return reader.once(("deliveries", count), make)


def _delivered(row: DeliveryRow) -> str:
    tries = f" after {row.attempts} attempts" if row.attempts > 1 else ""
    doubt = ", may have arrived" if row.doubt and row.ended is None else ""
    return f"{row.channel} {words(row.state)}{tries}{doubt}"


def tail(home: Path) -> tuple[Path, tuple[str, ...]] | None:
    """The last lines of the workspace's log file, masked; None where there is none."""
    for name in LOG_FILES:
        path = home / name
        if path.is_file():
            with path.open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
            return path, tuple(shown(line) for line in text.splitlines()[-TAIL:])
    return None


def shown(text: str) -> str:
    """``text`` without secrets and account numbers."""
    return mask(mask_accounts(text))


def _unfolded(body: Any) -> Any:
    """A decision's own body is JSON inside JSON: shown as what it is."""
    if isinstance(body, dict) and isinstance(body.get("body"), str) and body["body"].startswith("{"):
        return body | {"body": json.loads(body["body"])}
    return body


def _line(entry: Entry) -> Line:
    return Line(entry.seq, entry.at, entry.kind, shown(_said(entry)))


def _said(entry: Entry) -> str:
    """A row in a sentence; one that this version cannot read says so and keeps its place."""
    if entry.kind == "decision":  # its body holds the whole market
        return f"decided at the close of {entry.key.rpartition('/')[2]}"
    try:
        row = codec.decode(KINDS[entry.kind], entry.body)
    except (LedgerError, KeyError):
        return f"{entry.key}: a row of another version"
    return SAID[type(row)](row)


def _session(row: SessionRow) -> str:
    held = sum(1 for line in row.lines if line.shares)
    return f"booked {row.session}: NAV {money(row.day.nav)} USD, {held} positions, {row.day.state.value}"


def _plan(row: Plan) -> str:
    return f"planned at {row.session}: {len(row.intents)} orders"


def _protection(row: Protection) -> str:
    return f"protection planned at {row.session}: {len(row.intents)} resting orders, {len(row.cancels)} replaced"


def _state(row: StateChange) -> str:
    note = f": {row.note}" if row.note not in ("", row.state.value) else ""
    return f"{row.order_id} {words(row.state.value)}{note}"


def _fill(row: FillRow) -> str:
    f = row.fill
    corrected = f", revision {f.revision}" if f.revision else ""
    return f"{f.symbol} {f.shares:+,} at {money(f.price, 4)} in {f.session}, commission {money(f.commission)}{corrected}"


def _flow(row: Flow) -> str:
    what = "deposit" if row.amount > 0 else "withdrawal"
    return f"{what} of {money(abs(row.amount))} USD at the open of {row.session}{f': {row.note}' if row.note else ''}"


def _halt(row: HaltRow) -> str:
    return f"{'halted' if row.halted else 'resumed'}: {row.reason or 'no reason given'}"


def _promotion(row: Promotion) -> str:
    what = f"back to before {row.undoes}" if row.undoes else f"{row.run_id} promoted"
    return f"configuration replaced by {row.who}: {what}; {row.reason}"


def _adjustment(row: Adjustment) -> str:
    parts = [f"{row.shares:+,} shares of {row.symbol}"] if row.symbol and row.shares else []
    parts += [f"{row.cash:+,.2f} USD"] if row.cash else []
    return f"accepted {' and '.join(parts) or row.symbol or 'cash'}: {row.reason}"


SAID: dict[type[Any], Callable[[Any], str]] = {
    SessionRow: _session,
    Plan: _plan,
    Protection: _protection,
    StateChange: _state,
    FillRow: _fill,
    Flow: _flow,
    HaltRow: _halt,
    Promotion: _promotion,
    Adjustment: _adjustment,
    Alert: lambda row: f"{row.severity}: {row.title}",
    Delivered: lambda row: f"{row.id} reached {row.channel}",
    Trial: lambda row: f"{row.kind} {row.run_id} counted",
    Sweep: lambda row: f"{len(row.run_ids)} runs compared ({row.id})",
    Unseen: lambda row: f"{row.order_id} not seen at the broker, which held {shares(row.held)} shares",
    Instrument: lambda row: f"{row.symbol} means {row.key} at the broker",
}
"""A row of each kind in a sentence (a decision apart)."""
