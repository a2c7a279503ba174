"""Out of sample and overfitting in a reader's words: the figures of the reports, what is unknown said so, first things first."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from mech_exo.backtest import EventBacktester, WalkForwardEvaluator
from mech_exo.backtest.walk_forward import changed
from mech_exo.datasource.demo import sample_market
from mech_exo.performance.overfitting import OverfittingReport, overfitting_report
from mech_exo.performance.ratios import sharpe
from mech_exo.performance.trading import account_returns
from mech_exo.reporting import evidence
from mech_exo.reporting.tearsheet import sheet
from mech_exo.reporting.text import percent, ratio
from mech_exo.utils.settings import Config
from tests.reporting.sample import Sample
from tests.reporting.walked import KEY, Walked

NAN = float("nan")
REPORT = OverfittingReport(12, 1.1, 0.5, 1.7, 0.991, 0.9, 0.73, 611.4, 0.34, 0.2, 0.0004, ("a remark",))


@pytest.fixture(scope="module")
def sample():
    return Sample()


def words_of(section):
    return " ".join(block.text for block in section.blocks if block.kind == "words")


def table_of(section, title):
    return next(block for block in section.blocks if block.kind == "table" and block.title == title)


def test_luck_is_said_in_a_sentence():
    said = words_of(evidence.overfitting(REPORT, 756, ""))
    assert "12 runs were looked at; the best of 12 worthless strategies" in said and "about 0.90; this one shows 1.10 (95 %: 0.50 to 1.70)" in said
    assert f"{percent(0.73, 0)} probable" in said


def test_every_statistic_has_its_row_and_its_source():
    rows = {row[0]: row[1:] for row in table_of(evidence.overfitting(REPORT, 756, ""), "What the statistics say").rows}
    assert rows["PBO"][0] == percent(0.34, 0) and rows["SPA"][0] == "< 0.001" and rows["Reality check"][0] == "0.200"
    assert rows["Track record needed"] == ("612 sessions", "to be 95 % sure that the true Sharpe ratio is above 0 (2.4 years); this record has 756")
    assert "Bailey" in rows["Deflated Sharpe"][1] and "Hansen" in rows["SPA"][1]


def test_what_could_not_be_measured_is_unknown_and_the_notes_say_why():
    report = replace(REPORT, pbo=NAN, reality_check=NAN, spa=NAN, minimum_track_record=NAN, expected_best=NAN, deflated_sharpe=NAN)
    section = evidence.overfitting(report, 756, "")
    rows = {row[0]: row[1] for row in table_of(section, "What the statistics say").rows}
    assert [rows[name] for name in ("PBO", "Reality check", "SPA", "Luck alone", "Deflated Sharpe")] == ["unknown"] * 5
    assert rows["Track record needed"] == "never" and "what luck alone would show among them is unknown" in words_of(section)
    assert section.blocks[-1].points == ("a remark",)


def test_one_trial_is_no_choice(sample):
    returns = account_returns(sample.days)
    said = words_of(evidence.overfitting(overfitting_report(returns, [sharpe(returns)]), 756, ""))
    assert "One run was looked at" in said and ratio(sharpe(returns)) in said


def test_out_of_sample_comes_before_anything_in_sample(sample):
    sections = sheet(sample, overfitting=REPORT, walk_forward=Walked(sample)).sections
    assert [section.anchor for section in sections][:3] == ["out-of-sample", "overfitting", "returns"]
    kinds = [block.kind for block in sections[0].blocks]
    assert kinds[:2] == ["words", "chart"] and sections[0].blocks[1].title == "Growth, out of sample"


def test_the_stitched_record_stands_beside_this_run_over_the_same_sessions(sample):
    walked = Walked(sample)
    section = evidence.out_of_sample(sample, walked, "252", lived=False)
    rows = {row[0]: row[1:] for row in table_of(section, "The same sessions").rows}
    assert rows["Sharpe ratio"] == (ratio(walked.metrics["sharpe"]),) * 2 and rows["CAGR"] == (percent(walked.metrics["cagr"]),) * 2
    windows = table_of(section, "Every window")
    assert windows.head == ("Test start", "Test end", KEY, "Sharpe ratio in sample", "Sharpe ratio out of sample")
    assert len(windows.rows) == walked.table.height and section.note == "252"
    assert "4 windows: in each 9 candidates were tried" in words_of(section)


def test_sessions_this_run_never_saw_are_unknown_beside_the_walk_forward(sample):
    section = evidence.out_of_sample(Sample(length=300, names=3), Walked(sample), "", lived=False)
    assert {row[2] for row in table_of(section, "The same sessions").rows} == {"unknown"}


def test_the_walk_forward_of_the_backtester_fills_the_section():
    panel = sample_market(seed=3, symbols=30, years=4).panel
    config = changed(Config(), (("strategy.selection.max_sector_share", 1.0), ("risk.position_sizing.max_sector_exposure", None)))
    walked = WalkForwardEvaluator(panel, config, {KEY: (5, 15)}, train=500, test=250).run()
    result = EventBacktester(panel, config).run(panel.sessions[500].astype(object))
    section = evidence.out_of_sample(result, walked, "", lived=False)
    assert len(table_of(section, "Every window").rows) == len(walked.steps) >= 2
    values = json.loads(next(block for block in section.blocks if block.kind == "chart").figure)["data"][0]["y"]
    drawn = np.frombuffer(base64.b64decode(values["bdata"]), np.float32)
    assert drawn[-1] == pytest.approx(100 * np.prod(1 + walked.returns[1]), rel=1e-5)
