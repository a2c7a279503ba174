"""``exo halt``, ``exo resume`` and ``exo flatten``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mech_exo.cli import complete, home
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.domain.errors import BrokerError, LedgerError, MechExoError, UserError
from mech_exo.execution import safety
from mech_exo.utils.log import mask_accounts

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.execution.flatten import Flattened
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId

PATIENCE = 5.0
"""Seconds to wait for another process that writes the ledger: in an emergency one rather trades by hand."""
OPEN = 5
"""Exit code of a flatten that left something open."""
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; stands beside every order not sent.")]


def halt(reason: ReasonOption, as_json: JsonOption = False) -> None:
    """Stop everything that adds risk, at once: works while a run is writing, with the broker gone and on a full disk."""
    said = safety.halt(_workspace(), reason)
    ends = "\nCancels and reductions still pass. `exo resume --reason '…'` ends it."
    emit(said, as_json, lambda paper: paper.print(_halted(said) + ends, soft_wrap=True, highlight=False))


def resume(
    reason: Annotated[str, typer.Option("--reason", help="What was found; goes into the ledger.")], as_json: JsonOption = False
) -> None:
    """End a halt. Orders denied meanwhile stay denied; the next decision is made anew."""
    said = safety.resume(_workspace(), reason)
    emit(said, as_json, lambda paper: paper.print(f"[green]not halted[/green]: {escape(reason)}", soft_wrap=True, highlight=False))


def flatten(
    symbol: Annotated[str | None, typer.Option("--symbol", autocompletion=complete.symbols, help="Only this name; default all.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="Also shares at the broker that the book does not account for.")] = False,
    mode: Annotated[str | None, typer.Option("--mode", help="paper or live; default that of the account.")] = None,
    broker: Annotated[str | None, typer.Option("--broker", help="paper or ib; default `kind` of broker.yml.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the account id.")] = False,
    reason: ReasonOption = "flatten",
    as_json: JsonOption = False,
) -> None:
    """Halt, cancel every open order of ours and close every position: at the market during a session, else at the next open.

    Halts first, whatever fails after it. Running it again goes on where it stopped; exit code 5 while something is left open.
    """
    place = _workspace()
    said = safety.halt(place, reason)
    console().print(_halted(said), soft_wrap=True, highlight=False)
    workspace, book = _open(place, mode, broker)
    if not yes:
        _confirm(book, symbol)
    try:
        with workspace.ledger(wait=PATIENCE) as ledger:
            if not ledger.is_halted:
                ledger.halt(reason)
            done = _flatten(workspace, ledger, book, symbol, everything=everything)
    except (LedgerError, BrokerError, OSError) as error:
        raise _by_hand(workspace, book, error) from error
    emit(done, as_json, lambda paper: _show(paper, done))
    if done.left:
        raise typer.Exit(OPEN)


def _open(place: Path, mode: str | None, broker: str | None) -> tuple[Workspace, BookId]:
    from mech_exo.assembly import Workspace
    from mech_exo.execution.route import Route

    try:
        workspace = Workspace.open(place, Route.of(mode, broker))
        return workspace, workspace.book_id()
    except MechExoError as error:
        remedy = f"{error.remedy or 'correct it'}; or close the positions at the broker by hand"
        raise UserError(f"halted, nothing is flattened: {error.message}", remedy=remedy) from error


def _confirm(book: BookId, symbol: str | None) -> None:
    """Ask for the account id, or refuse where nobody can be asked."""
    shown, what = mask_accounts(book.account), symbol or "every position"
    if not sys.stdin.isatty():
        raise UserError("halted, nothing is flattened: there is no terminal to ask for the account id at", remedy="exo flatten --yes")
    typed = typer.prompt(f"Type the account id ({shown}) to close {what} of {shown}/{book.strategy}", err=True)
    if typed.strip() != book.account:
        raise UserError("halted, nothing is flattened: what was typed is not the account id", remedy="run it again; exo resume ends it")


def _flatten(workspace: Workspace, ledger: Ledger, book: BookId, symbol: str | None, *, everything: bool) -> Flattened:
    from mech_exo.domain.orders import OrderType
    from mech_exo.execution.flatten import Flattened, Wish
    from mech_exo.execution.flatten import flatten as close_all
    from mech_exo.execution.router import OrderRouter
    from mech_exo.execution.sending import SendRules
    from mech_exo.execution.valve import SafetyValve, tradeable_now
    from mech_exo.utils.broker_settings import BrokerKind
    from mech_exo.utils.calendar import next_session

    times, last = workspace.config.broker.times, ledger.last_session(book)
    if workspace.broker_kind is not BrokerKind.PAPER:
        session, type_ = tradeable_now(times, ledger.now())
        rules = SendRules(valve=SafetyValve(times, latest=ledger.latest_instant()), doubt=workspace.config.broker.doubt)
    elif last is not None:
        session, type_, rules = next_session(last.session), OrderType.MARKET_ON_OPEN, SendRules()
    else:
        today = ledger.now().date()
        return Flattened(next_session(today), OrderType.MARKET_ON_OPEN, (), (), ())
    broker = workspace.broker(ledger)
    broker.connect()
    try:
        router = OrderRouter(ledger, broker, book, safety.HaltSwitch(workspace.home), rules=rules)
        return close_all(ledger, broker, book, router, Wish(session, type_, symbol, everything))
    finally:
        broker.close()


def _by_hand(workspace: Workspace, book: BookId, error: MechExoError | OSError) -> MechExoError:
    """The error that says what is still open and how to close it without this program."""
    from mech_exo.execution.flatten import still_open
    from mech_exo.utils.broker_settings import BrokerKind

    why = error.message if isinstance(error, MechExoError) else str(error)
    lines = [f"halted, but not flattened: {why}", *(f"  {line}" for line in still_open(workspace.home, book))]
    if workspace.broker_kind is BrokerKind.PAPER:
        remedy = "the paper book is nowhere else: run it again once that is mended; nothing new is bought meanwhile"
    else:
        account = mask_accounts(book.account)
        where = "TWS, Client Portal or IBKR Mobile" if workspace.broker_kind is BrokerKind.IB else "your broker"
        remedy = f"log in to {where} as {account}: cancel every open order, "
        remedy += "then close each position with a market order; or mend it and run exo flatten again"
    known = type(error) if isinstance(error, MechExoError) else LedgerError
    return known("\n".join(lines), remedy=remedy)


def _show(paper: Console, done: Flattened) -> None:
    paper.print(f"{len(done.cancelled)} open orders cancelled.", highlight=False)
    for result in done.closing:
        line = f"{result.symbol}: {result.shares:+d} shares, {done.type.value.replace('_', ' ')} of {done.session}: {result.outcome.value}"
        paper.print(line, highlight=False, markup=False, soft_wrap=True)
    for line in done.left:
        paper.print(f"still open: {line}", style="bold red", highlight=False, markup=False, soft_wrap=True)
    if not done.closing and not done.left:
        paper.print("Nothing is held.", highlight=False)
    paper.print("Halted until `exo resume --reason '…'`.", highlight=False)


def _halted(said: safety.HaltOutcome) -> str:
    since = f" since {said.state.since:%Y-%m-%d %H:%M:%S} UTC" if said.state.since else ""
    note = "" if said.journaled else f"\nnot in the ledger: {escape(said.note)}"
    return f"[bold red]halted[/bold red]{since}: {escape(said.state.reason)}{note}"


def _workspace() -> Path:
    place = home()
    if not (place / "config").is_dir() and not (place / "data").is_dir():
        raise UserError(f"a workspace has config/ or data/; {place} has neither", remedy="name it: exo halt --home DIR …")
    return place
