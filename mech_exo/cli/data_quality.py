"""``exo data quality`` and ``exo data repair``: how the stored data stand, what is withheld because of them, and how they are put right."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.data_store import configured, writer
from mech_exo.cli.output import JsonOption, console, emit

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from mech_exo.datasource.quality import QualityReport
    from mech_exo.datasource.quality.repair import Repair

app = typer.Typer(help="How the data stand: coverage, verdicts, and who gets no new risk.", invoke_without_command=True)

SHOWN = 40
SymbolOption = Annotated[
    list[str] | None, typer.Option("--symbol", metavar="SYMBOL", autocompletion=complete.symbols, help="Only this symbol; may be repeated.")
]


@app.callback()
def quality(
    context: typer.Context,
    symbol: SymbolOption = None,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="Findings from this session on.")] = None,
    check: Annotated[str | None, typer.Option("--check", metavar="CHECK", help="Only this check, e.g. missed_split.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Coverage, verdicts by check, the blocked names with the evidence and the command that clears each, and the trend.

    With --symbol, --since or --check: the findings themselves.
    """
    if context.invoked_subcommand is not None:
        return
    from mech_exo.datasource.quality import report
    from mech_exo.datasource.storage import DataStorage

    with DataStorage.snapshot(home()) as storage:
        view = storage.view()
        findings = view.findings()
        if symbol or since or check:
            _findings(findings, symbol, since, check, as_json)
            return
        found = report(view.panel(), findings)
    emit(found, as_json, lambda paper: _show(paper, found))


@app.command()
def accept(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", autocompletion=complete.symbols, help="The name the finding is about.")],
    session: Annotated[str, typer.Argument(metavar="DATE", help="The session of the finding.")],
    check: Annotated[str, typer.Argument(metavar="CHECK", help="The check that found it.")],
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why the data are right; kept in the store.")],
    as_json: JsonOption = False,
) -> None:
    """Accept a finding: the data are right, a person says so. Journaled, assessed anew and published."""
    from mech_exo.datasource.quality import assess
    from mech_exo.domain.errors import InputError

    if not because.strip():
        raise InputError("an accepted finding needs a reason; --because is empty", remedy='--because "spin-off of HPE"')
    now = datetime.now(UTC)
    with writer(existing=True) as storage:
        storage.quality().accept(symbol, _day(session, "DATE"), check, because.strip(), now)
        found = assess(storage, configured(), now=now)
        storage.publish()
    text = f"accepted: {check} of {symbol} at {session}. {in_words(found)}"
    emit(in_short(found), as_json, lambda paper: paper.print(text, highlight=False, markup=False, soft_wrap=True))


