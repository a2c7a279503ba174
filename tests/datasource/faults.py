"""A clean market, and the faults that vendors make, put into it by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mech_exo.datasource.quality.findings import Evidence
from mech_exo.datasource.quality.gate import found_in
from mech_exo.domain.panel import BAR_FIELDS, PRICE_FIELDS, BarPanel
from mech_exo.utils import calendar
from mech_exo.utils.quality_settings import QualityRules

SESSIONS, NAMES = 400, 30
RULES = QualityRules()


def clean(seed: int = 5) -> BarPanel:
    """400 sessions of 30 names that nobody has tampered with: a common market, 1.5 % a day of their own, volume that comes and goes."""
    rng = np.random.default_rng(seed)
    shape = (SESSIONS, NAMES)
    market = rng.normal(0.0003, 0.01, (SESSIONS, 1))
    close = 40.0 * np.exp(np.cumsum(market + rng.normal(0.0, 0.015, shape), axis=0))
    opened = close * np.exp(rng.normal(0.0, 0.005, shape))
    bars = {
        "open": opened, "close": close, "high": np.maximum(opened, close) * 1.005, "low": np.minimum(opened, close) * 0.995,
        "volume": np.round(1e6 * np.exp(rng.normal(0.0, 0.3, shape))),
    }  # fmt: skip
    days = calendar.sessions(date(2012, 1, 3), date(2014, 12, 31))[:SESSIONS]
    return BarPanel.from_arrays(days, [f"N{k:02d}" for k in range(NAMES)], bars)


def scaled(panel: BarPanel, column: int, first: int, last: int, factor: float, *, volume: bool = True) -> BarPanel:
    """Prices × ``factor`` in rows ``first..last-1`` of one name, its volume the other way."""
    cells = {name: getattr(panel, name).copy() for name in BAR_FIELDS}
    for name in PRICE_FIELDS:
        cells[name][first:last, column] *= factor
    if volume:
        cells["volume"][first:last, column] /= factor
    return replace(panel, **cells)


def put(panel: BarPanel, name: str, rows: Any, column: int, value: Any) -> BarPanel:
    """One array of the panel with some cells replaced; ``bar`` replaces the whole bar."""
    cells: dict[str, NDArray[np.float64]] = {}
    for field in BAR_FIELDS if name == "bar" else (name,):
        cells[field] = getattr(panel, field).copy()
        cells[field][rows, column] = value
    return replace(panel, **cells)


def told(panel: BarPanel, rules: QualityRules = RULES, **more: Any) -> list[tuple[str, int, str, str]]:
    """(check, row, symbol, verdict) of everything found, by row."""
    found = found_in(Evidence(panel, rules, 0.4, **more))
    rows = found.select("check", "row", "column", "verdict").iter_rows()
    return sorted(((check, row, panel.symbols[column], verdict) for check, row, column, verdict in rows), key=lambda line: (line[1], line))


def spoilt(seed: int = 5) -> BarPanel:
    """Every fault the checks know, spread over the years: what the law of causality is tried on."""
    panel = clean(seed)
    panel = scaled(panel, 0, 150, SESSIONS, 0.5)  # a missed split
    panel = scaled(panel, 1, 200, 203, 0.1)  # three days on another footing
    panel = scaled(panel, 2, 250, 251, 100.0)  # cents
    panel = put(panel, "split_ratio", 180, 3, 3.0)  # an invented split
    panel = scaled(scaled(panel, 4, 300, SESSIONS, 0.5), 4, 0, 0, 1.0)
    panel = put(panel, "split_ratio", 304, 4, 2.0)  # stored four sessions late
    panel = put(panel, "bar", slice(120, 200), 5, np.nan)  # a long gap …
    panel = scaled(panel, 5, 200, SESSIONS, 7.3)  # … and another company
    panel = put(panel, "volume", slice(220, 225), 6, 0.0)
    for field in PRICE_FIELDS:
        panel = put(panel, field, slice(260, 275), 7, panel.close[260, 7])
    panel = replace(panel, **{name: _doubled(getattr(panel, name), 280, 340) for name in BAR_FIELDS})
    panel = put(panel, "bar", slice(330, 340), 8, np.nan)
    return scaled(panel, 10, 320, SESSIONS, 0.37)  # a step at no simple ratio


def _doubled(values: NDArray[np.float64], first: int, last: int) -> NDArray[np.float64]:
    copy = values.copy()
    copy[first:last, 20] = copy[first:last, 9]
    return copy
