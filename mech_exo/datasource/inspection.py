"""Which bars are believed. Every refused row has one reason; a doubtful one is stored, for the quality gate to judge; nothing is filled."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

import numpy as np
import polars as pl

from mech_exo.datasource.columns import UNREADABLE
from mech_exo.domain.frames import contradictory
from mech_exo.domain.panel import BAR_FIELDS, PRICE_FIELDS
from mech_exo.utils import calendar

SYMBOL_PATTERN = r"\A[A-Z0-9.\-_ ]{1,16}\z"
INSTANT = pl.Datetime("us", "UTC")
EPOCH = date(1970, 1, 1)


class Reason(StrEnum):
    """Why a row is in quarantine."""

    UNREADABLE = "a date and numbers are needed"
    SYMBOL = "a symbol has 1 to 16 of A-Z 0-9 . - _ and space"
    DATE = "a date is needed"
    SESSION = "the exchange did not trade that day"
    FUTURE = "the session had not closed yet"
    NO_PRICE = "a price is missing"
    PRICE = "a price must be above 0 and finite"
    VOLUME = "volume must be known and not negative"
    RANGE = "high must be at least, low at most, open and close"
    CONFLICT = "two different rows for one symbol and date"
    SPLIT = "a split ratio must be above 0 and finite"
    DIVIDEND = "a dividend must be 0 or more and finite"


REMEDIES: Mapping[Reason, str] = {
    Reason.UNREADABLE: "write dates as YYYY-MM-DD and numbers without separators",
    Reason.SYMBOL: "write symbols in capitals",
    Reason.DATE: "fill in the date or drop the row",
    Reason.SESSION: "check the dates, or their time zone, against the exchange's calendar",
    Reason.FUTURE: "import the day after its close; check the year of the dates",
    Reason.NO_PRICE: "drop the rows, or fetch the symbol anew",
    Reason.PRICE: "fetch these rows from another source",
    Reason.VOLUME: "fetch these rows from another source",
    Reason.RANGE: "fetch these rows from another source",
    Reason.CONFLICT: "keep the right row of each and import again",
    Reason.SPLIT: "write 1 (or 0) where there is no split",
    Reason.DIVIDEND: "write 0 where there is no dividend",
}


IN_DOUBT = (Reason.FUTURE.value, Reason.SYMBOL.value, Reason.UNREADABLE.value)


@dataclass(frozen=True, eq=False)
class Inspection:
    """A frame of bars, sorted out.

    ``bars``: symbol, session, open … volume, known_at (the session's close): believed rows, by symbol and session. ``actions``: symbol,
    session, kind, value, known_at, neutral ones included (a source taking a split back). ``refused``: place (row of the input), reason.
    ``duplicates``: identical rows dropped.
    """

    bars: pl.DataFrame
    actions: pl.DataFrame
    sectors: pl.DataFrame
    refused: pl.DataFrame
    duplicates: int


def inspect(rows: pl.DataFrame, *, now: datetime) -> Inspection:
    """Sort out ``rows``, a typed frame (see ``columns.typed``) with BARS and BAR_EXTRAS.

    Parameters
    ----------
    now
        A session closing later is in the future.
    """
    good, bad = _parted(rows.with_row_index("place"), now)
    single, conflicts, duplicates = _without_doubles(good)
    # A split or dividend counts even where the bar beside it is refused, unless its symbol or session is in doubt.
    beside = bad.filter(pl.col("known_at").is_not_null() & ~pl.col("reason").is_in(IN_DOUBT)).drop("reason")
    told = pl.concat([single, beside])
    return Inspection(
        bars=single.select("symbol", "session", *BAR_FIELDS, "known_at"),
        actions=_actions(told),
        sectors=_sectors(told),
        refused=pl.concat([bad.select("place", "reason"), conflicts]).sort("place"),
        duplicates=duplicates,
    )


def closes_of(days: pl.Series) -> pl.Series:
    """The closing instant of each day; null where the exchange did not trade or the calendar does not reach."""
    table = _closes_by_day()
    places = days.to_physical() - (calendar.FIRST_DAY - EPOCH).days
    if places.len() and not places.drop_nulls().is_between(0, len(table) - 1).all():
        places = places.set(~places.is_between(0, len(table) - 1), None)
    return table.gather(places)


def no_symbols(names: pl.Series) -> pl.Series:
    """Those of ``names`` that could not be symbols, once each: what every door refuses. The whole text must fit, its last line end too."""
    distinct = names.unique().drop_nulls()
    return distinct.filter(~distinct.str.contains(SYMBOL_PATTERN))


@functools.cache
def _closes_by_day() -> pl.Series:
    """One closing instant per calendar day of the whole calendar, null for a day without trading."""
    sessions = calendar.sessions(calendar.FIRST_DAY, calendar.LAST_DAY)
    closes = np.full((calendar.LAST_DAY - calendar.FIRST_DAY).days + 1, np.datetime64("NaT", "us"))
    closes[(sessions - np.datetime64(calendar.FIRST_DAY, "D")).astype(np.int64)] = calendar.closes(sessions)
    return pl.Series("known_at", closes).dt.replace_time_zone("UTC")


def _parted(rows: pl.DataFrame, now: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``rows`` with session and known_at (null: no session): the good ones, and the bad ones with the first ``reason`` against each."""
    rows = rows.rename({"date": "session"}).with_columns(closes_of(rows["date"]))
    foreign = no_symbols(rows["symbol"])
    prices = [pl.col(name) for name in PRICE_FIELDS]
    missing = pl.any_horizontal(price.is_null() | price.is_nan() for price in prices)
    wrong = pl.any_horizontal((price <= 0.0) | price.is_infinite() for price in prices)
    volume = pl.col("volume")
    rules = {
        Reason.SYMBOL: pl.col("symbol").is_null() | (pl.col("symbol").is_in(foreign.implode()) if len(foreign) else pl.lit(False)),
        Reason.UNREADABLE: pl.col(UNREADABLE).is_not_null(),
        Reason.DATE: pl.col("session").is_null(),
        Reason.SESSION: pl.col("known_at").is_null(),
        Reason.FUTURE: pl.col("known_at") > now,
        Reason.NO_PRICE: missing,
        Reason.PRICE: wrong,
        Reason.VOLUME: volume.is_null() | volume.is_nan() | volume.is_infinite() | (volume < 0.0),
        Reason.RANGE: contradictory(),
    }
    if "split_ratio" in rows.columns:
        rules[Reason.SPLIT] = (pl.col("split_ratio") < 0.0) | pl.col("split_ratio").is_infinite()
    if "dividend" in rows.columns:
        rules[Reason.DIVIDEND] = (pl.col("dividend") < 0.0) | pl.col("dividend").is_infinite()
    # A clean column is seen to be clean in one pass; only rules that something breaks are asked row by row.
    found = rows.select(rule.any().alias(reason.name) for reason, rule in rules.items()).row(0, named=True)
    rules = {reason: rule for reason, rule in rules.items() if found[reason.name]}
    if not rules:
        return rows, rows.clear().with_columns(pl.lit(None, pl.String).alias("reason"))
    broken = rows.select(pl.any_horizontal(rules.values()).fill_null(False).alias("broken"))["broken"]
    verdict = pl.coalesce([pl.when(rule).then(pl.lit(reason.value)) for reason, rule in rules.items()])
    return rows.filter(~broken), rows.filter(broken).with_columns(verdict.alias("reason"))


def in_order(rows: pl.DataFrame) -> bool:
    """Whether ``rows`` stand by symbol and session, one each."""
    runs = rows["symbol"].rle()
    names = runs.struct.field("value")
    if not (names.slice(1) > names.head(-1)).all():
        return False
    falls = rows["session"].to_physical().diff() <= 0
    starts = runs.struct.field("len").cum_sum().head(-1)
    return falls.sum() == falls.gather(starts).sum()


def _without_doubles(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """One row of each symbol and session, in this order; the contradicting ones (place, reason); how many equal ones were dropped."""
    nobody = rows.clear().select("place", pl.lit(None, pl.String).alias("reason"))
    if in_order(rows):
        return rows, nobody, 0
    rows = rows.sort("symbol", "session")
    same_key = (pl.col("symbol") == pl.col("symbol").shift(1)) & (pl.col("session") == pl.col("session").shift(1))
    repeats = rows.select(same_key.fill_null(False).alias("again"))["again"]
    if not repeats.any():
        return rows, nobody, 0
    told = [name for name in rows.columns if name not in ("place", "known_at", UNREADABLE)]
    differ = pl.any_horizontal(pl.col(name).n_unique().over("symbol", "session") > 1 for name in told)
    doubled = rows.filter(repeats | repeats.shift(-1, fill_value=False)).with_columns(differ.alias("differ"))
    conflicts = doubled.filter(pl.col("differ"))
    single = rows.filter(~repeats).join(conflicts, on=["symbol", "session"], how="anti", maintain_order="left")
    refused = conflicts.select("place", pl.lit(Reason.CONFLICT.value).alias("reason"))
    return single, refused, rows.height - single.height - conflicts.height


def _actions(rows: pl.DataFrame) -> pl.DataFrame:
    parts = []
    for name, kind, neutral in (("split_ratio", "split", 1.0), ("dividend", "dividend", 0.0)):
        if name not in rows.columns:
            continue
        value = pl.when(pl.col(name) == 0.0).then(neutral).otherwise(pl.col(name))
        said = rows.filter((pl.col(name) >= 0.0) & pl.col(name).is_finite())
        parts.append(said.select("symbol", "session", pl.lit(kind).alias("kind"), value.alias("value"), "known_at"))
    if not parts:
        return pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date, "kind": pl.String, "value": pl.Float64, "known_at": INSTANT})
    told = pl.concat(parts).unique(maintain_order=True)
    return told.filter(~pl.struct("symbol", "session", "kind").is_duplicated())


def _sectors(rows: pl.DataFrame) -> pl.DataFrame:
    """symbol, sector and valid_from (null: one sector throughout, so the source dates nothing) where the frame names sectors."""
    if "sector" not in rows.columns:
        return pl.DataFrame(schema={"symbol": pl.String, "sector": pl.String, "valid_from": pl.Date})
    named = rows.filter(pl.col("sector").is_not_null()).sort("symbol", "session")
    changed = pl.col("sector") != pl.col("sector").shift(1).over("symbol")
    starts = named.filter(changed.fill_null(True))
    lonely = pl.len().over("symbol") == 1
    return starts.select("symbol", "sector", pl.when(lonely).then(None).otherwise(pl.col("session")).alias("valid_from"))
