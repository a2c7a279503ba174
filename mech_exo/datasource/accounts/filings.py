"""From a company's filings, as the SEC's companyfacts show them, to rows of the table of facts.

``fy`` and ``fp`` of companyfacts describe the *filing*; a comparative of last year carries this year's. Periods are read from ``start`` and
``end`` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from mech_exo.datasource.accounts.concepts import CONCEPTS, DEBT_LINES, FORMS, UNITS, Concept
from mech_exo.datasource.accounts.metrics import Span
from mech_exo.datasource.base import FUNDAMENTALS

RAW = {
    "metric": pl.String,
    "choice": pl.Int64,
    "start": pl.String,
    "end": pl.String,
    "value": pl.Float64,
    "accession": pl.String,
    "form": pl.String,
    "filed": pl.String,
}
_ABOUT = ["metric", "period_end", "fiscal_period"]
_IN_FILING = ["accession", "filed", "period_end", "fiscal_period"]


def facts_of(symbol: str, companyfacts: Mapping[str, Any]) -> pl.DataFrame:
    """The facts of one company: the columns of ``base.FUNDAMENTALS``, sorted by metric, period and filing.

    A figure repeated in a later filing is not news and left out; one that differs is a restatement, a row of its own ``filed``. Gross
    profit is what the filing says, else its revenue - its cost of revenue.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        It is not in the format of companyfacts.
    """
    rows = pl.DataFrame(list(_reported(companyfacts["facts"])), schema=RAW, orient="row")
    dated = (
        rows.filter(pl.col("form").str.contains(FORMS) & pl.col("value").is_finite())
        .with_columns(pl.col("start", "end", "filed").str.to_date(strict=True))
        .rename({"end": "period_end"})
        .with_columns(fiscal_period=span_between("start", "period_end"))
        .drop_nulls("fiscal_period")
        .filter(pl.col("period_end") <= pl.col("filed"))
        .sort("choice", "accession")
        .unique([*_IN_FILING, "metric"], keep="first", maintain_order=True)
    )
    known = pl.concat([dated.select(*_IN_FILING, "metric", "value"), _gross_profit(dated), _total_debt(dated)])
    stated = known.filter(pl.col("metric").is_in(list(UNITS)))
    return (
        _news(stated)
        .select(
            pl.lit(symbol).alias("symbol"),
            "metric",
            "period_end",
            "fiscal_period",
            "value",
            pl.col("metric").replace_strict(UNITS, return_dtype=pl.String).alias("unit"),
            "filed",
        )
        .cast(pl.Schema(FUNDAMENTALS))
    )


def foreign_units(companyfacts: Mapping[str, Any]) -> tuple[str, ...]:
    """Currencies other than USD in which the company states its assets: such figures are left out."""
    units = companyfacts["facts"].get("us-gaap", {}).get("Assets", {}).get("units", {})
    return tuple(sorted(set(units) - {"USD"}))


def span_between(start: str, end: str) -> pl.Expr:
    """The :class:`Span` from column ``start`` (null: an instant) to column ``end``, both included; null for no fiscal period."""
    from mech_exo.kernels.fiscal import SPAN_DAYS

    days = (pl.col(end) - pl.col(start)).dt.total_days() + 1
    spans = zip((Span.QUARTER, Span.HALF, Span.NINE, Span.YEAR), SPAN_DAYS, strict=True)
    lasting = [pl.when(days.is_between(least, most)).then(pl.lit(span.value)) for span, (least, most) in spans]
    return pl.coalesce(pl.when(pl.col(start).is_null()).then(pl.lit(Span.INSTANT.value)), *lasting)


def _reported(facts: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for concept in CONCEPTS:
        for choice, tag in enumerate(concept.tags):
            for one in facts.get(concept.taxonomy, {}).get(tag, {}).get("units", {}).get(concept.unit, ()):
                if (one.get("start") is not None) == concept.is_flow:
                    yield _row(concept, choice, one)


def _row(concept: Concept, choice: int, one: Mapping[str, Any]) -> tuple[object, ...]:
    return concept.metric, choice, one.get("start"), one["end"], float(one["val"]), one["accn"], one["form"], one["filed"]


def _gross_profit(dated: pl.DataFrame) -> pl.DataFrame:
    """Revenue - cost of revenue, for filings and periods that state both and no gross profit."""
    wide = _side_by_side(dated, ("revenue", "cost_of_revenue", "gross_profit"))
    return _made(wide.filter(pl.col("gross_profit").is_null()), "gross_profit", pl.col("revenue") - pl.col("cost_of_revenue"))


def _total_debt(dated: pl.DataFrame) -> pl.DataFrame:
    """Interest-bearing debt, long and short, nothing counted twice; of filings that state a long-term line or all debt.

    A line a filing does not have is not owed. ``LongTermDebt`` contains the maturities of the next twelve months; ``DebtCurrent`` contains
    them and all short-term borrowings. Some tag the maturing part a second time as ``ShortTermBorrowings``: it is taken for that when it
    equals the maturing line, or fits between the whole and the noncurrent part where no maturing line stands.
    """
    wide = _side_by_side(dated, ("long_term_debt", *DEBT_LINES))
    noncurrent, whole, maturing = pl.col("long_term_debt"), pl.col("_debt_long"), pl.col("_debt_maturing")
    short = pl.coalesce("_debt_short", pl.col("_debt_paper").fill_null(0.0) + pl.col("_debt_other").fill_null(0.0))
    twice = (pl.col("_debt_short") == maturing) | (maturing.is_null() & (pl.col("_debt_short") <= whole - noncurrent))
    both = pl.when(maturing.is_not_null()).then(noncurrent + maturing)
    long = pl.coalesce(both, whole, noncurrent)
    total = pl.coalesce(
        pl.col("_debt"),
        noncurrent + pl.col("_debt_current"),
        long + pl.when(twice.fill_null(False)).then(0.0).otherwise(short),
    )
    return _made(wide, "total_debt", total)


def _side_by_side(dated: pl.DataFrame, metrics: tuple[str, ...]) -> pl.DataFrame:
    """One row per filing and period, one column per metric, null where the filing does not state it."""
    values = [pl.col("value").filter(pl.col("metric") == name).first().alias(name) for name in metrics]
    return dated.filter(pl.col("metric").is_in(metrics)).group_by(_IN_FILING, maintain_order=True).agg(values)


def _made(wide: pl.DataFrame, metric: str, value: pl.Expr) -> pl.DataFrame:
    return wide.select(*_IN_FILING, pl.lit(metric).alias("metric"), value.alias("value")).drop_nulls("value")


def _news(stated: pl.DataFrame) -> pl.DataFrame:
    """Per period the filings that say something new; of two on one day the one with the higher accession number."""
    last = stated.sort(*_ABOUT, "filed", "accession").unique([*_ABOUT, "filed"], keep="last", maintain_order=True)
    return last.filter((pl.col("value") != pl.col("value").shift(1).over(_ABOUT)).fill_null(True))
