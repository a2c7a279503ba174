"""``exo data update``: download what is missing, say per source what came of it, assess and publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.data_store import unpublished
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.utils.kinds import Kind

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.datasource.quality import QualityReport
    from mech_exo.datasource.update import UpdateReport

LOOK_AT_IT = 1
SHOWN = 20


def update(
    symbols: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Else data.symbols, else the universe's members, else what the store holds.")
    ] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="May be given several times; else every kind that has a source.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Download what is missing from the sources named in config/data.yml, store, assess and publish it. What was good stays whatever fails.

    Every batch is stored as it comes: called again after an interruption, it goes on where it stopped. Names held in a book are asked
    for in any case. Exit code 0: all that was asked for came. 1: stored, but something wants a look. 2: no source is configured.
    """
    from mech_exo.assembly import Workspace
    from mech_exo.cli.data_quality import in_short
    from mech_exo.datasource.fetching import utc_now
    from mech_exo.datasource.quality import assess
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.datasource.update import update as download
    from mech_exo.domain.errors import ConfigError, UserError
    from mech_exo.utils.config import load

    place = home()
    if not (place / "config").is_dir():
        raise UserError(f"an update is configured in a workspace; {place} has no config folder", remedy=f"exo init {place}")
    config = load(place)
    kinds = tuple(kind) if kind else tuple(Kind)
    chosen = config.data.sources
    named = {Kind.BARS: chosen.bars is not None, Kind.FUNDAMENTALS: bool(chosen.fundamentals), Kind.NEWS: bool(chosen.news)}
    if not any(named[one] for one in kinds):
        raise ConfigError(
            f"at least one source of {', '.join(kinds)} must be named in {place / 'config' / 'data.yml'}; none is",
            remedy="sources: {bars: yahoo} there, or bring data yourself: exo data import FILE…",
        )
    held = Workspace(place, config).held()
    asked = None if symbols is None else tuple(part for part in symbols.split(",") if part.strip())
    with DataStorage(DataStorage.path_in(place)) as storage, console().status("downloading") as status:
        report = download(storage, config, now=utc_now(), symbols=asked, kinds=kinds, held=held, progress=status.update)
        quality = assess(storage, config, now=utc_now(), progress=status.update)
        status.update("publishing")
        snapshot = storage.publish().hash if report.changed or quality.changed or unpublished(storage) else None
    data = {"session": report.session, "symbols": len(report.symbols), "downloads": report.downloads, "quality": in_short(quality),
            "snapshot": snapshot, "seconds": report.seconds, "attention": report.attention}  # fmt: skip
    emit(data, as_json, lambda paper: show(paper, report, quality, snapshot))
    if report.attention:
        raise typer.Exit(LOOK_AT_IT)


def show(paper: Console, report: UpdateReport, quality: QualityReport, snapshot: str | None) -> None:
    """The table of outcomes, what wants a look, and how the data stand."""
    from rich.table import Table

    from mech_exo.cli.data_quality import in_words

    columns = ("of", "from", "asked", "came", "up to date", "new", "restated", "sessions missing", "seconds")
    table = Table(*columns, title=f"Update up to the session of {report.session}")
    for one in report.downloads:
        came = sum(outcome.rows > 0 for outcome in one.outcomes)
        figures = (len(one.outcomes), came, one.current, one.new, one.restated, one.missing)
        table.add_row(one.kind.value, one.source, *(f"{figure:,}" for figure in figures), f"{one.seconds:.1f}")
    paper.print(table)
    for text in report.attention[:SHOWN]:
        paper.print(f"look at this: {text}", highlight=False, markup=False, soft_wrap=True)
    if len(report.attention) > SHOWN:
        paper.print(f"… and {len(report.attention) - SHOWN} more (--json shows all)", highlight=False, markup=False)
    if report.attention:
        paper.print("What was stored before is still there; where nothing new came it is stale.", highlight=False)
    paper.print(in_words(quality), highlight=False, markup=False, soft_wrap=True)
    said = f"snapshot {snapshot}" if snapshot else "nothing new: the published snapshot is as it was"
    paper.print(f"{said}, {report.seconds:.1f} s", highlight=False)
