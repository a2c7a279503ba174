"""What the store tells of companies, laid on a panel's rows: each row shows what was known, and recorded, by its close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.accounts.inputs import INPUTS, SCORES
from mech_exo.datasource.accounts.metrics import MAX_AGE
from mech_exo.datasource.accounts.panel import by_preference, derive, metrics_for, names_of
from mech_exo.datasource.storage import facts
from mech_exo.datasource.storage.connection import Connection, table
from mech_exo.datasource.storage.facts import Cut
from mech_exo.domain.facts import NEWS_COUNT, NEWS_TONE, Cells, Facts, Steps
from mech_exo.domain.panel import PriceBasis
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from mech_exo.domain.panel import BarPanel

STALE_DAYS = 7
"""A headline whose judgement became known so many days after it was published, or later, is history and no longer news."""
FIGURES = "exo data import --fundamentals FILE, or exo data update"
HEADLINES = "exo data import --news FILE, or exo data update"
ELSEWHERE = "no source of it yet: a program can hand it in through Facts (docs/sentiment.md)"
_FUNDAMENTAL = (*INPUTS, *SCORES)
_PRICED = {name for name, item in INPUTS.items() if any(need.metric == "market_cap" for need in item.needs)}


def told(con: Connection, cut: Cut, panel: BarPanel, names: Sequence[str]) -> Facts:
    """``names`` on the rows of ``panel``. A name of which nothing is known by ``cut`` is absent, with a reason that ends in a remedy."""
    figures = [name for name in names if name in _FUNDAMENTAL]
    known: dict[str, Cells] = dict(accounts(con, cut, panel, figures)) if figures else {}
    if {NEWS_TONE, NEWS_COUNT} & set(names):
        known |= headlines(con, cut, panel)
    known = {name: known[name] for name in names if name in known}
    absent = {name: _why(name, panel, bool(known.keys() & set(figures))) for name in names if name not in known}
    return Facts(known, absent)


def _why(name: str, panel: BarPanel, others: bool) -> str:
    if name in (NEWS_TONE, NEWS_COUNT):
        return f"no headline with a sentiment is stored: {HEADLINES}"
    if name not in _FUNDAMENTAL:
        return ELSEWHERE
    if name in _PRICED and panel.price_basis is not PriceBasis.AS_TRADED:
        return "the prices are split-adjusted by the source, so that nobody knows what the market paid for a company"
    return f"the stored company figures do not tell it: {FIGURES}" if others else f"no company figure is stored that tells it: {FIGURES}"


def accounts(
    con: Connection, cut: Cut, panel: BarPanel, metrics: Sequence[str] | None, sources: Sequence[str] | None = None, max_age: int = MAX_AGE
) -> dict[str, Cells]:
    """Derived figures of the companies of ``panel`` as :meth:`StoreView.fundamental_inputs`; those that nothing tells are left out."""
    names = names_of(metrics)
    columns = "symbol, metric, period_end, fiscal_period, filed, value, unit, known_at, version, source"
    rows = table(
        con,
        f"select {columns} from fundamental_data where known_at <= $known and recorded_at <= $recorded "
        "and metric in (select unnest($metrics)) and symbol in (select unnest($symbols))",
        {"known": cut.known, "recorded": cut.recorded, "metrics": list(metrics_for(names)), "symbols": list(panel.symbols)},
    )
    splits = facts.read(con, facts.ACTIONS, cut, "kind = 'split'")
    asked = by_preference(rows["source"].unique()) if sources is None else tuple(sources)
    return derive(panel, rows, splits.filter(pl.col("symbol").is_in(list(panel.symbols))), names, asked, max_age)


def headlines(con: Connection, cut: Cut, panel: BarPanel) -> dict[str, Cells]:
    """The sum of the sentiments (``news_tone``) and the number (``news_count``) of the headlines that became known after the close of the
    session before and by that row's close; NaN where there was none, so that a night before the first one and the same session of a
    longer history know the same. Empty where no headline with a sentiment is known at all.

    A headline counts once, where its first judgement became known; a later judgement of it is not news, nor is a headline first judged
    ``STALE_DAYS`` after it was published. One without a sentiment does not count, nor what was known before the panel's first session.
    """
    versions = table(
        con,
        "select id, symbol, published, sentiment, known_at, version from news_data where known_at <= $known and recorded_at <= $recorded "
        "and sentiment is not null and not isnan(sentiment) and symbol in (select unnest($symbols))",
        {"known": cut.known, "recorded": cut.recorded, "symbols": list(panel.symbols)},
    )
    first = versions.sort("symbol", "id", "known_at", "version").unique(["symbol", "id"], keep="first", maintain_order=True)
    news = first.filter(pl.col("known_at") - pl.col("published") < pl.duration(days=STALE_DAYS))
    begin = calendar.session_close(calendar.previous_session(panel.sessions[0].item()))
    news = news.filter(pl.col("known_at") > begin)
    if news.is_empty():
        return {}
    row = np.searchsorted(calendar.closes(panel.sessions), news["known_at"].dt.replace_time_zone(None).to_numpy())
    column = news["symbol"].replace_strict(panel.symbols, range(len(panel.symbols)), return_dtype=pl.Int64).to_numpy()
    inside = row < panel.shape[0]
    cell, event = np.unique(row[inside] * panel.shape[1] + column[inside], return_inverse=True)
    if not len(cell):
        return {}
    at = np.zeros(panel.shape, np.int32)  # zeros that nobody wrote to cost no memory
    at.flat[cell] = np.arange(1, len(cell) + 1)
    tone, count = np.bincount(event, news["sentiment"].to_numpy()[inside]), np.bincount(event).astype(np.float64)
    return {name: Steps.of(np.append(np.nan, values), at) for name, values in ((NEWS_TONE, tone), (NEWS_COUNT, count))}
