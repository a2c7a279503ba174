"""What the companies of the sample market publish: quarterly reports with restatements, and headlines. All invented.

A report is dated by its filing, 25 to 60 days after the quarter's end and after that session's close; prices answer at
the next open. Money per share is on the share count of the filing's day, as printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.accounts.metrics import AS_OF_DAY, FLOWS, Span
from mech_exo.datasource.demo_prices import DEAL, YEAR, Cast, Prices, autoregressive, stream, student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Days = NDArray[np.datetime64]

UNITS = {
    "revenue": "USD", "gross_profit": "USD", "operating_income": "USD", "net_income": "USD", "operating_cash_flow": "USD",
    "total_assets": "USD", "total_equity": "USD", "total_debt": "USD", "shares_outstanding": "shares", "eps_diluted": "USD/share",
    "long_term_debt": "USD", "current_assets": "USD", "current_liabilities": "USD",
}
RESTATED = ("revenue", "gross_profit", "operating_income", "net_income", "eps_diluted")
FILED_AT = (pl.col("filed").cast(pl.Datetime("us")) + pl.duration(hours=21, minutes=30)).dt.replace_time_zone("UTC")
SOURCE = "synthetic sample wire"
GOOD = (
    "{} wins large multi-year contract", "{} upgraded by analysts on improving margins", "{} raises full-year outlook",
    "{} announces new share buyback", "{} reports strong demand for its new product line",
)
BAD = (
    "{} cuts full-year outlook", "{} downgraded by analysts on slowing growth", "{} recalls product after complaints",
    "{} faces regulatory inquiry", "{} loses key customer, warns of weaker sales",
)
PLAIN = (
    "{} names new chief financial officer", "{} to present at industry conference", "{} opens new office",
    "{} completes refinancing of credit line",
)


@dataclass(frozen=True, eq=False)
class Reports:
    """One entry per report ``(R,)``: column of the company, quarter's end, filing session, and how much better than expected."""

    column: Ints
    period_end: Days
    filed: Days
    surprise: Floats
    fiscal: Ints


def draw_reports(seed: int, cast: Cast, sessions: Days, earlier: Days) -> Reports:
    """Reports of every listed company; ``earlier`` are the sessions before the sample, so that it opens with a history."""
    rng = stream(seed, "reports")
    count = len(cast.sector)
    trading = np.concatenate([earlier, sessions])
    first = int(trading[0].astype("datetime64[M]").astype(np.int64)) // 3 * 3 + 2
    months = np.arange(first, int(sessions[-1].astype("datetime64[M]").astype(np.int64)) + 1, 3).astype("datetime64[M]")
    shift = rng.choice(3, count, p=(0.7, 0.15, 0.15))
    month = months[:, None] + shift
    period_end = (month + 1).astype("datetime64[D]") - 1
    lag = np.clip(rng.integers(27, 45, count) + rng.integers(-2, 12, period_end.shape), 25, 56)
    at = np.searchsorted(trading, period_end + lag)
    filed = trading[np.minimum(at, len(trading) - 1)]
    listing = np.where(cast.first > 0, sessions[cast.first], trading[0])
    recent = period_end >= listing - 500
    filed = np.maximum(filed, listing)
    known = (at < len(trading)) & recent & (filed <= sessions[cast.last - 1])
    quarter, column = np.nonzero(known)
    fiscal = (month - shift).astype(np.int64) // 3
    return Reports(column, period_end[known], filed[known], student(rng, 5.0, (len(quarter),)), fiscal[known])


def surprises(reports: Reports, sessions: Days, shape: tuple[int, int]) -> Floats:
    """``(T, N)`` surprise on the first session that could trade on it, 0 elsewhere."""
    out = np.zeros(shape)
    row = np.searchsorted(sessions, reports.filed, "right")
    traded = (row > 0) & (row < shape[0]) & (reports.filed >= sessions[0])
    out[row[traded], reports.column[traded]] = reports.surprise[traded]
    return out


