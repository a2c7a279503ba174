"""The page of backtests: figures are those on disk, curves are made again by hand, luck is at the true number of trials, no other file leaves."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.performance.overfitting import Track, deflated_sharpe
from mech_exo.reporting.dashboard import saved_runs
from mech_exo.reporting.dashboard.pages import backtests
from mech_exo.reporting.text import percent, ratio
from tests.reporting.dashboard.book import part, reader, sample
from tests.reporting.dashboard.showing import drawn, journal, numbers, texts, tile


def saved() -> list[str]:
    """Ids of the saved runs, from their folders."""
    return sorted(path.name for path in (sample().home / "data" / "runs").iterdir() if not path.name.startswith("."))


def days(run_id: str) -> pl.DataFrame:
    return pl.read_parquet(sample().home / "data" / "runs" / run_id / "days.parquet")


def returns(run_id: str) -> tuple[list[object], np.ndarray]:
    """Time-weighted returns of a run by hand: NAV less the flow at the open, over the NAV before; the first session begins in cash."""
    frame = days(run_id)
    nav, flow = frame["nav"].to_numpy(), frame["flow"].to_numpy()
    earned = sum(sign * frame[name].to_numpy()[0] for name, sign in
                 (("price_pnl", 1), ("dividends", 1), ("interest", 1), ("borrow", -1), ("commission", -1), ("slippage", -1)))  # fmt: skip
    before = np.r_[nav[0] - earned - flow[0], nav[:-1]]
    return frame["date"].to_list(), nav / (before + flow) - 1.0


def test_every_run_is_listed_with_the_figures_of_its_file():
    rows = reader().once(("test runs",), lambda house, _: saved_runs.listed(house))
    assert sorted(row["run_id"] for row in rows) == saved()
    for row in rows:
        said = json.loads((sample().home / "data" / "runs" / row["run_id"] / "run.json").read_text())
        assert (row["sharpe"], row["cagr"], row["max_drawdown"]) == tuple(said["metrics"][n] for n in ("sharpe", "cagr", "max_drawdown"))
        assert row["kpi"] == said["kpi"]["whole_period"]["verdict"]


def test_curves_stand_on_common_sessions_and_begin_at_one():
    ids = saved()[:2]
    found = reader().once(("beside",), lambda house, _: saved_runs.beside(house, ids))
    by_hand = [dict(zip(*returns(run_id), strict=True)) for run_id in ids]
    common = sorted(set(by_hand[0]) & set(by_hand[1]))
    assert found.curves.sessions.tolist() == common
    for row, mine in enumerate(by_hand):
        grown = np.cumprod([1.0 + mine[day] for day in common])
        assert found.curves.growth[row] == pytest.approx(grown, rel=1e-12)
        peak = np.maximum.accumulate(np.r_[1.0, grown])
        assert found.curves.falls[row] == pytest.approx((1.0 - np.r_[1.0, grown] / peak)[1:], abs=1e-12)
    first, second = found.results
    changes = {line.name: line.change for line in found.comparisons[0].metrics}
    assert changes["sharpe"] == pytest.approx(second.metrics["sharpe"] - first.metrics["sharpe"])


def test_luck_is_counted_at_the_true_number_of_trials():
    run_id = saved()[0]
    found = reader().once(("one",), lambda house, ledger: saved_runs.run(house, ledger, run_id))
    trials = {row["run_id"]: row for row in journal("trial")}
    for row in journal("trials"):
        trials |= {one["run_id"]: one for one in row["trials"]}
    assert found.overfitting.trials == len(trials) == found.counted
    sharpes = [m["value"] for row in trials.values() for m in row["metrics"] if m["name"] == "sharpe" and m["value"] is not None]
    _, own = returns(run_id)
    expected = deflated_sharpe(Track.of(own), len(trials), float(np.var(sharpes, ddof=1)) / 252)
    assert found.overfitting.deflated_sharpe == pytest.approx(expected, abs=1e-9)
    page = drawn(backtests.layout, {"runs": run_id})
    assert tile(page, "Deflated Sharpe") == percent(expected, 1)
    assert tile(page, "Trials") == str(len(trials))


def test_out_of_sample_comes_first_with_the_figures_of_the_command():
    kept = json.loads(next((sample().home / "data" / "walk_forward").glob("*.json")).read_text())
    page = drawn(backtests.layout, {})
    assert next(text for text in texts(page) if text in ("Out of sample", "Saved runs")) == "Out of sample"
    assert tile(page, "Sharpe, out of sample") == ratio(kept["metrics"]["sharpe"])
    curve = part(page, "backtests-walk-curve").figure["data"][0]["y"]
    assert numbers(curve)[-1] == pytest.approx(100.0 * math.prod(1.0 + row["return"] for row in kept["equity"]), rel=1e-6)


def test_two_runs_of_the_address_stand_beside_each_other():
    ids = saved()[:2]
    page = drawn(backtests.layout, {"runs": ",".join(ids)})
    assert len(part(page, "backtests-beside").figure["data"]) == 4
    assert {row["run_id"] for row in part(page, "backtests-rows").selectedRows} == set(ids)


@pytest.mark.parametrize("runs", ["nobody", "../../etc/passwd", ",,,", "<script>", "a,b,c,d,e,f,g"])
def test_wrong_runs_in_the_address_are_ignored(runs):
    assert drawn(backtests.layout, {"runs": runs, "walk": "../x"}) is not None


@given(st.text(max_size=40) | st.sampled_from(["..", "../../api_keys", "run.json", ".", "", "/etc/passwd", "..%2f..", "a/../b", "\x00"]))
def test_no_path_but_that_of_a_saved_run_is_ever_made(name):
    places = saved_runs.Places(sample().home, sample().home / "data" / "runs", sample().home / "reports")
    if name in saved():
        return
    with pytest.raises(InputError):
        saved_runs.report_of(places, name)


def test_the_sheet_of_a_saved_run_is_its_own_file():
    places = saved_runs.Places(sample().home, sample().home / "data" / "runs", sample().home / "reports")
    found = [saved_runs.report_of(places, run_id) for run_id in saved()]
    assert [path.stem for path in found if path] == [run_id for run_id, path in zip(saved(), found, strict=True) if path]
    assert any(found)


def test_a_walk_that_cannot_be_read_is_left_out(tmp_path: Path):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("[]")
    assert list(saved_runs._walks(tmp_path)) == []


def test_a_change_that_is_unknown_is_no_zero():
    assert backtests._change(None, percent) == "unknown"
    assert backtests._change(0.01, percent) == "+1.00 pp"
    assert backtests._change(-0.5, ratio) == "−0.50"
