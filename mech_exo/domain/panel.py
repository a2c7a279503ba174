"""Market history as arrays: :class:`BarPanel` and :class:`Universe`; :class:`MarketView` is both, cut at a session."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain.errors import InputError, cut
from mech_exo.domain.facts import Facts
from mech_exo.domain.market_view import MarketView

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["BAR_FIELDS", "PRICE_FIELDS", "BarPanel", "MarketView", "PriceBasis", "Universe"]

PRICE_FIELDS = ("open", "high", "low", "close")
BAR_FIELDS = (*PRICE_FIELDS, "volume")


class PriceBasis(StrEnum):
    """What a price in the panel is: as printed that day, or already divided by later splits."""

    AS_TRADED = "as_traded"
    SPLIT_ADJUSTED = "split_adjusted"


def _frozen(values: Any, dtype: Any) -> NDArray[Any]:
    """A C-contiguous read-only array; copies only where it must (a caller's writable array is copied)."""
    array = np.ascontiguousarray(values, dtype=dtype)
    if array is values and array.flags.writeable:
        array = array.copy()
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class BarPanel:
    """Daily bars of ``N`` symbols over ``T`` sessions, as traded, with their corporate actions.

    Parameters
    ----------
    sessions
        ``(T,)`` strictly increasing ``datetime64[D]``.
    symbols
        ``(N,)`` unique, sorted: symbol order is the tie-break of every rule.
    open, high, low, close
        ``(T, N)`` USD per share, float64, read-only; NaN means "not traded".
    volume
        ``(T, N)`` shares; NaN means "not traded".
    split_ratio
        ``(T, N)`` new shares per old share, effective before the open of that session; 1 where nothing happens.
    dividend
        ``(T, N)`` USD per share *after* any split of the same session, on its ex-date; 0 where nothing happens.
    delisted
        ``(N,)`` row before whose open the listing has ended, ``T`` or more where it has not.
    delisting_value
        ``(N,)`` USD per share paid then; NaN means "the last close".
    price_basis
        Whether prices are as traded or split-adjusted by the source.
    label
        Said beside everything made from the panel, e.g. ``"synthetic sample"``; empty for real data.

    Raises
    ------
    InputError
        Shapes differ, sessions are not increasing, or symbols are not unique and sorted.
    """

    sessions: NDArray[np.datetime64]
    symbols: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    split_ratio: Floats
    dividend: Floats
    delisted: NDArray[np.int64]
    delisting_value: Floats
    price_basis: PriceBasis = PriceBasis.AS_TRADED
    label: str = ""
    has_actions: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "sessions", _frozen(self.sessions, "datetime64[D]"))
        put(self, "symbols", tuple(self.symbols))
        for name in (*BAR_FIELDS, "split_ratio", "dividend", "delisting_value"):
            put(self, name, _frozen(getattr(self, name), np.float64))
        put(self, "delisted", _frozen(self.delisted, np.int64))
        self._check()
        put(self, "has_actions", bool((self.split_ratio != 1.0).any() or (self.dividend != 0.0).any()))

    def _check(self) -> None:
        shape = (len(self.sessions), len(self.symbols))
        for name in (*BAR_FIELDS, "split_ratio", "dividend"):
            if getattr(self, name).shape != shape:
                raise InputError(f"every (T, N) array must be {shape}; {name} is {getattr(self, name).shape}")
        for name in ("delisted", "delisting_value"):
            if getattr(self, name).shape != shape[1:]:
                raise InputError(f"{name} must have one entry per symbol {shape[1:]}; got {getattr(self, name).shape}")
        if shape[0] > 1 and not (np.diff(self.sessions).astype(np.int64) > 0).all():
            raise InputError("sessions must be strictly increasing", remedy="sort the rows and drop duplicates")
        if list(self.symbols) != sorted(set(self.symbols)):
            raise InputError("symbols must be unique and sorted", remedy="build the panel with BarPanel.from_frame")

    @classmethod
    def from_arrays(
        cls,
        sessions: Any,
        symbols: Sequence[str],
        bars: dict[str, Any],
        *,
        price_basis: PriceBasis = PriceBasis.AS_TRADED,
        label: str = "",
    ) -> BarPanel:
        """Build a panel from ``(T, N)`` arrays; absent actions mean none happened.

        ``bars`` holds open, high, low, close, volume and optionally split_ratio, dividend ``(T, N)``, delisted and
        delisting_value ``(N,)``. Read-only float64 arrays are taken over without a copy.
        """
        shape = (len(sessions), len(symbols))
        return cls(
            sessions=sessions,
            symbols=tuple(symbols),
            **{name: bars[name] for name in BAR_FIELDS},
            split_ratio=bars["split_ratio"] if "split_ratio" in bars else _constant(shape, 1.0),
            dividend=bars["dividend"] if "dividend" in bars else _constant(shape, 0.0),
            delisted=bars["delisted"] if "delisted" in bars else np.full(shape[1], shape[0], np.int64),
            delisting_value=bars["delisting_value"] if "delisting_value" in bars else np.full(shape[1], np.nan),
            price_basis=price_basis,
            label=label,
        )

    @classmethod
    def from_frame(cls, frame: Any, *, price_basis: PriceBasis | str = PriceBasis.AS_TRADED, label: str = "") -> BarPanel:
        """Build a panel from a long frame: one row per symbol and date.

        ``frame`` is Polars, pandas or Arrow with columns symbol, date, open, high, low, close, volume and optionally
        split_ratio (1 = none) and dividend (USD per share, 0 = none). Rows may come in any order.

        Raises
        ------
        InputError
            A column is missing or of the wrong type, a row is doubled, or the frame is empty.
        """
        from mech_exo.domain.frames import panel_arrays

        sessions, symbols, bars = panel_arrays(frame)
        return cls.from_arrays(sessions, symbols, bars, price_basis=PriceBasis(price_basis), label=label)

    def to_frame(self) -> pl.DataFrame:
        """The panel as a long Polars frame (symbol, date, bars, split_ratio, dividend), traded rows only."""
        from mech_exo.domain.frames import long_frame

        return long_frame(self)

    @functools.cached_property
    def calendar_day(self) -> NDArray[np.int64]:
        """``(T,)`` calendar day of each session, counted from 1970-01-01: what compiled rules count days by."""
        return _frozen(self.sessions.astype(np.int64), np.int64)

    @property
    def shape(self) -> tuple[int, int]:
        """``(T, N)``."""
        return (len(self.sessions), len(self.symbols))

    def row_of(self, session: date) -> int:
        """Row of ``session``. Raises InputError when the panel has no such session."""
        row = int(np.searchsorted(self.sessions, np.datetime64(session, "D")))
        if row >= len(self.sessions) or self.sessions[row] != np.datetime64(session, "D"):
            raise InputError(f"the panel holds {self._span()}; {session} is not one of its sessions")
        return row

    def find(self, symbol: str) -> int | None:
        """Column of ``symbol``, None for one it lacks."""
        return self._columns.get(symbol)

    def column_of(self, symbol: str) -> int:
        """Column of ``symbol``. Raises InputError with the nearest known names."""
        column = self._columns.get(symbol)
        if column is None:
            import difflib

            near = difflib.get_close_matches(symbol, self.symbols, 3, 0.5)
            raise InputError(
                f"the symbol must be one of the panel's {len(self.symbols)}; got {cut(symbol)!r}",
                remedy=f"did you mean {', '.join(map(cut, near))}?" if near else None,
            )
        return column

    def rows_between(self, start: date | None, end: date | None) -> tuple[int, int]:
        """Half-open row range of the sessions in ``[start, end]``. Raises InputError when there is none."""
        first = 0 if start is None else int(np.searchsorted(self.sessions, np.datetime64(start, "D")))
        last = len(self.sessions) if end is None else int(np.searchsorted(self.sessions, np.datetime64(end, "D"), "right"))
        if first >= last:
            period = f"{start or 'the first session'} to {end or 'the last session'}"
            raise InputError(f"the period must hold at least one session; {period} has none ({self._span()})")
        return first, last

    @functools.cached_property
    def _columns(self) -> dict[str, int]:
        return {symbol: column for column, symbol in enumerate(self.symbols)}

    def upto(self, row: int) -> BarPanel:
        """The panel as it stood at the close of ``row``: views of rows ``0..row``, without a later delisting."""
        return self.rows(0, row + 1)

    def rows(self, first: int, last: int) -> BarPanel:
        """Views of rows ``first..last-1``. A delisting at or after ``last`` is not yet known.

        ``has_actions`` is inherited: a cut of a panel with actions may say True and hold none.
        """
        cut = slice(first, last)
        known = self.delisted < last
        changed = {name: getattr(self, name)[cut] for name in ("sessions", *BAR_FIELDS, "split_ratio", "dividend")}
        changed["delisted"] = _frozen(np.where(known, self.delisted - first, last - first), np.int64)
        changed["delisting_value"] = _frozen(np.where(known, self.delisting_value, np.nan), np.float64)
        part = object.__new__(BarPanel)  # a cut of a checked panel needs no second check
        part.__dict__.update(self.__dict__ | changed)
        return part

    def select(self, symbols: Sequence[str]) -> BarPanel:
        """A panel of ``symbols`` alone, in sorted order. Raises InputError for an unknown one."""
        columns = [self.column_of(symbol) for symbol in sorted(set(symbols))]
        names = (*BAR_FIELDS, "split_ratio", "dividend")
        return replace(
            self,
            symbols=tuple(self.symbols[column] for column in columns),
            **{name: getattr(self, name)[:, columns] for name in names},
            delisted=self.delisted[columns],
            delisting_value=self.delisting_value[columns],
        )

    def data_hash(self) -> str:
        """Hash of everything in the panel (64 bits, hex). Equal panels have equal hashes."""
        digest = hashlib.sha256("\0".join((*self.symbols, self.price_basis)).encode())
        for name in ("sessions", *BAR_FIELDS, "split_ratio", "dividend", "delisted", "delisting_value"):
            digest.update(np.ascontiguousarray(getattr(self, name)).view(np.uint8).data)
        return digest.hexdigest()[:16]

    def _span(self) -> str:
        if not len(self.sessions):
            return "no sessions"
        return f"{len(self.sessions)} sessions from {self.sessions[0]} to {self.sessions[-1]}"

    def __repr__(self) -> str:
        label = f", {self.label}" if self.label else ""
        return f"BarPanel({len(self.symbols)} symbols, {self._span()}, {self.price_basis}{label})"


