"""Two runs side by side: what was asked differently, what came out differently, and where they part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.domain import markup

if TYPE_CHECKING:
    import polars as pl

    from mech_exo.backtest.result import BacktestResult

TRADE_KEY = ("symbol", "entry_date", "exit_date", "shares")
FILL = ("date", "symbol", "shares", "price", "reason")
Value = float | int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same in both: a dotted key of the configuration, or code, data, period, name."""

    key: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """One figure of both; ``change`` = b - a, None where either is unknown."""

    name: str
    a: Value
    b: Value
    change: Value


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Run ``a`` against run ``b``.

    ``differences`` is what went in, ``metrics`` every figure that came out. ``first_session`` is the first common session whose NAV is
    not the same, ``first_fill_*`` the first execution that only one of them has (None: none). ``correlation`` and ``tracking_error_ann``
    are of the daily returns on ``sessions`` common sessions (NaN below two). ``trades_only_*`` are round trips (symbol, entry, exit,
    shares) that the other does not have, ``trades_common`` how many both have.
    """

    run_a: str
    run_b: str
    differences: tuple[Difference, ...]
    metrics: tuple[MetricDifference, ...]
    sessions: int
    first_session: date | None
    first_fill_a: dict[str, Any] | None
    first_fill_b: dict[str, Any] | None
    correlation: float
    tracking_error_ann: float
    trades_common: int
    trades_only_a: pl.DataFrame
    trades_only_b: pl.DataFrame

    @property
    def identical(self) -> bool:
        """Whether nothing that went in and nothing that came out differs."""
        apart = self.first_session or self.first_fill_a or self.first_fill_b
        return not self.differences and apart is None and all(line.a == line.b for line in self.metrics)

    def as_dict(self) -> dict[str, Any]:
        """What ``exo backtest compare --json`` prints."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain["differences"] = [asdict(line) for line in self.differences]
        plain["metrics"] = [asdict(line) for line in self.metrics]
        for name in ("trades_only_a", "trades_only_b"):
            plain[name] = plain[name].to_dicts()
        return plain | {"identical": self.identical}

    def lines(self) -> tuple[str, ...]:
        """Where they part and how close they stay, in plain words."""
        if self.identical:
            return ("The two runs are the same, to the last bit.",)
        parted = "no NAV differs" if self.first_session is None else f"NAV differs from {self.first_session} on"
        said = [f"{self.sessions:,} sessions in common; {parted}"]
        for run, fill in ((self.run_a, self.first_fill_a), (self.run_b, self.first_fill_b)):
            if fill is not None:
                what = f"{fill['symbol']} {fill['shares']:+,} at {fill['price']:,.4f} ({fill['reason'].replace('_', ' ')})"
                said.append(f"first fill of {run} alone: {fill['date']} {what}")
        tracking = _said(self.tracking_error_ann, ".2%")
        said.append(f"correlation of daily returns {_said(self.correlation, '.4f')}, tracking error {tracking} a year")
        only = [f"{trades.height:,} only in {run}" for run, trades in ((self.run_a, self.trades_only_a), (self.run_b, self.trades_only_b))]
        said.append(f"{self.trades_common:,} round trips in both, {', '.join(only)}")
        return tuple(said)

    def __str__(self) -> str:
        inputs = [f"{line.key}: {line.a} → {line.b}" for line in self.differences]
        return "\n".join((f"{self.run_a} → {self.run_b}", *inputs, *self.lines()))

    def _repr_html_(self) -> str:
        inputs = [(line.key, line.a, line.b) for line in self.differences]
        figures = [(line.name, line.a, line.b, line.change) for line in self.metrics if line.a != line.b]
        return markup.page(
            markup.table(("asked", self.run_a, self.run_b), inputs, len(inputs)),
            markup.notes(self.lines()),
            markup.table(("figure", self.run_a, self.run_b, "change"), figures, len(figures)),
        )


