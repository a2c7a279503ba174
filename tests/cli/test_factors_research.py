"""``exo factors research | compare | health`` on a stored market."""

from __future__ import annotations

import json


def test_research_writes_a_sheet_and_exports_the_monthly_portfolio(exo, market_copy):
    ran = exo("factors", "research", "rsi_14", "--horizons", "1,5", "--json", "--home", market_copy)
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert {line["horizon"] for line in told["ic_summary"]} == {1, 5}
    assert told["long_short"] and {"date", "return"} <= told["long_short"][0].keys()
    assert (market_copy / "reports/factors/rsi_14.html").read_text().count("<html") == 1


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
