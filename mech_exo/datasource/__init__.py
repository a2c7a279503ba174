"""Market data: where it comes from, how it is checked, and where it is kept.

``OHLCDownloader``, ``FundamentalFetcher`` and ``NewsScraper`` fetch; ``DataStorage`` keeps. Each is imported when first used,
so that naming this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mech_exo.datasource.fundamentals import FundamentalFetcher
    from mech_exo.datasource.news import NewsScraper
    from mech_exo.datasource.ohlc import OHLCDownloader
    from mech_exo.datasource.storage import DataStorage

__all__ = ["DataStorage", "FundamentalFetcher", "NewsScraper", "OHLCDownloader"]

_HOME = {"OHLCDownloader": "ohlc", "FundamentalFetcher": "fundamentals", "NewsScraper": "news", "DataStorage": "storage"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
