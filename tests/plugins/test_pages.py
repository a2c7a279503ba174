"""A reader who follows a page to the letter gets what it promises, without touching the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mech_exo.utils.config import load
from tests.plugins import pages

PAGES = ["writing-a-factor", "writing-a-limit", "writing-a-sizing-method", "writing-a-source", "writing-a-broker"]
Run = Callable[..., object]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_followed_to_the_letter(page: str, home: Path, exo: Run, frame: pl.DataFrame) -> None:
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
    from mech_exo.utils.config import config_hash

    decides = page != "writing-a-broker"
    assert (config_hash(after) != config_hash(before)) is decides


@pytest.mark.parametrize("page", PAGES)
def test_every_law_a_page_names_is_tried(page: str, home: Path, exo: Run) -> None:
    pages.follow(page, home)
    laws = json.loads(exo("--home", home, "plugins", "check", "--json").out)["laws"]
    assert len(laws) >= 6 and all(not line["broken"] for line in laws)
    listed = json.loads(exo("--home", home, "plugins", "list", "--json").out)["parts"]
    assert [bool(one["used"]) for one in listed] == [True]
