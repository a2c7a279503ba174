"""A risk status drawn for a person: limits, what the book risks, bad days, positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Row = dict[str, Any]
COLOURS = {"ok": "green", "warning": "yellow", "unknown": "magenta", "breach": "bold red"}
STATES = {"active": "bold green", "reducing": "bold yellow", "halted": "bold red"}


def draw_status(console: Console, data: Row) -> None:
    """Everything ``exo risk status`` knows."""
    from rich.text import Text

    console.print(f"Risk status of {data['source']}", highlight=False, markup=False)
    money = f"NAV {data['nav']:,.2f} USD  cash {data['cash']:,.2f} USD  state "
    console.print(Text.assemble(money, (data["state"], STATES[data["state"]]), f"  governor {data['governor_share']:.0%} of full exposure"))
    falls = f"Drawdown {percent(data['drawdown'])} from the 12-month peak, {percent(data['all_time_drawdown'])} from the all-time peak"
    console.print(f"{falls}; last session {percent(data['session_return'], sign=True)}", highlight=False)
    console.print(limits_table(data["limits"]))
    asked = [line for line in data["limits"] if line["unit"] == "order" and line["limit"] is not None]
    said = ", ".join(f"{line['label']} {percent(line['limit'])}" for line in asked) or "no limit"
    console.print(f"asked of each order: {said}; short selling: {data['orders']['shorts']}", highlight=False)
    console.print(sending(data["orders"]), highlight=False)
    off = [line["label"] for line in data["limits"] if line["limit"] is None]
    if off:
        console.print(f"off: {', '.join(off)}", style="dim", highlight=False)
    if data["positions"]:
        console.print(risk_table(data))
        console.print(stress_table(data["stress"], data["market"]))
        console.print(positions_table(data["positions"]))
    for violation in data["violations"]:
        who = f" of {violation['who']}" if violation["who"] else ""
        unit = next(line["unit"] for line in data["limits"] if line["code"] == violation["code"])
        text = f"broken: {violation['code']}{who} is {amount(violation['value'], unit)}, allowed {amount(violation['limit'], unit)}"
        console.print(text, style="red", highlight=False, markup=False)
    for note in data["notes"]:
        console.print(note, style="yellow", highlight=False, markup=False)


def sending(most: Row) -> str:
    """The ceilings on what may leave, in words."""
    said = [f"{most['max_orders_per_session']:,} orders a session"]
    said += [] if most["max_notional_per_session"] is None else [f"{most['max_notional_per_session']:,.0f} USD a session"]
    said += [] if most["max_orders_per_minute"] is None else [f"{most['max_orders_per_minute']:,} orders a minute"]
    return f"sent at most: {', '.join(said)}"


def percent(value: float | None, *, sign: bool = False) -> str:
    """A fraction as per cent, or "unknown"."""
    return "unknown" if value is None else f"{value:+.2%}" if sign else f"{value:.2%}"


def dollars(value: float | None) -> str:
    """Whole USD, or "unknown"."""
    return "unknown" if value is None else f"{value:,.0f}"


def amount(value: float | None, unit: str) -> str:
    """A limit or its use in its own unit."""
    if value is None:
        return "unknown"
    return {"days": f"{value:,.1f} days", "number": f"{value:,.2f}"}.get(unit, f"{value:.2%}")


def room(line: Row) -> str:
    """What is left of a limit: USD, or its own unit."""
    if line["headroom"] is None:
        return "unknown"
    return f"{line['headroom']:,.0f} USD" if line["unit"] == "nav" else amount(line["headroom"], line["unit"])


def limits_table(lines: list[Row]) -> Table:
    """Every limit that is on, measured on the book."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in ("limit", "of", "allowed", "in use", "usage", "headroom", "status"):
        table.add_column(name, justify="left" if name in ("limit", "of", "status") else "right", overflow="fold")
    for line in lines:
        if line["limit"] is None or line["unit"] == "order":
            continue
        usage = "unknown" if line["usage"] is None else f"{line['usage']:.0%}"
        cells = (amount(line["limit"], line["unit"]), amount(line["value"], line["unit"]), usage, room(line))
        table.add_row(line["label"], line["who"] or "", *cells, Text(line["status"], COLOURS[line["status"]]))
    return table


