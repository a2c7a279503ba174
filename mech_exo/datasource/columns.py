"""From a stranger's columns to ours: names by alias, types by what can be read, and what cannot stays visible as unreadable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from mech_exo.domain.errors import InputError, cut
from mech_exo.domain.frames import as_polars

ALIASES: dict[str, tuple[str, ...]] = {
    "symbol": ("ticker", "ticker_symbol", "sym"),
    "date": ("timestamp", "datetime", "session", "day"),
    "open": ("open_price",),
    "high": ("high_price",),
    "low": ("low_price",),
    "close": ("close_price",),
    "volume": ("vol",),
    "split_ratio": ("split", "splits", "stock_splits", "split_factor"),
    "dividend": ("dividends", "ex_dividend", "div_cash", "cash_dividend"),
    "adj_close": ("adjclose", "adjusted_close"),
    "sector": ("gics_sector",),
    "start": ("start_date", "from", "added"),
    "end": ("end_date", "to", "removed", "thru"),
    "return": ("returns", "ret", "daily_return"),
    "valid_from": ("known_at", "since"),
    "kind": ("action", "type"),
    "value": (),
}
UNREADABLE = "_unreadable"


def renamed(frame: Any, required: Iterable[str], optional: Iterable[str] = (), *, what: str) -> pl.DataFrame:
    """The wanted columns of ``frame`` (Polars, pandas, Arrow), under our names, whatever their case and usual spelling.

    Raises
    ------
    InputError
        A required column is missing, or two columns claim one name.
    """
    rows = as_polars(frame)
    wanted = (*required, *optional)
    found = _matches(rows.columns, wanted)
    missing = [name for name in required if name not in found]
    if missing:
        raise InputError(
            f"{what} need the columns {', '.join(required)}; missing: {', '.join(missing)}",
            remedy=f"rename the columns; there are {', '.join(rows.columns) or 'none'}",
        )
    return rows.select(pl.col(original).alias(name) for name, original in found.items())


def typed(rows: pl.DataFrame, schema: Mapping[str, Any]) -> pl.DataFrame:
    """``rows`` in the types of ``schema`` plus ``_unreadable``: the name of the first column whose content could not be read, or null.

    What cannot be read becomes null. Text is trimmed; numbers and ISO dates (a time behind them is dropped) may come as text.
    """
    present = {name: kind for name, kind in schema.items() if name in rows.columns}
    cast = rows.select(_read(rows[name], kind) for name, kind in present.items())
    # Casting only ever adds nulls: where there are no more of them than before, nothing was lost.
    fewer = [name for name in present if cast[name].null_count() != rows[name].null_count()]
    lost = [(cast[name].is_null() & _said(rows[name])).alias(name) for name in fewer]
    first = (
        pl.coalesce([pl.when(column).then(pl.lit(column.name)) for column in lost])
        if any(column.any() for column in lost)
        else pl.lit(None, pl.String)
    )
    return cast.with_columns(first.alias(UNREADABLE))


def refuse_unreadable(rows: pl.DataFrame, *, what: str) -> pl.DataFrame:
    """``rows`` without the marker column. Raises InputError when anything could not be read: small tables are taken whole or not at all."""
    bad = rows.filter(pl.col(UNREADABLE).is_not_null())
    if bad.height:
        first = bad.row(0, named=True)
        raise InputError(
            f"{what}: every value must be of its column's type; {bad.height} of {rows.height} rows are not, "
            f"first the column {first[UNREADABLE]} of {shown(first)}",
            remedy="write dates as YYYY-MM-DD and numbers without separators",
        )
    return rows.drop(UNREADABLE)


def refuse_missing(rows: pl.DataFrame, names: Iterable[str], *, what: str) -> pl.DataFrame:
    """``rows``. Raises InputError when there are none or one of the columns ``names`` has an empty cell."""
    if rows.is_empty():
        raise InputError(f"{what}: at least one row is needed; there is none")
    for name in names:
        empty = rows[name].is_null().sum() + (int(rows[name].is_nan().sum()) if rows.schema[name].is_float() else 0)
        if empty:
            raise InputError(
                f"{what}: every row needs a {name}; {empty} of {rows.height} have none", remedy=f"fill in or drop the rows without {name}"
            )
    return rows


def refuse_conflicts(rows: pl.DataFrame, keys: tuple[str, ...], *, what: str) -> pl.DataFrame:
    """``rows`` without identical doubles. Raises InputError when two rows of one key say different things."""
    single = rows.unique(maintain_order=True)
    doubled = single.filter(pl.struct(keys).is_duplicated())
    if doubled.height:
        raise InputError(
            f"{what}: one row per {', '.join(keys)}; {doubled.height} rows contradict each other, "
            f"first {shown(doubled.row(0, named=True))}",
            remedy="keep the right row of each",
        )
    return single


def _matches(columns: list[str], wanted: Iterable[str]) -> dict[str, str]:
    by_name: dict[str, list[str]] = {}
    for column in columns:
        by_name.setdefault(column.strip().lower().replace(" ", "_").replace("-", "_"), []).append(column)
    found: dict[str, str] = {}
    for name in wanted:
        claims = [column for alias in (name, *ALIASES.get(name, ())) for column in by_name.get(alias, [])]
        if name in columns:
            found[name] = name
        elif len(claims) == 1:
            found[name] = claims[0]
        elif claims:
            raise InputError(f"one column may hold {name}; {', '.join(claims)} all could", remedy=f"rename the right one to {name}")
    return found


def _read(column: pl.Series, want: Any) -> pl.Series:
    """``column`` in the type ``want``; null where it cannot be read."""
    have = column.dtype
    if have == pl.Null:
        return column.cast(want)
    if want == pl.String:
        return _trimmed(column.cast(pl.String))
    if want == pl.Date:
        return column.to_frame().with_columns(_date_reader(pl.col(column.name), have).alias(column.name)).to_series()
    if want == pl.Float64 and have in (pl.String, pl.Categorical, pl.Enum):
        return column.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    if want == pl.Float64 and not have.is_numeric():
        return pl.Series(column.name, [None], pl.Float64).new_from_index(0, len(column))
    return column.cast(want, strict=False)


def _trimmed(text: pl.Series) -> pl.Series:
    """``text`` without blanks around it, empty text as null. Symbols repeat: they are looked at once each."""
    words = text.unique().drop_nulls()
    if ((words == words.str.strip_chars()) & (words != "")).all():
        return text
    text = text.str.strip_chars()
    return text.set(text == "", None)


def _date_reader(column: pl.Expr, have: pl.DataType) -> pl.Expr:
    if isinstance(have, pl.Date):
        return column
    if isinstance(have, pl.Datetime):
        return column.dt.date()
    if have.is_integer():
        return column.cast(pl.String).str.to_date("%Y%m%d", strict=False)
    if have == pl.String:
        return column.str.strip_chars().str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    return pl.lit(None, pl.Date)


def _said(column: pl.Series) -> pl.Series:
    """Where something stands at all: empty text and the usual words for nothing are nothing."""
    if column.dtype != pl.String:
        return column.is_not_null()
    return column.is_not_null() & ~column.str.strip_chars().str.to_lowercase().is_in(["", "na", "n/a", "nan", "null", "none"])


def shown(row: Mapping[str, object]) -> str:
    """A row for a message: its filled cells, long ones cut."""
    return ", ".join(f"{name}={cut(value)}" for name, value in row.items() if value is not None and not name.startswith("_"))
