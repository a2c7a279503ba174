"""``exo execution costs | calibrate``: what execution cost, and the cost model from own fills."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.output import JsonOption, emit
from mech_exo.domain.errors import UserError
from mech_exo.execution.tracker import By

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.domain.panel import BarPanel
    from mech_exo.execution.calibration import Calibration
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId
    from mech_exo.execution.tracker import CostSummary
    from mech_exo.kernels.records import CostParams
    from mech_exo.performance.trading import Costs

app = typer.Typer(help="What execution cost, and the cost model from own fills.", no_args_is_help=True)
SinceOption = Annotated[
    datetime | None, typer.Option("--since", formats=["%Y-%m-%d"], autocompletion=complete.sessions, help="The first session; default all.")
]
BookOption = Annotated[str | None, typer.Option("--book", autocompletion=complete.books, help="account/strategy; default the only one.")]
PATIENCE = 60.0
"""Seconds to wait for a night that is writing the ledger."""
OVERRIDES = ("per_share", "fraction", "min_order", "max_fraction")
PARTS = (("Delay, decision to arrival", "delay"), ("Impact, arrival to fill", "impact"), ("Fees", "fees"), ("Shortfall", "shortfall"))


@app.callback()
def group() -> None:
    """What execution cost, and the cost model from own fills."""


@app.command()
def costs(
    since: SinceOption = None,
    by: Annotated[By | None, typer.Option("--by", help="One line for each symbol, day or order.")] = None,
    book: BookOption = None,
    as_json: JsonOption = False,
) -> None:
    """Each fill against its decision, the open and the close: delay, impact and fees, which add up to the shortfall."""
    from mech_exo.assembly import Workspace
    from mech_exo.execution.tracker import ExecutionTracker
    from mech_exo.performance.kpi import MAX_COST_SHARE
    from mech_exo.reporting.query import choose_book

    workspace, first = Workspace.open(home()), None if since is None else since.date()
    with workspace.journal() as ledger:
        chosen = choose_book(ledger, book)
        panel = _panel(workspace)
        tracker = ExecutionTracker(ledger, chosen, panel)
        total = tracker.summary(first)
        groups = () if by is None else tracker.by(by, first)
        paid = _of_gross(ledger, chosen, first)
    share = {"gross_pnl": paid.gross, "costs": paid.total, "share": paid.share, "at_most": MAX_COST_SHARE}
    rows = [{"name": name, "costs": one} for name, one in groups]
    data = {"book": str(chosen), "since": first, "bars": panel is not None, "total": total, "by": by, "rows": rows, "kpi": share}
    emit(data, as_json, lambda to: _show_costs(to, chosen, total, groups, paid))


@app.command()
def calibrate(
    since: SinceOption = None,
    book: BookOption = None,
    write: Annotated[bool, typer.Option("--write", help="Put what is proposed into strategy.yml, journaled.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; goes into the journal.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Slippage, impact and commission from own fills: present → proposed, with 95 % intervals. Changes nothing without --write.

    `exo backtest rollback` takes a written calibration back.
    """
    from mech_exo.assembly import Workspace
    from mech_exo.execution.calibration import calibrate as fit
    from mech_exo.execution.live import PAPER
    from mech_exo.reporting.query import choose_book

    workspace, first = Workspace.open(home()), None if since is None else since.date()
    settings = workspace.config.strategy.costs
    with workspace.journal() as ledger:
        chosen = choose_book(ledger, book)
        panel = workspace.storage.view().panel()
        found = fit(ledger, chosen, panel, *_models(workspace), first)
    own = chosen.account == PAPER
    if write and own:
        raise UserError(
            "the model is calibrated from a broker's fills; those of the paper book were made by the model itself",
            remedy="run the strategy at Interactive Brokers (paper or live) first: exo run --broker ib",
        )
    values = _proposed(found, settings.commission.value)
    row = _write(workspace, found, values, reason) if write and values else None
    data = {"book": str(chosen), "own_model": own, "calibration": found, "proposed": values, "written": row}
    emit(data, as_json, lambda to: _show_calibration(to, chosen, found, values, own=own, written=row is not None))


def _panel(workspace: Workspace) -> BarPanel | None:
    """Every stored bar; None where nothing is published: opens and closes are unknown then."""
    from mech_exo.domain.errors import DataError

    try:
        return workspace.storage.view().panel()
    except DataError:
        return None


def _of_gross(ledger: Ledger, book: BookId, since: date | None) -> Costs:
    """The KPI's figure on the booked sessions: its definition, its function."""
    from mech_exo.execution.booking import history_of
    from mech_exo.performance.trading import costs as of_gross

    _, days = history_of([day for day in ledger.day_history(book) if since is None or day.session >= since])
    return of_gross(days)


def _models(workspace: Workspace) -> tuple[CostParams, dict[str, CostParams]]:
    """The present model, and the commission schedules: the present one first, then every preset."""
    from mech_exo.decision.strategy import cost_params
    from mech_exo.utils.settings import CommissionPreset, CostModel

    settings = workspace.config.strategy.costs
    present = cost_params(settings)
    schedules = {settings.commission.value: present}
    for preset in CommissionPreset:
        if preset is not CommissionPreset.CUSTOM:
            schedules.setdefault(preset.value, cost_params(CostModel(commission=preset)))
    return present, schedules


def _proposed(found: Calibration, commission: str) -> dict[str, str]:
    """What would be written to strategy.yml: key under costs to YAML."""
    values = {one.name: repr(one.proposed) for one in found.estimates if one.contradicts}
    if found.commission.proposed != commission:
        values |= {"commission": found.commission.proposed} | dict.fromkeys(OVERRIDES, "null")
    return values


