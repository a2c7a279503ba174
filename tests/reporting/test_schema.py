"""The published schema is that of the classes, and a report's JSON meets it: of a full night, and of one without any market data."""

from __future__ import annotations

import copy
import json

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from mech_exo.assembly import Workspace
from mech_exo.execution.ledger import Ledger
from mech_exo.reporting.query import night_report
from mech_exo.reporting.snapshot import DailySnapshot, daily_schema
from mech_exo.utils.settings import Config
from tests.execution.ledger_rows import BOOK
from tests.reporting.nights import fill_ledger
from tests.session.stage import days, decide_every, play, stored

MAKE = 'python -c "import json; from mech_exo.reporting.snapshot import daily_schema; print(json.dumps(daily_schema(), indent=2))"'


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """The JSON of a night with fills, orders and everything measured."""
    home = stored(tmp_path_factory.mktemp("schema") / "w")
    decide_every(home, 2)
    play(home, days("2021-04-26", 3))
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        return json.loads(DailySnapshot(night_report(ledger, workspace.book_id(), None, workspace)).json())


@pytest.fixture
def bare(tmp_path):
    """Of a ledger with nothing beside it."""
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        fill_ledger(ledger)
        return json.loads(DailySnapshot(night_report(ledger, BOOK, None, Workspace(tmp_path, Config()))).json())


def faults(data):
    return [error.message for error in Draft202012Validator(daily_schema(), format_checker=FormatChecker()).iter_errors(data)]


def test_the_published_schema_is_that_of_the_classes(repository):
    published = (repository / "docs" / "daily-report.schema.json").read_text()
    assert published == json.dumps(daily_schema(), indent=2) + "\n", f"write it anew: {MAKE} > docs/daily-report.schema.json"
    Draft202012Validator.check_schema(json.loads(published))


def test_reports_meet_it(night, bare):
    assert faults(night) == [] and faults(bare) == []
    assert night["executed"] and night["causes"]["positions"] and night["kpi"]["demands"]


def test_every_part_says_of_when_it_is(night):
    ages = {one["part"]: one for one in night["ages"]}
    assert {ages[name]["session"] for name in ("ledger", "decision", "bars", "sectors and members")} == {night["session"]}
    assert ages["factor scores of the causes"]["sessions"] == 1, "the scores of the close before"
    assert ages["company figures"]["note"] == ages["headlines"]["note"] == "none stored", "the default factors read both"


def test_a_wrong_report_does_not(night):
    for change in (
        lambda data: data.pop("money"),
        lambda data: data.update(more=1),
        lambda data: data["money"].update(nav="unknown"),
        lambda data: data.update(session="yesterday"),
        lambda data: data["causes"]["parts"][0].update(pnl=True),
        lambda data: data["excluded"].append(["only a name"]),
    ):
        wrong = copy.deepcopy(night)
        change(wrong)
        assert faults(wrong), "the schema says nothing"


def test_without_market_data_every_part_that_needs_them_is_unknown_and_says_why(bare):
    report = bare
    parts = {part["name"]: part["pnl"] for part in report["causes"]["parts"]}
    assert parts["trading"] is None and parts["specific"] is None and report["causes"]["why"]
    assert parts["commission"] == pytest.approx(-1.0) and parts["slippage"] == pytest.approx(-10.0)
    assert report["kpi"]["demands"] == [] and report["kpi"]["whole"] == "unknown" and report["kpi"]["why"]
    assert all(one["pnl"] is None for one in report["stress"]["scenarios"]) and report["stress"]["why"]
    assert report["quality"]["coverage"] is None and report["quality"]["why"]
    ages = {one["part"]: one for one in report["ages"]}
    assert ages["ledger"]["sessions"] == 0 and ages["bars"]["session"] is None and ages["bars"]["note"]


def test_the_report_says_unknown_and_not_nothing(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        fill_ledger(ledger)
        page = DailySnapshot(night_report(ledger, BOOK, None, Workspace(tmp_path, Config()))).html()
    assert "Market, factors, specific and trading are unknown: " in page and page.count("unknown") > 20
