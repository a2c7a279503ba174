"""``exo run``, ``plan``, ``why`` and ``replay``: a night, what it would do, why it did it, and whether it can be derived again."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import complete, hints, home
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.domain.errors import MissingDataError

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.decision.record import Decision
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.route import Route
    from mech_exo.nightly import Night
    from mech_exo.session import NightResult

DateOption = Annotated[
    datetime | None,
    typer.Option("--date", formats=["%Y-%m-%d"], autocompletion=complete.sessions, help="Session; default the last one stored."),
]
ModeOption = Annotated[str, typer.Option(help="paper or live: whether real money moves.")]
BrokerOption = Annotated[str | None, typer.Option("--broker", help="paper or ib (Interactive Brokers); default as in broker.yml.")]
SHOWN_IDEAS = 10
LOOK_AT_IT = 1


def run(
    at: DateOption = None,
    mode: ModeOption = "paper",
    broker: BrokerOption = None,
    account: Annotated[str | None, typer.Option(metavar="U…", help="The live account's number, typed by hand.")] = None,
    download: Annotated[bool, typer.Option("--download/--no-download", help="From the sources of data.yml; tonight only.")] = True,
    as_json: JsonOption = False,
) -> None:
    """One night: download, check and publish data, book the session, decide at its close, hand over the orders, report, alert.

    Running it twice for the same date does nothing the second time. A past date downloads nothing and is decided from what is published.
    Exit code 1: tonight's bars were wanted and did not come, an order was refused, is in doubt or could not be sent, or an alarm.
    """
    from mech_exo.nightly import Evening, perform

    place, route = home(), _route(mode, broker, account)
    if mode != "paper" or broker is not None:
        _open(place, route).book_id()  # before anything is downloaded: says why not
    with console().status("night …") as status:
        night = perform(Evening(place, datetime.now(UTC), None if at is None else at.date(), download, route), status.update)
    workspace = _open(place, route)
    with workspace.ledger(read_only=True) as ledger:
        body = _body(workspace, ledger, night.result.session)
        first = len(ledger.day_history(workspace.book_id())) == 1
    emit(night_dict(night, body), as_json, lambda to: render_steps(to, night))
    if first:
        hints.say(hints.after_night(place), as_json=as_json)
    if night.stale or night.troubled:
        raise typer.Exit(LOOK_AT_IT)


def plan(at: DateOption = None, mode: ModeOption = "paper", broker: BrokerOption = None, as_json: JsonOption = False) -> None:
    """What the night decides and orders, and why. A night not yet run is only tried: nothing is journaled, nothing ordered."""
    from mech_exo.utils.calendar import sessions

    workspace = _open(home(), _route(mode, broker, None))
    session = _session(workspace, at)
    with workspace.journal() as ledger:
        body = _body(workspace, ledger, session)
        booked = ledger.last_session(workspace.book_id())
        again = None if body is None else workspace.replay(ledger, session)
        decision = _planned(workspace, ledger, session) if again is None else again.decision

    def show(to: Console) -> None:
        if again is not None and not again.identical:
            to.print(f"[red]✘ shown as derived today; the journal differs in {len(again.differences)} places: exo replay {session}[/]")
        if booked is not None and (between := len(sessions(booked.session, session)) - 2) > 0:
            to.print(f"[yellow]⚠ the last booked night is {booked.session}: {between} between are taken as nights without a decision[/]")
        render_decision(to, decision)

    emit(json.loads(decision.body()) if body is None else body, as_json, show)


def why(
    symbol: Annotated[str, typer.Argument(autocompletion=complete.symbols, help="Symbol, as stored.")],
    at: DateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why a symbol is held, bought, sold or not bought: raw factors → score → rank → size → limit → order → fill."""
    from mech_exo.assembly import Workspace
    from mech_exo.cli.explain import render_explanation
    from mech_exo.execution.undecided import undecided
    from mech_exo.reporting.why import explain

    workspace = Workspace.open(home())
    with _records(workspace) as ledger:
        session = at.date() if at is not None else _last_booked(workspace, ledger)
        body = _body(workspace, ledger, session)
        if body is None:
            raise undecided(ledger, workspace.book_id(), session)
        found = explain(symbol.upper(), body, ledger, workspace.book_id(), lambda: workspace.sectors(session))
    emit(found, as_json, lambda to: render_explanation(to, found))