def fundamentals(seed: int, cast: Cast, prices: Prices, reports: Reports, sessions: Days, symbols: tuple[str, ...]) -> pl.DataFrame:
    """Long facts: symbol, metric, period_end, fiscal_period, value, unit, filed, known_at (UTC, the evening of the filing)."""
    values = _statements(seed, cast, prices, reports, sessions)
    frame = _long(values, reports, reports.filed, symbols)
    rng = stream(seed, "restatements")
    again = np.flatnonzero(rng.random(len(reports.column)) < 0.02)
    late = np.searchsorted(sessions, reports.filed[again] + rng.integers(90, 300, again.size))
    change = 1.0 + np.clip(rng.normal(-0.02, 0.04, again.size), -0.15, 0.1)
    inside = late < cast.last[reports.column[again]]
    again, late, change = again[inside], late[inside], change[inside]
    revised = {name: np.round(values[name][again] * change, 2 if name == "eps_diluted" else -3) for name in RESTATED}
    one = Reports(*(getattr(reports, name)[again] for name in ("column", "period_end", "filed", "surprise", "fiscal")))
    whole = pl.concat([frame, _long(revised, one, sessions[late], symbols)]).sort("symbol", "filed", "period_end", "metric")
    about = ("symbol", "metric", "period_end")
    return whole.filter((pl.col("value") != pl.col("value").shift(1).over(about)).fill_null(True))


def _statements(seed: int, cast: Cast, prices: Prices, reports: Reports, sessions: Days) -> dict[str, Floats]:
    """Figures of the single quarter (flows) or at its end (stocks), in USD rounded to the thousand."""
    rng = stream(seed, "statements")
    column, count = reports.column, len(cast.sector)
    size, growth = _size(cast, prices, reports, sessions)
    sales_multiple = np.exp(rng.normal(np.log(2.2), 0.4, count))
    usual_margin = sales_multiple / rng.uniform(14.0, 30.0, count)
    wobble = autoregressive(rng, 0.8, 0.12, (int(reports.fiscal.max() - reports.fiscal.min()) + 1, count))
    season = rng.uniform(-0.08, 0.08, (4, count))
    revenue = size / sales_multiple[column] / 4.0 * growth**0.6 * np.exp(rng.normal(0.0, 0.02, column.size))
    revenue *= 1.0 + season[reports.fiscal % 4, column]
    margin = usual_margin[column] * (1.0 + wobble[reports.fiscal - reports.fiscal.min(), column] + 0.06 * reports.surprise)
    margin -= np.where(cast.bankrupt[column], 0.3 * np.clip(1.0 - growth, 0.0, 1.0), 0.0)
    income = revenue * margin
    equity = size * rng.uniform(0.2, 0.5, count)[column] * growth**0.4
    debt = equity * rng.uniform(0.1, 1.4, count)[column]
    gross = revenue * np.clip(rng.uniform(0.25, 0.6, count)[column] + margin - usual_margin[column], 0.02, 0.95)
    shares = _share_count(cast, prices, reports, sessions)
    money = {
        "revenue": revenue, "gross_profit": gross, "operating_income": income / 0.79 + debt * 0.045 / 4.0, "net_income": income,
        "operating_cash_flow": income + revenue * (0.04 + rng.normal(0.0, 0.02, column.size)),
        "total_assets": equity + debt + 1.2 * revenue, "total_equity": equity, "total_debt": debt,
    }
    # Streams of their own: what is drawn here moves nothing else.
    more = stream(seed, "balance sheets")
    money["long_term_debt"] = debt * more.uniform(0.7, 0.95, count)[column]
    money["current_liabilities"] = debt - money["long_term_debt"] + 0.6 * revenue
    money["current_assets"] = money["current_liabilities"] * more.uniform(0.9, 2.5, count)[column] * more.uniform(0.95, 1.05, column.size)
    rounded = {name: np.round(value, -3) for name, value in money.items()}
    return {**rounded, "shares_outstanding": np.round(shares), "eps_diluted": np.round(income / (1.015 * shares), 2)}


