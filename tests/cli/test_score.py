"""`exo score`: JSON alone on stdout, a table for a person, clear errors."""

from __future__ import annotations

import json

import pytest

from mech_exo.datasource import DataStorage
from mech_exo.datasource.demo import sample_market
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
    assert "pe_ratio" in data["missing_factors"]
    assert any("synthetic sample" in warning for warning in data["warnings"])
    best = data["ideas"][0]
    assert best["pe_ratio"] is None
    parts = [value for name, value in best.items() if name.startswith("contribution_")]
    assert sum(parts) == pytest.approx(best["composite_score"], abs=1e-12)


def test_table(exo, home):
    best = json.loads(exo("score", "--top", 1, "--json", "--home", home).out)["ideas"][0]
    ran = exo("score", "--top", 1, "--home", home)
    assert ran.code == 0
    figures = (f"{best['composite_score']:.3f}", f"{best['current_price']:.2f}")
    for said in (best["symbol"], *figures, "momentum_12_1", "pe_ratio", "synthetic sample"):
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
    import shutil

    copy = shutil.copytree(home, tmp_path / "w")
    factors = copy / "config" / "factors.yml"
    factors.write_text(factors.read_text().replace("momentum_12_1:", "momentum_12_2:"))
    ran = exo("score", "--home", copy)
    assert ran.code == 2
    assert "did you mean momentum_12_1" in ran.err
