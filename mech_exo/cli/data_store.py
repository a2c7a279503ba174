"""What is done with the store as a whole: publish, back up, restore, and tell two of its states apart (``exo data …``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mech_exo.cli import complete, home
from mech_exo.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from rich.console import Console

    from mech_exo.datasource.storage import DataStorage, Difference
    from mech_exo.datasource.storage.publish import SnapshotRef
    from mech_exo.utils.settings import Config


def publish(as_json: JsonOption = False) -> None:
    """Assess what is new and publish the store as a read-only snapshot; the same content changes nothing."""
    with writer(existing=True) as storage:
        reference = published(storage)
    text = f"snapshot {reference.hash} {'published' if reference.fresh else 'is up to date'}"
    emit(reference, as_json, lambda paper: paper.print(text, highlight=False))


def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A new file, or a folder.")], as_json: JsonOption = False
) -> None:
    """Copy the store, with its SHA-256 beside it. Never overwrites."""
    with writer(existing=True) as storage:
        written = storage.backup(destination.expanduser().absolute())
    emit({"backup": written}, as_json, lambda paper: paper.print(f"wrote {written}", highlight=False, markup=False, soft_wrap=True))


def restore(
    backup_file: Annotated[Path, typer.Argument(metavar="SRC", help="A file made by exo data backup.")],
    yes: Annotated[bool, typer.Option("--yes", help="Replace the present store, which is kept beside it as .replaced.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Verify a backup, read it to its end, put it in place, assess and publish it."""
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.datasource.storage.publish import restore as put_back

    database = DataStorage.path_in(home())
    rows = put_back(backup_file.expanduser().absolute(), database, overwrite=yes)
    with writer() as storage:
        reference = published(storage)
    said = f"restored {sum(rows.values())} rows to {database}; snapshot {reference.hash}"
    emit(
        {"rows": rows, "snapshot": reference.hash}, as_json, lambda paper: paper.print(said, highlight=False, markup=False, soft_wrap=True)
    )


def diff(
    as_of: Annotated[
        list[datetime] | None, typer.Option("--as-of", formats=["%Y-%m-%d"], metavar="DATE", help="A session; give it twice: from A to B.")
    ] = None,
    recorded_by: Annotated[
        list[str] | None,
        typer.Option("--recorded-by", metavar="TIME", help="See nothing stored later: 2026-11-25T21:30 (UTC); twice: one for each side."),
    ] = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option("--symbol", metavar="SYMBOL", autocompletion=complete.symbols, help="Only this name; may be repeated."),
    ] = None,
    table: Annotated[list[str] | None, typer.Option("--table", metavar="NAME", help="Only this table, e.g. bars; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="Changes shown of each kind and table; all are counted.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """What changed between two looks at the published store: facts that are new, restated (old and new value) or no longer seen.

    The world moved: --as-of 2026-11-24 --as-of 2026-11-25. We learned: --recorded-by 2026-11-24T22:00 --recorded-by 2026-11-25T22:00.
    """
    from mech_exo.domain.errors import InputError

    days = [moment.date() for moment in as_of or ()]
    moments = [_instant(text) for text in recorded_by or ()]
    if max(len(days), len(moments)) != 2 or len(days) > 2 or len(moments) > 2:
        raise InputError(
            f"two states are compared; got {len(days)} × --as-of and {len(moments)} × --recorded-by",
            remedy="exo data diff --as-of 2026-11-24 --as-of 2026-11-25   (or two --recorded-by)",
        )
    with reader() as storage:
        sides = zip(_both(days), _both(moments), strict=True)
        before, after = (storage.view(day, recorded_by=moment) for day, moment in sides)
        found = before.diff(after, tables=table, symbols=symbol, limit=limit)
    emit(found, as_json, lambda paper: _show_differences(paper, found))


def writer(*, existing: bool = False) -> DataStorage:
    """The workspace's store, to be written; ``existing``: it must be there."""
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.domain.errors import MissingDataError

    database = DataStorage.path_in(home())
    if existing and not database.exists():
        raise MissingDataError(f"market data must be imported first; {database} does not exist", remedy="exo data import FILE…")
    return DataStorage(database)


def published(storage: DataStorage, progress: Callable[[str], None] = lambda _: None) -> SnapshotRef:
    """Assess the data and publish them: no snapshot goes out without verdicts."""
    from mech_exo.datasource.quality import assess

    assess(storage, configured(), now=datetime.now(UTC), progress=progress)
    progress("publishing")
    return storage.publish()


def unpublished(storage: DataStorage) -> bool:
    """Whether something is stored that the snapshot lacks: an import or update that was broken off before it published."""
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.domain.errors import MissingDataError

    try:
        with DataStorage.snapshot(home()) as seen:
            return seen.last_recorded() != storage.last_recorded()
    except MissingDataError:
        return bool(storage.reach().last)


def configured() -> Config:
    """The workspace's configuration; the defaults where it has none."""
    from mech_exo.utils.config import load
    from mech_exo.utils.settings import Config

    return load(home()) if (home() / "config").is_dir() else Config()


def reader() -> DataStorage:
    """The workspace's published store."""
    from mech_exo.datasource.storage import DataStorage

    return DataStorage.snapshot(home())


def _instant(text: str) -> datetime:
    from mech_exo.domain.errors import InputError

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"--recorded-by is a time like 2026-11-25T21:30 (UTC) or 2026-11-25T16:30-05:00; got {text!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _both(given: Sequence[Any]) -> tuple[Any, Any]:
    """What was given for the two sides: none for both, one for both, one each."""
    return (given[0], given[-1]) if given else (None, None)


def _show_differences(paper: Console, found: Sequence[Difference]) -> None:
    from rich.table import Table
    from rich.text import Text

    from mech_exo.datasource.storage.facts import ALWAYS

    if not found:
        paper.print("nothing changed between the two", highlight=False)
    for difference in found:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in difference.counts.items())
        table = Table("change", "what", "before", "after", "known", "recorded (UTC)", title=f"{difference.table}: {counts}")
        for change in difference.changes:
            clocks = (f"{moment:%Y-%m-%d %H:%M}" if moment.year > 1900 else "always" for moment in (change.known_at, change.recorded_at))
            what = " ".join("always" if value == ALWAYS else str(value) for value in change.key.values())
            table.add_row(change.kind.value, *(Text(text) for text in (what, _told(change.old), _told(change.new))), *clocks)
        if difference.changes:
            paper.print(table)
        else:
            paper.print(f"{difference.table}: {counts}", highlight=False, markup=False)
        left = sum(difference.counts.values()) - len(difference.changes)
        if left:
            paper.print(f"and {left:,} more: --limit shows them", highlight=False)


def _told(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:,.10g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items() if value is not None
    )
