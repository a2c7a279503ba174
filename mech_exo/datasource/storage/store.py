"""The face of the store: open it, store facts, publish it, look at it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from mech_exo.datasource.fetching import Outcome
from mech_exo.datasource.sentiment import Scorer, scorer
from mech_exo.datasource.storage import arrivals, bars, facts, others, publish, reach
from mech_exo.datasource.storage.connection import WriterLock, connect, speaking
from mech_exo.datasource.storage.publish import SnapshotRef
from mech_exo.datasource.storage.quality import QualityTables, assessed_at
from mech_exo.datasource.storage.status import quarantined_rows, sources, status
from mech_exo.datasource.storage.summary import FactSummary, ImportSummary, Status
from mech_exo.datasource.storage.view import IMPORT_COMMAND, StoreView
from mech_exo.domain.errors import InputError, MissingDataError, StoreError
from mech_exo.domain.panel import PriceBasis
from mech_exo.utils.settings import Sentiment
from mech_exo.utils.workspace import home_folder

FILE = Path("data") / "mech_exo.duckdb"


@speaking
class DataStorage:
    """The market-data store of a workspace. Use it as a context manager, or call :meth:`close`.

    Parameters
    ----------
    path
        The DuckDB file; default ``data/mech_exo.duckdb`` of the workspace (``$EXO_HOME``, else the current folder).
    read_only
        True opens it for reading, which fails while a writer has it open: readers use :meth:`snapshot`. False takes the writer's lock and
        creates or migrates the file.

    Raises
    ------
    StoreError
        Another writer holds the store, or it is damaged or newer than this program.
    MissingDataError
        Read-only and the file does not exist.
    """

    def __init__(self, path: str | Path | None = None, *, read_only: bool = False) -> None:
        self.path = Path(path).expanduser().absolute() if path is not None else self.path_in(home_folder())
        self.read_only = read_only
        self._grid: Path | None = None
        self._lock = WriterLock(self.path)
        if not read_only:
            self._lock.take()
        try:
            self._con = connect(self.path, read_only=read_only)
        except BaseException:
            self._lock.release()
            raise

    @staticmethod
    def path_in(home: Path) -> Path:
        """The database of the workspace ``home``."""
        return home.expanduser().absolute() / FILE

    @classmethod
    def snapshot(cls, home: Path) -> DataStorage:
        """The latest published snapshot of the workspace ``home``, read-only: never in the writer's way.

        Raises
        ------
        MissingDataError
            Nothing was published yet. The remedy: publish where bars are stored; import where none are, as after a broken-off import.
        """
        database = cls.path_in(home)
        path = publish.current(database)
        if path is None:
            remedy = "exo data publish" if database.exists() and publish.holds_bars(database) else IMPORT_COMMAND
            raise MissingDataError(
                f"market data must be imported and published first; {publish.snapshot_folder(database)} has no snapshot", remedy=remedy
            )
        storage = cls(path, read_only=True)
        storage._grid = publish.grid_folder(path)
        return storage

    def close(self) -> None:
        """Close the file and give the writer's lock back."""
        self._con.close()
        self._lock.release()

    def __enter__(self) -> DataStorage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def view(self, as_of: date | None = None, *, recorded_by: datetime | None = None) -> StoreView:
        """The store as known at the close of ``as_of`` (None: now) and recorded by ``recorded_by`` (None: now); see :class:`StoreView`."""
        return StoreView(self._con.cursor(), as_of, recorded_by, self._grid, self.path)

    def publish(self) -> SnapshotRef:
        """Publish the store as an atomic read-only snapshot with its arrays; the same content again changes nothing."""
        self._writing()
        return publish.publish(self._con, self.path)

    def store_ohlc_data(
        self,
        frame: Any,
        *,
        source: str = "user",
        price_basis: PriceBasis | str = PriceBasis.AS_TRADED,
        recorded_at: datetime | None = None,
        file: str = "",
    ) -> ImportSummary:
        """Store daily bars, and the splits, dividends and sectors that come with them, in one transaction.

        Parameters
        ----------
        frame
            Long Polars, pandas or Arrow frame: symbol, date, open, high, low, close (USD), volume (shares) and optionally split_ratio (new
            shares per old), dividend (USD per share), adj_close (a check only), sector; usual other names are understood.
        source
            Who says so. A source has one price basis.
        price_basis
            ``as_traded`` or ``split_adjusted``; splits of a split-adjusted source are in its prices already and are not stored.
        recorded_at
            Instant of storing (tz-aware), not before anything stored already; default now. A session closing later is in the future.
        file
            Name noted beside quarantined rows.

        Raises
        ------
        InputError
            A column is missing, the frame is empty, every row is refused, or the source has another price basis.
        """
        now = self._now(recorded_at)
        return bars.store(self._con, frame, bars.Origin(source, PriceBasis(price_basis), file), now=now)

    def store_corporate_actions(self, frame: Any, *, source: str = "user", recorded_at: datetime | None = None) -> FactSummary:
        """Store splits, dividends and delistings: symbol, date, kind, value (see ``base.ACTIONS``). Raises InputError for a bad row."""
        return others.store_actions(self._con, frame, source, self._now(recorded_at))

    def store_sectors(self, frame: Any, *, recorded_at: datetime | None = None) -> FactSummary:
        """Store sectors: symbol, sector, optional valid_from; undated ones count as known always, "backfilled". Raises InputError."""
        return others.store_sectors(self._con, frame, self._now(recorded_at))

    def store_universe(self, frame: Any, *, name: str, recorded_at: datetime | None = None) -> FactSummary:
        """Store the members of the universe ``name``: symbol, optional start and end (the first day outside). Raises InputError."""
        return others.store_universe(self._con, frame, name, self._now(recorded_at))

    def store_benchmark(self, frame: Any, *, name: str, recorded_at: datetime | None = None) -> FactSummary:
        """Store the benchmark ``name``: date and return (fraction), or date and close. Raises InputError for a bad row."""
        return others.store_benchmark(self._con, frame, name, self._now(recorded_at))

    def store_fundamentals(
        self, frame: Any, *, source: str = "user", undated: bool = False, recorded_at: datetime | None = None
    ) -> FactSummary:
        """Store reported figures (see ``base.FUNDAMENTALS``); ``source`` for rows that name none; ``undated``: their ``filed`` is an
        assumption, which every view says. Raises InputError for a bad row."""
        return others.store_fundamentals(self._con, frame, source, self._now(recorded_at), undated=undated)

    def store_news(self, frame: Any, *, sentiment: str = Sentiment.LINEAR, recorded_at: datetime | None = None) -> FactSummary:
        """Store headlines (see ``base.NEWS``), known from the moment they were published. Raises InputError for a bad row.

        ``sentiment`` names who scores what comes without a score, as in ``data.yml``.
        """
        return others.store_news(self._con, frame, self._now(recorded_at), scorer(sentiment))

    def score_news(self, judge: Scorer, *, recorded_at: datetime | None = None) -> FactSummary:
        """Score stored headlines anew, but those that came with a score. A changed score is a new version, known from now."""
        return others.score_news(self._con, self._now(recorded_at), judge)

    def reach(self) -> reach.Reach:
        """How far the bars reach, symbol by symbol."""
        return reach.reach(self._con)

    def members(self, name: str, day: date) -> tuple[str, ...]:
        """Members of the universe ``name`` on ``day`` as known by now, sorted; none when there is no such universe."""
        return reach.members(self._con, name, day)

    def closes_since(self, symbols: Collection[str], since: date) -> pl.DataFrame:
        """symbol, date, close (USD) of ``symbols`` from ``since`` on, as known by now."""
        return reach.closes_since(self._con, symbols, since)

    def note_downloads(self, kind: str, source: str, outcomes: Collection[Outcome], now: datetime) -> None:
        """Remember what became of a download of ``kind`` from ``source`` at ``now``."""
        self._writing()
        reach.note_downloads(self._con, kind, source, outcomes, now)

    def answered(self, kind: str, source: str) -> dict[str, datetime]:
        """When each symbol was last asked for with an answer, rows or none (UTC)."""
        return reach.answered(self._con, kind, source)

    def set_label(self, text: str) -> None:
        """A label said beside everything made from this store, e.g. "synthetic sample"."""
        self._writing()
        others.set_label(self._con, text, self._now(None))

    def status(self) -> Status:
        """The store at a glance."""
        return status(self._con, self.path, datetime.now(UTC))

    def last_recorded(self) -> datetime | None:
        """When the latest fact in it was stored, or assessed (UTC): a view ``recorded_by`` then sees all that is here and nothing later."""
        moments = (facts.last_recorded(self._con), assessed_at(self._con))
        return max((moment for moment in moments if moment is not None), default=None)

    def arrivals(self, since: datetime) -> pl.DataFrame:
        """When facts came: see :func:`mech_exo.datasource.storage.arrivals.arrivals`."""
        return arrivals.arrivals(self._con, since)

    def quarantine(self, limit: int = 20) -> pl.DataFrame:
        """The last quarantined rows: row (JSON), reason, file, recorded_at; newest first."""
        return quarantined_rows(self._con, limit)

    def sources(self) -> pl.DataFrame:
        """Who told what, and when last: kind, source, rows, known_at, recorded_at (UTC)."""
        return sources(self._con)

    def quality(self) -> QualityTables:
        """What the quality gate reads beside the bars, and writes."""
        return QualityTables(self._con, self._now, self._writing)

    def backup(self, destination: Path) -> Path:
        """Copy the store with its SHA-256 to ``destination``, which must not exist (a folder: into it). The file written."""
        self._writing()
        return publish.backup(self._con, self.path, destination)

    def _writing(self) -> None:
        if self.read_only:
            raise StoreError(
                f"a store opened for reading cannot be written; {self.path} is read-only", remedy="open it with DataStorage(path)"
            )

    def _now(self, recorded_at: datetime | None) -> datetime:
        """The recording instant: it never runs backwards, so that the order of versions is the order of time."""
        self._writing()
        last = facts.last_recorded(self._con)
        if recorded_at is None:
            now = datetime.now(UTC)
            return now if last is None or now > last else last + timedelta(microseconds=1)
        if recorded_at.tzinfo is None:
            raise InputError(f"recorded_at must carry its time zone; got {recorded_at.isoformat()} without one")
        if last is not None and recorded_at < last:
            raise InputError(f"recorded_at must not be before what is stored; got {recorded_at.isoformat()} after {last.isoformat()}")
        return recorded_at.astimezone(UTC)
