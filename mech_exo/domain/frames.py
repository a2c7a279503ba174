"""The edge where long data frames become ``(T, N)`` arrays and back. The only place of the domain that knows Polars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mech_exo.domain.errors import InputError, cut
from mech_exo.domain.panel import BAR_FIELDS, PRICE_FIELDS, BarPanel

if TYPE_CHECKING:
    from numpy.typing import NDArray

REQUIRED = ("symbol", "date", *BAR_FIELDS)
ROUNDING = 1e-4
"""Share of a price by which a source's rounding may put an open or close outside the bar's range."""
ACTIONS = {"split_ratio": 1.0, "dividend": 0.0}
ACTION_RULES = {
    "split_ratio": "a split ratio (new shares per old) must be above 0 and finite, 1 or null where nothing happens",
    "dividend": "a dividend must be at least 0 USD and finite, 0 or null where nothing happens",
}


def as_polars(frame: Any) -> pl.DataFrame:
    """``frame`` as a Polars frame. Accepts Polars (eager or lazy), pandas and Arrow; anything else is an InputError."""
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    kind = type(frame).__module__.split(".")[0]
    if kind == "pandas":
        flat = frame.reset_index() if {"symbol", "date"} & set(frame.index.names) else frame
        converted = pl.from_pandas(flat)
        assert isinstance(converted, pl.DataFrame)
        return converted
    if kind == "pyarrow":
        converted = pl.from_arrow(frame)
        if isinstance(converted, pl.DataFrame):
            return converted
    raise InputError(
        f"a frame must be a Polars or pandas DataFrame or an Arrow table; got {type(frame).__name__}",
        remedy="convert it first, e.g. polars.DataFrame(rows)",
    )


def panel_arrays(frame: Any) -> tuple[NDArray[np.datetime64], tuple[str, ...], dict[str, NDArray[np.float64]]]:
    """Sessions ``(T,)``, symbols ``(N,)`` sorted, and the ``(T, N)`` arrays of a long frame."""
    rows = _typed(as_polars(frame))
    symbols = rows["symbol"].unique().sort()
    sessions = rows["date"].unique().sort()
    column = symbols.search_sorted(rows["symbol"]).to_numpy()
    row = sessions.search_sorted(rows["date"]).to_numpy()
    shape = (len(sessions), len(symbols))
    flat = row.astype(np.int64) * shape[1] + column
    _refuse_duplicates(rows, flat, shape)
    bars = {name: _spread(rows[name], flat, shape, np.nan) for name in BAR_FIELDS}
    for name, nothing in ACTIONS.items():
        if name in rows.columns:
            bars[name] = _spread(rows[name].fill_null(nothing), flat, shape, nothing)
    return sessions.to_numpy().astype("datetime64[D]"), tuple(symbols.to_list()), bars


def long_frame(panel: BarPanel) -> pl.DataFrame:
    """Traded rows of ``panel``, sorted by symbol and date."""
    traded = ~np.isnan(panel.close.T)
    column, row = np.nonzero(traded)
    data: dict[str, Any] = {"symbol": np.asarray(panel.symbols)[column], "date": panel.sessions[row]}
    for name in (*BAR_FIELDS, *ACTIONS):
        data[name] = getattr(panel, name).T[traded]
    return pl.DataFrame(data)


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise InputError(
            f"bars need the columns {', '.join(REQUIRED)}; missing: {', '.join(missing)}",
            remedy=f"rename the columns; the frame has {', '.join(frame.columns) or 'none'}",
        )
    if frame.is_empty():
        raise InputError("bars need at least one row; the frame is empty")
    wanted = [pl.col("symbol").cast(pl.String), pl.col("date").cast(pl.Date)]
    wanted += [pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in BAR_FIELDS]
    wanted += [pl.col(name).cast(pl.Float64) for name in ACTIONS if name in frame.columns]
    try:
        rows = frame.select(wanted)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"bars need a date and numbers in every row: {str(error).splitlines()[0]}") from error
    nameless = rows.filter(pl.col("symbol").is_null() | pl.col("date").is_null()).height
    if nameless:
        raise InputError(f"every row needs a symbol and a date; {nameless} rows have none")
    return _price_checks(rows)


def _price_checks(rows: pl.DataFrame) -> pl.DataFrame:
    for name in PRICE_FIELDS:
        bad = rows.filter((pl.col(name) <= 0.0) | pl.col(name).is_infinite())
        if bad.height:
            first = bad.row(0, named=True)
            raise InputError(
                f"a price must be above 0 and finite; {bad.height} rows break it, "
                f"first {cut(first['symbol'])} {first['date']} {name}={first[name]}",
                remedy="import the file with `exo data import`, which quarantines bad rows, or drop them",
            )
    _refuse_bars(rows, contradictory(), "high must be at least, low at most, open and close")
    _refuse_bars(rows, (pl.col("volume") < 0.0) | pl.col("volume").is_infinite(), "volume must not be negative or infinite")
    for name, rule in ACTION_RULES.items():
        if name in rows.columns:
            bad = rows.filter(~_sane_action(name).fill_null(True))
            if bad.height:
                first = bad.row(0, named=True)
                raise InputError(f"{rule}; {bad.height} rows break it, first {cut(first['symbol'])} {first['date']} {name}={first[name]}")
    return rows


def contradictory() -> pl.Expr:
    """Whether a bar's high is below, or its low above, another of its prices; an unknown price contradicts nothing."""
    price = {name: pl.col(name).fill_nan(None) for name in PRICE_FIELDS}
    above = pl.max_horizontal(price["open"], price["low"], price["close"]) > price["high"] * (1.0 + ROUNDING)
    below = pl.min_horizontal(price["open"], price["high"], price["close"]) < price["low"] * (1.0 - ROUNDING)
    return (above | below).fill_null(False)


def _refuse_bars(rows: pl.DataFrame, wrong: pl.Expr, rule: str) -> None:
    bad = rows.filter(wrong)
    if bad.height:
        first = bad.row(0, named=True)
        shown = " ".join(f"{name}={first[name]}" for name in BAR_FIELDS)
        raise InputError(
            f"{rule}; {bad.height} rows break it, first {cut(first['symbol'])} {first['date']} {shown}",
            remedy="import the file with `exo data import`, which quarantines bad rows, or drop them",
        )


def _sane_action(name: str) -> pl.Expr:
    """Whether a split ratio or dividend means something; null (nothing happened) does."""
    value = pl.col(name)
    return value.is_finite() & (value > 0.0 if name == "split_ratio" else value >= 0.0)


def _refuse_duplicates(rows: pl.DataFrame, flat: NDArray[np.int64], shape: tuple[int, int]) -> None:
    seen = np.zeros(shape[0] * shape[1], np.bool_)
    seen[flat] = True
    doubled = len(flat) - int(seen.sum())
    if doubled:
        first = rows.filter(pl.struct("symbol", "date").is_duplicated()).row(0, named=True)
        raise InputError(
            f"a symbol has one row per date; {doubled} rows are doubled, first {cut(first['symbol'])} {first['date']}",
            remedy="drop the duplicates, e.g. frame.unique(['symbol', 'date'])",
        )


def _spread(values: pl.Series, flat: NDArray[np.int64], shape: tuple[int, int], nothing: float) -> NDArray[np.float64]:
    array = np.full(shape[0] * shape[1], nothing)
    array[flat] = values.to_numpy()
    out = array.reshape(shape)
    out.flags.writeable = False
    return out
