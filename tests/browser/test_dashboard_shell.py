"""The frame in a real browser: what changes on disk is exchanged in place, light and dark, exports, who is not logged in."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from mech_exo.execution.safety import HaltSwitch
from mech_exo.performance.figures import style
from mech_exo.reporting.dashboard.auth import Access, Password, hashed
from mech_exo.reporting.dashboard.pages import Page
from mech_exo.reporting.dashboard.parts import card, chart, column, endless, serve_rows, stack, table, tile, tiles
from mech_exo.utils.dashboard_settings import DashboardConfig
from tests.reporting import xss
from tests.reporting.dashboard.serving import booked_workspace, reader_of, served

COLUMNS = [column("text", "Text", pinned="left"), column("n", "Number", "whole"), column("part", "Part", "percent")]
HOSTILE = [text for text in xss.ALL if "\x00" not in text and len(text) < 200]
MARKS = "[...document.querySelectorAll('.tile, .ag-root, .js-plotly-plot, #heading')].map(each => each.mark)"


def rows(count: int) -> list[dict[str, Any]]:
    return [{"text": HOSTILE[n % len(HOSTILE)], "n": -n, "part": None if n == 3 else n / 100} for n in range(count)]


def layout(reader: Any, query: Any) -> Any:
    """A page of every part, of which one figure and one row change with the HALT file."""
    halted = HaltSwitch(reader.home).state().halted
    figure = style.blank(260)
    figure.add_scatter(x=list(range(60)), y=[n + halted for n in range(60)], name="NAV", line={"color": style.BLUE})
    held = [*rows(8), {"text": "halted" if halted else "runs", "n": 0, "part": 0.5}]
    return stack(
        tiles(tile("State", "halted" if halted else "runs"), tile("NAV", None)),
        card("NAV", chart("shell-chart", figure, "NAV by session")),
        card("Held", table("shell-table", COLUMNS, held)),
    )


LONG = Page("/orders", "Orders", "orders", lambda reader, query: endless("shell-long", COLUMNS), lambda app, reader: serve_rows(app, reader, "shell-long", COLUMNS, lambda r, q: rows(12_000)))  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from mech_exo.reporting.dashboard import app

    monkeypatch.setattr(app, "pages", lambda: (Page("/", "Overview", "overview", layout), LONG))
    return booked_workspace(tmp_path / "w")


def test_what_changes_is_exchanged_in_place_and_nothing_of_what_others_wrote_runs(chromium: Any, home: Path) -> None:
    with served(reader_of(home), settings=DashboardConfig(refresh_seconds=1.0)) as site, chromium.new_context(accept_downloads=True) as context:
        said: list[str] = []
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith((site.origin, "data:", "blob:")) else None)
        page.add_init_script("window.ran = 0; window.pwned = () => { window.ran += 1; }")
        page.goto(site.origin)
        page.wait_for_selector("#shell-table .ag-row")
        page.wait_for_selector("#shell-chart .main-svg")
        page.evaluate("document.querySelectorAll('.tile, .ag-root, .js-plotly-plot, #heading').forEach(each => { each.mark = 1; })")
        plot = page.locator("#shell-chart .nsewdrag").first.bounding_box()
        page.mouse.move(plot["x"] + 100, plot["y"] + 60)
        page.mouse.down()
        page.mouse.move(plot["x"] + 300, plot["y"] + 62, steps=5)
        page.mouse.up()
        zoomed = page.evaluate("document.querySelector('.js-plotly-plot').layout.xaxis.range")
        assert zoomed[1] - zoomed[0] < 50
        HaltSwitch(home).halt("<b>reason</b>")
        expect(page.locator(".tile-value").first).to_have_text("halted", timeout=20_000)
        expect(page.locator("#status")).to_contain_text("HALTED")
        expect(page.locator("#banner")).to_contain_text("<b>reason</b>")
        expect(page.locator("#shell-table .ag-center-cols-container, #shell-table .ag-pinned-left-cols-container").first).to_contain_text("halted")
        marks = page.evaluate(MARKS)
        assert marks == [1] * len(marks) and len(marks) == 5  # not one part was made anew
        assert page.evaluate("document.querySelector('.js-plotly-plot').layout.xaxis.range") == zoomed
        assert page.title() == "Overview · Mech-Exo"
        page.click("#theme-toggle")
        expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
        page.wait_for_selector("#shell-table .ag-row")
        with page.expect_download() as waiting:
            page.click('[data-of="shell-table"][data-export="rows"]')
        read = list(csv.reader(io.StringIO(Path(waiting.value.path()).read_text("utf-8-sig"))))
        assert len(read) == 10 and not any(cell.startswith(("=", "@", "\t", "＝")) for row in read for cell in row)
        with page.expect_download() as waiting:
            page.click('[data-export="png"]')
        assert Path(waiting.value.path()).read_bytes().startswith(b"\x89PNG")
        page.click("#nav-orders")
        page.wait_for_selector("#shell-long .ag-row")
        page.locator('#shell-long .ag-header-cell[col-id="n"]').click()
        expect(page.locator("#shell-long .ag-center-cols-container .ag-row[row-index='0']")).to_contain_text("−11,999")
        with page.expect_download() as waiting:
            page.click('[data-of="shell-long"]')
        read = list(csv.reader(io.StringIO(Path(waiting.value.path()).read_text("utf-8"))))
        assert len(read) == 12_001 and read[1][1] == "-11999"
        page.go_back()
        page.wait_for_selector("#shell-chart .main-svg")
        assert page.evaluate("window.ran") == 0
        assert said == []


def test_a_stranger_sees_the_login_alone_and_a_session_that_ended_leads_there(chromium: Any, home: Path) -> None:
    access = Access(Password.read(hashed("correct horse battery")), "", 1.0)
    with served(reader_of(home), access, settings=DashboardConfig(refresh_seconds=1.0)) as site, chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{site.origin}/orders?a=1")
        page.fill("#password", "wrong")
        page.press("#password", "Enter")
        expect(page.get_by_role("alert")).to_have_text("That is not the password.")
        page.fill("#password", "correct horse battery")
        page.press("#password", "Enter")
        page.wait_for_selector("#shell-long .ag-row")
        assert page.url == f"{site.origin}/orders?a=1"
        assert page.evaluate("document.cookie").find("mechexo=") == -1
        access.sessions.end(next(cookie["value"] for cookie in context.cookies() if cookie["name"] == "mechexo"))
        page.wait_for_selector("#password", timeout=20_000)  # the next question for news brings it
        page.fill("#password", "correct horse battery")
        page.press("#password", "Enter")
        page.wait_for_selector("#shell-long .ag-row")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_selector("#password")
        page.goto(site.origin)
        assert page.url.startswith(f"{site.origin}/login")