def compare(a: BacktestResult, b: BacktestResult) -> Comparison:
    """``a`` against ``b``; neither needs its bars."""
    common, rows_a, rows_b = np.intersect1d(a.sessions, b.sessions, return_indices=True)
    nav_a, nav_b = a.days["nav"][rows_a], b.days["nav"][rows_b]
    apart = np.flatnonzero(~((nav_a == nav_b) | (np.isnan(nav_a) & np.isnan(nav_b))))
    first: date | None = common[apart[0]].astype(object) if len(apart) else None
    returns = a.equity["return"].to_numpy()[rows_a], b.equity["return"].to_numpy()[rows_b]
    only_a, only_b = _only(a.trades, b.trades, TRADE_KEY), _only(b.trades, a.trades, TRADE_KEY)
    fills_a, fills_b = _only(a.fills, b.fills, FILL), _only(b.fills, a.fills, FILL)
    return Comparison(
        run_a=a.run_id,
        run_b=b.run_id,
        differences=tuple(_inputs(a, b)),
        metrics=tuple(_metrics(a.metrics, b.metrics)),
        sessions=len(common),
        first_session=first,
        first_fill_a=_head(fills_a),
        first_fill_b=_head(fills_b),
        correlation=_correlation(*returns),
        tracking_error_ann=_tracking_error(*returns),
        trades_common=a.trades.height - only_a.height,
        trades_only_a=only_a,
        trades_only_b=only_b,
    )


def _inputs(a: BacktestResult, b: BacktestResult) -> Iterator[Difference]:
    identity = {"name": "name", "code_version": "code", "data_hash": "data"}
    for attribute, key in identity.items():
        if getattr(a, attribute) != getattr(b, attribute):
            yield Difference(key, getattr(a, attribute), getattr(b, attribute))
    for key, place in (("first session", 0), ("last session", -1)):
        if a.sessions[place] != b.sessions[place]:
            yield Difference(key, str(a.sessions[place]), str(b.sessions[place]))
    flows = [float(run.days["flow"].sum()) for run in (a, b)]
    if flows[0] != flows[1]:
        yield Difference("deposits less withdrawals", *flows)
    known = [_flat(run.config.model_dump(mode="json", exclude={"keys"})) for run in (a, b)]
    for key in sorted(known[0].keys() | known[1].keys()):
        left, right = (values.get(key) for values in known)
        if left != right:
            yield Difference(key, left, right)
    if not (a.configured and b.configured) and a.config_hash != b.config_hash:
        yield Difference("strategy", *("the configuration" if run.configured else f"a callable ({run.config_hash})" for run in (a, b)))


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested values by dotted key."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        place = f"{path}.{key}" if path else key
        out |= _flat(value, place) if isinstance(value, Mapping) and value else {place: value}
    return out


def _metrics(a: Mapping[str, Value], b: Mapping[str, Value]) -> Iterator[MetricDifference]:
    for name in (*a, *(name for name in b if name not in a)):
        left, right = a.get(name), b.get(name)
        yield MetricDifference(name, left, right, None if left is None or right is None else right - left)


def _only(mine: pl.DataFrame, theirs: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Rows of ``mine`` whose ``key`` the other lacks; equal rows are told apart by their number."""
    import polars as pl

    again = pl.int_range(pl.len()).over(key)
    left, right = (frame.with_columns(pl.col("shares").cast(pl.Float64)).with_columns(again=again) for frame in (mine, theirs))
    rows = left.with_row_index("place").join(right.select(*key, "again"), on=[*key, "again"], how="anti", nulls_equal=True)
    return mine[rows["place"].sort()]


def _head(frame: pl.DataFrame) -> dict[str, Any] | None:
    return frame.select(FILL).row(0, named=True) if frame.height else None


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 2 or not (a.std() > 0.0 and b.std() > 0.0):
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _tracking_error(a: np.ndarray, b: np.ndarray) -> float:
    from mech_exo.performance.ratios import volatility_ann

    return volatility_ann(a - b) if len(a) > 1 else math.nan


def _said(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "unknown"
