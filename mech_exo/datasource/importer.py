"""Files in, facts stored, snapshot published: what ``exo data import`` does."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from mech_exo.datasource.file_forms import form_of, read_form, with_symbol
from mech_exo.domain.errors import InputError, MechExoError
from mech_exo.domain.panel import PriceBasis
from mech_exo.utils.settings import Config
from mech_exo.utils.source_settings import BarsFrom

if TYPE_CHECKING:
    from mech_exo.datasource.quality import QualityReport
    from mech_exo.datasource.storage import DataStorage, FactSummary, ImportSummary

ENDINGS = (".csv.gz", ".csv", ".parquet")


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import: places with bars (files, folders, Stooq's .zip, a DuckDB file and its ``table``), files of
    fundamentals, and at most one file each of news, sectors, a universe's members and a benchmark.

    ``source`` None: each file's own name. Stooq's prices are split-adjusted, whatever the basis.
    """

    bars: tuple[Path, ...] = ()
    fundamentals: tuple[Path, ...] = ()
    table: str | None = None
    price_basis: PriceBasis = PriceBasis.AS_TRADED
    source: str | None = None
    news: Path | None = None
    sectors: Path | None = None
    universe: Path | None = None
    universe_name: str = "sp500"
    benchmark: Path | None = None
    benchmark_name: str = "SPY"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a request: one summary per file, how the data stand now, the published snapshot (its hash), seconds of wall clock."""

    bars: tuple[ImportSummary, ...]
    facts: tuple[FactSummary, ...]
    quality: QualityReport
    snapshot: str
    seconds: float

    @property
    def notices(self) -> tuple[str, ...]:
        """What is merely worth knowing, in all files."""
        return tuple(text for summary in self.bars for text in summary.notices) + tuple(
            text for fact in self.facts for text in fact.notices
        )

    @property
    def attention(self) -> tuple[str, ...]:
        """What a person should look at, in all files."""
        return tuple(f"{summary.file}: {text}" for summary in self.bars for text in summary.attention)


def run_import(
    storage: DataStorage, request: ImportRequest, progress: Callable[[str], None] = lambda _: None, config: Config | None = None
) -> ImportReport:
    """Import everything ``request`` names, assess the data by the rules of ``config`` (None: the defaults), and publish.

    Every file is a transaction of its own. When one fails, what was stored before it stays, is assessed and published. ``progress`` is told
    what happens next.

    Raises
    ------
    InputError
        A file is missing, empty, unreadable or unusable, or nothing is requested.
    """
    if not (request.bars or request.fundamentals or request.news or request.sectors or request.universe or request.benchmark):
        remedy = "exo data import FILE…   (or --fundamentals, --news, --sectors, --universe, --benchmark FILE)"
        raise InputError("an import needs at least one file", remedy=remedy)
    began = time.perf_counter()
    bars: list[ImportSummary] = []
    facts: list[FactSummary] = []
    try:
        for path in request.bars:
            progress(f"importing {path.name}")
            bars.append(_import_bars(storage, path, request))
        for path in request.fundamentals:
            progress(f"importing {path.name}")
            facts.append(_import_fundamentals(storage, path, request))
        if request.news is not None:
            progress("importing news")
            facts.append(_import_news(storage, request.news, request.source, (config or Config()).data.sentiment))
        if request.sectors is not None:
            progress("importing sectors")
            facts.append(_named(request.sectors, storage.store_sectors))
        if request.universe is not None:
            progress(f"importing the universe {request.universe_name}")
            facts.append(_named(request.universe, lambda frame: storage.store_universe(frame, name=request.universe_name)))
        if request.benchmark is not None:
            progress(f"importing the benchmark {request.benchmark_name}")
            facts.append(_named(request.benchmark, lambda frame: storage.store_benchmark(frame, name=request.benchmark_name)))
    except MechExoError:
        if bars or facts:
            _assess(storage, config, progress)
            storage.publish()
        raise
    quality = _assess(storage, config, progress)
    progress("publishing")
    return ImportReport(tuple(bars), tuple(facts), quality, storage.publish().hash, time.perf_counter() - began)


def _assess(storage: DataStorage, config: Config | None, progress: Callable[[str], None]) -> QualityReport:
    from mech_exo.datasource.quality import assess

    return assess(storage, config or Config(), now=datetime.now(UTC), progress=progress)


def read_table(path: Path) -> pl.DataFrame:
    """The rows of a CSV, CSV.gz or Parquet file. CSV cells stay text here, so that what is no number can be shown as it stands.

    Raises
    ------
    InputError
        The file is missing, empty, of another kind or damaged.
    """
    if not path.is_file():
        raise InputError(f"a file to import must exist; {path} does not" if not path.exists() else f"a file is needed; {path} is a folder")
    if not path.name.lower().endswith(ENDINGS):
        raise InputError(
            f"a file to import ends in {', '.join(ENDINGS)}; got {path.name}", remedy="convert it, e.g. to CSV with a header line"
        )
    if path.stat().st_size == 0:
        raise InputError(f"a file to import must not be empty; {path} has 0 bytes", remedy="fetch it again")
    try:
        return pl.read_parquet(path, glob=False) if path.suffix.lower() == ".parquet" else pl.read_csv(path, infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path} cannot be read as {'Parquet' if path.suffix.lower() == '.parquet' else 'CSV'}: {why}", remedy="fetch it again"
        ) from error


def source_of(path: Path) -> str:
    """The source's name when none is given: the file's or folder's, without its ending."""
    name = path.resolve().name.lower()
    return next((name.removesuffix(ending) for ending in (*ENDINGS, ".zip", ".txt", ".duckdb", ".db") if name.endswith(ending)), name)


def _import_bars(storage: DataStorage, path: Path, request: ImportRequest) -> ImportSummary:
    form = form_of(path)
    single = path.is_file() and form in (BarsFrom.CSV, BarsFrom.PARQUET)
    frame = read_table(path) if single else read_form(form, path, table=request.table)
    source = request.source or source_of(path)
    basis = PriceBasis.SPLIT_ADJUSTED if form is BarsFrom.STOOQ else request.price_basis
    with _naming(path):
        if single:
            frame = with_symbol(frame, path)
        return storage.store_ohlc_data(frame, source=source, price_basis=basis, file=path.name)


def _import_news(storage: DataStorage, path: Path, source: str | None, sentiment: str) -> FactSummary:
    from mech_exo.datasource.news_file import news_rows

    frame = read_table(path)
    with _naming(path):
        rows, notices = news_rows(frame, source or source_of(path), now=datetime.now(UTC))
        summary = storage.store_news(rows, sentiment=sentiment)
    return dataclasses.replace(summary, notices=(*summary.notices, *notices))


def _import_fundamentals(storage: DataStorage, path: Path, request: ImportRequest) -> FactSummary:
    from mech_exo.datasource.accounts.files import read_facts

    frame = read_table(path)
    with _naming(path):
        file = read_facts(frame)
        summary = storage.store_fundamentals(file.rows, source=request.source or source_of(path), undated=file.undated)
    return dataclasses.replace(summary, notices=tuple(f"{path.name}: {text}" for text in (*file.notices, *summary.notices)))


def _named(path: Path, store: Callable[[pl.DataFrame], FactSummary]) -> FactSummary:
    frame = read_table(path)
    with _naming(path):
        return store(frame)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """An input error says which file it is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path.name}: {error.message}", remedy=error.remedy) from error