def moved_table(lines: list[Row]) -> Table:
    """The limits that an order moves, before and after it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Limits it moves", title_justify="left")
    for name in ("limit", "of", "allowed", "before", "after", "headroom", "status"):
        table.add_column(name, justify="left" if name in ("limit", "of", "status") else "right")
    for line in lines:
        figures = (amount(line[name], line["unit"]) for name in ("limit", "before", "after"))
        left = "" if line["headroom"] is None else room(line)
        table.add_row(line["label"], line["who"] or "", *figures, left, Text(line["status"], COLOURS[line["status"]]))
    return table


def risk_table(data: Row) -> Table:
    """What the book risks, beside what the limits measure."""
    from rich.table import Table

    risk, nav = data["risk"], data["nav"]
    table = Table(title=f"What the book risks, by the last {risk['window']} sessions of its names", title_justify="left")
    for name in ("figure", "USD", "of NAV", "without offsets USD"):
        table.add_column(name, justify="left" if name == "figure" else "right")

    def money(label: str, key: str, bare: str = "") -> None:
        value = risk[key]
        part = percent(value / nav) if value is not None and nav > 0.0 else "unknown"
        table.add_row(label, dollars(value), part, dollars(risk[bare]) if bare else "")

    level = f"{risk['level']:.0%}"
    money("volatility, a year", "volatility_ann", "volatility_without_offsets")
    money(f"value at risk {level}, a session", "value_at_risk", "value_at_risk_without_offsets")
    money(f"expected shortfall {level}, a session", "expected_shortfall", "expected_shortfall_without_offsets")
    money("value at risk under a normal law", "normal_value_at_risk")
    money("expected shortfall under a normal law", "normal_expected_shortfall")
    pair = risk["worst_pair"]
    figures = {
        f"beta to {data['market'] or 'the market'}": _plain(risk["beta"]),
        "average correlation of positions": "one position" if len(data["positions"]) < 2 else _plain(risk["average_correlation"]),
        f"highest: {pair[0]} and {pair[1]}" if pair else "highest correlation": _plain(pair[2]) if pair else "unknown",
        "five largest positions": percent(risk["top_five"]),
        f"days to exit at {risk['participation']:.0%} of volume": _days(risk["days_to_exit"]),
    }
    if len(data["positions"]) < 2:
        del figures["highest correlation"]
    for label, value in figures.items():
        table.add_row(label, "", value, "")
    return table


def _days(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.1f}" if value >= 0.05 or value == 0.0 else "< 0.1"


def _plain(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def stress_table(lines: list[Row], market: str | None) -> Table:
    """What named bad days would do."""
    from rich.table import Table

    title = "Stress: the book as it is. No stop is counted: in a gap it fills at the open"
    table = Table(title=title, title_justify="left", caption=f"betas are to {market}" if market else None, caption_justify="left")
    for name in ("scenario", "USD", "of NAV", "worst position", "rests on"):
        table.add_column(name, justify="right" if name in ("USD", "of NAV") else "left")
    for line in lines:
        worst = line["worst"]
        left_out = f"; not measured: {', '.join(line['unmeasured'])}" if line["unmeasured"] and line["pnl"] is not None else ""
        lost = "not measured" if line["pnl"] is None else f"{line['pnl']:,.0f}"
        part = "" if line["fraction"] is None else percent(line["fraction"])
        name = line["scenario"] + (f" ({line['detail']})" if line["detail"] else "")
        table.add_row(name, lost, part, f"{worst[0]} {worst[1]:,.0f}" if worst else "", line["basis"] + left_out)
    return table


def positions_table(positions: list[Row]) -> Table:
    """What is held, what its stop and the next gap may cost, and its part in the book's volatility."""
    from rich.table import Table

    caption = (
        "at risk: USD to the stop; in a gap: where the stop fills beyond its level by the tail of the name's own overnight gaps; "
        "component: its USD of the book's annual volatility"
    )
    table = Table(title="Positions", title_justify="left", caption=caption, caption_justify="left")
    for name in ("symbol", "shares", "price", "value", "weight", "sector", "stop", "at risk", "in a gap", "component", "exit days"):
        table.add_column(name, justify="left" if name in ("symbol", "sector") else "right", no_wrap=True)
    table.columns[5].max_width = 14
    for p in positions:
        stop = "none" if p["resting_stop"] is None else f"{p['resting_stop']:,.2f}"
        part = "unknown" if p["component"] is None else f"{p['component']:,.0f} ({p['share']:.0%})" if p["share"] is not None else "0"
        table.add_row(
            p["symbol"], f"{p['shares']:,}", f"{p['price']:,.2f}", f"{p['value']:,.0f}", percent(p["weight"]), p["sector"] or "unknown",
            stop, dollars(p["at_risk"]), dollars(p["at_risk_in_a_gap"]), part, _days(p["days_to_exit"]),
        )  # fmt: skip
    return table
