"""The user's own example: a scorer without arguments ranks what the workspace has published."""

from __future__ import annotations

import numpy as np
import pytest

from mech_exo.datasource import DataStorage
from mech_exo.datasource.demo import sample_market
from mech_exo.scoring import IdeaScorer
from mech_exo.utils.workspace import create


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scoring") / "w"
    create(folder)
    with DataStorage(folder / "data" / "mech_exo.duckdb") as storage:
        sample_market(symbols=40, years=3).store(storage)
        storage.publish()
    return folder


@pytest.fixture(autouse=True)
def in_the_workspace(home, monkeypatch):
    monkeypatch.setenv("EXO_HOME", str(home))


def test_rank_universe():
    ranking = IdeaScorer().rank_universe()
    assert ranking.columns[:7] == ["rank", "symbol", "composite_score", "percentile", "current_price", "pe_ratio", "sector"]
    assert ranking.height > 10
    assert ranking["rank"].to_list() == list(range(1, ranking.height + 1))
    assert ranking["composite_score"].is_sorted(descending=True)
    assert ranking["percentile"][0] == 1.0
    assert ranking["pe_ratio"].drop_nulls().len() > 10
    assert (ranking["pe_ratio"].drop_nulls() > 0).all()
    parts = [name for name in ranking.columns if name.startswith("contribution_")]
    assert {f"contribution_{name}" for name in ("momentum_12_1", "rsi_14", "pe_ratio", "return_on_equity")} <= set(parts)
    assert np.allclose(ranking.select(parts).to_numpy().sum(axis=1), ranking["composite_score"].to_numpy(), rtol=0, atol=1e-12)


def test_get_top_ideas():
    scorer = IdeaScorer()
    assert scorer.get_top_ideas(n=10).equals(scorer.rank_universe().head(10))


def test_the_factors_without_a_source_are_named_and_the_data_is_called_synthetic():
    ranking = IdeaScorer().ranking()
    assert "no source of it yet" in dict(ranking.missing)["social_sentiment"]
    assert any("synthetic sample" in warning for warning in ranking.warnings)
