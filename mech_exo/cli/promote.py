"""``exo backtest promote | rollback | promotions``: from research to what trades."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.domain.errors import DataError, InputError, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.assembly import Workspace
    from mech_exo.backtest.promotion import Check
    from mech_exo.backtest.result import BacktestResult
    from mech_exo.execution.trial_rows import Promotion
    from mech_exo.performance.overfitting import OverfittingReport
    from mech_exo.utils.settings import Config

PATIENCE = 60.0
"""Seconds to wait for a night that is writing the ledger."""
Change = tuple[str, Any, Any]


class Objection(StrEnum):
    """What makes a run's figures no evidence about tonight, unless it is accepted by name."""

    SYNTHETIC = "synthetic"
    CODE = "code"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Case:
    """All there is to say about promoting a run."""

    result: BacktestResult
    report: OverfittingReport
    checks: tuple[Check, ...]
    objections: dict[Objection, str]
    wanted: Config
    changes: tuple[Change, ...]


ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; goes into the journal. Asked for where it is missing.")]
AcceptOption = Annotated[
    list[Objection] | None,
    typer.Option("--accept", help="Although it ran on synthetic data, by other code or on other data. Repeatable."),
]


def promote(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a saved run, its beginning, or `last`.")],
    reason: ReasonOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; only with --reason.")] = False,
    accept: AcceptOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a run's configuration the workspace's, if it passes every threshold of research.yml and a human says yes.

    Replaces strategy.yml, risk_limits.yml and factors.yml, all or none, and keeps the former ones. `exo backtest rollback` takes it back.
    """
    from mech_exo.backtest import promotion
    from mech_exo.execution.trial_rows import Promotion
    from mech_exo.utils.config import config_hash

    _may_answer(yes, reason, "promote RUN")
    place = home()
    _catch_up(place)
    workspace = _workspace(place)
    case = _case(workspace, run)
    accepted = tuple(dict.fromkeys(accept or ()))
    _refuse(case, accepted)
    at, who = _now(), promotion.user()
    id_ = f"{at:%Y%m%dT%H%M%S%fZ}-{case.result.run_id}"
    files = promotion.written(workspace.config, case.wanted, case.result.run_id, id_, who, at)
    replaced = promotion.replaced(place, files)  # as they are before the question: an edit while it stands is not overwritten
    console().print(*_plan(case), sep="\n", highlight=False, markup=False, soft_wrap=True)
    why = _agreed(yes, reason, f"Promote {case.result.run_id}?")
    row = Promotion(
        id=id_,
        run_id=case.result.run_id,
        who=who,
        at=_now(),
        reason=why,
        former_hash=config_hash(workspace.config),
        config_hash=config_hash(case.wanted),
        files=replaced,
        figures=promotion.figures(case.report),
        accepted=tuple(one.value for one in accepted if one in case.objections),
    )
    with _ledger(workspace) as ledger:
        promotion.change(place, ledger, row, files)
    data = {"promotion": row, "report": case.report, "checks": case.checks, "changes": [_named(change) for change in case.changes]}
    emit(data, as_json, lambda to: to.print(_done(row, place), highlight=False, markup=False, soft_wrap=True))


def rollback(
    reason: ReasonOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; only with --reason.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take the last promotion back: the configuration files it replaced are put back byte for byte."""
    from mech_exo.backtest import promotion
    from mech_exo.execution.trial_rows import Promotion
    from mech_exo.utils.config import config_hash, load, with_files

    _may_answer(yes, reason, "rollback")
    place = home()
    _catch_up(place)
    workspace = _workspace(place)
    with workspace.journal() as ledger:
        last = promotion.last_promotion(ledger.rows(Promotion))
    files = promotion.former_files(place, last)
    replaced = promotion.replaced(place, files)
    now, wanted = load(place), with_files(place, files)
    edited = [file.name for file, then in zip(replaced, last.files, strict=True) if file.former != then.now]
    told = [f"Takes back the promotion of {last.run_id} by {last.who}, {last.at:%Y-%m-%d %H:%M} UTC: {last.reason}", *_changes(now, wanted)]
    told += [f"{name} was edited since; the edited file is kept." for name in edited]
    console().print(*told, sep="\n", highlight=False, markup=False, soft_wrap=True)
    why = _agreed(yes, reason, "Roll back?")
    at = _now()
    row = Promotion(
        id=f"{at:%Y%m%dT%H%M%S%fZ}-rollback",
        run_id=last.run_id,
        who=promotion.user(),
        at=at,
        reason=why,
        former_hash=config_hash(now),
        config_hash=config_hash(wanted),
        files=replaced,
        undoes=last.id,
    )
    with _ledger(workspace) as writable:
        promotion.change(place, writable, row, files)
    emit({"rollback": row}, as_json, lambda to: to.print(_done(row, place), highlight=False, markup=False, soft_wrap=True))


def promotions(as_json: JsonOption = False) -> None:
    """Promotions and rollbacks, oldest first: who, when, why."""
    from mech_exo.execution.trial_rows import Promotion

    place = home()
    _catch_up(place)
    with _workspace(place).journal() as ledger:
        rows = ledger.rows(Promotion)
    emit({"promotions": rows}, as_json, lambda to: _show_promotions(to, rows))


def _case(workspace: Workspace, name: str) -> Case:
    from mech_exo.backtest import promotion
    from mech_exo.backtest.store import describe
    from mech_exo.cli.backtest import luck
    from mech_exo.cli.runs import find, opened

    folder = find(workspace, name)
    result = opened(workspace, folder)
    if describe(folder)["strategy"] != "configured":
        said = f"only a configured strategy trades; {result.run_id} ran a Python function"
        raise UserError(said, remedy="say it in strategy.yml and factors.yml, then run that")
    wanted = promotion.candidate(workspace.config, result.config)
    with workspace.journal() as ledger:
        standing = promotion.Standing.of(ledger, result)
    report = standing.completed(luck(workspace, result))
    checks = promotion.judge(result, report, workspace.config.research.promotion, standing)
    changes = promotion.differences(_parts(workspace.config), _parts(wanted))
    return Case(result, report, checks, _objections(workspace, folder, result), wanted, changes)


def _objections(workspace: Workspace, folder: Path, result: BacktestResult) -> dict[Objection, str]:
    from mech_exo.cli.runs import opened
    from mech_exo.kernels import code_version

    found = {}
    if any("synthetic" in warning.lower() for warning in result.warnings):
        found[Objection.SYNTHETIC] = "it was made on synthetic data, which says nothing about a real market"
    if result.code_version != code_version():
        versions = f"the code {result.code_version}, now it is {code_version()}"
        found[Objection.CODE] = f"it was made by {versions}: the same files may decide otherwise"
    try:
        opened(workspace, folder, with_bars=True)
    except (InputError, DataError) as error:
        found[Objection.DATA] = f"its data are not those of now: {error.message}"
    return found


def _refuse(case: Case, accepted: tuple[Objection, ...]) -> None:
    """Raise UserError with every threshold missed and every objection not accepted."""
    missed = [f"{check.threshold}: {check.text}" for check in case.checks if not check.passed]
    against = {one: text for one, text in case.objections.items() if one not in accepted}
    if not missed and not against:
        return
    rule, remedy = "a run is promoted on evidence about tonight", "run it again, or state that you know: "
    remedy += " ".join(f"--accept {one.value}" for one in against)
    if missed:
        rule = "a run is promoted when it passes every threshold of research.yml"
        remedy = "thresholds are changed before looking at a result, not after"
    said = [f"{rule}; {case.result.run_id} does not:", *(f"  {line}" for line in (*missed, *against.values()))]
    raise UserError("\n".join(said), remedy=remedy)


def _plan(case: Case) -> list[str]:
    result, report = case.result, case.report
    head = f"Run {result.run_id}, {result.sessions[0]} to {result.sessions[-1]}, Sharpe {report.sharpe:.2f} after {report.trials:,} trials"
    lines = [head, *(f"  passed  {check.text}" for check in case.checks)]
    lines += [f"  accepted: {text}" for text in case.objections.values()]
    lines += [f"  {note}" for note in report.notes]
    return [*lines, *_listed(case.changes)]


def _changes(now: Config, wanted: Config) -> list[str]:
    from mech_exo.backtest.promotion import differences

    return _listed(differences(_parts(now), _parts(wanted)))


def _listed(changes: tuple[Change, ...]) -> list[str]:
    if not changes:
        return ["Nothing changes: the workspace's configuration says the same already."]
    return ["Changes:", *(f"  {key}: {_said(old)} → {_said(new)}" for key, old, new in changes)]


def _said(value: Any) -> str:
    return "null" if value is None else str(value)


def _named(change: Change) -> dict[str, Any]:
    return dict(zip(("key", "before", "after"), change, strict=True))


def _parts(config: Config) -> dict[str, Any]:
    from mech_exo.backtest.promotion import PARTS

    return {part: getattr(config, part).model_dump(mode="json") for part in PARTS}


def _may_answer(yes: bool, reason: str | None, command: str) -> None:
    """Refuse early what could not be answered later."""
    remedy = f"exo backtest {command} --yes --reason TEXT"
    if yes and not (reason and reason.strip()):
        raise UserError("--yes stands only with --reason: what nobody was asked must say why", remedy=remedy)
    if not yes and not sys.stdin.isatty():
        raise UserError("this needs a human's yes; there is no terminal to ask at", remedy=remedy)


def _agreed(yes: bool, reason: str | None, question: str) -> str:
    """The reason, once somebody said yes."""
    if not yes and not typer.confirm(question, err=True):
        raise UserError("nothing was changed: the answer was no")
    why = (reason or "").strip()
    while not why:
        why = typer.prompt("Why", err=True).strip()
    return why


def _catch_up(place: Path) -> None:
    """Journal what a killed command had decided."""
    from mech_exo.utils.config_swap import note

    if note(place / "config") is not None:
        with _ledger(_workspace(place)):
            pass


def _workspace(place: Path) -> Workspace:
    from mech_exo.assembly import Workspace

    return Workspace.open(place)


def _ledger(workspace: Workspace) -> Any:
    return workspace.ledger(wait=PATIENCE)


def _now() -> Any:
    from mech_exo.execution.ledger import utc_now

    return utc_now()


def _done(row: Promotion, place: Path) -> str:
    from mech_exo.backtest.promotion import kept

    names = ", ".join(file.name for file in row.files) or "no file: they say the same already"
    what = "Promoted" if row.undoes is None else "Rolled back the promotion of"
    said = f"{what} {row.run_id}: {names}. Configuration {row.former_hash} → {row.config_hash}."
    return f"{said} The former files are in {kept(place, row.id)}" if row.files else said


def _show_promotions(to: Console, rows: tuple[Promotion, ...]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    if not rows:
        to.print("Nothing has been promoted in this workspace. `exo backtest promote RUN` makes a run's configuration the one that trades.")
        return
    table = Table("When (UTC)", "What", "Run", "Who", "Why", "Configuration", "Files", box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        what = "promoted" if row.undoes is None else "rolled back"
        names = ", ".join(file.name for file in row.files) or "none"
        hashes = f"{row.former_hash[:8]} → {row.config_hash[:8]}"
        table.add_row(f"{row.at:%Y-%m-%d %H:%M:%S}", what, row.run_id, escape(row.who), escape(row.reason), hashes, names)
    to.print(table)
