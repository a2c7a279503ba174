"""What others wrote is text on every page, and a workspace in which nothing happened says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mech_exo.execution import safety
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import Alert, Flow, SessionRow
from mech_exo.utils.workspace import create
from tests.browser.surfing import PAGES, Served, served, surfing
from tests.execution.ledger_rows import BOOK, day, decision, intents, line
from tests.reporting import xss
from tests.reporting.nights import body

ONE, TWO = date(2024, 1, 2), date(2024, 1, 3)
SEEN = "window.pwned = () => { window.hit = (window.hit || 0) + 1 }"
CORPUS = tuple(dict.fromkeys((*xss.HTML, *xss.PLOTLY, *xss.MARKDOWN, *xss.TEMPLATES)))
SHOWN = (xss.HTML[2], xss.HTML[3], xss.HTML[0])
"""A few that must be read as they are where the page has room for them."""


def hostile(home: Path) -> None:
    """A ledger whose every text was written by an enemy."""
    create(home)
    with Ledger.open(home / "data" / "ledger.sqlite") as ledger:
        ledger.book_session(SessionRow(BOOK, ONE, day(100_000.0, cash=100_000.0, index=1.0), ()))
        lines = tuple(line(text, 1.0, mark=10.0, entry=10.0, stop=9.0) for text in CORPUS)
        cash = 100_000.0 - 10.0 * len(lines)
        ledger.book_session(SessionRow(BOOK, TWO, day(100_000.0, cash=cash, index=1.0, long_value=10.0 * len(lines)), lines))
        ledger.record_decision(decision(TWO, body(*CORPUS[:12], warnings=CORPUS[:4])))
        ledger.plan(intents(*CORPUS, decided=TWO), BOOK, TWO)
        for number, text in enumerate(CORPUS):
            ledger.post_alert(Alert(f"a{number}", "critical", text, text))
        ledger.record_flow(Flow("f", BOOK, date(2024, 1, 4), 10.0, CORPUS[3]))
    safety.halt(home, CORPUS[2])


@pytest.fixture(scope="module")
def enemy(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("enemy") / "w"
    hostile(home)
    with served(home) as server:
        yield server


@pytest.mark.parametrize("path", [*PAGES, f"/positions?symbol={quote(CORPUS[3])}", f"/ideas?symbol={quote(CORPUS[3])}",
                                  f"/orders?explain={quote(CORPUS[2])}", f"/orders?symbol={quote(CORPUS[3])}"])  # fmt: skip
def test_nothing_of_the_corpus_runs(chromium: Any, enemy: Served, path: str) -> None:
    with surfing(chromium, enemy) as surfer:
        surfer.page.add_init_script(SEEN)
        surfer.go(path)
        for one in surfer.page.locator(".ag-cell, .js-plotly-plot .point, summary").all()[:5]:
            if one.is_visible():
                one.hover(force=True)
        surfer.page.wait_for_timeout(150)
        assert surfer.page.evaluate("window.hit || 0") == 0
        assert surfer.page.evaluate("document.querySelectorAll('#shell iframe, #shell form:not([action=\"/logout\"]), #shell [onerror], #shell script').length") == 0
        assert surfer.wrong == []


def test_hostile_text_is_read_as_it_is(chromium: Any, enemy: Served) -> None:
    with surfing(chromium, enemy) as surfer:
        surfer.go("/")
        assert CORPUS[2] in surfer.page.locator("#banner").inner_text()
        surfer.go("/log")
        said = surfer.page.locator("#page").inner_text()
        assert any(text in said for text in SHOWN), said[:2000]


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_workspace_says_what_to_do_on_every_page(chromium: Any, dashes: Any, path: str) -> None:
    with surfing(chromium, dashes("empty"), 390) as surfer:
        surfer.go(path)
        surfer.picture(f"empty-{path.strip('/') or 'overview'}")
        assert surfer.page.locator("#page .command").count() >= 1, surfer.page.locator("#page").inner_text()
        assert "exo " in surfer.page.locator("#page .command").first.inner_text()
        assert "No night has been run" in surfer.page.locator("#banner").inner_text()
        assert surfer.wrong == []
