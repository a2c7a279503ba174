"""``exo data``: import, update, look at, publish, back up and restore market data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import data_quality, data_store, hints, home
from mech_exo.cli.data_sentiment import sentiment
from mech_exo.cli.data_store import reader, writer
from mech_exo.cli.data_update import update
from mech_exo.cli.output import JsonOption, console, emit
from mech_exo.utils.kinds import Adjusted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mech_exo.datasource.importer import ImportReport
    from mech_exo.datasource.storage import ImportSummary, Status

app = typer.Typer(help="Import, inspect, back up and restore market data.")

app.command()(update)
app.command()(sentiment)
app.add_typer(data_quality.app, name="quality")
app.command("repair")(data_quality.repair)

LOOK_AT_IT = 1


@app.command("import")
def import_(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PLACE]...",
            help="Bars: CSV, CSV.gz, Parquet, a folder of them (in long form or one per symbol), Stooq's folder or .zip, a .duckdb file.",
        ),
    ] = None,
    adjusted: Annotated[Adjusted, typer.Option(help="split: prices are already divided by later splits (Stooq's are).")] = Adjusted.NONE,
    table: Annotated[str | None, typer.Option(metavar="NAME", help="Of a .duckdb file; else the only one with bars.")] = None,
    news: Annotated[Path | None, typer.Option(metavar="FILE", help="Headlines: symbol, published (with its time zone), headline.")] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Who says so; else the file's name.")] = None,
    fundamentals: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Company figures; the layout is told by the columns. May be repeated.")
    ] = None,
    sectors: Annotated[Path | None, typer.Option(metavar="FILE", help="symbol, sector and optionally valid_from.")] = None,
    universe: Annotated[Path | None, typer.Option(metavar="FILE", help="symbol and optionally start, end (the first day outside).")] = None,
    benchmark: Annotated[Path | None, typer.Option(metavar="FILE", help="date and return, or date and close.")] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the universe (else sp500) or the benchmark (else data.benchmark).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check and store files, then publish. Bad rows go to quarantine with a reason; importing twice changes nothing.

    Exit code 0: all in order. 1: stored, but something in the files wants a look. 2: a file is unusable and was left out.
    """
    from mech_exo.datasource.importer import ImportRequest, run_import
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.datasource.storage.publish import snapshot_folder
    from mech_exo.domain.errors import InputError
    from mech_exo.domain.panel import PriceBasis
    from mech_exo.utils.config import load
    from mech_exo.utils.settings import Config

    if name is not None and universe is not None and benchmark is not None:
        raise InputError("--name names one thing; --universe and --benchmark are both given", remedy="import them one after the other")
    place = home()
    config = load(place) if (place / "config").is_dir() else Config()
    request = ImportRequest(
        bars=tuple(path.expanduser() for path in files or ()),
        fundamentals=tuple(path.expanduser() for path in fundamentals or ()),
        price_basis=PriceBasis.SPLIT_ADJUSTED if adjusted is Adjusted.SPLIT else PriceBasis.AS_TRADED,
        table=table,
        source=source,
        news=None if news is None else news.expanduser(),
        sectors=sectors,
        universe=universe,
        universe_name=name or "sp500",
        benchmark=benchmark,
        benchmark_name=name or config.data.benchmark or "SPY",
    )
    fresh = not (place / "config").is_dir() and not DataStorage.path_in(place).exists()
    first = not snapshot_folder(DataStorage.path_in(place)).exists()
    with writer() as storage, console().status("opening the store") as status:
        if fresh:
            _say_where(place)
        report = run_import(storage, request, status.update, config)
    emit({**_as_mapping(report), "attention": report.attention}, as_json, lambda paper: _show_report(paper, report))
    if first and report.snapshot is not None:
        hints.say(hints.after_import(place), as_json=as_json)
    if report.attention:
        raise typer.Exit(LOOK_AT_IT)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Coverage, staleness, quarantine and labels of the published store."""
    with reader() as storage:
        found = storage.status()
    emit(found, as_json, lambda paper: _show_status(paper, found))


@app.command()
def quarantine(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many of the newest rows.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """The rows that were refused, and why; newest first."""
    with reader() as storage:
        rows = storage.quarantine(limit)

    def render(paper: Console) -> None:
        from rich.table import Table

        table = Table("reason", "file", "row", title=f"{rows.height} quarantined rows, newest first")
        for row in rows.iter_rows(named=True):
            table.add_row(row["reason"], row["file"], row["row"])
        paper.print(table, highlight=False, markup=False)

    emit(rows, as_json, render)


for command in (data_store.publish, data_store.diff, data_store.backup, data_store.restore):
    app.command()(command)


def _say_where(place: Path) -> None:
    """A folder without configuration may be the wrong one: say, once, that a store was made in it."""
    text = f"{place} has no configuration yet: a new store was made in {place / 'data'}; its configuration comes with: exo init {place}"
    console().print(text, highlight=False, markup=False, soft_wrap=True)


def _as_mapping(report: ImportReport) -> dict[str, object]:
    from mech_exo.cli.data_quality import in_short

    shown = {"bars": report.bars, "facts": report.facts, "quality": in_short(report.quality)}
    return {**shown, "snapshot": report.snapshot, "seconds": report.seconds}


def _show_report(paper: Console, report: ImportReport) -> None:
    from rich.table import Table

    from mech_exo.cli.data_quality import in_words

    for summary in report.bars:
        paper.print(_bars_table(summary))
    if report.facts:
        table = Table("facts", "rows", "new", "restated", "unchanged", title="Other facts")
        for fact in report.facts:
            table.add_row(fact.kind, *(f"{value:,}" for value in (fact.rows, fact.new, fact.restated, fact.unchanged)))
        paper.print(table)
    for text in (*report.notices, *(f"look at this: {text}" for text in report.attention)):
        paper.print(text, highlight=False, markup=False, soft_wrap=True)
    paper.print(in_words(report.quality), highlight=False, markup=False, soft_wrap=True)
    paper.print(f"snapshot {report.snapshot}, {report.seconds:.1f} s", highlight=False)


def _bars_table(summary: ImportSummary) -> Table:
    from rich.table import Table

    table = Table("", "", title=f"{summary.file or summary.source}", show_header=False)
    lines = {
        "source": summary.source,
        "rows read": f"{summary.rows:,}",
        "stored new": f"{summary.new:,}",
        "restated": f"{summary.restated:,}",
        "unchanged": f"{summary.unchanged:,}",
        "identical doubles": f"{summary.duplicates:,}",
        "symbols": f"{summary.symbols:,}",
        "span": f"{summary.first} to {summary.last}",
        "splits, dividends": f"{summary.actions:,}",
        "sectors": f"{summary.sectors:,}",
        **{f"quarantined: {reason}": f"{count:,}" for reason, count in summary.quarantined.items()},
        "seconds": f"{summary.seconds:.2f}",
    }
    for label, value in lines.items():
        table.add_row(label, value)
    return table


def _show_status(paper: Console, found: Status) -> None:
    from rich.table import Table

    table = Table("", "", title="Market data", show_header=False)
    stale = "nothing stored" if found.stale_sessions is None else f"{found.stale_sessions} sessions behind the exchange"
    lines = {
        "snapshot": found.snapshot or "none",
        "bars": f"{found.bars:,} of {found.symbols:,} symbols, {found.restated:,} restatements",
        "span": f"{found.first} to {found.last} ({stale})",
        "sources": _listed(found.sources),
        "splits, dividends, delistings": _listed(found.actions),
        "sectors": f"{found.sectors:,} symbols" + (", backfilled" if found.sectors_backfilled else ""),
        "universes": _listed(found.universes),
        "benchmarks": ", ".join(f"{name} {first} to {last}" for name, (first, last) in found.benchmarks.items()) or "none",
        "fundamentals, headlines": f"{found.fundamentals:,}, {found.news:,}",
        "flagged": _listed(found.flagged),
        "quarantined": _listed(found.quarantined),
        "last recorded": f"{found.last_recorded:%Y-%m-%d %H:%M} UTC" if found.last_recorded else "never",
    }
    for label, value in lines.items():
        table.add_row(label, value)
    paper.print(table)
    years = Table("year", "bars", "symbols", title="Coverage")
    for year, (bars, symbols) in found.bars_by_year.items():
        years.add_row(str(year), f"{bars:,}", f"{symbols:,}")
    paper.print(years)
    for text in found.warnings:
        paper.print(text, highlight=False, markup=False, soft_wrap=True)


def _listed(counts: Mapping[str, int | str] | Mapping[str, int] | Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}" for name, value in counts.items()) or "none"
