"""Limits and stress of the report are those of ``exo risk status``: one formula, however little of the store is read for it."""

from __future__ import annotations

import json

import pytest

from mech_exo.assembly import Workspace
from mech_exo.reporting.query import night_report
from tests.session.stage import days, decide_every, play, set_line, stored


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A few nights under limits that need the market. Not to be changed."""
    found = stored(tmp_path_factory.mktemp("standing") / "w")
    decide_every(found, 2)
    rules = found / "config" / "risk_limits.yml"
    for name, limit in (("max_volatility", 0.5), ("max_value_at_risk", 0.2), ("max_beta", 2.0)):
        set_line(rules, f"  {name}: null", f"  {name}: {limit}")
    play(found, days("2021-04-26", 4))
    return found


def test_every_limit_and_scenario_is_that_of_risk_status(home, exo):
    told = json.loads(exo("risk", "status", "--json", "--home", home).out)
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        report = night_report(ledger, workspace.book_id(), None, workspace)
    used = {line["label"]: line for line in told["limits"] if line["limit"] is not None and line["unit"] != "order"}
    assert {"Annual volatility", "Value at risk", "Beta"} <= {one.name for one in report.limits} == set(used)
    for one in report.limits:
        line = used[one.name]
        assert (one.limit, one.value) == pytest.approx((line["limit"], line["value"]), rel=1e-9), one.name
        assert (one.who, one.status, one.unit) == (line["who"], line["status"], line["unit"])
    for mine, theirs in zip(report.stress.scenarios, told["stress"], strict=True):
        assert (mine.name, mine.basis, list(mine.unmeasured)) == (theirs["scenario"], theirs["basis"], theirs["unmeasured"])
        assert mine.pnl == pytest.approx(theirs["pnl"], rel=1e-9)
