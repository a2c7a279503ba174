"""``exo risk status`` and ``exo risk what-if``: the book against the limits, by the rules of the nightly decision."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.cli.risk_account import Quote, account_of, here
from mech_exo.cli.risk_tables import draw_status, moved_table
from mech_exo.domain.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.domain.portfolio import Portfolio
    from mech_exo.domain.targets import TargetPosition
    from mech_exo.domain.verdict import Breach
    from mech_exo.risk.checker import RiskChecker
    from mech_exo.utils.settings import RiskLimits

app = typer.Typer(help="Risk status against the limits.")

NavOption = Annotated[float | None, typer.Option("--nav", metavar="USD", help="Net asset value; else the paper book's own.")]
PeakOption = Annotated[float | None, typer.Option("--peak", metavar="USD", help="Highest NAV of the last 12 months.")]
NOT_APPROVED = 2
DENIALS = {
    "unknown_price": "its price is unknown (give --price): it may be reduced, not increased",
    "unknown_sector": "its sector is unknown (give --sector): it may be reduced, not increased",
}
"""What the command itself can be told; all else a breach says of itself."""
MOST = 1_000_000_000
"""Shares of one order; no company's float is so large that a person means more."""
ORDER = re.compile(r"(?P<side>buy|sell)\s+(?P<shares>[0-9][0-9,_]*)\s+(?P<symbol>[A-Za-z0-9.\-^=/]+)", re.IGNORECASE)


@app.callback()
def risk() -> None:
    """Risk status against the limits."""


@app.command()
def status(nav: NavOption = None, peak: PeakOption = None, as_json: JsonOption = False) -> None:
    """Every limit with its use and headroom in dollars. Exit code 2 when one is broken."""
    data = {"home": home(), **account_of(here(), nav, peak).status()}
    emit(data, as_json, lambda console: draw_status(console, data))
    if data["violations"]:
        raise typer.Exit(NOT_APPROVED)


@app.command("what-if")
def what_if(
    order: Annotated[list[str], typer.Argument(metavar="ORDER", help='Like "BUY 100 AAPL" or "SELL 50 MSFT".')],
    price: Annotated[float | None, typer.Option("--price", metavar="USD", help="Else the last close in the store.")] = None,
    sector: Annotated[str | None, typer.Option("--sector", help="Else the store's.")] = None,
    gap: Annotated[
        float | None, typer.Option("--gap", metavar="FRACTION", help="Gap its stop must survive (0.08 is 8%); else from its bars.")
    ] = None,
    nav: NavOption = None,
    peak: PeakOption = None,
    as_json: JsonOption = False,
) -> None:
    """What the limits would say of an order. Orders nothing. Exit code 2 when it is not approved in full."""
    symbol, change = parsed(" ".join(order))
    if price is not None and not 0.0 < price < float("inf"):
        raise InputError(f"--price must be above 0 and finite; got {price}")
    if gap is not None and not 0.0 <= gap < float("inf"):
        raise InputError(f"--gap must be a fraction of at least 0; got {gap}", remedy="for example --gap 0.08: 8%")
    account = account_of(here(), nav, peak, beside=(symbol,), gaps=None if gap is None else {symbol: gap})
    checker, notes = account.checker, []
    found = account.stored.quotes.get(symbol, Quote(float("nan"), None))
    prices, sectors = {symbol: found.price if price is None else price}, {symbol: sector or found.sector}
    if price is None and symbol in checker.portfolio.positions and not found.price > 0:
        prices = {}
    doubtful = (symbol,) if found.doubt else ()
    notes += [f"note: the data of {symbol} are in doubt: {found.doubt}"] if found.doubt else []
    verdict = checker.what_if({symbol: change}, prices=prices, sectors=sectors, doubtful=doubtful)
    target = next(t for t in verdict.approved if t.symbol == symbol)
    approved = target.shares - checker.portfolio.shares(symbol)
    moved = _moved(checker, checker.after(verdict, prices=prices, sectors=sectors))
    full = target.shares == target.wanted
    data = {
        "order": {"symbol": symbol, "shares": change, "price": prices.get(symbol), "sector": sectors[symbol]},
        "approved_shares": approved,
        "approved_in_full": full,
        "binding": target.binding or None,
        "headroom": target.room,
        "limits": moved,
        "state": verdict.state,
        "breaches": [{"code": b.word, "who": b.symbol, "limit": b.limit, "value": b.value} for b in verdict.breaches],
        "targets": [_row(checker.portfolio, t) for t in verdict.approved],
        "source": account.source,
        "notes": [*account.notes, *notes],
    }
    denials = _denials(checker.limits, gap)
    emit(data, as_json, lambda console: _draw_what_if(console, data, target, [_said(found, denials) for found in verdict.breaches]))
    if not full:
        raise typer.Exit(NOT_APPROVED)


