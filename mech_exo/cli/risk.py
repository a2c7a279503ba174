"""``exo risk status`` and ``exo risk what-if``: the book against the limits, by the rules of the nightly decision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.domain.errors import InputError, MissingDataError

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.domain.portfolio import Portfolio
    from mech_exo.domain.verdict import Breach, RiskDecision
    from mech_exo.execution.rows import SessionRow
    from mech_exo.risk.checker import RiskChecker

app = typer.Typer(help="Risk status against the limits.")

NavOption = Annotated[float | None, typer.Option("--nav", metavar="USD", help="Net asset value; else the paper book's own.")]
PeakOption = Annotated[float | None, typer.Option("--peak", metavar="USD", help="Highest NAV of the last 12 months.")]
COLOURS = {"ok": "green", "warning": "yellow", "unknown": "magenta", "breach": "bold red"}
STATES = {"active": "bold green", "reducing": "bold yellow", "halted": "bold red"}
NOT_APPROVED = 2
DENIALS = {
    "unknown_price": "its price is unknown (give --price): it may be reduced, not increased",
    "unknown_nav": "NAV is not above 0: only reductions pass",
    "unknown_sector": "its sector is unknown (give --sector): it may be reduced, not increased",
    "data_quality": "its data are in doubt (exo data quality): it may be reduced, not increased",
    "halted": "a HALT is in force: only reductions pass",
}
ORDER = re.compile(r"(?P<side>buy|sell)\s+(?P<shares>[0-9][0-9,_]*)\s+(?P<symbol>[A-Za-z0-9.\-^=/]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Account:
    """What risk is measured on: a checker, where its book came from, and what must be said of it."""

    checker: RiskChecker
    source: str
    as_of: date | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Quote:
    """What the store knows of a symbol tonight: close in USD (NaN = unknown), sector, why its data are blocked (empty: they are not)."""

    price: float
    sector: str | None
    doubt: str = ""


@app.callback()
def risk() -> None:
    """Risk status against the limits."""


@app.command()
def status(nav: NavOption = None, peak: PeakOption = None, as_json: JsonOption = False) -> None:
    """Every limit with its use and headroom in dollars. Exit code 2 when one is broken."""
    account = _account(nav, peak)
    summary = account.checker.get_risk_status_summary()
    summary["notes"] = [*account.notes, *summary["notes"]]
    data = {"home": home(), "source": account.source, "as_of": account.as_of, **summary}
    emit(data, as_json, lambda console: draw_status(console, data))
    if summary["violations"]:
        raise typer.Exit(NOT_APPROVED)


@app.command("what-if")
def what_if(
    order: Annotated[list[str], typer.Argument(metavar="ORDER", help='Like "BUY 100 AAPL" or "SELL 50 MSFT".')],
    price: Annotated[float | None, typer.Option("--price", metavar="USD", help="Else the last close in the store.")] = None,
    sector: Annotated[str | None, typer.Option("--sector", help="Else the store's.")] = None,
    nav: NavOption = None,
    peak: PeakOption = None,
    as_json: JsonOption = False,
) -> None:
    """What the limits would say of an order. Orders nothing. Exit code 2 when it is not approved in full."""
    symbol, change = parsed(" ".join(order))
    if price is not None and not 0.0 < price < float("inf"):
        raise InputError(f"--price must be above 0 and finite; got {price}")
    account = _account(nav, peak)
    checker = account.checker
    quote, notes = _quotes(_workspace(), (symbol,), account.as_of)
    found = quote.get(symbol, Quote(float("nan"), None))
    prices, sectors = {symbol: found.price if price is None else price}, {symbol: sector or found.sector}
    if price is None and symbol in checker.portfolio.positions and not found.price > 0:
        prices = {}
    doubtful = (symbol,) if found.doubt else ()
    notes += [f"note: the data of {symbol} are in doubt: {found.doubt}"] if found.doubt else []
    verdict = checker.what_if({symbol: change}, prices=prices, sectors=sectors, doubtful=doubtful)
    target = next(t for t in verdict.approved if t.symbol == symbol)
    approved = target.shares - checker.portfolio.shares(symbol)
    full = target.shares == target.wanted
    data = {
        "order": {"symbol": symbol, "shares": change, "price": prices.get(symbol), "sector": sectors[symbol]},
        "approved_shares": approved,
        "approved_in_full": full,
        "binding": target.binding or None,
        "state": verdict.state,
        "breaches": [{"code": b.code, "who": b.symbol, "limit": b.limit, "value": b.value} for b in verdict.breaches],
        "targets": [_row(checker.portfolio, t) for t in verdict.approved],
        "source": account.source,
        "notes": [*account.notes, *notes],
    }
    emit(data, as_json, lambda console: _draw_what_if(console, data, verdict))
    if not full:
        raise typer.Exit(NOT_APPROVED)


def parsed(text: str) -> tuple[str, int]:
    """``BUY 100 AAPL`` as (symbol, signed shares). Raises InputError for anything else."""
    match = ORDER.fullmatch(text.strip())
    shares = int(match["shares"].replace(",", "").replace("_", "")) if match else 0
    if match is None or shares == 0:
        raise InputError(f"an order reads BUY or SELL, whole shares, symbol; got {text!r}", remedy='exo risk what-if "BUY 100 AAPL"')
    return match["symbol"].upper(), shares if match["side"].lower() == "buy" else -shares


def _workspace() -> Workspace:
    """The workspace; one without a config folder has the built-in defaults."""
    from mech_exo.assembly import Workspace
    from mech_exo.utils.settings import Config

    place = home()
    return Workspace.open(place) if (place / "config").is_dir() else Workspace(place, Config())


def _account(nav: float | None, peak: float | None) -> Account:
    """The paper book of the workspace, or an all-cash account of ``nav``."""
    from mech_exo.domain.portfolio import Portfolio
    from mech_exo.execution.booking import position_of
    from mech_exo.execution.safety import HaltSwitch
    from mech_exo.risk.checker import RiskChecker

    if nav is not None and not 0.0 < nav < float("inf"):
        raise InputError(f"--nav must be above 0 and finite; got {nav}", remedy="for example --nav 100000")
    workspace = _workspace()
    limits = workspace.config.risk
    notes = [] if (workspace.home / "config").is_dir() else [f"{workspace.home} has no config folder: the built-in default limits apply"]
    halt = HaltSwitch(workspace.home).state()
    last, history, halted = _booked(workspace)
    halted = halted or halt.halted
    if halt.halted:
        notes.append(str(halt))
    if last is None:
        if nav is None:
            remedy = "give --nav 100000, or book a session with exo run"
            raise InputError(f"risk needs a NAV; {workspace.home} has no booked session", remedy=remedy)
        checker = RiskChecker(Portfolio(nav), limits, peak_nav=peak, nav_history=[nav], halted=halted)  # it begins here: no fall yet
        return Account(checker, f"an all-cash account of {nav:,.0f} USD (no session is booked here)", None, tuple(notes))
    held = [line for line in last.lines if line.shares != 0.0]
    quotes, said = _quotes(workspace, tuple(line.symbol for line in held), last.session) if held else ({}, [])
    sectors = {symbol: quote.sector for symbol, quote in quotes.items()}
    positions = {line.symbol: position_of(line, last.session, sectors.get(line.symbol)) for line in held}
    portfolio = Portfolio(last.day.cash, positions)
    if nav is not None:
        own = portfolio.nav
        notes.append(f"NAV as given; the book's own is {own:,.2f} USD")
        portfolio.cash += nav - own
        history = [before * nav / own for before in history] if own > 0.0 else []  # no gain, no loss: the book's own drawdown
    checker = RiskChecker(portfolio, limits, peak_nav=peak, nav_history=history, halted=halted)
    return Account(checker, f"book {last.book} at the close of {last.session}", last.session, (*notes, *said))


def _booked(workspace: Workspace) -> tuple[SessionRow | None, list[float], bool]:
    """The last booked session, the NAVs before it with deposits taken out (as the time-weighted index says), and whether it is halted."""
    if not workspace.ledger_path.exists():
        return None, [], False
    with workspace.ledger(read_only=True) as ledger:
        book = workspace.book_id()
        last, days = ledger.last_session(book), ledger.day_history(book)
        halted = ledger.is_halted
    if last is None:
        return None, [], halted
    scale = last.day.nav / last.day.index
    return last, [scale, *(booked.day.index * scale for booked in days[:-1])], halted


def _quotes(workspace: Workspace, symbols: tuple[str, ...], as_of: date | None) -> tuple[dict[str, Quote], list[str]]:
    """Closes and sectors of ``symbols`` in the published store at ``as_of``; without a store nothing is known, and that is said."""
    try:
        view = workspace.storage.view(as_of)
        start = None if view.as_of is None else view.as_of - timedelta(days=10)
        panel = view.panel(start=start)
    except MissingDataError as error:
        return {}, [f"prices and sectors are unknown: {error.message}"]
    universe, row = view.universe(panel, None), panel.shape[0] - 1
    found, doubts = {}, view.doubts(panel)
    for symbol in set(symbols) & set(panel.symbols):
        column = panel.column_of(symbol)
        found[symbol] = Quote(float(panel.close[row, column]), universe.sector_name(row, column), doubts.get(symbol, ""))
    return found, [f"note: {warning}" for warning in view.warnings()]


def _row(portfolio: Portfolio, target: Any) -> dict[str, Any]:
    return {
        "symbol": target.symbol, "held": portfolio.shares(target.symbol), "wanted": target.wanted, "approved": target.shares,
        "weight": target.weight, "binding": target.binding or None, "stop": target.stop_level,
    }  # fmt: skip


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2%}"


def draw_status(console: Console, data: dict[str, Any]) -> None:
    """A risk status as a table of limits, positions and notes."""
    from rich.table import Table
    from rich.text import Text

    console.print(f"Risk status of {data['source']}", highlight=False, markup=False)
    money = f"NAV {data['nav']:,.2f} USD  cash {data['cash']:,.2f} USD  state "
    console.print(Text.assemble(money, (data["state"], STATES[data["state"]])))
    table = Table()
    for name in ("limit", "of", "limit %", "in use", "usage", "headroom USD", "status"):
        table.add_column(name, justify="left" if name in ("limit", "of", "status") else "right")
    for line in data["limits"]:
        off = line["limit"] is None
        headroom = "" if off else "unknown" if line["headroom"] is None else f"{line['headroom']:,.0f}"
        usage = "" if off else "unknown" if line["usage"] is None else f"{line['usage']:.0%}"
        limit = "no limit" if off else f"{line['limit']:.2%}"
        colour = COLOURS[line["status"]]
        table.add_row(line["label"], line["who"] or "", limit, _percent(line["value"]), usage, headroom, Text(line["status"], colour))
    console.print(table)
    if data["positions"]:
        console.print(_positions_table(data["positions"]))
    for violation in data["violations"]:
        who = f" of {violation['who']}" if violation["who"] else ""
        text = f"broken: {violation['code']}{who} is {violation['value']:.2%}, allowed {violation['limit']:.2%}"
        console.print(text, style="red", highlight=False, markup=False)
    for note in data["notes"]:
        console.print(note, style="yellow", highlight=False, markup=False)


def _positions_table(positions: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table()
    for name in ("symbol", "shares", "price", "value", "weight", "sector", "stop", "at risk USD", "P&L USD"):
        table.add_column(name, justify="left" if name in ("symbol", "sector") else "right")
    for p in positions:
        stop = "none" if p["resting_stop"] is None else f"{p['resting_stop']:,.2f}"
        table.add_row(
            p["symbol"], f"{p['shares']:,}", f"{p['price']:,.2f}", f"{p['value']:,.0f}", _percent(p["weight"]), p["sector"] or "unknown",
            stop, f"{p['at_risk']:,.0f}", f"{p['unrealised_pnl']:+,.0f}",
        )  # fmt: skip
    return table


def _draw_what_if(console: Console, data: dict[str, Any], verdict: RiskDecision) -> None:
    from rich.table import Table

    order = data["order"]
    side, asked = ("BUY" if order["shares"] > 0 else "SELL"), abs(order["shares"])
    outcome = "approved in full" if data["approved_in_full"] else f"{abs(data['approved_shares'])} of {asked} approved"
    style = "green" if data["approved_in_full"] else "red" if not data["approved_shares"] else "yellow"
    why = "" if data["approved_in_full"] else f" ({data['binding']})"
    console.print(f"{side} {asked} {order['symbol']}: {outcome}{why}", style=style, highlight=False)
    table = Table(title=f"targets on {data['source']}, state {data['state']}")
    for name in ("symbol", "held", "wanted", "approved", "weight", "binding"):
        table.add_column(name, justify="left" if name in ("symbol", "binding") else "right")
    for row in data["targets"]:
        weight = "unknown" if row["weight"] != row["weight"] else f"{row['weight']:.2%}"
        table.add_row(row["symbol"], f"{row['held']:,}", f"{row['wanted']:,}", f"{row['approved']:,}", weight, row["binding"] or "")
    console.print(table)
    for found in verdict.breaches:
        console.print(_said(found), style="yellow", highlight=False, markup=False)
    for note in data["notes"]:
        console.print(note, style="yellow", highlight=False, markup=False)


def _said(breach: Breach) -> str:
    """A breach in words; limits and values are fractions of NAV."""
    who = f"{breach.symbol}: " if breach.symbol else ""
    if breach.code in DENIALS:
        return f"{who}{DENIALS[breach.code]}"
    if breach.code == "max_drawdown":
        fall = "unknown" if breach.value != breach.value else f"{breach.value:.2%} (allowed {breach.limit:.2%})"
        return f"{who}only reductions pass" if breach.symbol else f"the drawdown is {fall}: only reductions pass"
    return f"{who}{breach.code} would be {breach.value:.2%}, allowed {breach.limit:.2%}"
