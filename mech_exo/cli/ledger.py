"""``exo ledger verify | backup | restore | settle``: the care of the money journal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.domain.errors import LedgerError, UserError
from mech_exo.domain.orders import OrderState
from mech_exo.execution import ledger_care
from mech_exo.execution.ledger import Ledger, default_path, utc_now

app = typer.Typer(help="Verify, back up and restore the journal of decisions, orders and fills.")


class Settlement(StrEnum):
    """What the operator saw at the broker."""

    LIVE = "live"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification, backup or restore says."""

    path: Path
    rows: int
    last_hash: str
    sound: bool


@app.command()
def verify(as_json: JsonOption = False) -> None:
    """Recompute the hash chain, rebuild every table from the journal and compare. Exit code 4 when anything differs."""
    path = _existing()
    with Ledger.open(path, read_only=True) as ledger:
        report = ledger.verify()
    if not report.sound:
        raise LedgerError(f"the ledger must be sound; {path}: {'; '.join(report.faults)}", remedy="exo ledger restore BACKUP")
    said = Verified(path, report.rows, report.last_hash, True)
    emit(said, as_json, lambda paper: paper.print(f"sound: {report.rows:,} rows, last hash {report.last_hash[:16]}…"))


@app.command()
def backup(
    dest: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="New file; else data/backups/ledger-TIME.sqlite.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the ledger as of now, also while a run is writing, and verify the copy."""
    path = _existing()
    target = dest or home() / "data" / "backups" / f"ledger-{utc_now():%Y%m%dT%H%M%SZ}.sqlite"
    with Ledger.open(path, read_only=True) as ledger:
        report = ledger.backup(target)
    said = Verified(target, report.rows, report.last_hash, True)
    emit(said, as_json, lambda paper: paper.print(f"wrote {target} ({report.rows:,} rows, verified)", soft_wrap=True, highlight=False))


@app.command()
def restore(source: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")], as_json: JsonOption = False) -> None:
    """Put a verified backup in the ledger's place and halt: what was sent after it was made is not in it."""
    path = default_path(home())
    report = ledger_care.restore(path, source, utc_now())
    said = Verified(path, report.rows, report.last_hash, True)
    text = f"restored {report.rows:,} rows from {source}; the old files are kept beside it. Trading is halted:\n"
    advice = "compare orders and positions with the broker, then `exo resume --reason '…'`"
    emit(said, as_json, lambda paper: paper.print(text + advice, soft_wrap=True, highlight=False))


@app.command()
def settle(
    order_id: Annotated[str, typer.Argument(metavar="ORDER", help="Id of the order, as `exo orders --json` and `exo reconcile` show it.")],
    seen: Annotated[Settlement, typer.Option("--as", help="What the broker shows of it.")],
    reason: Annotated[str, typer.Option("--reason", help="What you looked at; goes into the journal.")],
    as_json: JsonOption = False,
) -> None:
    """Settle an order in doubt, or one that is live here and gone at the broker, by what you saw there. Never sends anything.

    If the broker shows it after all, trading halts.
    """
    with Ledger.open(_existing()) as ledger:
        row = ledger.order(order_id)
        allowed = {OrderState.UNKNOWN} if seen is Settlement.LIVE else {OrderState.UNKNOWN, OrderState.LIVE}
        if row.state not in allowed:
            raise UserError(f"only an order in doubt or gone there is settled by hand; {order_id} ({row.order.symbol}) is {row.state}")
        legs = [leg for leg in ledger.orders(row.book, states=allowed) if leg.order.parent == order_id and seen is not Settlement.LIVE]
        with ledger.transaction():
            for one in (row, *legs):  # what was attached to it has its fate
                ledger.set_state(one.order.id, OrderState(seen.value), f"settled by hand: {reason}")
        after = ledger.order(order_id)
    data = {"id": order_id, "symbol": after.order.symbol, "state": after.state, "note": after.note}
    text = f"{after.order.symbol} {order_id} is {after.state}: {after.note}"
    emit(data, as_json, lambda paper: paper.print(text, soft_wrap=True, markup=False))


def _existing() -> Path:
    path = default_path(home())
    if not path.exists() and ledger_care.mark_of(path).read() is None:
        raise UserError(f"this workspace has no ledger yet; {path} is not there", remedy="the first `exo run` makes it, or name --home DIR")
    return path