def _constant(shape: tuple[int, ...], value: float) -> Floats:
    array = np.full(shape, value)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Universe:
    """Who may be bought and which sector each name belonged to, session by session.

    Parameters
    ----------
    member
        ``(T, N)`` bool: in the universe as known at that session's close.
    sector
        ``(T, N)`` int16: index into ``sector_names``, -1 where the sector is unknown.
    sector_names
        Names of the sectors.
    backfilled
        True when sectors or members came without dates and are taken as known always; every report says so.
    verdict
        ``(T, N)`` int8 :class:`mech_exo.domain.verdict.DataVerdict`: whether that name's data could be trusted, as known at that session's
        close; a blocked name gets no new risk. None = all in order; an array that says so of every cell becomes None.
    facts
        What else was known of each name, ``(T, N)`` by input name.
    """

    member: NDArray[np.bool_]
    sector: NDArray[np.int16]
    sector_names: tuple[str, ...] = ()
    backfilled: bool = False
    verdict: NDArray[np.int8] | None = None
    facts: Facts = field(default_factory=Facts)

    def __post_init__(self) -> None:
        object.__setattr__(self, "member", _frozen(self.member, np.bool_))
        object.__setattr__(self, "sector", _frozen(self.sector, np.int16))
        if self.member.shape != self.sector.shape:
            raise InputError(f"member and sector must have one shape; got {self.member.shape} and {self.sector.shape}")
        if self.verdict is not None:
            object.__setattr__(self, "verdict", _frozen(self.verdict, np.int8) if self.verdict.any() else None)
        if self.verdict is not None and self.verdict.shape != self.member.shape:
            raise InputError(f"member and verdict must have one shape; got {self.member.shape} and {self.verdict.shape}")
        for name, values in self.facts.known.items():
            if values.shape != self.member.shape:
                raise InputError(f"member and {name} must have one shape; got {self.member.shape} and {values.shape}")

    @classmethod
    def everyone(cls, panel: BarPanel) -> Universe:
        """Every symbol is a member always and no sector is known."""
        return cls(np.ones(panel.shape, np.bool_), np.full(panel.shape, -1, np.int16))

    def rows(self, first: int, last: int) -> Universe:
        """Rows ``first..last-1``."""
        return self.at(np.s_[first:last])

    def at(self, index: Any) -> Universe:
        """The cells that ``index`` picks of every ``(T, N)`` array: ``np.s_[rows]``, ``np.s_[:, columns]``."""
        verdict = None if self.verdict is None else self.verdict[index]
        return replace(self, member=self.member[index], sector=self.sector[index], verdict=verdict, facts=self.facts.at(index))

    def telling(self, facts: Iterable[str]) -> Universe:
        """The same, of its facts only ``facts``: what else is known must not tell two runs apart."""
        return replace(self, facts=self.facts.only(facts))

    def verdicts(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """``(K, N)`` verdicts on the data at ``rows``; ``(K, 0)`` where all are in order."""
        return np.empty((len(rows), 0), np.int8) if self.verdict is None else np.ascontiguousarray(self.verdict[rows])

    def sector_name(self, row: int, column: int) -> str | None:
        """Name of a sector as known at ``row``; None = unknown."""
        code = int(self.sector[row, column])
        return None if code < 0 else self.sector_names[code]

    def data_hash(self) -> str:
        """Hash of memberships, sectors, verdicts and facts (64 bits, hex)."""
        digest = hashlib.sha256("\0".join(self.sector_names).encode())
        digest.update(np.ascontiguousarray(self.member).view(np.uint8).data)
        digest.update(np.ascontiguousarray(self.sector).view(np.uint8).data)
        if self.verdict is not None:
            digest.update(self.verdict.view(np.uint8).data)
        if self.facts.known:
            digest.update(self.facts.data_hash().encode())
        return digest.hexdigest()[:16]
