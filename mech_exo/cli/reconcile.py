"""``exo reconcile`` and ``exo reconcile accept``: both sides, every difference with its cause, and the command that repairs it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.execution.breaks import Break, GateReport
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import Adjustment

app = typer.Typer(help="Compare ledger and broker, and accept what the broker says where it is right.", invoke_without_command=True)
BrokerOption = Annotated[str | None, typer.Option("--broker", help="paper or ib (Interactive Brokers); default as in broker.yml.")]
OPEN = 2
"""Exit code while something differs that forbids anything: as for any command that cannot do what was asked."""


@dataclass(frozen=True, slots=True)
class Side:
    """One symbol's signed shares on both sides."""

    symbol: str
    ledger: int
    broker: int


@dataclass(frozen=True, slots=True)
class BreakView:
    """A difference as the command prints it; shares or USD, null where a side has none. ``locks``: it forbids new risk."""

    kind: str
    symbol: str | None
    ledger: float
    broker: float
    note: str
    cause: str
    evidence: str
    locks: bool
    halts: bool
    repair: str

    @classmethod
    def of(cls, found: Break) -> BreakView:
        """The view of a break."""
        from mech_exo.execution.breaks import HALTING

        return cls(found.kind, found.symbol, found.ledger, found.broker, found.note, found.cause, found.evidence, not found.harmless,
                   found.kind in HALTING, found.repair)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Both sides and what differs. Cash in USD, null where a side has none; ``doubtful``: ids of orders in doubt."""

    account: str
    strategy: str
    cash_ledger: float
    cash_broker: float
    positions: tuple[Side, ...]
    breaks: tuple[BreakView, ...]
    doubtful: tuple[str, ...]
    given_up: tuple[str, ...]
    halted: bool

    @property
    def open(self) -> bool:
        """True while anything forbids new risk."""
        return bool(self.doubtful) or any(one.locks for one in self.breaks)


@app.callback()
def reconcile(ctx: typer.Context, broker: BrokerOption = None, as_json: JsonOption = False) -> None:
    """Compare shares, orders and cash of ledger and broker. Exit code 2 while something differs; a broken journal halts trading.

    Takes over fills and ends of orders the broker tells of, like the start of every run. Sends nothing.
    """
    if ctx.invoked_subcommand is not None:
        return
    with _compared(broker) as (ledger, report):
        said = _view(ledger, report)
    emit(said, as_json, lambda paper: _show(paper, said))
    if said.open:
        raise typer.Exit(OPEN)


@app.command()
def accept(
    what: Annotated[str, typer.Argument(metavar="SYMBOL|cash", help="What the broker is right about.")],
    reason: Annotated[str, typer.Option("--reason", help="What you found; goes into the journal.")],
    broker: BrokerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Journal that the broker is right about a symbol or about cash: the ledger then expects what the broker has. Once is enough."""
    from mech_exo.domain.errors import UserError
    from mech_exo.execution.reconcile import accept as accept_breaks

    if not reason.strip():
        raise UserError("a repair is journaled with its reason; it is empty", remedy="--reason 'what you found'")
    name = what if what == "cash" else what.upper()
    with _compared(broker) as (ledger, report):
        rows = accept_breaks(ledger, report, name, reason)
    emit(rows, as_json, lambda paper: _show_accepted(paper, name, rows))


@contextmanager
def _compared(broker: str | None) -> Iterator[tuple[Ledger, GateReport]]:
    """The ledger and a gate's report on it; the gate halts where it must."""
    from mech_exo.assembly import Workspace
    from mech_exo.domain.errors import UserError
    from mech_exo.execution.route import Route
    from mech_exo.execution.router import OrderRouter
    from mech_exo.execution.safety import HaltSwitch
    from mech_exo.execution.sending import SendRules

    workspace = Workspace.open(home(), Route.of(None, broker))
    if not workspace.ledger_path.exists():
        raise UserError(f"this workspace has no ledger yet; {workspace.ledger_path} is not there", remedy="the first `exo run` makes it")
    with workspace.ledger() as ledger:
        place = workspace.broker(ledger)
        place.connect()
        try:
            rules = SendRules(doubt=workspace.config.broker.doubt)
            router = OrderRouter(ledger, place, workspace.book_id(), HaltSwitch(workspace.home), rules=rules)
            yield ledger, router.open_gate()
        finally:
            place.close()


def _view(ledger: Ledger, report: GateReport) -> Reconciled:
    from mech_exo.domain.orders import OrderState
    from mech_exo.execution.reconcile import expected
    from mech_exo.utils.log import mask_accounts

    ours = expected(ledger, report.book)
    theirs = {position.symbol: position.shares for position in report.positions}
    names = sorted(ours.shares.keys() | theirs.keys())
    sides = tuple(Side(symbol, ours.shares.get(symbol, 0), theirs.get(symbol, 0)) for symbol in names)
    breaks = tuple(BreakView.of(found) for found in report.breaks)
    doubtful = tuple(row.order.id for row in ledger.orders(report.book, states={OrderState.UNKNOWN}))
    who = (mask_accounts(report.book.account), report.book.strategy)
    return Reconciled(*who, ours.cash, report.account.cash, sides, breaks, doubtful, report.abandoned, ledger.is_halted)


def _show(paper: Console, said: Reconciled) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{said.account}/{said.strategy}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("", "Ledger", "Broker"):
        table.add_column(name, justify="left" if not name else "right")
    for side in said.positions:
        style = "" if side.ledger == side.broker else "bold red"
        table.add_row(escape(side.symbol), f"{side.ledger:,}", f"{side.broker:,}", style=style)
    table.add_row("Cash", _usd(said.cash_ledger), _usd(said.cash_broker))
    paper.print(table)
    for one in said.breaks:
        style = "bold red" if one.halts else "red" if one.locks else "yellow"
        who = f"{one.symbol or ''} {one.kind}".strip().replace("_", " ")
        paper.print(f"[{style}]{escape(who)}[/{style}]: {escape(one.note)}", soft_wrap=True, highlight=False)
        paper.print(f"  {one.cause.replace('_', ' ')}: {escape(one.evidence or 'seen at the broker')}", soft_wrap=True, highlight=False)
        paper.print(f"  → {escape(one.repair)}", soft_wrap=True, highlight=False)
    for id_ in said.doubtful:
        paper.print(f"[red]in doubt[/red]: {id_}; nothing adds risk until the broker shows it or it is given up", soft_wrap=True)
        paper.print(f"  → exo ledger settle {id_} --as cancelled --reason '…'", soft_wrap=True, highlight=False)
    for id_ in said.given_up:
        paper.print(f"[yellow]given up[/yellow]: {id_} was not seen anywhere; it is not sent again", soft_wrap=True)
    if said.halted:
        paper.print("[bold red]Trading is halted[/bold red]: `exo resume --reason '…'` ends it once nothing differs any more.")
    if not said.breaks and not said.doubtful:
        paper.print("[green]✔[/green] ledger and broker agree")


def _show_accepted(paper: Console, name: str, rows: tuple[Adjustment, ...]) -> None:
    if not rows:
        paper.print(f"Nothing differs about {name}: nothing was written.", markup=False, highlight=False)
    for row in rows:
        shares = f"{row.shares:+,} shares" if row.shares else ""
        cash = f"{row.cash:+,.2f} USD" if row.cash else ""
        change = " and ".join(part for part in (shares, cash) if part) or "its orders as they ended"
        paper.print(f"accepted: {name}, {change} ({row.id})", markup=False, highlight=False)


def _usd(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:,.2f}"
