"""A real Chromium, without a network, and everything a page said or asked for while it was open."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mech_exo.domain.errors import UserError
from tests.conftest import IN_CI

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync")  # fmt: skip


DRAWN = "[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))"
PATIENCE = 120.0


def until(page, expression: str) -> None:
    """Wait until JavaScript is true; Playwright's own waiting compiles text inside the page, which the page's policy forbids."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(50)


@dataclass
class Heard:
    """Errors on the console, exceptions, and addresses asked for that are not the page itself."""

    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def program() -> str:
    """The installed browser; skips with a reason without one, fails if CI=true."""
    from mech_exo.reporting.pdf import browser

    try:
        return browser()
    except UserError as error:
        pytest.fail(str(error)) if IN_CI else pytest.skip(str(error))


@pytest.fixture(scope="session")
def chromium(program):
    """One browser for all tests; each page is a context of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=program, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def opened(chromium):
    """``with opened(path, 390) as (page, heard)``: the page at that width, offline, all its charts drawn."""

    @contextlib.contextmanager
    def open_page(path: Path, width: int, *, charts: bool = True) -> Iterator[tuple]:
        context = chromium.new_context(viewport={"width": width, "height": 900}, offline=True)
        page, heard = context.new_page(), Heard()
        page.on("console", lambda message: heard.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: heard.errors.append(str(error)))
        page.on("request", lambda request: heard.asked.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        if charts:
            until(page, DRAWN)
        yield page, heard
        context.close()

    return open_page


@pytest.fixture(scope="session")
def sample_built():
    """The sample workspace with its nights. Not to be written in."""
    from tests.browser.workspaces import kept, sample_workspace

    return kept("sample", sample_workspace)


@pytest.fixture(scope="session")
def real_built(shared):
    """The real panel's workspace with its nights. Not to be written in."""
    from tests.browser.workspaces import kept, real_workspace

    return kept("real", lambda folder: real_workspace(folder, shared))


@pytest.fixture(scope="session")
def dashes(request, program, tmp_path_factory):
    """``dashes("sample")``: ``exo dash`` over that workspace (sample, real or empty: a fresh one), one process for all tests."""
    from mech_exo.utils.workspace import create
    from tests.browser.surfing import served

    running = {}
    with contextlib.ExitStack() as keep:

        def dash(name: str):
            if name not in running:
                folder = tmp_path_factory.mktemp(f"dash-{name}")
                if name == "empty":
                    create(folder / "w")
                home = folder / "w" if name == "empty" else request.getfixturevalue(f"{name}_built").home
                running[name] = keep.enter_context(served(home, said=folder / "said.log"))
            return running[name]

        yield dash
