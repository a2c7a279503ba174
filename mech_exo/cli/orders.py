"""``exo orders``, ``exo fills`` and ``exo positions``: what the ledger knows, read-only, also while a run is writing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.domain.orders import OrderReason, OrderState, OrderType
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.rows import OPEN_STATES, BookLine, FillRow, OrderRow, SessionRow

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

DateOption = Annotated[
    datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], autocompletion=complete.sessions, help="The session they trade in.")
]
SinceOption = Annotated[
    datetime | None, typer.Option("--since", formats=["%Y-%m-%d"], autocompletion=complete.sessions, help="The first session.")
]
NOTHING_YET = "Nothing has been run in this workspace yet. Start with: exo run --mode paper --date YYYY-MM-DD"
STYLES = {
    OrderState.NEW: "cyan",
    OrderState.SENDING: "yellow",
    OrderState.LIVE: "cyan",
    OrderState.UNKNOWN: "bold red",
    OrderState.FILLED: "green",
    OrderState.REJECTED: "red",
    OrderState.DENIED: "red",
    OrderState.CANCELLED: "dim",
    OrderState.EXPIRED: "dim",
    OrderState.ABANDONED: "red",
}
UNSAID = frozenset({"", "acknowledged", "found open at the broker"})
"""Notes that say no more than the state."""


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the command prints it. Prices in USD, None where there is none."""

    account: str
    strategy: str
    id: str
    decided: date
    session: date
    symbol: str
    shares: int
    filled: int
    decision_price: float
    type: str
    reason: OrderReason
    stop_level: float | None
    target_level: float | None
    state: OrderState
    note: str
    level: float | None
    rests: bool
    group: str | None
    parent: str | None
    after: datetime | None
    broker_id: str | None

    @classmethod
    def of(cls, row: OrderRow) -> OrderView:
        """The view of a ledger row."""
        o = row.order
        return cls(row.book.account, row.book.strategy, o.id, row.decided, o.session, o.symbol, o.shares, row.filled, row.price,
                   o.type.value, o.reason, o.stop_level, o.target_level, row.state, row.note, o.level, o.rests, o.group, o.parent, o.after,
                   row.broker_id)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FillView:
    """A fill as the command prints it; ``slippage`` in USD, positive is a cost."""

    account: str
    strategy: str
    id: str
    order_id: str
    session: date
    time: datetime
    symbol: str
    shares: int
    price: float
    reference: float
    slippage: float
    commission: float
    reason: OrderReason
    revision: int

    @classmethod
    def of(cls, row: FillRow, ordered: OrderRow | None) -> FillView:
        """The view of a ledger row; why it was done is its order's to say where a broker does not know."""
        f = row.fill
        reason = ordered.order.reason if f.reason is OrderReason.NONE and ordered is not None else f.reason
        return cls(row.book.account, row.book.strategy, f.id, f.order_id, f.session, f.time, f.symbol, f.shares, f.price, f.reference,
                   f.slippage, f.commission, reason, f.revision)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PositionView:
    """A held line as the command prints it; ``weight`` a fraction of NAV, ``age`` in sessions."""

    symbol: str
    shares: int
    entry: float
    mark: float
    value: float
    weight: float
    unrealised_pnl: float
    stop: float
    target: float
    age: int

    @classmethod
    def of(cls, line: BookLine, nav: float) -> PositionView:
        """The view of a book's line."""
        value = line.shares * line.mark
        weight = value / nav if nav else math.nan
        return cls(line.symbol, int(line.shares), line.cost, line.mark, value, weight, line.shares * (line.mark - line.cost),
                   line.stop, line.target, line.age)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BookView:
    """One book at its last booked close."""

    account: str
    strategy: str
    session: date
    nav: float
    cash: float
    positions: tuple[PositionView, ...]

    @classmethod
    def of(cls, row: SessionRow) -> BookView:
        """The view of a booked session."""
        held = tuple(PositionView.of(line, row.day.nav) for line in row.lines if line.shares)
        return cls(row.book.account, row.book.strategy, row.session, row.day.nav, row.day.cash, held)


