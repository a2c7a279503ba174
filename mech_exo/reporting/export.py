"""What the ledger holds as files for a spreadsheet or a notebook: one file a kind, whole or not at all, never outside its folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mech_exo.domain.errors import MissingDataError, UserError, cut
from mech_exo.reporting.export_tables import TABLES, Asked, Kind
from mech_exo.utils.durable import flush_file, flush_folder
from mech_exo.utils.log import mask, mask_accounts

if TYPE_CHECKING:
    import polars as pl

    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.rows import BookId
    from mech_exo.reporting.dashboard.house import House

__all__ = ["Exported", "Format", "Kind", "Wanted", "export"]


class Format(StrEnum):
    """How the files are written."""

    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to write, and where: ``kinds`` from ``first`` to ``last`` (both included, None: all) as ``format`` into ``folder``.

    ``force`` replaces files that are there; ``with_account`` writes account numbers out, which are masked otherwise.
    """

    kinds: tuple[Kind, ...]
    folder: Path
    format: Format = Format.CSV
    first: date | None = None
    last: date | None = None
    force: bool = False
    with_account: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, and how many rows it holds."""

    kind: Kind
    path: Path
    rows: int


def export(house: House, ledger: Ledger, book: BookId, wanted: Wanted) -> tuple[Exported, ...]:
    """Write the files, named by kind and by the booked sessions they cover; all of them appear, or none.

    Raises
    ------
    MissingDataError
        Nothing is booked in these days.
    UserError
        A file is there already and is not to be replaced, or the folder is none or cannot be written.
    """
    first, last = _covered(ledger, book, wanted)
    asked = Asked(house, ledger, book, first, last, wanted.first, wanted.last)
    targets = {kind: wanted.folder / f"{kind}_{first}_{last}.{wanted.format}" for kind in dict.fromkeys(wanted.kinds)}
    there = sorted(path.name for path in targets.values() if os.path.lexists(path))
    if there and not wanted.force:
        raise UserError(
            f"an export replaces no file; {', '.join(there)} in {wanted.folder}", remedy="--force replaces, --out names another"
        )
    try:
        return _write(asked, wanted, targets)
    except OSError as error:
        raise UserError(f"the folder of an export must be writable; {wanted.folder}: {error.strerror}", remedy="--out FOLDER") from error


def _covered(ledger: Ledger, book: BookId, wanted: Wanted) -> tuple[date, date]:
    """The first and last booked session that is asked for."""
    days = [one.session for one in ledger.day_history(book)]
    if not days:
        raise MissingDataError(f"an export needs booked sessions; {book} has none", remedy="exo run --mode paper --date YYYY-MM-DD")
    chosen = [day for day in days if (wanted.first is None or day >= wanted.first) and (wanted.last is None or day <= wanted.last)]
    if not chosen:
        asked = f"{wanted.first or 'the start'} to {wanted.last or 'the end'}"
        raise MissingDataError(f"no session of {book} is booked from {asked}; {days[0]} to {days[-1]} are", remedy="--range all")
    return chosen[0], chosen[-1]


def _write(asked: Asked, wanted: Wanted, targets: dict[Kind, Path]) -> tuple[Exported, ...]:
    wanted.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        done: list[tuple[Kind, Path, int]] = []
        for kind in targets:
            handle, name = tempfile.mkstemp(prefix=f".{kind}.", suffix=".partial", dir=wanted.folder)
            partial = Path(name)
            stack.callback(_gone, partial)
            with os.fdopen(handle, "wb") as file:
                rows = _stream(file, _told(asked, kind, with_account=wanted.with_account), wanted.format)
                flush_file(file)
            done.append((kind, partial, rows))
        for kind, partial, _ in done:
            partial.replace(targets[kind])
        flush_folder(wanted.folder)
    return tuple(Exported(kind, targets[kind], rows) for kind, _, rows in done)


def _gone(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()


def _told(asked: Asked, kind: Kind, *, with_account: bool) -> Iterator[pl.DataFrame]:
    """The table with whose it is in front; unless asked for, no account number is in any text of it, and no secret."""
    import polars as pl

    account = asked.book.account if with_account else mask_accounts(asked.book.account)
    for frame in TABLES[kind](asked):
        texts = [] if with_account else [name for name, type_ in frame.schema.items() if type_ == pl.String and name not in CLEAN]
        shown = frame.with_columns(pl.col(name).map_elements(_masked, pl.String) for name in texts)
        yield shown.select(pl.lit(account).alias("account"), pl.lit(asked.book.strategy).alias("strategy"), pl.all())


CLEAN = frozenset(
    {"symbol", "fill_id", "order_id", "state", "reason", "type", "method", "binding", "unit", "status", "stop_reason", "sector"}
)
"""Texts of our own making, in which nothing can hide; the others are searched cell by cell."""


def _masked(text: str) -> str:
    return mask(mask_accounts(text))


def _stream(file: IO[bytes], frames: Iterator[pl.DataFrame], format_: Format) -> int:
    """Write ``frames`` one after the other; returns the rows written."""
    return _csv(file, frames) if format_ is Format.CSV else _parquet(file, frames)


def _csv(file: IO[bytes], frames: Iterator[pl.DataFrame]) -> int:
    from mech_exo.reporting.formulas import guarded

    rows = 0
    for place, frame in enumerate(frames):
        text: Any = guarded(frame).write_csv(include_header=place == 0, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ", quote_style="non_numeric")
        file.write(text.encode())
        rows += frame.height
    return rows


def _parquet(file: IO[bytes], frames: Iterator[pl.DataFrame]) -> int:
    import pyarrow.parquet as pq

    rows, writer = 0, None
    try:
        for frame in frames:
            table = frame.to_arrow()
            writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table)
            rows += frame.height
    finally:
        if writer is not None:
            writer.close()
    return rows


def kinds_of(words: Sequence[str]) -> tuple[Kind, ...]:
    """The kinds named in ``words``, e.g. ``fills,nav`` or ``all``. Raises UserError for one there is none of."""
    names = [word.strip().lower() for text in words for word in text.split(",") if word.strip()]
    known = {kind.value for kind in Kind}
    wrong = [name for name in names if name not in known and name != "all"]
    if wrong or not names:
        said = f"what is exported is of {', '.join(sorted(known))} or all; got {cut(', '.join(wrong) or 'nothing')}"
        raise UserError(said, remedy="--what fills,nav")
    return tuple(Kind) if "all" in names else tuple(dict.fromkeys(Kind(name) for name in names))
