"""The ranking is the journal's, contributions sum to scores, the history is every decision's, foreign text stays text."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mech_exo.reporting.dashboard.pages import ideas
from mech_exo.reporting.dashboard.ranking import Headline, Outcome, Part, named, ranking
from mech_exo.reporting.dashboard.score_history import Decisions, read
from tests.reporting.dashboard.book import part, reader
from tests.reporting.dashboard.showing import bodies, drawn, journal, texts, tile
from tests.reporting.xss import ALL


@pytest.fixture(scope="module")
def said():
    return bodies()


def rank(session):
    return reader().once(("test", session), lambda house, ledger: ranking(house, ledger, ledger.books()[0], session))


def test_the_ranking_is_what_the_journal_says(said):
    booked = {row["session"]: row for row in journal("session")}
    for session in [*list(said)[-6:], next(day for day, body in said.items() if body["scheduled"] and body["orders"])]:
        body, made = said[session], rank(session)
        assert [(one.rank, one.symbol, one.score) for one in made.candidates] == [
            (line["rank"], line["symbol"], line["score"]) for line in body["scores"]
        ]
        held = {line["symbol"]: int(line["shares"]) for line in booked[str(session)]["lines"] if line["shares"]}
        ordered = {}
        for order in body["orders"]:
            ordered[order["symbol"]] = ordered.get(order["symbol"], 0) + order["shares"]
        for one in made.candidates:
            assert one.held == held.get(one.symbol, 0)
            assert one.ordered == ordered.get(one.symbol, 0)
            if one.outcome is Outcome.ORDERED:
                assert one.symbol in ordered
            elif one.outcome is Outcome.HELD:
                assert one.held and one.symbol not in ordered
            elif one.outcome is Outcome.DENIED:
                line = next(line for line in body["targets"] if line["symbol"] == one.symbol)
                assert line["wanted"] and not line["shares"] and one.bound
            elif one.outcome is Outcome.WAITING:
                assert not body["scheduled"]
            elif one.outcome in (Outcome.OUTRANKED, Outcome.PASSED):
                assert body["scheduled"] and not one.held and not one.ordered
        assert dict(made.excluded) == body["excluded"]


def test_contributions_sum_to_the_score_of_every_name(said):
    session = list(said)[-1]
    for line in said[session]["scores"]:
        symbol = line["symbol"]
        found = reader().once(("named", symbol), lambda house, ledger, who=symbol: named(house, ledger, ledger.books()[0], who, session))
        assert math.fsum(p.contribution for p in found.parts if p.contribution is not None) == pytest.approx(line["score"], abs=1e-12)
        assert all(p.contribution is None for p in found.parts if p.normalised is None)
        assert {p.factor: p.raw for p in found.parts} == {name: factor["raw"] for name, factor in line["factors"].items()}
        assert symbol in found.verdict


def test_the_history_is_every_decisions(said):
    made = reader().once(("all",), lambda _, ledger: Decisions().history(ledger, ledger.books()[0]))
    for symbol in ("SYN001", "SYN019", "SYN044"):
        line = made.of(symbol)
        assert [day.item() for day in line.sessions] == list(said)
        for t, body in enumerate(said.values()):
            mine = next((one for one in body["scores"] if one["symbol"] == symbol), None)
            assert (line.score[t], line.rank[t]) == (mine["score"], mine["rank"]) if mine else np.isnan([line.score[t], line.rank[t]]).all()


def test_a_short_history_is_the_end_of_a_long_one(said):
    made = reader().once(("five",), lambda _, ledger: Decisions(most=3).history(ledger, ledger.books()[0], 5))
    assert [night.session for night in made.nights] == list(said)[-5:]


def test_the_page_shows_the_sum_and_the_parts(said):
    session = list(said)[-1]
    first = said[session]["scores"][0]
    page = drawn(ideas.layout, {"symbol": first["symbol"]})
    figure = part(page, "ideas-waterfall").figure
    assert figure["data"][0]["x"][-1] == pytest.approx(first["score"], abs=1e-12)
    assert tile(page, "Scored") == f"{len(said[session]['scores'])}"
    shown = part(page, "ideas-history").figure
    assert len(shown["data"][0]["x"]) == len(said)


def test_filters_keep_what_fits_and_wrong_ones_are_ignored():
    made = rank(list(bodies())[-1])
    assert {row["outcome"] for row in ideas.chosen(made, {"outcome": "held"})} == {"held"}
    sector = made.candidates[0].sector
    assert [row["symbol"] for row in ideas.chosen(made, {"sector": sector})] == [c.symbol for c in made.candidates if c.sector == sector]
    for query in ({"session": "yesterday"}, {"symbol": "<b>x</b>"}, {"outcome": "<script>"}, {"book": "../../etc"}):
        assert drawn(ideas.layout, query) is not None


@pytest.mark.parametrize("evil", ALL)
def test_headlines_and_sources_are_text(evil):
    shown = ideas._headlines([Headline("2024-01-02 12:00 UTC", evil, evil, 0.3)])
    assert texts(shown).count(evil) == 2
    assert "dangerously_allow_html" not in json.dumps(shown.to_plotly_json(), default=lambda one: one.to_plotly_json())


def test_the_largest_contribution_stands_first_and_what_is_unknown_last():
    said = [Part("a", 1.0, 1.0, 1.0, 0.1), Part("b", None, None, 1.0, None), Part("c", 1.0, 1.0, 1.0, -0.7)]
    assert [one.factor for one in ideas.ordered(said)] == ["c", "a", "b"]


def test_a_body_without_scores_is_a_night_of_nobody():
    night = read(next(iter(bodies())), json.dumps({"scheduled": False, "scores": []}).encode())
    assert len(night.symbols) == 0