def _size(cast: Cast, prices: Prices, reports: Reports, sessions: Days) -> tuple[Floats, Floats]:
    """Capitalisation at listing, and last year's average over it, as of each quarter's end: sales follow the market's view."""
    cap = np.nan_to_num(prices.cap)
    traded = np.cumsum(~np.isnan(prices.cap), axis=0)
    total = np.cumsum(cap, axis=0)
    column = reports.column
    row = np.clip(np.searchsorted(sessions, reports.period_end, "right") - 1, cast.first[column], cast.last[column] - 1)
    start = row - YEAR
    has_year = start >= 0
    begun = np.maximum(start, 0)
    mass = total[row, column] - np.where(has_year, total[begun, column], 0.0)
    days = traded[row, column] - np.where(has_year, traded[begun, column], 0)
    first = cap[cast.first[column], column]
    return first, mass / days / first


def _share_count(cast: Cast, prices: Prices, reports: Reports, sessions: Days) -> Floats:
    so_far = np.cumprod(np.asarray(prices.bars["split_ratio"], np.float64), axis=0)
    row = np.searchsorted(sessions, reports.filed, "right") - 1
    factor = np.where(row >= 0, so_far[np.maximum(row, 0), reports.column], 1.0)
    return np.asarray(cast.shares[reports.column] * factor)


def _long(values: dict[str, Floats], reports: Reports, filed: Days, symbols: tuple[str, ...]) -> pl.DataFrame:
    names = np.array(symbols)[reports.column]
    base = pl.DataFrame({"symbol": names, "period_end": reports.period_end, "filed": filed})
    parts = []
    for name, value in values.items():
        span = Span.QUARTER if name in FLOWS else Span.INSTANT
        part = base.with_columns(metric=pl.lit(name), value=pl.Series(value), unit=pl.lit(UNITS[name]), fiscal_period=pl.lit(span.value))
        # The count stands on the report's cover: it is of the filing's day.
        parts.append(part.with_columns(period_end="filed").unique(maintain_order=True) if name in AS_OF_DAY else part)
    columns = ("symbol", "metric", "period_end", "fiscal_period", "value", "unit", "filed", FILED_AT.alias("known_at"))
    return pl.concat(parts).select(columns)


@dataclass(frozen=True, eq=False)
class Lines:
    """Headlines being gathered: company, UTC instant in seconds, text."""

    column: Ints
    second: Ints
    text: list[str]


