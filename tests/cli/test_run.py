"""`exo run | plan | why | replay` from their outermost edge: one JSON document or a text for a person, never a traceback."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mech_exo.assembly import Workspace
from tests.session.stage import body, days, held, journal

Exo = Callable[..., Any]
FIRST, SECOND, THIRD = days("2021-06-30", 3)
NIGHTS = days("2021-06-30", 23)
AGAIN = NIGHTS[21]  # the second decision
RUN_KEYS = {
    "session", "next_session", "repeated", "missed_sessions", "nav", "nav_before", "cash", "state", "fills", "unfilled", "orders", "sent",
    "breaks", "decision", "reports", "steps",
}  # fmt: skip
WHY_KEYS = {
    "symbol", "as_of", "scheduled", "state", "scored", "held", "score", "weights", "adjustments", "excluded", "target", "breaches", "orders", "fills",
    "missing_factors", "scale", "verdict",
}  # fmt: skip


def only_json(ran: Any) -> Any:
    """What a --json command printed: exactly one document on stdout, nothing on stderr."""
    assert ran.code == 0, ran.err
    assert ran.err == "" and "Traceback" not in ran.out
    return json.loads(ran.out)


def test_run_in_json(exo: Exo, market_copy: Path) -> None:
    first = only_json(exo("run", "--mode", "paper", "--date", FIRST, "--home", market_copy, "--json"))
    assert set(first) == RUN_KEYS
    assert (first["session"], first["next_session"], first["repeated"]) == (str(FIRST), str(SECOND), False)
    assert first["nav"] == first["cash"] == 100_000.0 and first["fills"] == []
    assert {line["id"] for line in first["orders"]} == {line["order_id"] for line in first["sent"]}
    assert first["decision"] == body(market_copy, FIRST)
    second = only_json(exo("run", "--date", SECOND, "--home", market_copy, "--json"))
    assert {fill["order_id"] for fill in second["fills"]} >= {line["id"] for line in first["orders"]}
    assert second["orders"] == second["breaks"] == [] and second["nav_before"] == 100_000.0
    spent = sum(fill["shares"] * fill["price"] + fill["commission"] for fill in second["fills"])
    assert second["cash"] == pytest.approx(100_000.0 - spent, abs=0.005)
    for report in first["reports"] + second["reports"]:
        assert Path(report).is_file() and "synthetic sample" in Path(report).read_text("utf-8")
    assert {Path(report).suffix for report in first["reports"]} == {".html", ".json", ".md"}


def test_run_for_a_person(exo: Exo, market_copy: Path) -> None:
    first, second = (exo("run", "--date", night, "--home", market_copy) for night in (FIRST, SECOND))
    for ran in (first, second):
        assert ran.code == 0 and "Traceback" not in ran.out + ran.err
        assert "synthetic sample" in ran.out and "Ideas at" in ran.out and "Risk: ACTIVE" in ran.out
    assert f"Orders for the open of {SECOND}" in first.out and f"of 30 orders handed to the broker for {SECOND}" in first.out
    assert f"Fills of {SECOND}" in second.out and "The book is not decided tonight" in second.out
    assert "0 of 0" not in second.out


def test_a_mode_that_is_none_and_one_that_is_not_here(exo: Exo, market_copy: Path) -> None:
    ran = exo("run", "--mode", "dream", "--home", market_copy)
    assert ran.code == 2 and "--mode must be paper or live; got 'dream'" in ran.err and "→" in ran.err
    ran = exo("run", "--mode", "live", "--home", market_copy)
    assert ran.code == 2 and "Interactive Brokers" in ran.err and "--mode paper" in ran.err
    with Workspace.open(market_copy).ledger() as ledger:
        assert ledger.books() == ()


def test_plan_orders_nothing_and_the_night_does_what_was_planned(exo: Exo, market_copy: Path) -> None:
    planned = only_json(exo("plan", "--date", FIRST, "--home", market_copy, "--json"))
    assert not Workspace.open(market_copy).ledger_path.exists()
    assert not (market_copy / "reports").exists() or not any((market_copy / "reports").rglob("*.*"))
    done = only_json(exo("run", "--date", FIRST, "--home", market_copy, "--json"))
    assert planned == done["decision"]
    rows = journal(market_copy)
    tried = only_json(exo("plan", "--date", THIRD, "--home", market_copy, "--json"))
    assert tried["as_of"] == str(THIRD) and journal(market_copy) == rows, "missed sessions are only tried too"
    assert only_json(exo("plan", "--date", FIRST, "--home", market_copy, "--json")) == planned
    shown = exo("plan", "--date", FIRST, "--home", market_copy)
    assert shown.code == 0 and "buy" in shown.out and "rebalance" in shown.out


def test_a_past_plan_is_the_journaled_one(exo: Exo, played_home: Path) -> None:
    assert only_json(exo("plan", "--date", AGAIN, "--home", played_home, "--json")) == body(played_home, AGAIN)
    ran = exo("plan", "--date", "2021-06-29", "--home", played_home)
    assert ran.code == 2 and f"{NIGHTS[-1]}" in ran.err and "is the next night" in ran.err


def names(home: Path) -> dict[str, tuple[str, date]]:
    """A name and a night for every answer of `exo why`."""
    opened, later = body(home, FIRST), body(home, AGAIN)
    buys = [order["symbol"] for order in opened["orders"]]
    kept, sold = held(home, NIGHTS[5]), [order["symbol"] for order in later["orders"] if order["shares"] < 0]
    worst = opened["scores"][-1]["symbol"]
    excluded = min(set(opened["excluded"]) - set(kept))
    return {
        "bought": (buys[0], FIRST),
        "held": (min(kept), NIGHTS[5]),
        "sold": (sold[0], AGAIN),
        "rank too low": (worst, FIRST),
        "excluded": (excluded, FIRST),
        "not decided": (worst, SECOND),
    }


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("bought", "was bought: "),
        ("held", "is held ("),
        ("sold", "was sold: "),
        ("rank too low", "the last one bought has rank"),
        ("excluded", "is not bought: "),
        ("not decided", "the book was not decided this night"),
    ],
)
def test_why(exo: Exo, played_home: Path, case: str, said: str) -> None:
    symbol, night = names(played_home)[case]
    found = only_json(exo("why", symbol, "--date", night, "--home", played_home, "--json"))
    assert set(found) == WHY_KEYS and found["symbol"] == symbol and found["as_of"] == str(night)
    assert found["verdict"].startswith(symbol) and said in found["verdict"]
    shown = exo("why", symbol.lower(), "--date", night, "--home", played_home)
    assert shown.code == 0 and "Traceback" not in shown.out + shown.err and " ".join(shown.out.split()).count(found["verdict"]) == 1
    if found["score"] is not None:
        parts = [line["contribution"] for line in found["score"]["factors"].values() if line["contribution"] is not None]
        assert sum(parts) == pytest.approx(found["score"]["score"], abs=1e-12)
        assert f"rank {found['score']['rank']} of {found['scored']}" in shown.out
    details: dict[str, Callable[[], bool]] = {
        "bought": lambda: found["orders"][0]["shares"] == found["target"]["shares"] > 0 and found["orders"][0]["id"] in shown.out,
        "held": lambda: found["held"]["shares"] > 0 and found["fills"][0]["session"] == str(SECOND) and "stop" in shown.out,
        "sold": lambda: found["orders"][0]["shares"] < 0 < found["held"]["shares"],
        "rank too low": lambda: found["held"] is None and found["orders"] == [] and found["score"]["rank"] == found["scored"],
        "excluded": lambda: found["score"] is None and found["excluded"] in found["verdict"],
        "not decided": lambda: found["scheduled"] is False and found["orders"] == [],
    }
    assert details[case](), found


def test_why_of_an_unknown_symbol(exo: Exo, played_home: Path) -> None:
    for symbol, remedy in (("SYN0O1", "did you mean SYN"), ("ZZTOP", "exo data status")):
        ran = exo("why", symbol, "--home", played_home)
        assert (ran.code, ran.out) == (2, "") and f"{symbol!r} was not known" in ran.err and remedy in ran.err


def test_why_without_a_date_is_about_the_last_night(exo: Exo, played_home: Path) -> None:
    assert only_json(exo("why", "SYN001", "--home", played_home, "--json"))["as_of"] == str(NIGHTS[-1])


@pytest.mark.parametrize("words", [("why", "SYN001"), ("replay", str(FIRST))])
def test_looking_back_before_any_night(exo: Exo, market_copy: Path, words: tuple[str, ...]) -> None:
    ran = exo(*words, "--home", market_copy)
    assert (ran.code, ran.out) == (3, "") and "no night has been run yet" in ran.err and "exo run --mode paper" in ran.err
    assert not (market_copy / "data" / "ledger.sqlite").exists(), "looking makes nothing"


def test_a_ledger_that_is_gone_is_not_mistaken_for_a_new_workspace(exo: Exo, market_copy: Path) -> None:
    assert exo("run", "--date", FIRST, "--home", market_copy).code == 0
    (market_copy / "data" / "ledger.sqlite").unlink()
    for words in (("why", "SYN001"), ("replay", FIRST), ("run", "--date", SECOND), ("plan", "--date", SECOND)):
        ran = exo(*words, "--home", market_copy)
        assert ran.code == 4 and "exo ledger restore" in ran.err, words


def test_replay(exo: Exo, played_home: Path) -> None:
    data = only_json(exo("replay", AGAIN, "--home", played_home, "--json"))
    assert set(data) == {"session", "recorded_at", "identical", "differences"} and data["identical"]
    shown = exo("replay", AGAIN, "--home", played_home)
    assert shown.code == 0 and re.search(rf"{AGAIN}: byte for byte as journaled at [\d-]+ [\d:]+ UTC", shown.out)


@pytest.mark.parametrize("command", ["orders", "fills", "positions", "score", "risk status", "data status", "ledger verify"])
def test_everything_that_looks_at_the_nights_prints_one_document(exo: Exo, played_home: Path, command: str) -> None:
    before = journal(played_home)
    assert only_json(exo(*command.split(), "--home", played_home, "--json"))
    shown = exo(*command.split(), "--home", played_home)
    assert shown.code == 0 and shown.out and "Traceback" not in shown.out + shown.err
    assert journal(played_home) == before


def test_a_second_run_while_one_is_writing_is_told_so(exo: Exo, market_copy: Path) -> None:
    assert exo("run", "--date", FIRST, "--home", market_copy).code == 0
    with Workspace.open(market_copy).ledger():
        ran = exo("run", "--date", SECOND, "--home", market_copy)
        assert (ran.code, ran.out) == (4, "") and "one process writes the ledger at a time" in ran.err
        for words in (("why", "SYN001"), ("replay", FIRST), ("positions",)):
            assert exo(*words, "--home", market_copy).code == 0, "looking is always possible"
    assert exo("run", "--date", SECOND, "--home", market_copy).code == 0


def test_a_plan_only_reads(exo, market_copy, played_home, tmp_path):
    """It leaves no ledger behind where there was none, and works while a night holds the ledger."""
    ran = exo("plan", "--date", NIGHTS[0], "--home", market_copy, "--json")
    assert ran.code == 0 and json.loads(ran.out)["orders"]
    assert not Workspace.open(market_copy).ledger_path.exists()
    shutil.copytree(played_home, tmp_path / "busy")
    with Workspace.open(tmp_path / "busy").ledger():
        assert exo("plan", "--home", tmp_path / "busy", "--date", NIGHTS[-1], "--json").code == 0
