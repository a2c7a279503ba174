"""Every figure that is measured is shown, in its unit, and what is unknown is said to be."""

from __future__ import annotations

import pytest

from mech_exo.reporting.wording import headline, kpi_lines, metric_groups
from tests.reporting.sample import Sample

ELSEWHERE = {
    "sessions", "years", "sessions_per_year", "risk_free", "open_trades", "delistings",  # in the heading, the basis, the table of trades
    "best_trade", "worst_trade", "benchmark_volatility_ann", "benchmark_sessions", "sharpe_robust_error",
}  # fmt: skip


@pytest.fixture(scope="module")
def sample():
    return Sample()


def test_every_figure_of_the_summary_reaches_the_reader(sample):
    shown = metric_groups(sample.metrics)
    changed = {key: metric_groups(sample.metrics | {key: 98765.4321}) for key in sample.metrics}
    assert {key for key, groups in changed.items() if groups == shown} - ELSEWHERE == set()
    assert headline(sample.metrics | {"sharpe_robust_error": 9.0}) != headline(sample.metrics)


def test_what_is_unknown_says_so_and_shows_no_number(sample):
    nothing = dict.fromkeys(sample.metrics) | {"sessions": 0, "risk_free": 0.0, "newey_west_lags": 0}
    lines = [line for group in metric_groups(nothing) for line in group.lines]
    assert {line.value for line in lines} == {"unknown", "not meaningful"}
    assert not [line for line in lines if "unknown" in line.note]


def test_annual_figures_and_ratios_state_their_basis(sample):
    lines = {line.name: line.note for group in metric_groups(sample.metrics | {"risk_free": 0.02}) for line in group.lines}
    for name in ("CAGR", "Volatility", "Sharpe", "Sortino", "Sharpe, gross", "Benchmark Sharpe", "Alpha", "Tracking error", "Information ratio"):
        assert "252 sessions" in lines[name], name
    assert all("2.00" in lines[name] for name in ("Sharpe", "Sortino", "Sharpe, gross", "Benchmark Sharpe", "Alpha"))
    sharpe = next(line for line in kpi_lines(sample.kpi) if line.label == "Sharpe ratio")
    assert all("252 sessions" in cell.note and "risk-free" in cell.note and cell.name.startswith("95 %") for cell in sharpe.cells)
