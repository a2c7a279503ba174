"""The sample companies' reports as the SEC publishes them: companyfacts by central index key, and the list of tickers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from mech_exo.datasource.accounts.metrics import FLOWS
from mech_exo.datasource.demo import LABEL

if TYPE_CHECKING:
    from mech_exo.datasource.demo import SampleMarket

FIRST_KEY = 9_000_001
TAGS = {
    "revenue": ("us-gaap", "Revenues", "USD"),
    "gross_profit": ("us-gaap", "GrossProfit", "USD"),
    "operating_income": ("us-gaap", "OperatingIncomeLoss", "USD"),
    "net_income": ("us-gaap", "NetIncomeLoss", "USD"),
    "operating_cash_flow": ("us-gaap", "NetCashProvidedByUsedInOperatingActivities", "USD"),
    "total_assets": ("us-gaap", "Assets", "USD"),
    "total_equity": ("us-gaap", "StockholdersEquity", "USD"),
    "total_debt": ("us-gaap", "DebtLongtermAndShorttermCombinedAmount", "USD"),
    "shares_outstanding": ("dei", "EntityCommonStockSharesOutstanding", "shares"),
    "eps_diluted": ("us-gaap", "EarningsPerShareDiluted", "USD/shares"),
    "long_term_debt": ("us-gaap", "LongTermDebtNoncurrent", "USD"),
    "current_assets": ("us-gaap", "AssetsCurrent", "USD"),
    "current_liabilities": ("us-gaap", "LiabilitiesCurrent", "USD"),
}


def company_tickers(symbols: Sequence[str]) -> dict[str, dict[str, object]]:
    """The SEC's ``company_tickers.json``."""
    return {
        str(place): {"cik_str": FIRST_KEY + place, "ticker": name, "title": f"{name} ({LABEL})"} for place, name in enumerate(symbols)
    }


def company_facts(market: SampleMarket, file: str) -> dict[str, object] | None:
    """The SEC's ``CIK##########.json`` of a sample company; None for a key nobody has.

    As at the SEC a year's last quarter is not filed by itself: the annual report holds the whole year.
    """
    found = re.fullmatch(r"CIK(\d{10})\.json", file)
    place = int(found[1]) - FIRST_KEY if found else -1
    if not 0 <= place < len(market.panel.symbols):
        return None
    symbol = market.panel.symbols[place]
    rows = market.fundamentals.filter(pl.col("symbol") == symbol).sort("metric", "period_end", "filed")
    facts: dict[str, dict[str, object]] = {}
    for metric, part in ((str(name[0]), part) for name, part in rows.partition_by("metric", as_dict=True).items()):
        space, tag, unit = TAGS[metric]
        entries = _entries(metric, part)
        facts.setdefault(space, {})[tag] = {"label": tag, "description": f"{metric} ({LABEL})", "units": {unit: entries}}
    return {"cik": FIRST_KEY + place, "entityName": f"{symbol} ({LABEL})", "facts": facts}


def _entries(metric: str, rows: pl.DataFrame) -> list[dict[str, object]]:
    """Every filing of one concept, in order of period and filing."""
    first: dict[date, float] = {}
    entries: list[dict[str, object]] = []
    for ended, value, filed in rows.select("period_end", "value", "filed").iter_rows():
        year, quarter = _fiscal(ended)
        amended = ended in first
        first.setdefault(ended, value)
        entry = {"end": ended.isoformat(), "fy": year, "filed": filed.isoformat(), "accn": _accession(filed, ended)}
        if metric not in FLOWS:
            entries.append(entry | _form(quarter, amended) | {"val": value})
        elif quarter < 4:
            entries.append(entry | _form(quarter, amended) | {"start": _began(ended, 3).isoformat(), "val": value})
        else:
            others = [first.get(_began(ended, back) - timedelta(days=1)) for back in (3, 6, 9)]
            if all(one is not None for one in others):
                whole = round(value + sum(one for one in others if one is not None), 4)
                entries.append(entry | _form(quarter, amended) | {"start": _began(ended, 12).isoformat(), "val": whole})
    return entries


def _form(quarter: int, amended: bool) -> dict[str, object]:
    form = "10-K" if quarter == 4 else "10-Q"
    return {"fp": "FY" if quarter == 4 else f"Q{quarter}", "form": f"{form}/A" if amended else form}


def _fiscal(ended: date) -> tuple[int, int]:
    """Fiscal year and quarter of a quarter's end: years end in December, January or February."""
    month = ended.year * 12 + ended.month - 1
    number = (month - (month % 3 - 2) % 3) // 3
    return number // 4, number % 4 + 1


def _began(ended: date, months: int) -> date:
    """The first day of the ``months`` that end with ``ended``, the end of a month."""
    following = ended + timedelta(days=1)
    count = following.year * 12 + following.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)


def _accession(filed: date, ended: date) -> str:
    return f"0000000000-{filed:%y}-{(filed - ended).days:06d}"
