"""The figures of the dashboard: what is unknown is a gap and never a 0, foreign names are text, lines are told apart without colours."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.performance import figures
from tests.reporting.xss import ALL, PLOTLY

DAYS = np.arange("2024-01-02", "2024-02-11", dtype="datetime64[D]")


def numbers(values) -> np.ndarray:
    return np.asarray(values, float)


def test_an_unknown_use_has_no_bar_and_says_so():
    bar = figures.uses_figure(["a", "b", "c"], np.array([np.nan, 0.5, 7.0]), ["unknown", "50 %", "700 %"]).data[0]
    assert list(bar.x) == [0.0, 0.5, 2.0]
    assert list(bar.text) == ["unknown", "50 %", "700 %"]
    assert len(set(bar.marker.color)) == 3


def test_an_unknown_correlation_is_a_gap():
    matrix = np.array([[1.0, np.nan], [-0.04, 1.0]])
    drawn = figures.correlation_figure(["A", "B"], matrix).data[0]
    assert np.isnan(numbers(drawn.z)[0, 1])
    assert [list(line) for line in drawn.text] == [["1.0", ""], ["0.0", "1.0"]]
    assert (drawn.zmin, drawn.zmax, drawn.hoverongaps) == (-1.0, 1.0, False)


def test_falls_are_drawn_below_zero_with_their_limits():
    fall = np.linspace(0.0, 0.07, len(DAYS))
    fall[3] = np.nan
    drawn = figures.falls_figure(DAYS, fall, np.ones(len(DAYS)), 0.1, 0.05)
    assert numbers(drawn.data[0].y) == pytest.approx(-fall, nan_ok=True, abs=1e-6)
    assert {shape.y0 for shape in drawn.layout.shapes} == {-0.1, -0.05}
    assert drawn.layout.yaxis.range[0] < -0.1


def test_without_limits_no_limit_is_drawn():
    assert not figures.falls_figure(DAYS, np.zeros(len(DAYS)), np.ones(len(DAYS)), None, None).layout.shapes


def test_runs_are_told_apart_without_their_colours():
    grown = [np.full(len(DAYS), 1.0 + n) for n in range(4)]
    drawn = figures.beside_figure([DAYS] * 4, grown, [np.zeros(len(DAYS))] * 4, list("abcd"))
    assert len({trace.line.dash for trace in drawn.data if trace.showlegend is not False}) == 4
    assert numbers(drawn.data[0].y) == pytest.approx(100.0)


def test_a_name_that_was_not_scored_leaves_a_gap():
    score = np.array([0.5, np.nan, 0.7])
    drawn = figures.score_history_figure(DAYS[:3], score, np.array([3.0, np.nan, 1.0]))
    assert np.isnan(numbers(drawn.data[0].y)[1]) and np.isnan(numbers(drawn.data[1].y)[1])
    assert drawn.layout.yaxis2.autorange == "reversed"


def test_shorts_stand_left_of_longs_and_only_where_there_are_any():
    both = figures.sector_exposure_figure(["x"], np.array([0.1]), np.array([-0.2]), 0.2)
    assert [float(trace.x[0]) for trace in both.data] == pytest.approx([0.1, -0.2], abs=1e-6)
    assert len(figures.sector_exposure_figure(["x"], np.array([0.1]), np.array([0.0])).data) == 1


def test_an_unknown_component_has_no_bar():
    drawn = figures.components_figure(["A", "B"], np.array([1.1, np.nan])).data[0]
    assert np.isnan(numbers(drawn.x)[1])


def test_the_band_of_a_rolling_ic_lies_round_it():
    ic = np.linspace(-0.1, 0.1, len(DAYS))
    drawn = figures.rolling_ic_figure(DAYS, ic, ic - 0.05, ic + 0.05)
    high, low, middle = (numbers(trace.y) for trace in drawn.data)
    assert (low < middle).all() and (middle < high).all()


@pytest.mark.parametrize("evil", [*PLOTLY, *ALL[:12]])
def test_foreign_names_are_text(evil):
    ones = np.array([1.0])
    for drawn in (
        figures.uses_figure([evil], ones, ["x"]), figures.sector_exposure_figure([evil], ones, ones),
        figures.components_figure([evil], ones), figures.correlation_figure([evil], np.eye(1)), figures.waterfall_figure([evil], ones, "sum"),
    ):  # fmt: skip
        assert "<" not in str(drawn.data[0].y[0])