def parsed(text: str) -> tuple[str, int]:
    """``BUY 100 AAPL`` as (symbol, signed shares). Raises InputError for anything else."""
    match = ORDER.fullmatch(text.strip())
    shares = int(match["shares"].replace(",", "").replace("_", "")) if match else 0
    if match is None or shares == 0:
        raise InputError(f"an order reads BUY or SELL, whole shares, symbol; got {text!r}", remedy='exo risk what-if "BUY 100 AAPL"')
    if shares > MOST:
        raise InputError(f"an order is for at most {MOST:,} shares; got {shares:,}", remedy='exo risk what-if "BUY 100 AAPL"')
    return match["symbol"].upper(), shares if match["side"].lower() == "buy" else -shares


def _row(portfolio: Portfolio, target: Any) -> dict[str, Any]:
    return {
        "symbol": target.symbol, "held": portfolio.shares(target.symbol), "wanted": target.wanted, "approved": target.shares,
        "weight": target.weight, "binding": target.binding or None, "stop": target.stop_level,
    }  # fmt: skip


def _moved(before: RiskChecker, after: RiskChecker) -> list[dict[str, Any]]:
    """Every limit that the order moves, each name and sector by itself, before and after what is approved of it; None = unknown."""
    old, new = before.lines(), after.lines()
    lines = []
    for key in dict.fromkeys((*new, *old)):
        was, now = old.get(key), new.get(key)
        values = [0.0 if line is None else line.value for line in (was, now)]
        line = now or was
        if line is None or values == [None, None] or (None not in values and abs(values[0] - values[1]) < 1e-9):  # type: ignore[operator]
            continue
        lines.append(
            {"code": line.code, "label": line.label, "limit": line.limit, "before": values[0], "after": values[1], "who": line.who,
             "headroom": None if now is None else now.headroom, "status": line.status if now else "ok", "unit": line.unit}
        )  # fmt: skip
    return lines


def _draw_what_if(console: Console, data: dict[str, Any], target: TargetPosition, said: list[str]) -> None:
    from rich.table import Table

    order = data["order"]
    side, asked = ("BUY" if order["shares"] > 0 else "SELL"), abs(order["shares"])
    allowed = max(data["approved_shares"] if order["shares"] > 0 else -data["approved_shares"], 0)  # below 0: what is held is cut, too
    outcome = "approved in full" if data["approved_in_full"] else f"{allowed:,} of {asked:,} approved"
    style = "green" if data["approved_in_full"] else "yellow" if allowed else "red"
    why = "" if data["approved_in_full"] else f" ({data['binding']})"
    console.print(f"{side} {asked:,} {order['symbol']}: {outcome}{why}", style=style, highlight=False)
    if target.room is not None:
        console.print(str(target.room), highlight=False, markup=False)
    on = [line for line in data["limits"] if line["limit"] is not None]
    moved = [line for line in on if line["status"] != "ok" or line["who"] in (order["symbol"], order["sector"], None)]
    if moved:
        console.print(moved_table(moved))
    if len(moved) < len(on):
        console.print(f"and {len(on) - len(moved)} lines of other names and sectors, all ok (see --json)", style="dim", highlight=False)
    changed = [row for row in data["targets"] if row["symbol"] == order["symbol"] or row["approved"] != row["held"]]
    console.print(f"Targets on {data['source']}, state {data['state']}", highlight=False)
    table = Table()
    for name in ("symbol", "held", "wanted", "approved", "weight", "binding"):
        table.add_column(name, justify="left" if name in ("symbol", "binding") else "right")
    for row in changed:
        weight = "unknown" if row["weight"] != row["weight"] else f"{row['weight']:.2%}"
        table.add_row(row["symbol"], f"{row['held']:,}", f"{row['wanted']:,}", f"{row['approved']:,}", weight, row["binding"] or "")
    console.print(table)
    if any(row["symbol"] != order["symbol"] for row in changed):
        console.print(
            "A limit of a sector or of the whole book cuts every name of a plan in proportion to what is wanted: other positions would pay "
            "for this order. A smaller one leaves them alone.",
            style="yellow", highlight=False, markup=False,
        )  # fmt: skip
    for sentence in said:
        console.print(sentence, style="yellow", highlight=False, markup=False)
    for note in data["notes"]:
        console.print(note, style="yellow", highlight=False, markup=False)


def _denials(limits: RiskLimits, gap: float | None) -> dict[str, str]:
    """What the command can be told of what is unknown. Of its past that is the gaps, unless a rare limit needs more."""
    from mech_exo.risk.rules import LimitParams

    single = limits.position_sizing
    if gap is not None or single.gap_stress is None or LimitParams.of(limits).rare is not None:
        return DENIALS
    rule = f"its stop may lose {single.max_single_trade_risk:.3g} of NAV after an overnight gap (max_single_trade_risk, gap_stress)"
    unknown = f"{rule} and its gaps are unknown (bring its bars: exo data import FILE, or give --gap 0.08 for 8%)"
    return DENIALS | {"unknown_risk": f"{unknown}: it may be reduced, not increased"}


def _said(breach: Breach, denials: dict[str, str]) -> str:
    """A breach in words."""
    who = f"{breach.symbol}: " if breach.symbol else ""
    return f"{who}{denials[breach.code]}" if breach.code in denials else str(breach)
