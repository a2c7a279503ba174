"""Files of fundamentals that people have: each layout is recognised by its columns and read into rows of the table of facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from mech_exo.datasource.accounts.metrics import AS_OF_DAY, FLOWS, STATEMENT, Span
from mech_exo.datasource.accounts.vendors import Line
from mech_exo.datasource.base import FUNDAMENTALS
from mech_exo.datasource.fetching import SYMBOL
from mech_exo.domain.errors import InputError, cut

ASSUMED_LAG = 90
"""Days after a period's end at which a figure without filing date is taken as filed: the longest the SEC allows a 10-K."""
LOOKS_AHEAD = re.compile(
    r"(.*_)?(p|price)_change|.*\b(fwd|forward|future|next)[ _-]?(\d+\w?[ _-])?(return|ret|change|price)s?\b.*|.*(fwd|forward|future)_ret.*",
    re.IGNORECASE,
)
"""Names of columns that tell what a price did afterwards. "Forward P/E" is an estimate made that day and is none."""
PERCENT_SINCE = 2010
_SPANS = {"Q1": Span.QUARTER, "Q2": Span.HALF, "Q3": Span.NINE, "FY": Span.YEAR}

KEY_STATISTICS = {
    "Market Cap": Line("market_cap", "USD", priced=True),
    "Trailing P/E": Line("pe_ratio", "ratio", priced=True),
    "Forward P/E": Line("forward_pe", "ratio", priced=True),
    "Price/Sales": Line("price_to_sales", "ratio", priced=True),
    "Price/Book": Line("price_to_book", "ratio", priced=True),
    "Profit Margin": Line("net_margin", "fraction", scale=0.01),
    "Operating Margin": Line("operating_margin", "fraction", scale=0.01),
    "Return on Assets": Line("return_on_assets", "fraction", scale=0.01),
    "Return on Equity": Line("return_on_equity", "fraction", scale=0.01),
    "Qtrly Revenue Growth": Line("revenue_growth", "fraction", scale=0.01),
    "Qtrly Earnings Growth": Line("earnings_growth", "fraction", scale=0.01),
    "Current Ratio": Line("current_ratio", "ratio"),
    "Revenue": Line("revenue", "USD"),
    "Net Income Avl to Common": Line("net_income", "USD"),
    "Operating Cash Flow": Line("operating_cash_flow", "USD"),
    "Total Debt": Line("total_debt", "USD"),
    "Total Cash": Line("cash", "USD"),
    "Shares Outstanding": Line("shares_outstanding", "shares"),
}
"""Yahoo's key statistics; money is of the trailing twelve months or the last quarter. Its gross profit is of the last fiscal year and its
EPS on a later share count: neither is taken."""

REPORTS = {
    "revenues": Line("revenue", "USD"),
    "op_income": Line("operating_income", "USD"),
    "net_income": Line("net_income", "USD"),
    "eps_diluted": Line("eps_diluted", "USD/share"),
    "assets": Line("total_assets", "USD"),
    "cur_assets": Line("current_assets", "USD"),
    "cur_liab": Line("current_liabilities", "USD"),
    "cash": Line("cash", "USD"),
    "equity": Line("total_equity", "USD"),
    "cash_flow_op": Line("operating_cash_flow", "USD"),
}

ANNUAL = {
    "Total Revenue": Line("revenue", "USD"),
    "Cost of Revenue": Line("cost_of_revenue", "USD"),
    "Gross Profit": Line("gross_profit", "USD"),
    "Operating Income": Line("operating_income", "USD"),
    "Net Income": Line("net_income", "USD"),
    "Net Cash Flow-Operating": Line("operating_cash_flow", "USD"),
    "Capital Expenditures": Line("capital_expenditure", "USD", scale=-1.0),
    "Depreciation": Line("depreciation", "USD"),
    "Total Assets": Line("total_assets", "USD"),
    "Total Current Assets": Line("current_assets", "USD"),
    "Total Current Liabilities": Line("current_liabilities", "USD"),
    "Total Equity": Line("total_equity", "USD"),
    "Long-Term Debt": Line("long_term_debt", "USD"),
    "Cash and Cash Equivalents": Line("cash", "USD"),
    "Net Receivables": Line("receivables", "USD"),
    "Inventory": Line("inventory", "USD"),
    "Estimated Shares Outstanding": Line("average_shares", "shares"),
}
_MATURING = "Short-Term Debt / Current Portion of Long-Term Debt"


