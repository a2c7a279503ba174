"""The study of the factors: kept whole, read back the same, told to be old when it is; the page computes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from mech_exo import nightly
from mech_exo.assembly import Workspace
from mech_exo.domain.errors import InputError, StoreError
from mech_exo.domain.panel import Universe
from mech_exo.reporting.dashboard.factor_state import _state, factor_state
from mech_exo.reporting.dashboard.pages import factors
from mech_exo.reporting.dashboard.reader import Reader
from mech_exo.scoring.research import State, bulletin, compare, factor_health, study_of
from mech_exo.utils.settings import Config, FactorsConfig, UniverseRules
from mech_exo.utils.workspace import create
from tests.backtest.markets import market
from tests.reporting.dashboard.book import part, sample
from tests.reporting.dashboard.showing import drawn, numbers, texts, tile

NOW = datetime(2024, 3, 1, 22, 0, tzinfo=UTC)
TWO = FactorsConfig.model_validate(
    {"technical": {"rsi_14": {"weight": 1, "direction": "mean_revert"}, "volume_trend": {"weight": 2, "direction": "higher_better"}},
     "fundamental": {"pe_ratio": {"weight": 1, "direction": "lower_better"}}}
)  # fmt: skip
RULES = UniverseRules(min_price=0.0, min_dollar_volume=0.0)


@pytest.fixture(scope="module")
def studied():
    panel = market(3, 420, 12, 0.0)
    return bulletin.sample_for(panel, Universe.everyone(panel), RULES)


@pytest.fixture(scope="module")
def made(studied):
    return bulletin.bulletin(studied, TWO, snapshot="abc", made_at=NOW, warnings=("synthetic sample",))


def test_it_says_what_health_comparison_and_study_say(studied, made):
    table = {row["factor"]: row for row in compare(studied, TWO).table.iter_rows(named=True)}
    for one, line in zip(factor_health(studied, TWO), made.factors, strict=True):
        assert (one.factor, one.state, one.reason, one.as_of, one.since) == (line.factor, line.state, line.reason, line.as_of, line.since)
        for name in ("ic", "low", "high", "before", "trend_ann", "trend_t"):
            value = getattr(one, name)
            assert getattr(line, name) == (None if np.isnan(value) else value)
        assert [(row.date, row.ic, row.low, row.high) for row in line.rolling] == one.history.rows()
        if one.state is State.UNKNOWN:
            assert line.mean_ic is None and line.decay == () and line.quantiles == ()
            continue
        row, study = table[one.factor], study_of(studied, one.factor, TWO)
        assert (line.mean_ic, line.t_stat, line.spread, line.coverage) == (row["ic"], row["t_stat"], row["spread"], row["coverage"])
        assert [(at.lag, at.mean) for at in line.decay] == study.decay.select("lag", "mean").rows()
        assert [q.excess for q in line.quantiles] == study.quantile_returns.filter(horizon=21)["excess"].to_list()


def test_health_measured_before_is_not_measured_again(studied, made):
    again = bulletin.bulletin(studied, TWO, snapshot="abc", made_at=NOW, warnings=("synthetic sample",), health=factor_health(studied, TWO))
    assert again == made


def test_what_was_written_is_read(made, tmp_path):
    assert bulletin.read(tmp_path) is None
    bulletin.write(made, tmp_path)
    assert bulletin.read(tmp_path) == made
    assert [path.name for path in tmp_path.iterdir()] == [bulletin.FILE]


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 0}', '{"format": 1}', "null", ""])
def test_a_damaged_file_is_said_with_its_remedy(text, tmp_path):
    (tmp_path / bulletin.FILE).write_text(text)
    with pytest.raises(StoreError) as said:
        bulletin.read(tmp_path)
    assert said.value.remedy == "exo factors health"


def test_nothing_to_study_is_an_error_and_no_empty_study(studied):
    alone = FactorsConfig.model_validate({"fundamental": {"pe_ratio": {"weight": 1, "direction": "lower_better"}}})
    with pytest.raises(InputError):
        bulletin.bulletin(studied, alone, snapshot="", made_at=NOW)


def house(home, config, last: date, snapshot: str = "abc"):
    storage = SimpleNamespace(view=lambda: SimpleNamespace(as_of=last), path=home / f"{snapshot}.duckdb")
    return SimpleNamespace(home=home, config=config, storage=storage)


def test_it_is_old_after_a_week_other_factors_or_other_data(made, tmp_path):
    config = Config()
    recipe = bulletin.recipe_of(config.factors, config.strategy.universe)
    kept = replace(made, as_of=date(2024, 3, 1), recipe=recipe)
    bulletin.write(kept, tmp_path / "data")
    fresh = _state(house(tmp_path, config, date(2024, 3, 1)))
    assert (fresh.kept, fresh.behind, fresh.reasons) == (kept, 0, ())
    assert _state(house(tmp_path, config, date(2024, 3, 8))).behind == 5
    assert not _state(house(tmp_path, config, date(2024, 3, 8))).reasons
    assert "6 sessions old" in _state(house(tmp_path, config, date(2024, 3, 11))).reasons[0]
    assert "data were changed" in _state(house(tmp_path, config, date(2024, 3, 1), "other")).reasons[0]
    other = config.model_copy(update={"factors": TWO})
    assert "factors or the universe" in _state(house(tmp_path, other, date(2024, 3, 1))).reasons[0]


@pytest.mark.parametrize(("scheduled", "age", "due"), [(True, 0, True), (False, 0, False), (False, 4, False), (False, 7, True), (False, -3, False)])
def test_a_night_studies_when_it_decides_anew_or_a_week_has_passed(made, tmp_path, scheduled, age, due):
    config = Config()
    recipe = bulletin.recipe_of(config.factors, config.strategy.universe)
    session = date(2024, 3, 15)
    bulletin.write(replace(made, as_of=session - timedelta(days=age), recipe=recipe), tmp_path / "data")
    asked = []

    def known(day):
        asked.append(day)
        raise InputError("enough: it was due")

    workspace = SimpleNamespace(home=tmp_path, config=config, known=known)
    result = SimpleNamespace(portfolio=object(), decision=SimpleNamespace(scheduled=scheduled), session=session)
    said = nightly.study_factors(workspace, result, NOW)
    assert asked == ([session] if due else [])
    assert ("could not be studied" in said) is due
    assert nightly.study_factors(workspace, SimpleNamespace(portfolio=None, decision=None, session=session), NOW) == ""


def test_the_page_shows_the_file_and_marks_what_is_chosen():
    said = json.loads((sample().home / "data" / bulletin.FILE).read_text())
    page = drawn(factors.layout, {"factor": "rsi_14"})
    line = next(one for one in said["factors"] if one["factor"] == "rsi_14")
    assert tile(page, "Alarm") == str(sum(one["state"] == "alarm" for one in said["factors"]))
    assert numbers(part(page, "factors-rolling").figure["data"][2]["y"]) == pytest.approx([row["ic"] for row in line["rolling"]], rel=1e-6)
    rows = {row["factor"]: row for row in part(page, "factors-rows").rowData}
    assert rows["rsi_14"]["ic"] == line["ic"] and rows["rsi_14"]["turnover"] == line["turnover"]
    assert part(page, "factors-rows").selectedRows == [rows["rsi_14"]]
    assert rows["social_sentiment"]["ic"] is None
    assert drawn(factors.layout, {"factor": "<script>"}) is not None


def test_without_a_file_the_page_names_the_command(tmp_path):
    create(tmp_path / "w")
    reader = Reader(tmp_path / "w", lambda: Workspace.open(tmp_path / "w"))
    assert factor_state(reader).kept is None
    assert "exo factors health" in texts(drawn(factors.layout, {}, reader))
