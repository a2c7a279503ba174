"""Reading the store as it stood: everything a :class:`StoreView` hands over was known, and recorded, by its cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.accounts.metrics import MAX_AGE
from mech_exo.datasource.accounts.panel import names_of
from mech_exo.datasource.storage import companies, facts, membership, verdicts
from mech_exo.datasource.storage.arrays import Grid, cut_grid, query_grid, trimmed
from mech_exo.datasource.storage.connection import Connection, run, speaking, table
from mech_exo.datasource.storage.difference import Difference, differences
from mech_exo.datasource.storage.facts import SECTORS, UNIVERSE, Cut, read_all_versions
from mech_exo.datasource.storage.others import UNDATED
from mech_exo.datasource.storage.panel_files import load_grid
from mech_exo.datasource.storage.quality import assessed_at
from mech_exo.domain.errors import InputError, MissingDataError
from mech_exo.domain.facts import Facts
from mech_exo.domain.panel import BAR_FIELDS, BarPanel, PriceBasis, Universe
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMPORT_COMMAND = "exo data import FILE…"


@speaking
class StoreView:
    """The store as of one session's close.

    Parameters
    ----------
    as_of
        Session at whose close the world is looked at (of a day without trading: the session before it). None: everything known, and
        rows up to the last session with a bar.
    recorded_by
        Instant (tz-aware) after which nothing recorded is seen: what this program had in hand then. None: all.

    Made by :meth:`mech_exo.datasource.storage.DataStorage.view`.
    """

    def __init__(self, con: Connection, as_of: date | None, recorded_by: datetime | None, grid_folder: Path | None, path: Path) -> None:
        if recorded_by is not None and recorded_by.tzinfo is None:
            raise InputError(f"recorded_by must carry its time zone; got {recorded_by.isoformat()} without one")
        self.path = path
        self._con = con
        self._folder = grid_folder
        self._found: pl.DataFrame | None = None  # read once: a night asks for the verdicts and for their reasons
        self._whole_history = as_of is None
        recorded = facts.END_OF_TIME if recorded_by is None else recorded_by.astimezone(UTC)
        if as_of is None:
            latest = f"select max(session) from bars where {facts.within(facts.BARS)}"
            self.as_of: date | None = run(con, latest, Cut(recorded=recorded).params())[0][0]
            self._cut = Cut(self.as_of or facts.LAST_DATE, recorded=recorded)
        else:
            session = as_of if calendar.is_session(as_of) else calendar.previous_session(as_of)
            self._cut = Cut(session, calendar.session_close(session), recorded)
            self.as_of = session

    def panel(self, *, start: date | None = None, symbols: Sequence[str] | None = None) -> BarPanel:
        """Bars and corporate actions laid on the exchange's sessions up to ``as_of``.

        Rows begin at ``start``, or at the first session with a bar if that is later, and end at ``as_of`` even where the store is behind
        (such rows are NaN). Columns are the symbols with a bar in these rows, or those of ``symbols``.

        Raises
        ------
        MissingDataError
            No bar is visible in these rows.
        InputError
            A symbol of ``symbols`` is not among those with bars.
        """
        whole = self._grid()
        grid = None if whole is None or self.as_of is None else trimmed(whole, start, self.as_of)
        if grid is None:
            span = f"from {start} " if start else ""
            raise MissingDataError(f"the store must hold a bar {span}to {self.as_of or 'today'}; it has none", remedy=IMPORT_COMMAND)
        panel = BarPanel.from_arrays(
            grid.sessions, grid.symbols, {**grid.bars, **self._actions(grid)}, price_basis=self._price_basis(), label=self.label()
        )
        return panel if symbols is None else panel.select(symbols)

    def bars(self, symbols: str | Sequence[str], start: date | None = None, end: date | None = None) -> pl.DataFrame:
        """Visible bars of one symbol or a few, from ``start`` to ``end`` (both included, None: all), by symbol and date.

        Columns: symbol, date, open, high, low, close (USD, as stored), volume (shares), source, known_at, recorded_at, version (0: as
        first seen). A symbol without a bar has no row. For whole markets :meth:`panel` is quicker.
        """
        wanted = [symbols] if isinstance(symbols, str) else list(dict.fromkeys(symbols))
        params: dict[str, object] = {f"symbol{place}": name for place, name in enumerate(wanted)}
        among = f"symbol in ({', '.join(f'${name}' for name in params)})" if wanted else "false"
        params |= {"first": start or facts.ALWAYS, "last": end or facts.LAST_DATE}
        columns = f"symbol, session, {', '.join(BAR_FIELDS)}, source, known_at, recorded_at, version"
        where = f"{among} and session between $first and $last and {facts.within(facts.BARS)}"
        rows = table(self._con, f"select {columns} from bars where {where}", {**self._cut.params(), **params})
        return facts.last_versions(facts.BARS, rows).sort("symbol", "session").rename({"session": "date"})

    def diff(
        self, later: StoreView, *, tables: Sequence[str] | None = None, symbols: Sequence[str] | None = None, limit: int = 100
    ) -> tuple[Difference, ...]:
        """What changed from this view to ``later``, another view of the same store: one entry per table of facts in which something did.

        ``tables`` and ``symbols`` (None: all) choose; at most ``limit`` changes of a kind are told in full, all are counted.

        Raises
        ------
        InputError
            A table of ``tables`` is none.
        """
        return differences(self._con, (self._cut, later._cut), tables=tables, symbols=symbols, limit=limit)

    def universe(self, panel: BarPanel, name: str | None, facts: Sequence[str] = ()) -> Universe:
        """Membership in the universe ``name`` (None: everybody), sectors, data verdicts and ``facts`` for each cell of ``panel``.

        Each row shows what was known at its close. Facts are inputs of factors by name: those of :meth:`fundamental_inputs`, and
        ``news_tone`` and ``news_count``; see docs/fundamentals.md. One of which nothing at all is known is absent, with the reason.

        Raises
        ------
        MissingDataError
            No universe of that name is stored.
        """
        member = np.ones(panel.shape, np.bool_)
        backfilled = False
        if name is not None:
            rows = read_all_versions(self._con, UNIVERSE, self._cut, "name = $name", {"name": name})
            if rows.is_empty():
                known = ", ".join(self.universes()) or "none"
                raise MissingDataError(
                    f"the universe {name!r} must be in the store; it holds {known}", remedy=f"exo data import --universe FILE --name {name}"
                )
            member, backfilled = membership.members(panel, rows)
        rows = read_all_versions(self._con, SECTORS, self._cut)
        sector, sector_names, undated = membership.sectors(panel, rows)
        told = companies.told(self._con, self._cut, panel, facts) if facts else Facts()
        return Universe(member, sector, sector_names, backfilled or undated, verdicts.verdicts(panel, self.findings()), told)

    def findings(self) -> pl.DataFrame:
        """What the quality gate says, by symbol, check and session: verdict (null: taken back), value, limit, evidence, lasts, known_at."""
        if self._found is None:
            self._found = facts.read(self._con, facts.QUALITY, self._cut).sort("symbol", "check", "session")
        return self._found

    def assessed(self) -> bool:
        """Whether the quality gate has looked at all bars and corporate actions seen here; where it has not, no verdict means nothing."""
        parts = (f"select max(recorded_at) as moment from {f.name} where {facts.within(f)}" for f in (facts.BARS, facts.ACTIONS))
        newest = table(self._con, f"select max(moment) as moment from ({' union all '.join(parts)})", self._cut.params())["moment"][0]
        looked = assessed_at(self._con, self._cut)
        return newest is None or (looked is not None and looked >= newest)

    def newest(self) -> dict[str, datetime | None]:
        """When the newest visible fact of each kind became known (UTC); None: there is none. Keys: bars, fundamentals, news."""
        kinds = {"bars": facts.BARS, "fundamentals": facts.FUNDAMENTALS, "news": facts.NEWS}
        asked = {kind: f"select max(known_at) from {fact.name} where {facts.within(fact)}" for kind, fact in kinds.items()}
        return {kind: run(self._con, sql, self._cut.params())[0][0] for kind, sql in asked.items()}

    def doubts(self, panel: BarPanel) -> dict[str, str]:
        """Why, in words, the data of each symbol blocked at the last row of ``panel`` are in doubt."""
        return verdicts.doubts(panel, self.findings())

    def universes(self) -> tuple[str, ...]:
        """Names of the universes known at this cut."""
        return tuple(facts.read_all_versions(self._con, facts.UNIVERSE, self._cut)["name"].unique().sort())

    def benchmark(self, name: str) -> pl.DataFrame | None:
        """Daily returns (date, return: fraction) of benchmark ``name`` up to ``as_of``, by date; None when there are none."""
        rows = facts.read(self._con, facts.BENCHMARKS, self._cut, "name = $name", {"name": name})
        return None if rows.is_empty() else rows.select(pl.col("session").alias("date"), "return")

    def fundamentals(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Reported figures known by now: symbol, metric, period_end, fiscal_period, filed, value, unit, source, known_at.

        One row per filing of a figure and source, by key and time; the last filing of a period is its current value.
        """
        rows = facts.read(self._con, facts.FUNDAMENTALS, self._cut)
        rows = rows if symbols is None else rows.filter(pl.col("symbol").is_in(list(symbols)))
        return rows.drop("recorded_at", "version")

    def fundamental_inputs(
        self,
        panel: BarPanel,
        metrics: Sequence[str] | None = None,
        *,
        sources: Sequence[str] | None = None,
        max_age: int = MAX_AGE,
    ) -> dict[str, NDArray[np.float64]]:
        """Derived figures of the companies of ``panel``, by name: ``(T, N)`` float64, NaN = unknown.

        Row ``t`` holds what was known at that row's close (and recorded by this view's ``recorded_by``): the newest period of which a
        figure was known, the twelve months to its end, the same a year before. Units and formulas:
        :data:`mech_exo.datasource.accounts.inputs.INPUTS` and docs/fundamentals.md. Fractions and ratios, never percent; USD.

        Parameters
        ----------
        panel
            The bars of this view; what depends on the price uses its as-traded close and is unknown on split-adjusted prices, whose
            splits nobody knows.
        metrics
            Names of inputs; None: all derived ones (``accounts.inputs.DERIVED``).
        sources
            Whose facts, in order of preference; None: filings (edgar), then imported files by name, then yahoo, then finnhub. Each cell
            is made from one source's facts alone.
        max_age
            Calendar days after the last filing about the newest period; beyond them all is unknown.

        Raises
        ------
        InputError
            A metric nobody knows.
        """
        names = names_of(metrics)
        made = companies.accounts(self._con, self._cut, panel, names, sources, max_age)
        return {name: np.asarray(made[name]) if name in made else np.full(panel.shape, np.nan) for name in names}

    def news(self, symbols: Sequence[str] | None = None) -> pl.DataFrame:
        """Headlines known by now: id, symbol, headline, source, url, published, sentiment, sentiment_version, known_at; oldest first."""
        among, params = "true", {}
        if symbols is not None:
            params = {f"symbol{place}": name for place, name in enumerate(dict.fromkeys(symbols))}
            among = f"symbol in ({', '.join(f'${name}' for name in params)})" if params else "false"
        rows = table(self._con, facts.visible(facts.NEWS, among), {**self._cut.params(), **params})
        return rows.drop("recorded_at", "version").sort("published", "id", "symbol")

    def warnings(self) -> tuple[str, ...]:
        """What must be said beside every figure made from this view."""
        said = [self.label()] if self.label() else []
        bases = self._bases()
        if len(bases) > 1:
            said.append("sources of different price bases are mixed (as traded and split-adjusted): returns across the seam are wrong")
        elif PriceBasis.SPLIT_ADJUSTED in bases:
            said.append("prices are split-adjusted by the source: levels and dollar amounts before a split are not what was traded")
        if facts.read_all_versions(self._con, facts.SECTORS, self._cut, "backfilled").height:
            said.append("sectors are backfilled: the file had no dates, each name's sector is taken as known always")
        if facts.read_all_versions(self._con, facts.UNIVERSE, self._cut, "start = $always", {"always": facts.ALWAYS}).height:
            said.append("the universe is backfilled: members without a start date are taken as known always")
        assumed = f"select distinct key from meta where starts_with(key, '{UNDATED}') and recorded_at <= $recorded order by key"
        for (key,) in run(self._con, assumed, {"recorded": self._cut.recorded}):
            said.append(f"fundamentals of {key.removeprefix(UNDATED)} carry no filing dates: taken as filed long after the period")
        restated = self._restated() if self._whole_history else 0
        if restated:
            said.append(f"{restated} bars and actions were restated later: history shows the new values, unknown at the time")
        return tuple(said)

    def _restated(self) -> int:
        """Visible bars and corporate actions that replaced earlier ones."""
        counts = (f"select count(*) as n from {f.name} where version > 0 and {facts.within(f)}" for f in (facts.BARS, facts.ACTIONS))
        total = "select sum(n) from (" + " union all ".join(counts) + ")"
        return int(run(self._con, total, self._cut.params())[0][0])

    def _grid(self) -> Grid | None:
        newest = load_grid(self._folder) if self._folder is not None else None
        return query_grid(self._con, self._cut) if newest is None else cut_grid(self._con, newest, self._cut)

    def _actions(self, grid: Grid) -> dict[str, NDArray[np.generic]]:
        """split_ratio and dividend ``(T, N)``, delisted and delisting_value ``(N,)``: only those with something to say."""
        rows = facts.read(self._con, facts.ACTIONS, self._cut, "session >= $first", {"first": grid.sessions[0].item()})
        rows = rows.filter(pl.col("symbol").is_in(list(grid.symbols)))
        arrays: dict[str, NDArray[np.generic]] = {}
        # Dividends are always handed over: zeros that nobody wrote to cost no memory, a constant made elsewhere would.
        for kind, name, nothing in (("split", "split_ratio", 1.0), ("dividend", "dividend", 0.0)):
            some = rows.filter(pl.col("kind") == kind)
            if some.height or nothing == 0.0:
                shape = (len(grid.sessions), len(grid.symbols))
                array = np.full(shape, nothing) if nothing else np.zeros(shape)
                array[grid.row_of(some["session"].to_numpy()), grid.columns_of(some["symbol"])] = some["value"].to_numpy()
                array.flags.writeable = False
                arrays[name] = array
        ended = rows.filter(pl.col("kind") == "delisting").sort("session")
        if ended.height:
            columns = grid.columns_of(ended["symbol"])
            arrays["delisted"] = np.full(len(grid.symbols), len(grid.sessions), np.int64)
            arrays["delisted"][columns] = grid.row_of(ended["session"].to_numpy())
            arrays["delisting_value"] = np.full(len(grid.symbols), np.nan)
            arrays["delisting_value"][columns] = ended["value"].fill_null(np.nan).to_numpy()
        return arrays

    def _bases(self) -> set[PriceBasis]:
        """Price bases of the sources of the visible bars."""
        stored = table(self._con, "select key, value from meta where key like 'price_basis:%'")
        basis = {key.partition(":")[2]: PriceBasis(value) for key, value in stored.iter_rows()}
        if len(set(basis.values())) > 1:
            sources = table(self._con, f"select distinct source from ({facts.visible(facts.BARS)})", self._cut.params())["source"]
            return {basis[source] for source in sources}
        return set(basis.values())

    def _price_basis(self) -> PriceBasis:
        return PriceBasis.SPLIT_ADJUSTED if PriceBasis.SPLIT_ADJUSTED in self._bases() else PriceBasis.AS_TRADED

    def label(self) -> str:
        """What is said beside everything made from the store, e.g. "synthetic sample"; empty for real data."""
        sql = "select value from meta where key = 'label' and recorded_at <= $recorded order by recorded_at desc limit 1"
        rows = run(self._con, sql, {"recorded": self._cut.recorded})
        return str(rows[0][0]) if rows else ""


def stale_sessions(last: date | None, now: datetime) -> int | None:
    """Sessions closed by ``now`` that come after ``last``; None when nothing is stored."""
    if last is None:
        return None
    latest = calendar.latest_session(now)
    return 0 if latest <= last else len(calendar.sessions(last + timedelta(days=1), latest))