def repair(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only propose.")] = False,
    symbol: SymbolOption = None,
    number: Annotated[list[int] | None, typer.Option("--number", min=1, metavar="N", help="Only this proposal; may be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Put right what is certain, as new rows of the source "repair"; nothing is changed in place. The rest needs a person.

    A past night is replayed on the data it had. Importing the same file again does not undo a repair.
    """
    from mech_exo.datasource.quality.repair import apply, chosen, proposals
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.domain.errors import InputError

    config = configured()
    with DataStorage.snapshot(home()) if dry_run else writer(existing=True) as storage, console().status("looking at the evidence"):
        every = proposals(storage, config)
        picked = chosen(every, symbol or (), number or ())
        if (symbol or number) and not picked:
            raise InputError(f"what is chosen must be among the {len(every)} proposals; none is", remedy="exo data repair --dry-run")
        changed = 0 if dry_run else apply(storage, config, picked, now=datetime.now(UTC))
        snapshot = None if dry_run else storage.publish().hash
    data = {"dry_run": dry_run, "changed_rows": changed, "snapshot": snapshot, "proposals": [_plain(one) for one in picked]}
    emit(data, as_json, lambda paper: _show_repairs(paper, picked, dry_run, changed))


def in_short(found: QualityReport) -> dict[str, Any]:
    """The report without its lists, for JSON."""
    return {
        "as_of": found.as_of, "coverage": found.coverage, "names": found.names, "blocked": len({line.symbol for line in found.blocked}),
        "warned": len(found.warned), "changed": found.changed,
    }  # fmt: skip


def in_words(found: QualityReport) -> str:
    """One sentence about how the data stand."""
    if found.as_of is None:
        return "quality: no bars are stored"
    names = sorted({line.symbol for line in found.blocked})
    listed = f" ({', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''})" if names else ""
    coverage = "unknown" if found.coverage is None else f"{found.coverage:.1%}"
    return (
        f"quality at {found.as_of}: {coverage} of {found.names:,} names have a bar, {len(names)} get no new risk{listed}, "
        f"{len(found.warned)} warn; see exo data quality"
    )


def _day(text: str, what: str) -> date:
    from mech_exo.domain.errors import InputError, cut

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{what} is a date like 2015-06-30; got {cut(text)!r}") from None


def _findings(findings: pl.DataFrame, symbols: list[str] | None, since: str | None, check: str | None, as_json: bool) -> None:
    import polars as pl

    from mech_exo.datasource.quality import NAMES
    from mech_exo.domain.errors import InputError, cut

    if check is not None and check not in NAMES:
        raise InputError(f"a check is one of {', '.join(NAMES)}; got {cut(check)!r}")
    rows = findings.filter(pl.col("verdict").is_not_null())
    rows = rows.filter(pl.col("symbol").is_in(symbols)) if symbols else rows
    rows = rows.filter(pl.col("session") >= _day(since, "--since")) if since else rows
    rows = (rows.filter(pl.col("check") == check) if check else rows).sort("session", "symbol", "check", descending=[True, False, False])
    rows = rows.select("symbol", "session", "check", "verdict", "value", "limit", "lasts", "evidence", "known_at", "recorded_at")

    def render(paper: Console) -> None:
        from rich.table import Table

        more = f", the newest {SHOWN} are shown (all with --json)" if rows.height > SHOWN else ""
        table = Table("session", "symbol", "check", "verdict", "evidence", title=f"findings: {rows.height:,}{more}")
        for row in rows.head(SHOWN).iter_rows(named=True):
            table.add_row(str(row["session"]), row["symbol"], row["check"], row["verdict"], row["evidence"])
        paper.print(table, highlight=False, markup=False)

    emit(rows, as_json, render)


def _show(paper: Console, found: QualityReport) -> None:
    from rich.table import Table

    checks = Table("check", "warn", "block", title="Findings of all times")
    for name, (warn, block) in found.counts.items():
        checks.add_row(name, f"{warn:,}", f"{block:,}")
    paper.print(checks)
    trend = Table("month", "coverage", "blocked a session", title="Trend")
    for month, coverage, blocked in found.trend:
        trend.add_row(month, "unknown" if coverage is None else f"{coverage:.2%}", f"{blocked:.1f}")
    paper.print(trend)
    if found.blocked:
        table = Table("symbol", "check", "since", "sessions left", "evidence", title="No new risk tonight")
        for line in found.blocked:
            left = "until it changes" if line.left is None else str(line.left)
            table.add_row(line.symbol, line.check, str(line.session), left, line.evidence)
        paper.print(table, highlight=False, markup=False)
        paper.print("what clears them:", highlight=False)
        for command in dict.fromkeys(line.clear for line in found.blocked):
            paper.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)
    whole = "unknown" if found.coverage_all is None else f"{found.coverage_all:.2%}"
    paper.print(in_words(found), highlight=False, markup=False, soft_wrap=True)
    paper.print(f"coverage over all {found.sessions:,} sessions: {whole}", highlight=False)


def _plain(one: Repair) -> dict[str, Any]:
    return {
        "number": one.number, "symbol": one.symbol, "kind": one.kind, "first": one.first, "last": one.last, "proposal": one.proposal,
        "evidence": one.evidence, "certain": one.certain, "bars": one.bars, "actions": one.actions,
    }  # fmt: skip


def _show_repairs(paper: Console, picked: tuple[Repair, ...], dry_run: bool, changed: int) -> None:
    from rich.table import Table

    for certain, title in ((True, "Certain"), (False, "Needs a person")):
        lines = [one for one in picked if one.certain is certain]
        if not lines:
            continue
        asked = "proposal" if certain else "question"
        table = Table("no.", "symbol", "kind", "from", "to", asked, "evidence", title=f"{title}: {len(lines)}")
        for one in lines:
            table.add_row(str(one.number), one.symbol, one.kind, str(one.first), str(one.last), one.proposal, one.evidence)
        paper.print(table, highlight=False, markup=False)
    count = sum(one.certain for one in picked)
    if dry_run:
        what = "exo data repair applies the certain ones (--number N or --symbol S: only those)" if count else "nothing certain to repair"
    else:
        what = f"{changed:,} rows were added" if changed else "nothing was to be changed"
    paper.print(what, highlight=False, markup=False, soft_wrap=True)