def replay(
    session: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], autocompletion=complete.sessions, help="The night to derive again.")],
    as_json: JsonOption = False,
) -> None:
    """Derive a past night's decision from what was recorded then and compare it byte for byte with the journal."""
    from mech_exo.assembly import Workspace

    workspace = Workspace.open(home())
    with _records(workspace) as ledger:
        result = workspace.replay(ledger, session.date())
    data = {"session": result.session, "recorded_at": result.recorded_at, "identical": result.identical, "differences": result.differences}
    emit(data, as_json, lambda to: _render_replay(to, data))
    if not result.identical:
        raise typer.Exit(1)


def _render_replay(to: Console, data: dict[str, Any]) -> None:
    if data["identical"]:
        to.print(f"[green]✔[/] {data['session']}: byte for byte as journaled at {data['recorded_at']:%Y-%m-%d %H:%M:%S} UTC")
        return
    to.print(f"[red]✘[/] {data['session']}: the journal of {data['recorded_at']:%Y-%m-%d %H:%M:%S} UTC → today's derivation differ:")
    if all(line.startswith("code_version:") for line in data["differences"]):
        to.print("  the decision is the same; only the program has another version since")
    for line in data["differences"][:50]:
        to.print(f"  {line}", markup=False)


def _planned(workspace: Workspace, ledger: Ledger, session: date) -> Decision:
    from mech_exo.session import plan_night

    desks = workspace.desks(ledger, sends=False)
    try:
        return plan_night(desks, session)
    finally:
        desks.broker.close()


def _open(place: Path, route: Route | None = None) -> Workspace:
    from mech_exo.assembly import Workspace

    return Workspace.open(place) if route is None else Workspace.open(place, route)


def _route(mode: str, broker: str | None, account: str | None) -> Route:
    """Where the orders go; the account of a live session is asked for where somebody sits at the terminal."""
    from mech_exo.execution.route import Mode, Route

    route = Route.of(mode, broker, account)
    if route.mode is Mode.LIVE and account is None and sys.stdin.isatty():
        return replace(route, typed=typer.prompt("Real money will move. Type the account's number", err=True))
    return route


def _session(workspace: Workspace, at: datetime | None) -> date:
    if at is not None:
        return at.date()
    return workspace.known().as_of


def _last_booked(workspace: Workspace, ledger: Ledger) -> date:
    row = ledger.last_session(workspace.book_id())
    if row is None:
        others = ", ".join(str(book) for book in ledger.books() if ledger.last_session(book) is not None)
        remedy = f"nights were run in {others}; kind in broker.yml says which book is read" if others else "exo run --mode paper"
        raise MissingDataError(f"no night has been run yet in the book that is read; {workspace.book_id()} has no session", remedy=remedy)
    return row.session


def _records(workspace: Workspace) -> Ledger:
    """The ledger to read in. Raises MissingDataError before the first night; LedgerError when there was one and it is gone."""
    from mech_exo.execution.ledger_care import mark_of

    path = workspace.ledger_path
    if not path.exists() and mark_of(path).read() is None:
        raise MissingDataError(f"no night has been run yet; {path} is not there", remedy="exo run --mode paper --date YYYY-MM-DD")
    return workspace.ledger(read_only=True)


def _body(workspace: Workspace, ledger: Ledger, session: date) -> dict[str, Any] | None:
    row = ledger.decision(workspace.book_id(), session)
    body: dict[str, Any] | None = None if row is None else json.loads(row.body)
    return body


def night_dict(night: Night, body: dict[str, Any] | None) -> dict[str, Any]:
    """What ``exo run --json`` prints."""
    result = night.result
    played = result.played
    return {
        "session": result.session,
        "next_session": result.next_session,
        "repeated": result.repeated,
        "missed_sessions": result.missed,
        "nav": result.day.nav,
        "nav_before": result.nav_before,
        "cash": result.day.cash,
        "state": result.day.state,
        "fills": () if played is None else played.fills,
        "unfilled": () if played is None else [line for line in played.events if line.outcome != "filled"],
        "orders": () if result.decision is None else result.decision.orders,
        "sent": result.sent,
        "breaks": [str(found) for found in result.gate.breaks],
        "decision": body,
        "reports": night.reports,
        "steps": [done.as_dict() for done in night.steps],
    }


