"""``exo cash deposit`` and ``exo cash withdraw``: money in and out of the paper account, journaled."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from typing import Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.domain.errors import InputError

app = typer.Typer(help="Deposit and withdraw, journaled; returns are time-weighted, so neither is a gain or a loss.", no_args_is_help=True)

AmountArgument = Annotated[float, typer.Argument(metavar="USD", help="Above 0.")]
AtOption = Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Counts at this open; default the next one.")]
NoteOption = Annotated[str, typer.Option(help="Tells two equal amounts of one day apart.")]


@app.callback()
def group() -> None:
    """Deposit and withdraw, journaled; returns are time-weighted, so neither is a gain or a loss."""


@app.command()
def deposit(amount: AmountArgument, at: AtOption = None, note: NoteOption = "", as_json: JsonOption = False) -> None:
    """Pay in."""
    _flow(amount, 1.0, at, note, as_json)


@app.command()
def withdraw(amount: AmountArgument, at: AtOption = None, note: NoteOption = "", as_json: JsonOption = False) -> None:
    """Pay out, at most the cash of the last booked close."""
    _flow(amount, -1.0, at, note, as_json)


def _flow(amount: float, sign: float, at: datetime | None, note: str, as_json: bool) -> None:
    from mech_exo.assembly import Workspace
    from mech_exo.execution.rows import Flow

    if not 0.0 < amount < float("inf"):
        raise InputError(f"an amount must be above 0 and finite USD; got {amount}", remedy="for example 5000")
    workspace = Workspace.open(home())
    with workspace.ledger() as ledger:
        last = ledger.last_session(workspace.book_id())
        if last is None:
            raise InputError("money moves once a night has been run; none has", remedy="set initial_cash in strategy.yml, or exo run")
        session = _session(at, last.session)
        if sign < 0.0 and amount > last.day.cash:
            raise InputError(f"a withdrawal takes cash that is there: {last.day.cash:,.2f} USD; got {amount:,.2f}", remedy="withdraw less")
        text = f"{workspace.book_id()}/{session}/{sign * amount!r}/{note}"
        row = Flow(hashlib.sha256(text.encode()).hexdigest()[:24], workspace.book_id(), session, sign * amount, note)
        fresh = ledger.record_flow(row)
    data = {"session": session, "amount": row.amount, "note": note, "recorded": fresh}
    words = f"{row.amount:+,.2f} USD at the open of {session}"
    said = f"journaled: {words}" if fresh else f"journaled before, counted once: {words} (a second one needs its own --note)"
    emit(data, as_json, lambda to: to.print(said, highlight=False))


def _session(at: datetime | None, last: date) -> date:
    from mech_exo.utils.calendar import is_session, next_session

    session = next_session(last) if at is None else at.date()
    if session <= last:
        raise InputError(f"{session} is booked already; the last is {last}", remedy=f"the next open is that of {next_session(last)}")
    return session if is_session(session) else next_session(session)
