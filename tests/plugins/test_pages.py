"""A reader who follows a page to the letter gets what it promises, without touching the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from mech_exo.execution.ledger import Ledger
from mech_exo.utils.config import config_hash, load
from tests.plugins import pages

PAGES = ["writing-a-factor", "writing-a-limit", "writing-a-sizing-method", "writing-a-source", "writing-a-broker"]
Run = Callable[..., object]
EVENING = datetime(2024, 12, 31, 22, 30, tzinfo=UTC)
"""After the last close of the sample market: orders for the next open may leave."""


def at(patch: pytest.MonkeyPatch, now: datetime) -> None:
    """The journal's clock, by which orders are too late or not, stands at ``now``."""
    opened = Ledger.open
    patch.setattr(Ledger, "open", lambda path, **options: opened(path, **{"clock": lambda: now, **options}))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_followed_to_the_letter(page: str, home: Path, exo: Run, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, EVENING)
    if page == "writing-a-source":
        (home / "prices").mkdir()
        one = frame.filter(pl.col("symbol") == frame["symbol"][0]).drop("symbol")
        one.select("date", "open", "high", "low", "close", "volume").write_csv(home / "prices" / "HOUSE.csv")
    before = load(home)
    pages.follow(page, home)
    after = load(home)
    assert pages.commands(page), "a page without a command proves nothing"
    said = ""
    for words in pages.commands(page):
        done = exo("--home", home, *words)
        assert done.code == 0, (words, done.out, done.err)
        said += done.out + done.err
    for line in pages.promised(page):
        assert pages.shows(line, said), (line, said)
    assert "✘" not in said
    decides = page != "writing-a-broker"
    assert (config_hash(after) != config_hash(before)) is decides


@pytest.mark.parametrize("page", PAGES)
def test_every_law_a_page_names_is_tried(page: str, home: Path, exo: Run) -> None:
    pages.follow(page, home)
    laws = json.loads(exo("--home", home, "plugins", "check", "--json").out)["laws"]
    assert len(laws) >= 6 and all(not line["broken"] for line in laws)
    listed = json.loads(exo("--home", home, "plugins", "list", "--json").out)["parts"]
    assert [bool(one["used"]) for one in listed] == [True]


def test_the_telephone_fills_and_the_next_night_books_it(home: Path, exo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders of one evening, typed fills, the next evening: the ledger holds what was typed, stops rest, and both sides agree."""
    pages.follow("writing-a-broker", home)
    with monkeypatch.context() as patch:
        at(patch, datetime(2024, 12, 27, 22, 30, tzinfo=UTC))
        first = exo("--home", home, "run", "--date", "2024-12-27", "--json")
        assert first.code == 0, first.out + first.err
    asked = json.loads((home / "data" / "phone.json").read_text())
    entries = {key: order for key, order in asked.items() if order["parent"] is None}
    assert entries and any(order["parent"] in entries for order in asked.values()), "entries with their stops"
    lines = [f"{key},{order['shares']},50.0,1.0,2024-12-30T14:30:00+00:00" for key, order in entries.items()]
    (home / "phone_fills.csv").write_text("\n".join(["order_id,shares,price,commission,time", *lines]) + "\n")
    with monkeypatch.context() as patch:
        at(patch, datetime(2024, 12, 30, 22, 30, tzinfo=UTC))
        second = exo("--home", home, "run", "--date", "2024-12-30", "--json")
        assert second.code == 0, second.out + second.err
        compared = exo("--home", home, "reconcile")
        assert compared.code == 0, compared.out
        (view,) = json.loads(exo("--home", home, "positions", "--json").out)
        held = {line["symbol"]: line["shares"] for line in view["positions"]}
    assert held == {order["symbol"]: order["shares"] for order in entries.values()}
    again = exo("--home", home, "fills", "--json")
    assert {line["price"] for line in json.loads(again.out)} == {50.0}
