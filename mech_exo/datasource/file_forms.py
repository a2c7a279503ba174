"""Bars out of other people's files, in whatever form they lie about: rows under our column names, nothing judged yet."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from datetime import date
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile

import polars as pl

from mech_exo.datasource.base import BAR_EXTRAS, BARS
from mech_exo.datasource.columns import ALIASES, renamed
from mech_exo.datasource.fetching import SYMBOL
from mech_exo.domain.errors import InputError, cut
from mech_exo.utils.source_settings import BarsFrom

if TYPE_CHECKING:
    from zipfile import ZipInfo

STOOQ = {"<TICKER>": "symbol", "<DATE>": "date", "<OPEN>": "open", "<HIGH>": "high", "<LOW>": "low", "<CLOSE>": "close", "<VOL>": "volume"}
TABLES = (".csv", ".csv.gz")
ENDINGS = {
    ".zip": BarsFrom.STOOQ, ".txt": BarsFrom.STOOQ, ".parquet": BarsFrom.PARQUET, ".duckdb": BarsFrom.DUCKDB, ".db": BarsFrom.DUCKDB,
}  # fmt: skip
SYMBOL_NAMES, DATE_NAMES = ("symbol", *ALIASES["symbol"]), ("date", *ALIASES["date"])
LARGEST_MEMBER = 256 * 2**20
CHUNK = 64 * 2**20
FILE = "_file"
Names = Collection[str] | None


def form_of(path: Path) -> BarsFrom:
    """What lies at ``path``, by its ending and, for a folder, by what is in it.

    Raises
    ------
    InputError
        Nothing is there, or nothing that could hold bars.
    """
    refuse_absent(path)
    name = path.name.lower()
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.is_file() and not one.name.startswith("."))
        for one in files:
            if one.suffix.lower() == ".txt":
                return BarsFrom.STOOQ
            if one.name.lower().endswith(TABLES):
                return BarsFrom.STOOQ if _header(one).startswith("<TICKER>") else BarsFrom.CSV
            if one.suffix.lower() == ".parquet":
                return BarsFrom.PARQUET
        raise InputError(
            f"a folder of bars holds .csv, .csv.gz, .parquet or Stooq's .txt files; {path} holds none", remedy="name the folder they lie in"
        )
    if path.suffix.lower() in ENDINGS:
        return ENDINGS[path.suffix.lower()]
    if name.endswith(TABLES):
        return BarsFrom.STOOQ if _header(path).startswith("<TICKER>") else BarsFrom.CSV
    raise InputError(f"bars come in .csv, .csv.gz, .parquet, .zip, .txt or .duckdb files or in folders of them; got {path.name}")


def refuse_absent(path: Path) -> None:
    """Raise InputError when nothing lies at ``path``."""
    if not path.exists():
        raise InputError(f"a place to import bars from must exist; {path} does not")


def read_form(
    form: BarsFrom, path: Path, symbols: Names = None, start: date | None = None, table: str | None = None
) -> pl.DataFrame:
    """The rows of ``symbols`` (None: all) under the names of BARS and BAR_EXTRAS, their values as they stand in the files.

    Rows whose date is readable and before ``start`` may be left out, so that a night needs no memory for ten years.

    Raises
    ------
    InputError
        The place is missing, empty, of another form, or holds names or files that cannot be trusted.
    """
    refuse_absent(path)
    if form is BarsFrom.STOOQ:
        return _stooq(path, symbols, start)
    if form is BarsFrom.DUCKDB:
        from mech_exo.datasource.file_duckdb import read_duckdb

        return _only(read_duckdb(path, table), symbols)
    return _tables(path, form, symbols, start)


def _tables(path: Path, form: BarsFrom, symbols: Names, start: date | None) -> pl.DataFrame:
    """One file, or a folder of files: in long form, or one per symbol and named after it."""
    endings = (".parquet",) if form is BarsFrom.PARQUET else TABLES
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file() and one.name.lower().endswith(endings))
    if not files:
        raise InputError(f"a folder of {form} files must hold one ending in {' or '.join(endings)}; {path} holds none")
    wanted = [one for one in files if symbols is None or symbol_in(one.name) in symbols or _is_long(one, form)]
    groups: dict[str, list[Path]] = {}
    for one in wanted:
        groups.setdefault(str(_parquet_schema(one)) if form is BarsFrom.PARQUET else _header(one), []).append(one)
    frames = [_one_header(group, form, symbols, start) for group in groups.values()]
    frames = [frame for frame in frames if frame.width]
    if not frames:
        return pl.DataFrame(schema=BARS)
    return pl.concat(frames, how="diagonal_relaxed")


def _one_header(files: list[Path], form: BarsFrom, symbols: Names, start: date | None) -> pl.DataFrame:
    """Files with the same columns, read at once; without a column for the symbol the file's name is it."""
    filled = [one for one in files if one.stat().st_size]
    if not filled:
        return pl.DataFrame()
    try:
        if form is BarsFrom.PARQUET:
            rows = _since(pl.scan_parquet(filled, glob=False, include_file_paths=FILE), start).collect()
        else:
            rows = _csv(filled, start)
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        which = f"{filled[0]}" + (f" or one of {len(filled) - 1} more" if len(filled) > 1 else "")
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{which} cannot be read: {why}", remedy="fetch it again") from error
    if not _names_symbols(rows.columns):
        names = pl.DataFrame({FILE: [str(one) for one in filled], "symbol": [named_after(one) for one in filled]})
        rows = rows.join(names, on=FILE, how="left", maintain_order="left")
    return _only(renamed(rows, BARS, BAR_EXTRAS, what=f"bars in {filled[0].name}"), symbols)


