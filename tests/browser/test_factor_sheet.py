"""The factor sheet in a real browser: it opens without a word, fits, and shows the numbers of the frames."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.domain.panel import Universe
from mech_exo.reporting.factor_sheet import Research, verdict, write_factor_sheet
from mech_exo.reporting.text import percent, ratio
from mech_exo.scoring.research import Sample, contribution, long_short, study_of
from mech_exo.scoring.research.comparison import similar_factors
from mech_exo.scoring.research.sample import configured
from mech_exo.utils.settings import FactorsConfig, FactorWeight, UniverseRules
from tests.scoring.markets import SECTORS, random_panel

RULES = UniverseRules(min_price=0.0, min_dollar_volume=0.0)
CONFIG = FactorsConfig(technical={name: FactorWeight(weight=5, direction="higher_better") for name in ("rsi_14", "volume_trend")})


@pytest.fixture(scope="module")
def told():
    panel = random_panel(3, 500, 40)
    sector = np.broadcast_to((np.arange(40) % 3).astype(np.int16), panel.shape)
    universe = Universe(np.ones(panel.shape, np.bool_), sector, SECTORS)
    sample = Sample.of(panel, universe, RULES, horizons=(1, 5, 21))
    months = long_short(panel, universe, *configured("rsi_14", CONFIG), rules=RULES)
    return Research(
        study=study_of(sample, "rsi_14", CONFIG), long_short=months, contribution=contribution(sample, "rsi_14", CONFIG, 21),
        similar=similar_factors(sample, "rsi_14", CONFIG), warnings=("synthetic sample",), source="Wilder (1978) <b>", code_version="c",
        data_hash="d",
    )  # fmt: skip


@pytest.mark.parametrize("width", [1440, 390])
def test_it_opens_offline_fits_and_shows_the_frames_numbers(opened, told, tmp_path, width):
    with opened(write_factor_sheet(told, tmp_path / "f.html"), width) as (page, heard):
        assert heard.errors == [] and heard.asked == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.querySelectorAll('.plot')].every((plot) => plot.querySelectorAll('path, rect').length > 3)")
        assert page.locator(".verdict").inner_text() == verdict(told.study)
        assert "The prices are invented." in page.locator(".warnings").inner_text()
        information, returns = page.locator("#information").inner_text(), page.locator("#returns").inner_text()
        for mean in told.study.ic_summary["mean"]:
            assert ratio(mean, 4) in information
        for mean in told.study.spread["mean"]:
            assert percent(mean, 3) in returns
        assert told.study.half_life.text in information