def render_steps(to: Console, night: Night) -> None:
    """The night for a person, and what each step did."""
    from rich.table import Table

    from mech_exo.nightly import withheld

    render_night(to, night.result, night.reports)
    table = Table("step", "seconds", "what it did", title="Steps", title_justify="left")
    table.columns[1].justify = "right"
    for done in night.steps:
        table.add_row(done.step.value, "" if done.skipped else f"{done.seconds:.1f}", done.said)
    to.print(table, highlight=False, markup=False)
    told = withheld(night.result.sent)
    for text in (text for done in night.steps for text in done.attention if text not in told):
        to.print(f"look at this: {text}", highlight=False, markup=False, soft_wrap=True)


def render_night(to: Console, result: NightResult, reports: tuple[Path, ...]) -> None:
    """A night for a person."""
    if result.repeated:
        to.print(f"{result.session} is booked already" + ("" if result.sent else ": nothing to do"))
        _render_breaks(to, result)
        _render_sent(to, result)
        for path in reports:
            to.print(f"Report: {path}")
        return
    change = result.day.nav - result.nav_before
    to.print(f"\n[bold]Night of {result.session}[/] · NAV {result.day.nav:,.2f} USD ({change:+,.2f}) · cash {result.day.cash:,.2f} USD")
    for missed in result.missed:
        to.print(f"[yellow]⚠ {missed} had not been run: its orders and stops were booked, nothing was decided[/]")
    _render_breaks(to, result)
    if result.played is not None and result.played.fills:
        _render_fills(to, result)
    if result.decision is not None:
        render_decision(to, result.decision)
    _render_sent(to, result)
    for path in reports:
        to.print(f"Report: {path}")


def _render_breaks(to: Console, result: NightResult) -> None:
    for found in result.gate.breaks:
        to.print(f"✘ {found}", style="yellow" if found.harmless else "red", markup=False, soft_wrap=True)
    if any(not found.harmless for found in result.gate.breaks):
        to.print("  → exo reconcile shows both sides, the causes and the commands that clear them")


def _render_sent(to: Console, result: NightResult) -> None:
    from mech_exo.nightly import handed_over, withheld

    for text in withheld(result.sent):
        to.print(f"✘ {text}", style="red", highlight=False, markup=False, soft_wrap=True)
    if result.sent:
        to.print(handed_over(result))


def _render_fills(to: Console, result: NightResult) -> None:
    from rich.table import Table

    from mech_exo.cli.orders import money

    assert result.played is not None
    table = Table("Symbol", "Shares", "Price", "Commission", "Slippage", "Why", title=f"Fills of {result.session}", title_justify="left")
    for column in table.columns[1:5]:
        column.justify = "right"
    for fill in result.played.fills:
        table.add_row(
            fill.symbol,
            f"{fill.shares:+,d}",
            f"{fill.price:,.2f}",
            money(fill.commission),
            money(fill.slippage),
            fill.reason.value.replace("_", " "),
        )
    to.print(table)


def render_decision(to: Console, decision: Decision) -> None:
    """Ideas, the order plan with reasons, and the risk verdict."""
    from mech_exo.cli.tables import breaches_table, ideas_table, orders_table

    for warning in decision.warnings:
        to.print(f"[yellow]⚠ {warning}[/]")
    to.print(ideas_table(decision.scores, SHOWN_IDEAS))
    colour = {"active": "green", "reducing": "yellow", "halted": "red"}[decision.verdict.state.value]
    to.print(f"Risk: [{colour}]{decision.verdict.state.value.upper()}[/] · {len(decision.verdict.breaches)} limits bound")
    if decision.scale < 1.0:
        to.print(f"[yellow]The drawdown governor leaves {decision.scale:.0%} of full exposure.[/]")
    if decision.verdict.breaches:
        to.print(breaches_table(decision.verdict.breaches))
    if decision.orders:
        to.print(orders_table(decision))
    elif decision.scheduled and not decision.scores.rank.any():
        to.print("[yellow]No orders: nobody has a score, so nothing was decided.[/]")
    elif decision.scheduled and not decision.targets and not decision.levels:
        to.print("[yellow]No orders: nobody was selected, or no size was allowed.[/]")
    elif decision.scheduled:
        to.print("No orders: what is held is what is wanted.")
    else:
        to.print("The book is not decided tonight; only stops, targets, time exits and the drawdown governor are at work.")
