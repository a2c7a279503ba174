"""``exo factors research | compare | health`` on a stored market."""

from __future__ import annotations

import json

from mech_exo.datasource import DataStorage
from mech_exo.datasource.demo import sample_market
from mech_exo.utils.workspace import create


def test_research_writes_a_sheet_and_exports_the_monthly_portfolio(exo, market_copy):
    ran = exo("factors", "research", "rsi_14", "--horizons", "1,5", "--json", "--home", market_copy)
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert {line["horizon"] for line in told["ic_summary"]} == {1, 5}
    assert told["long_short"] and {"date", "return"} <= told["long_short"][0].keys()
    assert (market_copy / "reports/factors/rsi_14.html").read_text().count("<html") == 1


def test_a_factor_of_facts_that_the_configuration_does_not_name_is_studied(exo, tmp_path):
    home = tmp_path / "w"
    create(home)
    with DataStorage(DataStorage.path_in(home)) as storage:
        sample_market(symbols=40, years=3).store(storage)
        storage.publish()
    assert "earnings_yield" not in (home / "config" / "factors.yml").read_text()
    ran = exo("factors", "research", "earnings_yield", "--horizons", "5", "--json", "--home", home)
    assert ran.code == 0, ran.err
    assert {line["horizon"] for line in json.loads(ran.out)["ic_summary"]} == {5}


def test_health_and_compare_tell_of_every_configured_factor(exo, market_copy):
    health = exo("factors", "health", "--json", "--home", market_copy)
    assert health.code == 0, health.err
    states = {one["factor"]: one["state"] for one in json.loads(health.out)["factors"]}
    assert set(states.values()) <= {"healthy", "weakening", "alarm", "unknown"} and "rsi_14" in states
    strict = exo("factors", "health", "--strict", "--home", market_copy)
    assert strict.code == (3 if "alarm" in states.values() else 0), strict.err
    compared = exo("factors", "compare", "--horizons", "5", "--home", market_copy)
    assert compared.code == 0 and "rsi_14" in compared.out, compared.err


def test_bad_words_are_answered(exo, market_copy):
    assert "did you mean rsi_14" in exo("factors", "research", "rsi14", "--home", market_copy).err
    assert "whole positive numbers" in exo("factors", "compare", "--horizons", "1,x", "--home", market_copy).err
