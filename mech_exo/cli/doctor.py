"""``exo doctor``: what stands in the way of trusting this program here, each finding with the command that mends it. Changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli.output import JsonOption, console, emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from mech_exo.cli.checks.finding import Finding

FAULTY = 1
SIGNS = {"ok": ("✔", "green"), "warning": ("!", "yellow"), "fault": ("✘", "red"), "unknown": ("?", "cyan")}


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody over the network: no broker, no clock of a vendor's.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at everything a night depends on, from Python to the broker, and say for each fault the command that mends it.

    Writes nothing, and one check that fails stops no other. Exit code 0: no fault (warnings and unknowns may stand); 1: at least one.
    """
    from mech_exo.cli.checks import CHECKS, examine
    from mech_exo.cli.checks.finding import Patient
    from mech_exo.utils.workspace import home_folder

    patient = Patient(home_folder(), datetime.now(UTC), offline)
    findings = []
    with console().status("looking …") as status:
        for check, answer in examine(CHECKS, patient):
            status.update(f"looking at {check.name} …")
            findings.append(answer)
    counts = {state: sum(found.state == state for found in findings) for state in SIGNS}
    data = {"ok": not counts["fault"], "home": patient.home, "counts": counts, "findings": findings}
    emit(data, as_json, lambda paper: _show(paper, findings, counts))
    if counts["fault"]:
        raise typer.Exit(FAULTY)


def _show(paper: Console, findings: Sequence[Finding], counts: dict[str, int]) -> None:
    for section in dict.fromkeys(found.section for found in findings):
        paper.print(f"\n{section}", style="bold", highlight=False)
        for found in (one for one in findings if one.section == section):
            sign, colour = SIGNS[found.state]
            first, *more = found.value.splitlines() or [""]
            paper.print(f"  {sign} {found.check:<14} {first}", style=colour, highlight=False, markup=False, soft_wrap=True)
            for line in more:
                paper.print(f"{'':19}{line}", style=colour, highlight=False, markup=False, soft_wrap=True)
            if found.state != "ok":
                paper.print(f"{'':19}rule: {found.rule}", style="dim", highlight=False, markup=False, soft_wrap=True)
                if found.remedy:
                    paper.print(f"{'':19}→ {found.remedy}", highlight=False, markup=False, soft_wrap=True)
    said = ", ".join(f"{count} {state}" for state, count in counts.items())
    paper.print(f"\n{said}", highlight=False)