def with_symbol(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    """``rows`` of one file; without a column for the symbol, and only where its name is a ticker, the file's name is it."""
    if _names_symbols(rows.columns) or not SYMBOL.fullmatch(symbol_in(path.name)):
        return rows
    return rows.with_columns(symbol=pl.lit(symbol_in(path.name)))


def _csv(files: list[Path], start: date | None) -> pl.DataFrame:
    """Numbers where all are numbers; text, so that what is none can be shown as it stands, where one is not. A symbol is always text."""
    texts = {name.strip().strip('"'): pl.String for name in _header(files[0]).split(",") if _names_symbols([name])}
    try:
        rows = pl.scan_csv(files, schema_overrides=texts, infer_schema_length=200, glob=False, include_file_paths=FILE)
        return _since(rows, start).collect()
    except pl.exceptions.ComputeError:
        return _since(pl.scan_csv(files, infer_schema=False, glob=False, include_file_paths=FILE), start).collect()


def _since(rows: pl.LazyFrame, start: date | None) -> pl.LazyFrame:
    """``rows`` without those before ``start``, as far as their date can be read here."""
    columns = rows.collect_schema()
    dates = [name for name in columns if name.strip().lower() in DATE_NAMES]
    if start is None or len(dates) != 1:
        return rows
    day = pl.col(dates[0])
    if columns[dates[0]] == pl.String:
        return rows.filter(~day.str.contains(r"^\d{4}-\d{2}-\d{2}").fill_null(False) | (day >= start.isoformat()))
    return rows.filter(day.is_null() | (day.cast(pl.Date) >= start)) if columns[dates[0]].is_temporal() else rows


def _is_long(path: Path, form: BarsFrom) -> bool:
    columns = list(_parquet_schema(path)) if form is BarsFrom.PARQUET else _header(path).split(",")
    return _names_symbols(columns)


def _parquet_schema(path: Path) -> dict[str, pl.DataType]:
    if not path.stat().st_size:
        return {}
    try:
        return dict(pl.scan_parquet(path, glob=False).collect_schema())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}", remedy="fetch it again") from error


def _names_symbols(columns: Iterable[str]) -> bool:
    return any(name.strip().strip('"').lower().replace(" ", "_") in SYMBOL_NAMES for name in columns)


def symbol_in(name: str) -> str:
    """The symbol a file is named after: ``aapl.us.txt`` and ``AAPL.csv.gz`` are AAPL, ``brk-b.us.txt`` is BRK.B."""
    stem = re.sub(r"(\.us)?(\.txt|\.csv|\.csv\.gz|\.parquet)$", "", PurePosixPath(name).name.lower())
    return re.sub(r"^([a-z]+)-([a-z])$", r"\1.\2", stem).upper()


def named_after(path: Path) -> str:
    """As :func:`symbol_in`. Raises InputError when the file's name could not be a ticker."""
    name = symbol_in(path.name)
    if not SYMBOL.fullmatch(name):
        raise InputError(
            f"a file without a column symbol is named after its symbol, 1 to 20 letters, digits or . ^ = -; got {cut(path.name)!r}",
            remedy="rename the file, or give it a column symbol",
        )
    return name


def _header(path: Path) -> str:
    import gzip

    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
                return file.readline(10_000).strip()
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.readline(10_000).strip()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}", remedy="fetch it again") from error