@dataclass(frozen=True, slots=True)
class FactFile:
    """What a file holds: ``rows`` in the columns of ``base.FUNDAMENTALS``, what is to be said, and whether ``filed`` is an assumption."""

    rows: pl.DataFrame
    notices: tuple[str, ...]
    undated: bool = False


def read_facts(frame: pl.DataFrame) -> FactFile:
    """The facts in ``frame``, whose layout is told by its columns.

    Raises
    ------
    InputError
        No layout we know, a symbol that could not be one, a figure or a date that cannot be read.
    """
    ahead = [name for name in frame.columns if LOOKS_AHEAD.fullmatch(name.strip())]
    for layout, (needed, reader) in LAYOUTS.items():
        if needed <= set(frame.columns):
            read = reader(frame.drop(ahead))
            refused = (f"refused, because they tell what happened afterwards, and not stored: {', '.join(ahead)}",) if ahead else ()
            return FactFile(read.rows, (f"recognised as {layout}", *refused, *read.notices), read.undated)
    known = "; ".join(f"{layout}: {', '.join(sorted(needed))}" for layout, (needed, _) in LAYOUTS.items())
    raise InputError(
        f"a file of fundamentals must be of a layout known by its columns; this one has {cut(', '.join(frame.columns) or 'none')}",
        remedy=f"the layouts and the columns that tell them: {known}",
    )


def _long(frame: pl.DataFrame) -> FactFile:
    optional = [name for name in ("known_at", "source") if name in frame.columns]
    return FactFile(frame.select(*FUNDAMENTALS, *optional), ())


def _key_statistics(frame: pl.DataFrame) -> FactFile:
    """Each row is of the day it was seen; Yahoo named no quarter, so that day is the period's end too."""
    table = _table(frame, "Ticker", "Date", (*KEY_STATISTICS, "Total Debt/Equity", "Book Value Per Share"))
    last = table.sort("end", "stamp").unique(["symbol", "end"], keep="last", maintain_order=True)
    percent = pl.when(pl.col("end").dt.year() >= PERCENT_SINCE).then(0.01).otherwise(1.0)
    last = last.with_columns(
        pl.col("Total Debt/Equity") * percent, equity=pl.col("Book Value Per Share") * pl.col("Shares Outstanding"), filed="end"
    )
    lines = {**KEY_STATISTICS, "Total Debt/Equity": Line("debt_to_equity", "ratio"), "equity": Line("total_equity", "USD")}
    said = [f"debt/equity is a ratio until {PERCENT_SINCE - 1} and percent from {PERCENT_SINCE}: stored as a ratio throughout"]
    if table.height > last.height:
        said.append(f"{table.height - last.height} rows were followed by another of the same day, which counts")
    return FactFile(_melted(last, lines, pl.lit(Span.YEAR.value)), tuple(said))


def _reports(frame: pl.DataFrame) -> FactFile:
    """``first_seen`` is the clock. Quarters stand alone, fiscal years are whole, cash flow runs from the fiscal year's beginning."""
    table = _table(frame, "symbol", "end_date", tuple(REPORTS), keep=("period_focus", "first_seen"))
    table = table.with_columns(pl.col("symbol").str.split("/")).explode("symbol").with_columns(filed=_day("first_seen"))
    early = table.filter(pl.col("filed") < pl.col("end"))
    good = table.filter(pl.col("filed") >= pl.col("end"), pl.col("period_focus").is_in(list(_SPANS)))
    one = ("symbol", "end", "period_focus", "filed")
    alone = good.unique(maintain_order=True).filter(pl.struct(one).is_unique())
    said = ["first_seen is taken as the filing date"]
    if early.height:
        first = early.row(0, named=True)
        said.append(
            f"left out: {early.height} reports seen before their period's end, which cannot be, first {first['symbol']} {first['end']}"
        )
    doubtful = good.unique().height - alone.height
    if doubtful:
        said.append(f"left out: {doubtful} reports of which two of one company, period and day contradict each other")
    focus = pl.col("period_focus")
    to_date = focus.replace_strict({name: span.value for name, span in _SPANS.items()}, return_dtype=pl.String)
    single = pl.when(focus == "FY").then(pl.lit(Span.YEAR.value)).otherwise(pl.lit(Span.QUARTER.value))
    span = pl.when(pl.col("metric") == "operating_cash_flow").then(to_date).otherwise(single)
    return FactFile(_melted(alone, REPORTS, span), tuple(said))


