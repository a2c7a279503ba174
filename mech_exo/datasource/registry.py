"""From the names in ``data.yml`` to sources."""

from __future__ import annotations

import importlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mech_exo.datasource.base import Kind
from mech_exo.datasource.own import SourceTerms, own_source
from mech_exo.domain.panel import PriceBasis
from mech_exo.utils.plugin_settings import named
from mech_exo.utils.source_settings import Adjusted, BarsFrom

if TYPE_CHECKING:
    from mech_exo.datasource.fetching import FetchSettings
    from mech_exo.utils.settings import Config

VENDORS = {
    (Kind.BARS, "yahoo"): "ohlc:OHLCDownloader",
    (Kind.FUNDAMENTALS, "edgar"): "edgar:EdgarFacts",
    (Kind.FUNDAMENTALS, "yahoo"): "fundamentals:YahooFundamentals",
    (Kind.FUNDAMENTALS, "finnhub"): "fundamentals:FinnhubFundamentals",
    (Kind.NEWS, "yahoo"): "news:YahooNews",
    (Kind.NEWS, "finnhub"): "news:FinnhubNews",
}
"""Sources on the net, each made from (settings, clock=). To add one: a class that passes the contract suite, a line here, and its
name in ``utils/source_settings.py``; a user's own comes from a plug-in (docs/writing-a-source.md)."""


def sources_of(config: Config, kind: Kind, settings: FetchSettings, home: Path, now: datetime) -> tuple[Any, ...]:
    """The sources of ``kind`` that ``data.yml`` names, in its order; ``home``: the workspace, where a relative ``folder`` begins.

    Each is a :class:`~mech_exo.datasource.base.Source`, one of bars a ``BarSource``.
    """
    chosen = config.data.sources
    if kind is Kind.BARS and isinstance(chosen.bars, BarsFrom) and chosen.bars is not BarsFrom.YAHOO:
        from mech_exo.datasource.files import FileBars

        assert chosen.folder is not None
        basis = PriceBasis.SPLIT_ADJUSTED if chosen.adjusted is Adjusted.SPLIT else PriceBasis.AS_TRADED
        place = chosen.folder.expanduser()
        return (FileBars(home / place, chosen.bars, table=chosen.table, price_basis=basis, clock=lambda: now),)
    names = {Kind.BARS: (chosen.bars,) if chosen.bars else (), Kind.FUNDAMENTALS: chosen.fundamentals, Kind.NEWS: chosen.news}[kind]
    found: dict[str, Any] = {}
    for name in names:
        own = named(name)
        if own is None:
            target = VENDORS[kind, str(name)]
            found.setdefault(target, _made(target)(settings, clock=lambda: now))
        else:
            key = config.keys.plugin_keys.get(own)
            terms = SourceTerms(home, chosen.settings, "" if key is None else key.get_secret_value(), settings, lambda: now)
            found.setdefault(str(name), own_source(str(name), kind, config.data.plugins, terms))
    return tuple(found.values())


def _made(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(f"mech_exo.datasource.{module}"), attribute)
