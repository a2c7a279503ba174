"""``exo broker check``: is Interactive Brokers there, is it the right account, and may orders leave now. It changes nothing there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.domain.errors import BrokerError
from mech_exo.execution.route import Mode, Route
from mech_exo.utils.broker_settings import BrokerKind

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.execution.broker import BrokerOrder, BrokerPosition
    from mech_exo.execution.ib import IBBroker

app = typer.Typer(help="Whether Interactive Brokers can be reached, and what it says.", no_args_is_help=True)
ModeOption = Annotated[Mode, typer.Option("--mode", help="Which account is meant: paper or live. Nothing is ordered in either.")]
CLOCKS_APART = 2.0  # seconds; the gateway tells whole ones


@dataclass(frozen=True, slots=True)
class BrokerCheck:
    """What was found. USD, None = not told; ``account`` masked; ``clock_ahead`` seconds of the gateway's clock before this machine's.

    ``refused`` says why no order for the next open may leave now, None when it may.
    """

    account: str
    kind: str
    program: str
    host: str
    port: int
    client_id: int
    server_version: int
    read_only: bool
    clock_ahead: float
    cash: float
    nav: float
    positions: tuple[BrokerPosition, ...]
    open_orders: tuple[BrokerOrder, ...]
    messages_per_second: int
    restart: str
    refused: str | None


@app.callback()
def group() -> None:
    """Whether Interactive Brokers can be reached, and what it says."""


@app.command()
def check(mode: ModeOption = Mode.PAPER, as_json: JsonOption = False) -> None:
    """Connect, ask for everything a night asks for, and let go. Exit code 5 when a night could not work with it."""
    from mech_exo.assembly import Workspace
    from mech_exo.execution.ib import IBBroker
    from mech_exo.execution.ib_instruments import FILE

    workspace = Workspace.open(home(), Route(mode, BrokerKind.IB))
    broker = IBBroker(workspace.account, mode is Mode.LIVE, workspace.config.broker.gateway, instruments=workspace.home / FILE)
    try:
        broker.connect()
        found, problem = _asked(workspace, broker)
    finally:
        broker.close()
    emit(found, as_json, lambda paper: _show(paper, found))
    if problem is not None:
        raise problem


def _asked(workspace: Workspace, broker: IBBroker) -> tuple[BrokerCheck, BrokerError | None]:
    """Every answer, and what stands in a night's way."""
    from mech_exo.execution.ib_answers import ReadOnlyError
    from mech_exo.execution.valve import time_refusal
    from mech_exo.utils import calendar

    rules, now = workspace.config.broker, datetime.now(UTC)
    there, state, positions = broker.describe(), broker.account(), broker.positions()
    problem: BrokerError | None = None
    orders: tuple[BrokerOrder, ...] = ()
    try:
        orders = broker.open_orders()
        broker.completed_orders()
        broker.executions(now.date())
    except ReadOnlyError as error:
        problem = error
    if problem is None and abs(there.clock_ahead) > CLOCKS_APART:
        problem = BrokerError(
            f"the gateway's clock and this machine's must agree within {CLOCKS_APART:g} seconds; they are {there.clock_ahead:+.1f} apart",
            remedy="let both keep network time (timedatectl set-ntp true)",
        )
    session = calendar.next_session(calendar.latest_session(now))
    restart = f"{rules.times.restart:%H:%M} New York, nothing is sent {rules.times.quiet_minutes} minutes before and after"
    found = BrokerCheck(
        there.account, "live" if there.live else "paper", rules.gateway.program.value, there.host, there.port, there.client_id,
        there.server_version, isinstance(problem, ReadOnlyError), round(there.clock_ahead, 1), state.cash, state.nav, positions, orders,
        rules.gateway.messages_per_second, restart, time_refusal(rules.times, session, now),
    )  # fmt: skip
    return found, problem


def _show(paper: Console, found: BrokerCheck) -> None:
    from rich.markup import escape
    from rich.table import Table

    from mech_exo.cli.orders import money

    ours = sum(bool(order.order_id) for order in found.open_orders)
    held = ", ".join(f"{one.symbol} {one.shares:+,}" for one in found.positions[:8]) or "none"
    more = f" and {len(found.positions) - 8} more" if len(found.positions) > 8 else ""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in (
        ("Account", f"{found.account}, {found.kind}"),
        ("Reached", f"{found.program} at {found.host}:{found.port} as client {found.client_id}, protocol {found.server_version}"),
        ("Orders", "[bold red]refused: the interface is read-only[/bold red]" if found.read_only else "taken"),
        ("Clock", f"{found.clock_ahead:+.1f} s from this machine's, to the second"),
        ("Cash", f"{money(found.cash)} USD, net asset value {money(found.nav)} USD"),
        ("Positions", escape(held + more)),
        ("Open orders", "unknown" if found.read_only else f"{ours} of this program, {len(found.open_orders) - ours} of others"),
        ("Pace", f"at most {found.messages_per_second} messages a second"),
        ("Restart", found.restart),
        ("Now", f"[yellow]{escape(found.refused)}[/yellow]" if found.refused else "[green]orders for the next open may leave[/green]"),
    ):
        table.add_row(name, text)
    paper.print(table)
