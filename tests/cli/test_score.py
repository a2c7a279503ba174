"""`exo score`: JSON alone on stdout, a table for a person, clear errors."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource import DataStorage
from mech_exo.datasource.demo import sample_market
from mech_exo.utils import calendar
from mech_exo.utils.workspace import create


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("score") / "w"
    create(folder)
    with DataStorage(folder / "data" / "mech_exo.duckdb") as storage:
        sample_market(symbols=40, years=3).store(storage)
        storage.publish()
    return folder


def test_json(exo, home):
    ran = exo("score", "--top", 3, "--json", "--home", home)
    assert (ran.code, ran.err) == (0, "")
    data = json.loads(ran.out)
    assert len(data["ideas"]) == 3
    assert data["scored"] + sum(data["excluded"].values()) == 40
    assert "social_sentiment" in data["missing_factors"]
    assert any("synthetic sample" in warning for warning in data["warnings"])
    best = data["ideas"][0]
    assert best["pe_ratio"] is None or best["pe_ratio"] > 0
    parts = [value for name, value in best.items() if name.startswith("contribution_")]
    assert sum(parts) == pytest.approx(best["composite_score"], abs=1e-12)


def test_table(exo, home):
    best = json.loads(exo("score", "--top", 1, "--json", "--home", home).out)["ideas"][0]
    ran = exo("score", "--top", 1, "--home", home)
    assert ran.code == 0
    figures = (f"{best['composite_score']:.3f}", f"{best['current_price']:.2f}")
    parts = {name.removeprefix("contribution_"): value for name, value in best.items() if name.startswith("contribution_")}
    leading = max(parts, key=lambda name: abs(parts[name]))
    for said in (best["symbol"], *figures, leading[:12], "pe_ratio", "synthetic sample"):
        assert said in ran.out, said


def test_a_past_date(exo, home):
    data = json.loads(exo("score", "--json", "--date", "2024-06-02", "--home", home).out)  # a Sunday
    assert data["as_of"] == "2024-05-31"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--date", "2030-06-03"), 3, "the store has none of 2030-06-03"),
        (("--date", "2001-06-04"), 3, "exo data import"),
        (("--date", "yesterday"), 2, "yesterday"),
        (("--top", 0), 2, "--top"),
    ],
)
def test_bad_input(exo, home, words, code, said):
    ran = exo("score", *words, "--home", home)
    assert ran.code == code
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_nothing_stored(exo, workspace):
    ran = exo("score", "--json", "--home", workspace)
    assert ran.code == 3
    assert "exo data import" in ran.err
    assert ran.out == ""


def test_an_unknown_factor_in_the_file(exo, home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "w")
    factors = copy / "config" / "factors.yml"
    factors.write_text(factors.read_text().replace("momentum_12_1:", "momentum_12_2:"))
    ran = exo("score", "--home", copy)
    assert ran.code == 2
    assert "did you mean momentum_12_1" in ran.err


def test_explain(exo, home):
    best = json.loads(exo("score", "--top", 1, "--json", "--home", home).out)["ideas"][0]
    told = json.loads(exo("score", "--explain", best["symbol"], "--json", "--home", home).out)
    assert told["composite_score"] == best["composite_score"]
    assert sum(line["contribution"] for line in told["factors"]) == pytest.approx(best["composite_score"], abs=1e-12)
    assert sum(line["weight"] or 0.0 for line in told["factors"]) == pytest.approx(1.0)
    said = exo("score", "--explain", best["symbol"], "--home", home).out
    for words in (f"ranks 1 of {told['of']}", "0 to 100", "coverage", "social_sentiment"):
        assert words in said
    assert "did you mean" in exo("score", "--explain", "SYN0", "--home", home).err


def test_factors_list_and_show(exo, home):
    listed = {line["name"]: line for line in json.loads(exo("factors", "list", "--json", "--home", home).out)["factors"]}
    assert listed["rsi_14"]["available"] is True
    assert (listed["rsi_14"]["weight"], listed["rsi_14"]["warmup"]) == (8, 14)
    assert listed["social_sentiment"]["available"] is False
    assert listed["social_sentiment"]["why_not"]
    today = json.loads(exo("factors", "show", "rsi_14", "--json", "--home", home).out)["today"]
    assert 0 < today["known"] <= today["names"]
    assert today["distribution"]["minimum"] == today["lowest"][0]["value"] <= today["distribution"]["median"] <= today["highest"][0]["value"]
    assert "Wilder" in exo("factors", "show", "rsi_14", "--home", home).out
    wrong = exo("factors", "show", "rsi14", "--home", home)
    assert wrong.code == 2
    assert "did you mean rsi_14" in wrong.err


def test_factors_before_anything_is_stored(exo, workspace):
    ran = exo("factors", "list", "--json", "--home", workspace)
    assert ran.code == 0
    assert {line["available"] for line in json.loads(ran.out)["factors"]} == {None}


def test_a_wrong_regime_is_found_by_config_check(exo, home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "w")
    factors = copy / "config" / "factors.yml"
    factors.write_text(factors.read_text().replace("regime: null", "regime: {bear: {momentum_12_2: 0.5}}"))
    ran = exo("config", "check", "--home", copy)
    assert ran.code == 2
    assert "did you mean momentum_12_1" in ran.err


def flat_store(exo, folder, names):
    """A workspace whose ``names`` share one price path."""
    create(folder)
    sessions = calendar.sessions(date(2023, 1, 3), date(2024, 5, 31))
    close = 50.0 + 5.0 * np.sin(np.arange(len(sessions)))
    one = pl.DataFrame({"date": sessions, "open": close, "high": close, "low": close, "close": close, "volume": 1e6})
    pl.concat([one.select(pl.lit(name).alias("symbol"), pl.all()) for name in names]).write_csv(folder / "bars.csv")
    ran = exo("data", "import", folder / "bars.csv", "--home", folder)
    assert ran.code == 0, ran.err
    return folder


@pytest.mark.parametrize("names", [("ONE",), ("AAA", "BBB", "CCC")])
def test_one_name_or_equal_names_have_no_score_and_it_is_said_why(exo, tmp_path, names):
    folder = flat_store(exo, tmp_path / "w", names)
    ran = exo("score", "--home", folder)
    assert (ran.code, ran.err) == (0, "")
    assert f"0 names scored; without a score: {len(names)} (too few factors have an opinion)" in " ".join(ran.out.split())
    told = exo("score", "--explain", names[0], "--home", folder)
    assert told.code == 0
    assert f"{names[0]} has no score at 2024-05-31: too few factors have an opinion" in told.out
    assert json.loads(exo("score", "--json", "--home", folder).out)["ideas"] == []


def test_all_weights_zero(exo, home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "w")
    factors = copy / "config" / "factors.yml"
    factors.write_text(re.sub(r"weight: \d+", "weight: 0", factors.read_text()))
    ran = exo("score", "--home", copy)
    assert ran.code == 2
    assert "at least one factor needs a weight above 0" in ran.err
    assert "Traceback" not in ran.err


def test_only_factors_without_a_source(exo, home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "w")
    (copy / "config" / "factors.yml").write_text("sentiment:\n  social_sentiment: {weight: 3, direction: higher_better}\n")
    ran = exo("score", "--home", copy)
    assert ran.code == 2
    assert "none of social_sentiment has one" in ran.err
    assert "Traceback" not in ran.err


def test_what_a_factor_says_of_itself_is_for_reading(exo, home):
    said = exo("factors", "show", "social_sentiment", "--home", home).out
    assert "What is said of a company" in said
    assert "``" not in said and ":class:" not in said and "(K, N)" not in said
    assert "not in the store (" in exo("factors", "list", "--home", home).out
