"""Survivors that were picked are said so; a panel with its dead, a small one or a short one is not accused."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource.demo import sample_market
from mech_exo.domain.panel import BarPanel
from mech_exo.domain.survivors import survivorship_warnings


def panel(names: int, sessions: int, ended: int) -> BarPanel:
    close = np.full((sessions, names), 10.0)
    close[-30:, :ended] = np.nan
    days = np.busday_offset("2010-01-04", np.arange(sessions), roll="forward").astype("datetime64[D]")
    arrays = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.where(np.isnan(close), np.nan, 1e6)}
    return BarPanel.from_arrays(days, tuple(f"S{i:03d}" for i in range(names)), arrays)


@pytest.mark.parametrize(
    ("names", "sessions", "ended", "accused"),
    [(200, 2520, 0, True), (200, 2520, 9, True), (200, 2520, 10, False), (49, 2520, 0, False), (200, 503, 0, False)],
)
def test_who_is_accused(names, sessions, ended, accused):
    said = survivorship_warnings(panel(names, sessions, ended))
    assert bool(said) == accused
    if said:
        assert f"the bars of {ended} of {names} names ended in 10.0 years" in said[0]


def test_the_sample_market_has_its_dead():
    assert survivorship_warnings(sample_market(seed=1, symbols=200, years=10).panel) == ()


def test_the_real_panel_of_survivors_is_known_for_what_it_is(shared):
    bars = pl.read_parquet(shared("data/prices/us_sp500_members_2003_2016.parquet"), columns=["date", "symbol", "close"])
    wide = bars.pivot("symbol", index="date", values="close").sort("date")
    close = wide.drop("date").to_numpy().astype(np.float64)
    days = wide["date"].to_numpy().astype("datetime64[D]")
    arrays = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.where(np.isnan(close), np.nan, 1e6)}
    (said,) = survivorship_warnings(BarPanel.from_arrays(days, tuple(wide.columns[1:]), arrays))
    assert days[0].astype(object) == date(2003, 1, 2) and said.startswith("survivors: the bars of 2 of 582 names ended")
