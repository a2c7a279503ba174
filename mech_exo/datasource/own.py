"""Sources of the user's plug-ins: how one is made, and the contract it is held to before anything it hands over is stored."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from mech_exo.datasource.base import BAR_EXTRAS, BARS, FUNDAMENTALS, NEWS, BarSource, Kind, Source
from mech_exo.datasource.fetching import FetchSettings, Status
from mech_exo.domain.errors import InputError, MechExoError
from mech_exo.domain.panel import PriceBasis
from mech_exo.kernels import cache_folder, code_version
from mech_exo.utils.plugin_files import Part, chosen, guarded, parts
from mech_exo.utils.plugin_settings import PREFIX, Plugin, Plugins, Settings, named
from mech_exo.utils.plugin_verdicts import Verdict, Verdicts, judged, refuses, require, tried

COLUMNS: dict[Kind, Mapping[str, Any]] = {Kind.BARS: BARS, Kind.FUNDAMENTALS: FUNDAMENTALS, Kind.NEWS: NEWS}
DATED = {Kind.BARS: "date", Kind.FUNDAMENTALS: "filed", Kind.NEWS: "published"}
ORDER = {Kind.BARS: ("symbol", "date"), Kind.FUNDAMENTALS: ("symbol", "metric"), Kind.NEWS: ("published", "symbol")}
NOW = datetime(2024, 6, 3, 23, 0, tzinfo=UTC)
"""The present instant on trial: after the close of a Monday."""


@dataclass(frozen=True, slots=True)
class SourceTerms:
    """What a source is made from.

    Parameters
    ----------
    home
        The workspace.
    settings
        ``sources.settings`` of ``data.yml``.
    key
        ``plugin_keys`` of ``api_keys_local.yml`` under the source's name; "" where there is none. Never written anywhere.
    fetching
        How patiently to download, see :class:`~mech_exo.datasource.fetching.FetchSettings`.
    clock
        The present instant, UTC: nothing that could not be known by then may be handed over.
    """

    home: Path
    settings: Settings
    key: str = field(repr=False)
    fetching: FetchSettings
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class SourceMaker:
    """A source: what it hands over and how to make it. It is asked where ``sources`` of ``data.yml`` names ``plugin.`` and its name.

    Parameters
    ----------
    make
        ``(terms) -> source``: :class:`~mech_exo.datasource.base.Source`, for bars a ``BarSource``.
    trial
        Writes into the empty folder ``terms.home`` what the source reads, with at least 20 sessions up to 2024-06-03, and returns the
        settings and two symbols that are in it. With it the contract is tried on data; None: only what needs none is.
    """

    name: str
    kind: Kind
    make: Callable[[SourceTerms], Source]
    trial: Callable[[Path], tuple[Settings, Sequence[str]]] | None = None


def declared(plugins: Plugins) -> dict[str, Part[SourceMaker]]:
    """The sources of ``plugins`` by name, not checked by the contract. Raises PluginError."""
    return parts(plugins, SourceMaker)


def own_source(word: str, kind: Kind, plugins: Plugins, terms: SourceTerms) -> Source:
    """The source ``word`` (``plugin.NAME``) of ``kind``, whose maker keeps the contract. Raises ConfigError, PluginError."""
    name, of_kind = str(named(word)), {key: part for key, part in declared(plugins).items() if part.what.kind is kind}
    part = chosen(of_kind, name, f"plugin.NAME in sources of data.yml names a source of {kind} of a plug-in", "data.yml", PREFIX)
    require("source", part, source_verdicts(part))
    return guarded(part.brought, f"source {name} cannot be made", lambda: part.what.make(terms))


def source_verdicts(part: Part[SourceMaker]) -> Verdicts:
    """What the contract says of a source, from the cache where its code and the program are unchanged."""
    return judged("source", part, code_version(), cache_folder(), lambda: _Trial(part.what, part.brought).verdicts())


class _Trial:
    """A source made in an empty folder, with the author's trial data where he gives any."""

    def __init__(self, maker: SourceMaker, plugin: Plugin) -> None:
        self.maker, self.plugin, self.kind = maker, plugin, maker.kind
        self.settings: Settings = {}
        self.symbols: tuple[str, ...] = ()

    def verdicts(self) -> Verdicts:
        with tempfile.TemporaryDirectory() as folder:
            self.home = Path(folder)
            law = "it is a source with a name, its kind and no report yet"
            try:
                if self.maker.trial is not None:
                    trial = self.maker.trial
                    self.settings, symbols = guarded(self.plugin, "its trial data cannot be written", lambda: trial(self.home))
                    self.symbols = tuple(symbols)
                self.source = self._made(NOW)
            except MechExoError as error:
                return (Verdict(law, error.message),)
            laws: list[tuple[str, Callable[[], str]]] = [
                (law, self._is_a_source),
                ("what could not be a symbol, and dates in disorder, are an InputError", self._refuses),
            ]
            if self.maker.trial is not None:
                laws += [
                    ("columns, types and order are those of its kind, nothing is null", self._columns),
                    ("one outcome a symbol, in the order asked; a symbol it lacks says so", self._outcomes),
                    ("dates lie within the span asked for", self._within),
                    ("nothing of the future: what is not known by the clock is not handed over", self._peeks),
                    ("asked twice, it answers the same", self._is_random),
                ]
            return tried(laws, lambda check: guarded(self.plugin, f"source {self.maker.name} failed", check))

    def _made(self, now: datetime) -> Source:
        terms = SourceTerms(self.home, self.settings, "", FetchSettings(quiet=True), lambda: now)
        return guarded(self.plugin, "the source cannot be made", lambda: self.maker.make(terms))

    def _fetched(self, days: int = 20) -> pl.DataFrame:
        start = None if self.kind is Kind.FUNDAMENTALS else (NOW - timedelta(days=days)).date()
        return self.source.fetch(self.symbols, start=start)

    def _is_a_source(self) -> str:
        if not isinstance(self.source, Source) or not self.source.name or self.source.kind is not self.kind:
            return f"a source of {self.kind} is wanted; it makes {type(self.source).__name__}"
        if self.kind is Kind.BARS and (not isinstance(self.source, BarSource) or self.source.price_basis not in PriceBasis):
            return "a source of bars has batch and price_basis, too"
        return "" if self.source.report == () else "its report is not empty before anything was asked"

    def _refuses(self) -> str:
        for hostile in ("A\nB", "../A", ""):
            if not refuses(partial(self.source.fetch, [hostile]), InputError):
                return f"it took {hostile!r} for a symbol: begin fetch with symbols_of(symbols)"
        late, early = date(2024, 2, 1), date(2024, 1, 1)
        return "" if refuses(partial(self.source.fetch, ["AAA"], start=late, end=early), InputError) else "it took a start after the end"

    def _columns(self) -> str:
        frame, wanted = self._fetched(), COLUMNS[self.kind]
        if not frame.height or list(frame.columns[: len(wanted)]) != list(wanted):
            return f"{list(wanted)} are wanted first, with rows; it gives {frame.height} rows of {frame.columns}"
        wrong = [name for name, dtype in wanted.items() if frame.schema[name] != dtype]
        if wrong:
            return f"{wrong[0]} must be {wanted[wrong[0]]}; it is {frame.schema[wrong[0]]}"
        more = [name for name in frame.columns if self.kind is Kind.BARS and name not in {*BARS, *BAR_EXTRAS}]
        if more:
            return f"it gives columns nobody knows: {', '.join(more)}"
        if not frame.select(ORDER[self.kind]).equals(frame.select(ORDER[self.kind]).sort(ORDER[self.kind])):
            return f"rows must be sorted by {' and '.join(ORDER[self.kind])}"
        empty = [name for name in wanted if frame[name].null_count()]
        return f"{empty[0]} is null in some rows: leave such rows out" if empty else ""

    def _outcomes(self) -> str:
        asked = (self.symbols[1], "NOPE", self.symbols[0])
        frame = self.source.fetch(asked, start=None if self.kind is Kind.FUNDAMENTALS else (NOW - timedelta(days=20)).date())
        told = self.source.report
        if [one.symbol for one in told] != list(asked):
            return f"asked for {', '.join(asked)} it reports on {', '.join(one.symbol for one in told) or 'nobody'}"
        if told[1].status is Status.OK or told[1].rows or not told[1].detail:
            return "a symbol it lacks must not be ok, and its detail must say why"
        for one in told:
            rows = frame.filter(pl.col("symbol") == one.symbol).height
            if one.rows != rows or (one.status is Status.OK) != bool(rows):
                return f"it reports {one.rows} rows of {one.symbol} ({one.status}) and hands over {rows}"
        return ""

    def _within(self) -> str:
        if self.kind is Kind.FUNDAMENTALS:
            return ""
        start, end = (NOW - timedelta(days=14)).date(), (NOW - timedelta(days=5)).date()
        days = self.source.fetch(self.symbols, start=start, end=end)[DATED[self.kind]].dt.date()
        inside = days.len() and start <= days.min() and days.max() <= end  # type: ignore[operator]
        return "" if inside else f"asked for {start} to {end} it gives {days.min()!s} to {days.max()!s}"

    def _peeks(self) -> str:
        early = NOW - timedelta(days=7)
        source = self._made(early)
        start = None if self.kind is Kind.FUNDAMENTALS else (NOW - timedelta(days=20)).date()
        days = source.fetch(self.symbols, start=start)[DATED[self.kind]].cast(pl.Date)
        late = days.filter(days > early.date())
        return f"at {early:%Y-%m-%d} it hands over {late[0]}" if len(late) else ""

    def _is_random(self) -> str:
        return "" if self._fetched().equals(self._fetched()) else "two answers differ"
