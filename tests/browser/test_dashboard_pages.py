"""Every page in a real browser, at both widths and in both themes: nothing goes wrong on it, it fits, and everybody can read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import until
from tests.browser.surfing import PAGES, Surfer, surfing

CAMPAIGN = "EXO_TEST_KILLS" in os.environ
WORKSPACES = ("sample", "real")
NAMES = [path.strip("/") or "overview" for path in PAGES]
WIDTHS = {"wide": 1440, "phone": 390}
LOOKS, EXTREMES = ("wide-light", "phone-light", "wide-dark", "phone-dark"), ("wide-light", "phone-dark")
"""The sample's pages are seen in every look, the real one's, which are the same pages with longer tables, in two. A campaign sees all of all."""
OVERFLOW = """[...document.querySelectorAll('body *')].filter(one => {
    const box = one.getBoundingClientRect()
    if (!box.width || box.right <= innerWidth + 1) return false
    for (let up = one.parentElement; up; up = up.parentElement)
        if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(up).overflowX) && up !== document.body && up !== document.documentElement) return false
    return true
}).slice(0, 5).map(one => one.outerHTML.slice(0, 160))"""


@pytest.fixture(scope="module", params=[(w, p) for w in WORKSPACES for p in PAGES], ids=lambda one: f"{one[0]}-{one[1].strip('/') or 'overview'}")
def visit(request: pytest.FixtureRequest, chromium: Any, dashes: Any) -> Iterator[tuple[str, str, Surfer]]:
    """A page, opened once, wide and light."""
    workspace, path = request.param
    with surfing(chromium, dashes(workspace)) as surfer:
        surfer.go(path)
        yield workspace, path.strip("/") or "overview", surfer


def looks(surfer: Surfer, chosen: tuple[str, ...]) -> Iterator[str]:
    """Those looks of a page that are chosen of the four, each settled: by the size of the window and by its own button."""
    for theme in ("light", "dark"):
        if theme == "dark":
            surfer.page.set_viewport_size({"width": WIDTHS["wide"], "height": 900})
            surfer.page.locator("#theme-toggle").click()
            until(surfer.page, "document.documentElement.dataset.mantineColorScheme === 'dark'")
        for name, width in WIDTHS.items():
            if f"{name}-{theme}" in chosen:
                surfer.page.set_viewport_size({"width": width, "height": 900})
                surfer.settle()
                yield f"{name}-{theme}"


def test_it_says_nothing_wrong_fits_and_breaks_no_serious_rule_of_accessibility(visit: tuple[str, str, Surfer]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    workspace, name, surfer = visit
    assert surfer.page.locator("#page h1, #page h2").count() > 0, "a page without a heading"
    for look in looks(surfer, LOOKS if CAMPAIGN or workspace == "sample" else EXTREMES):
        surfer.picture(f"{workspace}-{name}-{look}")
        assert surfer.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (look, surfer.page.evaluate(OVERFLOW))
        assert surfer.page.evaluate(OVERFLOW) == [], look
        if CAMPAIGN or look in EXTREMES:
            found = [one for one in Axe().run(surfer.page).response["violations"] if one["impact"] in ("serious", "critical")]
            assert [(one["id"], [node["html"][:160] for node in one["nodes"][:4]]) for one in found] == [], look
    assert surfer.wrong == []


def test_every_page_is_reached_from_the_menu_and_says_where_it_is(chromium: Any, dashes: Any) -> None:
    """And none brings pandas into the process: Plotly looks into whatever pandas there is, and a frame that is sent while another thread
    imports it fails: the browser stays empty."""
    server = dashes("sample")
    with surfing(chromium, server) as surfer:
        surfer.go("/")
        assert surfer.page.evaluate("document.documentElement.lang") == "en"
        seen = set()
        for path in PAGES:
            surfer.page.locator(f"nav a[href='{path}']").click()
            until(surfer.page, f"location.pathname === '{path}' && document.querySelector('nav a[href=\"{path}\"]').ariaCurrent === 'page'")
            surfer.settle()
            seen.add(surfer.page.locator("#page").inner_text()[:400])
        assert len(seen) == len(PAGES)
        assert surfer.wrong == []
    if (maps := Path(f"/proc/{server.process.pid}/maps")).exists():  # where the system tells which libraries a process has loaded
        loaded = maps.read_text()
        assert "/polars" in loaded or "_polars" in loaded
        assert "/pandas/" not in loaded