def _write(workspace: Workspace, found: Calibration, values: dict[str, str], reason: str | None) -> Any:
    """Replace strategy.yml as a promotion does: the former file kept, all or nothing, journaled; a rollback takes it back."""
    from mech_exo.backtest import promotion
    from mech_exo.execution.ledger import utc_now
    from mech_exo.execution.trial_rows import Metric, Promotion
    from mech_exo.utils.config import config_hash, with_files
    from mech_exo.utils.yaml_edit import with_values

    name, at = "strategy.yml", utc_now()
    text = (workspace.home / "config" / name).read_text("utf-8")
    files = {name: with_values(text, "costs", values).encode()}
    wanted = with_files(workspace.home, files)
    errors = tuple(Metric(f"{one.name}_error", one.error if math.isfinite(one.error) else None) for one in found.estimates)
    row = Promotion(
        id=f"{at:%Y%m%dT%H%M%S%fZ}-calibration",
        run_id="calibration",
        who=promotion.user(),
        at=at,
        reason=(reason or "").strip() or f"calibrated from {found.orders} orders, {found.first} to {found.last}",
        former_hash=config_hash(workspace.config),
        config_hash=config_hash(wanted),
        files=promotion.replaced(workspace.home, files),
        figures=(*(Metric(one.name, one.value) for one in found.estimates), *errors),
    )
    with workspace.ledger(wait=PATIENCE) as ledger:
        promotion.change(workspace.home, ledger, row, files)
    return row


def _show_costs(to: Console, book: BookId, total: CostSummary, groups: Sequence[tuple[str, CostSummary]], paid: Costs) -> None:
    from rich.markup import escape

    from mech_exo.cli.orders import money
    from mech_exo.performance.kpi import MAX_COST_SHARE

    if not total.fills:
        to.print(f"No fills of {book} in these sessions.", markup=False, highlight=False)
        return
    said = f"Execution of {book}: {total.fills} fills, {total.traded:,.2f} USD traded"
    to.print(said, style="italic", markup=False, highlight=False, soft_wrap=True)  # a table's own title wraps at the table's width
    table = _table(("",), ("USD", "Bps"))
    for label, name in PARTS:
        table.add_row(label, money(getattr(total, name)) if total.complete else "unknown", _bps(getattr(total, f"{name}_bps")))
    to.print(table)
    if groups:
        table = _table(("Of",), ("Fills", "Traded", "Delay", "Impact", "Fees", "Shortfall", "Bps"))
        for name, one in groups:
            parts = (money(getattr(one, part)) if one.complete else "unknown" for _, part in PARTS)
            table.add_row(escape(name), str(one.fills), money(one.traded), *parts, _bps(one.shortfall_bps))
        to.print(table)
    for line in _unknown(total):
        to.print(f"note: {line}", style="yellow", highlight=False, markup=False)
    known = f"{paid.share:.1%}, at most {MAX_COST_SHARE:.0%} is asked"
    share = "not meaningful, gross P&L is not above 0" if math.isnan(paid.share) else known
    to.print(f"Fees + slippage + borrow of gross P&L, booked: {money(paid.total)} of {money(paid.gross)} USD: {share}", highlight=False)


def _unknown(total: CostSummary) -> list[str]:
    """What the figures leave out, in words."""
    counts = (
        (total.undecided, "no decision price (exits that rested)"),
        (total.unarrived, "no arrival price: their session's bars are not stored"),
        (total.unreported, "no commission yet"),
    )
    said = [f"{count} of {total.fills} fills have {what}" for count, what in counts if count]
    return [*said, f"the shortfall is that of {total.complete} fills of which everything is known"] if said else said


def _show_calibration(to: Console, book: BookId, found: Calibration, values: dict[str, str], *, own: bool, written: bool) -> None:
    from mech_exo.cli.orders import money

    said = f"Cost model from {found.orders} market orders of {book}, {found.first} to {found.last}"
    to.print(said, style="italic", markup=False, highlight=False, soft_wrap=True)
    table = _table(("costs in strategy.yml",), ("Present", "Estimate", "Std. error", "95 % interval", "Proposed"))
    for one in found.estimates:
        interval = f"{one.low:.3f} to {one.high:.3f}" if math.isfinite(one.error) else "unknown: sizes do not differ"
        error = f"{one.error:.3f}" if math.isfinite(one.error) else "unknown"
        table.add_row(one.name, f"{one.present:g}", f"{one.value:.3f}", error, interval, f"{one.proposed:g}")
    fees = found.commission
    off = f"{fees.missed[fees.proposed]:,.2f} USD off" if fees.orders else "none reported"
    table.add_row("commission", fees.present, f"{money(fees.charged)} USD charged", "", off, fees.proposed)
    to.print(table)
    left = f", {found.left_out} left out (no arrival price or volume)" if found.left_out else ""
    to.print(f"Noise of one order {found.noise_bps:.1f} bps{left}.", highlight=False)
    if own:
        to.print("note: the paper book's fills were made by the model itself: they return its own figures", style="yellow", highlight=False)
    if written:
        to.print("strategy.yml is changed and the change journaled; `exo backtest rollback` takes it back.", highlight=False)
    elif not values:
        to.print("Nothing to change: the fills contradict no figure.", highlight=False)
    elif not own:
        to.print("Nothing was changed; --write puts it into strategy.yml.", highlight=False)


def _table(text: Sequence[str], numbers: Sequence[str]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in text:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _bps(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.1f}"