def orders(
    on: DateOption = None,
    legs: Annotated[bool, typer.Option("--legs", help="Stops and targets as lines of their own.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Orders in the ledger: those for one session, or the latest session's and every open one."""
    session = None if on is None else on.date()
    rows: Sequence[OrderRow] = ()
    if default_path(home()).exists():
        with Ledger.open(default_path(home()), read_only=True) as ledger:
            rows = ledger.orders(session=session)
    if session is None and rows:
        latest = max(row.order.session for row in rows)
        rows = [row for row in rows if row.order.session == latest or row.state in OPEN_STATES]
    views = [OrderView.of(row) for row in rows]
    emit(views, as_json, lambda paper: show_orders(paper, views, session, legs=legs))


def fills(on: DateOption = None, since: SinceOption = None, as_json: JsonOption = False) -> None:
    """Fills in the ledger: of one session, since a session, or the latest session's."""
    session, first = (None if given is None else given.date() for given in (on, since))
    rows: Sequence[FillRow] = ()
    orders: Mapping[str, OrderRow] = {}
    if default_path(home()).exists():
        with Ledger.open(default_path(home()), read_only=True) as ledger:
            rows = ledger.fills(session=session, since=first)
            orders = ledger.find_orders(row.fill.order_id for row in rows)
    if session is None and first is None and rows:
        latest = max(row.fill.session for row in rows)
        rows = [row for row in rows if row.fill.session == latest]
    views = [FillView.of(row, orders.get(row.fill.order_id)) for row in rows]
    emit(views, as_json, lambda paper: _show_fills(paper, views, session or first))


def positions(as_json: JsonOption = False) -> None:
    """What is held at the last booked close, with resting levels."""
    views: list[BookView] = []
    if default_path(home()).exists():
        with Ledger.open(default_path(home()), read_only=True) as ledger:
            rows = [ledger.last_session(book) for book in ledger.books()]
            views = [BookView.of(row) for row in rows if row is not None]
    emit(views, as_json, lambda paper: _show_positions(paper, views))


def _table(title: str, text: Sequence[str], numbers: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in text:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def show_orders(paper: Console, views: Sequence[OrderView], session: date | None, *, legs: bool) -> None:
    """A table of each book, a stop and target in the line of their entry unless ``legs``; below it what the broker or the router said."""
    if not views:
        said = f"No orders for {session}." if session else "No orders yet: a decision makes them when a session is run."
        paper.print(_nothing(said, "exo orders"), soft_wrap=True)
        return
    for book in sorted({(view.account, view.strategy) for view in views}):
        mine = [view for view in views if (view.account, view.strategy) == book]
        _draw_orders(paper, "/".join(book), mine if legs else folded(mine))
    given_up = sum(view.state is OrderState.ABANDONED for view in views)
    if given_up:
        paper.print(f"[red]{given_up} given up[/red]: seen nowhere and not sent again; if one appears at the broker, trading halts.")
    doubtful = [view for view in views if view.state is OrderState.UNKNOWN]
    if doubtful:
        paper.print(f"[bold red]{len(doubtful)} in doubt: no new risk is sent.[/bold red]")
        paper.print(f"Look at the broker, then: exo ledger settle {doubtful[0].id} --as … --reason …", soft_wrap=True)


def folded(views: Sequence[OrderView]) -> list[OrderView]:
    """``views`` without the legs whose entry's line tells all of them, and the stop and target of a position as one line.

    A leg stands alone where its fate is another than its entry's: gone, filled or in doubt is what one looks for.
    """
    entries = {view.id: view for view in views if view.parent is None}
    pairs: dict[tuple[str | None, OrderState], OrderView] = {}
    shown: list[OrderView] = []
    for view in views:
        entry = entries.get(view.parent or "")
        usual = None if entry is None else OrderState.LIVE if entry.state is OrderState.FILLED else entry.state
        if view.state is usual:
            continue
        if not view.rests:
            shown.append(view)
            continue
        stop = view.level if view.type == OrderType.STOP else None
        one = replace(view, level=None, stop_level=stop, target_level=None if stop is not None else view.level)
        other = pairs.pop((view.group, view.state), None) if view.group is not None else None
        if other is None:
            pairs[view.group, view.state] = one
            shown.append(one)
        else:
            levels = (one.stop_level or other.stop_level, one.target_level or other.target_level)
            shown[shown.index(other)] = replace(other, type="stop and target", reason=_stops(one, other).reason, stop_level=levels[0],
                                                target_level=levels[1])  # fmt: skip
    return shown


def _stops(one: OrderView, other: OrderView) -> OrderView:
    return one if one.stop_level is not None else other


def _draw_orders(paper: Console, book: str, views: Sequence[OrderView]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    sessions, levels = len({view.session for view in views}) > 1, any(view.level is not None for view in views)
    when = "" if sessions else f" for {views[0].session}"
    paper.print(f"Orders of {escape(book)}{when}", style="italic", highlight=False, soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in (*(("Session",) if sessions else ()), "Symbol", "Order"):
        table.add_column(name, no_wrap=True)
    for name in ("Decided", *(("Level",) if levels else ()), "Stop", "Target"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, width in (("Type", 6), ("Reason", 9)):  # they wrap between words, and only there
        table.add_column(name, min_width=width)
    table.add_column("State", no_wrap=True)
    for view in views:
        prices = (view.decision_price, *((view.level,) if levels else ()), view.stop_level, view.target_level)
        state = f"[{STYLES[view.state]}]{view.state}[/]"
        first = (str(view.session),) if sessions else ()
        table.add_row(*first, escape(view.symbol), _amount(view), *map(money, prices), _kind(view), words(view.reason), state)
    paper.print(table)
    said: dict[tuple[OrderState, str], list[str]] = {}
    for view in views:
        if view.note not in UNSAID and view.note != view.state:
            said.setdefault((view.state, view.note), []).append(view.symbol)
    for (state, note), symbols in said.items():
        paper.print(f"{', '.join(symbols)} {state}: {note}", style=STYLES[state], highlight=False, markup=False, soft_wrap=True)


def _amount(view: OrderView) -> str:
    part = f"{abs(view.filled):,} of " if view.filled not in (0, view.shares) else ""
    return f"{'buy' if view.shares > 0 else 'sell'} {part}{abs(view.shares):,}"


def _kind(view: OrderView) -> str:
    kind = view.type.replace("_", " ")
    return kind + (" (leg)" if view.parent is not None else f" from {view.after:%H:%M} UTC" if view.after else "")


def _show_fills(paper: Console, views: Sequence[FillView], asked: date | None) -> None:
    if not views:
        said = f"No fills for {asked}." if asked else "No fills yet: orders fill when the next session is run."
        paper.print(_nothing(said, "exo fills"), soft_wrap=True)
        return
    for account, strategy in sorted({(view.account, view.strategy) for view in views}):
        mine = [view for view in views if (view.account, view.strategy) == (account, strategy)]
        numbers = ("Shares", "Price", "Reference", "Slippage", "Commission")
        table = _table(f"Fills of {account}/{strategy}", ("Session", "Symbol", "Side"), numbers)
        table.add_column("Reason")
        for view in mine:
            side = "buy" if view.shares > 0 else "sell"
            commission = "not reported yet" if math.isnan(view.commission) else money(view.commission)
            figures = (money(view.price), money(view.reference), money(view.slippage), commission)
            table.add_row(str(view.session), view.symbol, side, f"{abs(view.shares):,}", *figures, words(view.reason))
        paper.print(table)
        traded = math.fsum(abs(view.shares) * view.price for view in mine)
        sums = [f"{len(mine)} fills", f"{traded:,.2f} USD traded"]
        sums.append(_total("slippage", [view.slippage for view in mine], "not booked yet"))
        sums.append(_total("commission", [view.commission for view in mine], "not reported yet"))
        paper.print(", ".join(sums), highlight=False)


def _total(name: str, amounts: Sequence[float], why: str) -> str:
    """A sum that says what it lacks; of nothing known it is unknown, not 0."""
    known = [amount for amount in amounts if not math.isnan(amount)]
    if amounts and not known:
        return f"{name} unknown ({why})"
    lacks = f" ({len(amounts) - len(known)} {why})" if len(known) < len(amounts) else ""
    return f"{name} {math.fsum(known):,.2f} USD{lacks}"


def _show_positions(paper: Console, views: Sequence[BookView]) -> None:
    if not views:
        paper.print(NOTHING_YET, soft_wrap=True)
        return
    numbers = ("Shares", "Entry", "Price", "Value", "Weight", "Unrealised", "Stop", "Target", "Age")
    for view in views:
        table = _table(f"{view.account}/{view.strategy} at the close of {view.session}", ("Symbol",), numbers)
        for p in view.positions:
            style = "green" if p.unrealised_pnl > 0 else "red"
            table.add_row(p.symbol, f"{p.shares:,}", money(p.entry), money(p.mark), money(p.value), f"{p.weight:.1%}",
                          f"[{style}]{money(p.unrealised_pnl)}[/{style}]", money(p.stop), money(p.target), str(p.age))  # fmt: skip
        if view.positions:
            paper.print(table)
        else:
            paper.print(f"{view.account}/{view.strategy} holds nothing at the close of {view.session}; `exo orders` shows what is ordered")
        paper.print(f"NAV {view.nav:,.2f} USD, cash {view.cash:,.2f} USD, {len(view.positions)} positions", highlight=False)


def _nothing(said: str, command: str) -> str:
    if not default_path(home()).exists():
        return NOTHING_YET
    return said if said.endswith("run.") else f"{said} `{command}` alone shows the latest."


def money(value: float | None) -> str:
    """USD with cents, a dash where there is none or it is unknown."""
    return "–" if value is None or math.isnan(value) else f"{value:,.2f}"


def words(reason: OrderReason) -> str:
    """A reason as words."""
    return reason.value.replace("_", " ")