def _annual(frame: pl.DataFrame) -> FactFile:
    """No filing date: filed 90 days after the period's end, by assumption. The file writes 0 for what it does not know."""
    table = _table(frame, "Ticker Symbol", "Period Ending", (*ANNUAL, _MATURING))
    stated = table.with_columns(pl.when(pl.col(name) != 0.0).then(pl.col(name)).alias(name) for name in ANNUAL).with_columns(
        filed=pl.col("end").dt.offset_by(f"{ASSUMED_LAG}d"), debt=pl.col("Long-Term Debt") + pl.col(_MATURING)
    )
    rows = _melted(stated, {**ANNUAL, "debt": Line("total_debt", "USD")}, pl.lit(Span.YEAR.value))
    return FactFile(
        rows, (f"no filing dates: taken as filed {ASSUMED_LAG} days after the period's end, flagged", "zeros are taken as unknown"), True
    )


LAYOUTS: Mapping[str, tuple[set[str], Callable[[pl.DataFrame], FactFile]]] = {
    "a table of facts": (set(FUNDAMENTALS), _long),
    "reports as first seen": ({"symbol", "end_date", "period_focus", "first_seen", "revenues"}, _reports),
    "Yahoo key statistics": ({"Ticker", "Date", "Trailing P/E", "Total Debt/Equity", "Shares Outstanding"}, _key_statistics),
    "annual statements": ({"Ticker Symbol", "Period Ending", "Total Revenue", "Total Equity"}, _annual),
}


def _table(frame: pl.DataFrame, symbol: str, end: str, figures: Sequence[str], keep: Sequence[str] = ()) -> pl.DataFrame:
    """``symbol`` in capitals, ``end`` as a date (and as it stood, ``stamp``), ``keep``, and ``figures`` as numbers; absent ones null."""
    present = [name for name in figures if name in frame.columns]
    table = frame.select(
        pl.col(symbol).str.strip_chars().str.to_uppercase().alias("symbol"),
        _day(end).alias("end"),
        pl.col(end).cast(pl.String).alias("stamp"),
        *keep,
        *(pl.col(name).cast(pl.Float64, strict=False).alias(name) for name in present),
    )
    for name in ("symbol", "end"):
        if table[name].null_count():
            raise InputError(
                f"every row needs a {symbol if name == 'symbol' else end}; {table[name].null_count()} of {table.height} have none"
            )
    for name in present:
        lost = table.filter(table[name].is_null() & frame[name].is_not_null())
        if lost.height:
            raise InputError(f"every figure must be a number; {lost.height} of the column {name} are not, first of {lost['symbol'][0]}")
    for written in table["symbol"].unique():
        if not all(SYMBOL.fullmatch(part) for part in written.split("/")):
            raise InputError(f"a symbol has 1 to 20 letters, digits or . ^ = -; got {cut(written)!r}")
    return table.with_columns(pl.lit(None, pl.Float64).alias(name) for name in figures if name not in present)


def _day(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)


def _melted(table: pl.DataFrame, lines: Mapping[str, Line], lasting: pl.Expr) -> pl.DataFrame:
    """One row per figure that is a number; ``lasting``: the span of what covers one."""
    long = table.unpivot(
        list(lines), index=[name for name in ("symbol", "end", "filed", "period_focus") if name in table.columns], variable_name="field"
    )
    of = {field: line.metric for field, line in lines.items()}
    long = long.filter(pl.col("value").is_finite()).with_columns(
        metric=pl.col("field").replace_strict(of, return_dtype=pl.String),
        unit=pl.col("field").replace_strict({field: line.unit for field, line in lines.items()}, return_dtype=pl.String),
        value=pl.col("value")
        * pl.col("field").replace_strict({field: line.scale for field, line in lines.items()}, return_dtype=pl.Float64),
    )
    metric = pl.col("metric")
    span = (
        pl.when(metric.is_in([*FLOWS, "average_shares"]))
        .then(lasting)
        .when(metric.is_in([*STATEMENT, *AS_OF_DAY]))
        .then(pl.lit(Span.INSTANT.value))
        .otherwise(pl.lit(Span.SNAPSHOT.value))
    )
    return long.select("symbol", "metric", pl.col("end").alias("period_end"), span.alias("fiscal_period"), "value", "unit", "filed")
