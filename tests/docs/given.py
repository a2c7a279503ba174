"""The names that a page's Python takes for granted (``panel``, ``config``, ``universe``, …): the invented market under real names."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mech_exo.backtest import EventBacktester
from mech_exo.datasource import DataStorage, FundamentalFetcher
from mech_exo.datasource.demo import LABEL, SampleMarket, sample_market
from mech_exo.utils.settings import Config
from mech_exo.utils.workspace import create
from tests.docs.stage import sample_copy

REAL = {"SYN001": "AAPL", "SYN002": "MSFT", "SYN003": "SPY"}


@functools.cache
def market() -> SampleMarket:
    """40 names from 2015 to 2024."""
    return sample_market(seed=11, symbols=40, years=10)


@contextmanager
def given(page: str, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names of one page while its Python runs; ``folder`` is the current one."""
    make = _GIVEN.get(page)
    if make is not None:
        patch.setenv("EXO_HOME", str(folder))
    names = {} if make is None else make(folder, patch)
    try:
        yield names
    finally:
        if isinstance(open_store := names.get("storage"), DataStorage):
            open_store.close()


def stored(folder: Path) -> DataStorage:
    """The market in a workspace at ``folder``."""
    create(folder)
    storage = DataStorage(DataStorage.path_in(folder))
    sample = market()
    renamed = pl.col("symbol").replace(REAL)
    storage.store_ohlc_data(sample.panel.to_frame().with_columns(renamed), source=LABEL)
    storage.store_sectors(sample.sectors.with_columns(renamed))
    storage.store_universe(sample.universe.with_columns(renamed), name="sp500")
    storage.store_fundamentals(sample.fundamentals.with_columns(renamed), source="edgar")
    storage.store_news(sample.news.with_columns(renamed))
    return storage


def _inputs(folder: Path) -> dict[str, Any]:
    """panel, universe, view, storage, config, as_of."""
    storage = stored(folder)
    as_of = date(2024, 12, 31)
    view = storage.view(as_of)
    panel = view.panel()
    config = Config.model_validate({"strategy": {"universe": {"name": "sp500"}}})
    return {"storage": storage, "view": view, "as_of": as_of, "panel": panel, "universe": view.universe(panel, "sp500"), "config": config}


def _backtests(folder: Path, _: pytest.MonkeyPatch) -> dict[str, Any]:
    names = _inputs(folder)
    names["strategy"] = names["config"]
    names["other"] = EventBacktester(names["panel"], names["config"], universe=names["universe"], initial_cash=50_000.0).run()
    return names


def _research(folder: Path, _: pytest.MonkeyPatch) -> dict[str, Any]:
    return _inputs(folder)


def _fundamentals(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    names = _inputs(folder)
    known = market().fundamentals.with_columns(pl.col("symbol").replace(REAL))
    patch.setattr(FundamentalFetcher, "fetch", lambda self, symbols: known.filter(pl.col("symbol").is_in(symbols)))  # no vendor is asked
    return names


def _sentiment(folder: Path, _: pytest.MonkeyPatch) -> dict[str, Any]:
    import numpy as np

    names = _inputs(folder)
    heard = np.full(names["panel"].close.shape, np.nan)
    frame = market().news.select("symbol", "published", "headline").head(5)
    return names | {"facts": ["pe_ratio"], "heard": heard, "frame": frame, "EventBacktester": EventBacktester}


def _tearsheet(folder: Path, _: pytest.MonkeyPatch) -> dict[str, Any]:
    names = _inputs(folder)
    return {"storage": names["storage"], "result": EventBacktester(names["panel"], names["config"], universe=names["universe"]).run()}


def _drift(folder: Path, _: pytest.MonkeyPatch) -> dict[str, Any]:
    sample_copy(folder / "w")
    return {"home": folder / "w"}


def _export(folder: Path, _: pytest.MonkeyPatch) -> dict[str, Any]:
    from mech_exo.reporting.formulas import guarded

    guarded(pl.DataFrame({"at_utc": [datetime(2026, 11, 30, tzinfo=UTC)], "title": ["=1+1"]})).write_csv(folder / "alerts.csv")
    return {}


def _store(folder: Path, _: pytest.MonkeyPatch) -> dict[str, Any]:
    stored(folder).close()
    return {}


_GIVEN = {
    "docs/backtests.md": _backtests,
    "docs/drift.md": _drift,
    "docs/export.md": _export,
    "docs/factors.md": _research,
    "docs/fundamentals.md": _fundamentals,
    "docs/scaling.md": _research,
    "docs/sentiment.md": _sentiment,
    "docs/store.md": _store,
    "docs/tearsheet.md": _tearsheet,
    "docs/walk-forward.md": _research,
}