def _stooq(path: Path, symbols: Names, start: date | None) -> pl.DataFrame:
    """Stooq's ASCII files: one .txt, a folder tree of them, or the .zip they come in. Prices there are split-adjusted."""
    frames = [_since(_stooq_rows(chunk, path).lazy(), start).collect() for chunk in _chunks(_stooq_files(path, symbols))]
    if not frames:
        if symbols is not None:
            return pl.DataFrame(schema=BARS)
        raise InputError(f"Stooq's files begin with <TICKER>,<PER>,<DATE>; {path} holds none", remedy="fetch the ASCII daily file again")
    return _only(pl.concat(frames), symbols)


def _stooq_files(path: Path, symbols: Names) -> Iterator[bytes]:
    """The contents of the .txt files wanted, the empty ones that Stooq packs left out."""
    if path.is_dir():
        for one in sorted(path.rglob("*.txt")):
            if symbols is None or symbol_in(one.name) in symbols:
                yield one.read_bytes()
    elif path.suffix.lower() == ".zip":
        yield from _zipped(path, symbols)
    else:
        yield path.read_bytes()


def _zipped(path: Path, symbols: Names) -> Iterator[bytes]:
    try:
        with ZipFile(path) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            for one in members:
                _refuse_hostile(one, path)
            tables = [one for one in members if one.filename.lower().endswith(".txt")]
            if not tables:
                raise InputError(f"a .zip of bars holds Stooq's .txt files; {path.name} holds none", remedy="unpack it and name the folder")
            for one in tables:
                if symbols is None or symbol_in(one.filename) in symbols:
                    yield archive.read(one)
    except (BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise InputError(f"{path} cannot be read as a .zip: {error}", remedy="fetch it again") from error


def _refuse_hostile(member: ZipInfo, path: Path) -> None:
    """Nothing is ever unpacked to the disk; a file that would like to be elsewhere, or swells, is not to be trusted all the same."""
    name = member.orig_filename
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or re.search(r"[\x00-\x1f\\:]", name):
        raise InputError(f"files in a .zip stay inside it; {path.name} holds {cut(name)!r}", remedy="do not trust this file")
    if member.file_size > LARGEST_MEMBER:
        raise InputError(f"a file in a .zip has at most {LARGEST_MEMBER >> 20} MB; {cut(name)} has {member.file_size >> 20} MB")


def _chunks(files: Iterable[bytes]) -> Iterator[bytes]:
    """Files joined, each under the first one's header, in pieces that fit into memory."""
    parts: list[bytes] = []
    size = 0
    for content in files:
        header, _, rows = content.strip().partition(b"\n")
        if not rows:
            continue
        if not header.startswith(b"<TICKER>"):
            raise InputError(f"Stooq's files begin with <TICKER>,<PER>,<DATE>; got {cut(header.decode(errors='replace'))!r}")
        parts.append((header.strip() + b"\n" if not parts else b"") + rows.strip() + b"\n")
        size += len(parts[-1])
        if size >= CHUNK:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


def _stooq_rows(content: bytes, path: Path) -> pl.DataFrame:
    try:
        rows = pl.read_csv(BytesIO(content), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path} cannot be read as Stooq's ASCII: {str(error).splitlines()[0]}", remedy="fetch it again") from error
    lacking = [name for name in (*STOOQ, "<PER>") if name not in rows.columns]
    if lacking:
        raise InputError(f"Stooq's files have the columns {', '.join(STOOQ)}; missing: {', '.join(lacking)}")
    other = rows.filter(pl.col("<PER>") != "D")
    if other.height:
        raise InputError(f"bars are daily, <PER> is D; got {cut(other['<PER>'][0])!r}", remedy="fetch Stooq's daily files")
    day = pl.col("date").str.replace(r"^(\d{4})(\d{2})(\d{2})$", "${1}-${2}-${3}")
    share = pl.col("symbol").str.to_uppercase().str.replace(r"\.US$", "").str.replace(r"^([A-Z]+)-([A-Z])$", "${1}.${2}")
    return rows.select(pl.col(theirs).alias(ours) for theirs, ours in STOOQ.items()).with_columns(day, share)


def _only(rows: pl.DataFrame, symbols: Names) -> pl.DataFrame:
    """The rows of ``symbols``, compared in capitals."""
    if symbols is None:
        return rows
    return rows.filter(pl.col("symbol").cast(pl.String).str.strip_chars().str.to_uppercase().is_in(list(symbols)))