def headlines(seed: int, cast: Cast, prices: Prices, reports: Reports, sessions: Days, symbols: tuple[str, ...]) -> pl.DataFrame:
    """Dated headlines: symbol, published (UTC), headline, source. Reports and moves come out after the close, deals before the open."""
    day = sessions.astype("datetime64[s]").astype(np.int64)
    parts = (
        _report_lines(seed, reports, sessions, day, symbols),
        _move_lines(seed, prices, day, symbols),
        _chatter(seed, cast, day, symbols),
        _action_lines(cast, prices, day, symbols),
    )
    column = np.concatenate([part.column for part in parts])
    second = pl.Series(np.concatenate([part.second for part in parts]))
    frame = pl.DataFrame(
        {
            "symbol": np.array(symbols)[column],
            "published": pl.from_epoch(second, "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
            "headline": [text for part in parts for text in part.text],
            "source": [SOURCE] * column.size,
        }
    )
    return frame.unique(maintain_order=True).sort("published", "symbol", "headline")


def _clock(rng: np.random.Generator, first: float, last: float, size: int) -> Ints:
    """Seconds into the day between two UTC hours."""
    return rng.integers(int(first * 3600), int(last * 3600), size)


def _report_lines(seed: int, reports: Reports, sessions: Days, day: Ints, symbols: tuple[str, ...]) -> Lines:
    rng = stream(seed, "report headlines")
    told = np.flatnonzero(reports.filed >= sessions[0])
    column = reports.column[told]
    second = day[np.searchsorted(sessions, reports.filed[told])] + _clock(rng, 21.1, 22.5, told.size)
    text = []
    for at, quarter, surprise in zip(column.tolist(), reports.fiscal[told].tolist(), reports.surprise[told].tolist(), strict=True):
        verdict = "beats expectations" if surprise > 0.5 else "misses expectations" if surprise < -0.5 else "meets expectations"
        text.append(f"{symbols[at]} profit for quarter {quarter % 4 + 1} of {1970 + quarter // 4} {verdict}")
    return Lines(column, second, text)


def _move_lines(seed: int, prices: Prices, day: Ints, symbols: tuple[str, ...]) -> Lines:
    rng = stream(seed, "move headlines")
    with np.errstate(invalid="ignore"):
        change = prices.cap[1:] / prices.cap[:-1] - 1.0
    row, column = np.nonzero((np.abs(change) > 0.05) & (rng.random(change.shape) < 0.35))
    verbs = ("jump", "tumble")
    moves = zip(column.tolist(), change[row, column].tolist(), strict=True)
    text = [f"{symbols[at]} shares {verbs[move < 0]} {abs(move):.1%}" for at, move in moves]
    return Lines(column, day[row + 1] + _clock(rng, 21.1, 23.0, row.size), text)


def _chatter(seed: int, cast: Cast, day: Ints, symbols: tuple[str, ...]) -> Lines:
    rng = stream(seed, "chatter")
    row, column = np.nonzero(rng.random((len(day), len(symbols))) < 6.0 / YEAR)
    listed = (row >= cast.first[column]) & (row < cast.last[column])
    row, column = row[listed], column[listed]
    lines = GOOD + BAD + PLAIN
    chosen = rng.integers(0, len(lines), row.size)
    text = [lines[line].format(symbols[at]) for line, at in zip(chosen.tolist(), column.tolist(), strict=True)]
    return Lines(column, day[row] + _clock(rng, 11.0, 22.5, row.size), text)


def _action_lines(cast: Cast, prices: Prices, day: Ints, symbols: tuple[str, ...]) -> Lines:
    """Splits and dividends a fortnight ahead, deals on the morning they are struck, bankruptcies after the last close."""
    found: list[tuple[int, int, str]] = []
    split = np.asarray(prices.bars["split_ratio"], np.float64)
    for row, at in np.argwhere(split != 1.0).tolist():
        ratio = split[row, at]
        form = f"{ratio:g}-for-1" if ratio > 1 and ratio == round(ratio) else "3-for-2" if ratio > 1 else f"1-for-{1 / ratio:g} reverse"
        found.append((at, int(day[max(row - 10, 0)]) + 77_400, f"{symbols[at]} board approves {form} stock split"))
    paid = np.asarray(prices.bars["dividend"], np.float64)
    for row, at in np.argwhere(paid > 0.0).tolist():
        text = f"{symbols[at]} declares quarterly dividend of ${paid[row, at]:.4f} a share"
        found.append((at, int(day[max(row - 10, 0)]) + 77_700, text))
    bought, failed = np.flatnonzero(cast.acquired).tolist(), np.flatnonzero(cast.bankrupt).tolist()
    found += [(at, int(day[cast.last[at] - DEAL]) + 41_400, f"{symbols[at]} agrees to be acquired for cash at a premium") for at in bought]
    found += [(at, int(day[cast.last[at] - 1]) + 79_200, f"{symbols[at]} files for bankruptcy, shares to be delisted") for at in failed]
    numbers = np.array([line[:2] for line in found], np.int64).reshape(-1, 2)
    return Lines(numbers[:, 0], numbers[:, 1], [line[2] for line in found])
