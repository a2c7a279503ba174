"""The dashboard as its user has it: ``exo dash`` in a process of its own, and a browser that notes whatever it should not have to say."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.browser.conftest import until

REPOSITORY = Path(__file__).resolve().parents[2]
PICTURES = REPOSITORY / "build" / "screenshots"
PATIENCE = 120.0
CALLBACKS = "/_dash-update-component"
PAGES = ("/", "/positions", "/ideas", "/orders", "/risk", "/backtests", "/factors", "/quality", "/log")
DRAWN = "[...document.querySelectorAll('.js-plotly-plot')].every((plot) => plot.querySelector('.main-svg'))"
SHOWN = "(document.querySelector('#page')?.textContent ?? '').trim() !== ''"
MADE = "!document.querySelector('#page').textContent.includes('appears by itself')"
"""What takes longer than a click is made beside the pages, and a line stands in its place until then."""


@dataclass
class Served:
    """``exo dash`` over a workspace."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> tuple[int, bytes]:
        """One answer: its status and its bytes."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def served(home: Path, *words: str, program: tuple[str, ...] = ("-m", "mech_exo.cli"), said: Path | None = None) -> Iterator[Served]:
    """``exo dash`` over ``home`` until the block ends; it must answer, and must end by itself when it is interrupted."""
    port = free_port()
    log = (said or home.with_name(f"{home.name}-dash.log")).open("wb")
    process = subprocess.Popen(
        [sys.executable, *program, "--home", str(home), "dash", "--port", str(port), *words], stdout=log, stderr=subprocess.STDOUT,
        cwd=REPOSITORY, env={**os.environ, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
    )  # fmt: skip
    try:
        _answers(process, port, Path(log.name))
        yield Served(f"http://127.0.0.1:{port}", home, process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            raise
        finally:
            log.close()


def _answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, log.read_text()[-3000:]
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.05)


@dataclass
class Surfer:
    """A page of a browser on the dashboard. ``wrong``: errors on the console, exceptions, answers that failed, hosts that are not ours."""

    page: Any
    url: str
    wrong: list[str] = field(default_factory=list)
    asked: set[Any] = field(default_factory=set)
    callbacks: list[tuple[str, str | None]] = field(default_factory=list)

    def listen(self) -> None:
        """Note everything from now on."""
        self.page.on("console", lambda message: self.wrong.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        self.page.on("request", self._asked)
        self.page.on("requestfinished", self._finished)
        self.page.on("requestfailed", self._failed)
        self.page.on("response", lambda answer: self.wrong.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.url + "/", "data:", "blob:" + self.url)):
            self.wrong.append(f"asked for {request.url}")
        if CALLBACKS in request.url:
            self.asked.add(request)
            self.callbacks.append((request.url.removeprefix(self.url), request.post_data))

    def _finished(self, request: Any) -> None:
        self.asked.discard(request)

    def _failed(self, request: Any) -> None:
        self.asked.discard(request)
        if request.failure != "net::ERR_ABORTED":  # the page was left before the answer came
            self.wrong.append(f"failed: {request.url} {request.failure}")

    def go(self, path: str) -> None:
        """Open an address and wait until nothing more comes."""
        self.page.goto(self.url + path)
        self.settle()

    def settle(self) -> None:
        """Wait until the page has something on it, no answer is awaited and every chart is drawn, twice in a row."""
        until(self.page, SHOWN)
        until(self.page, MADE)
        quiet, end = 0, time.monotonic() + PATIENCE
        while quiet < 3:
            assert time.monotonic() < end, f"never quiet: {[one.url for one in self.asked]}"
            self.page.wait_for_timeout(60)
            quiet = quiet + 1 if not self.asked and self.page.evaluate(DRAWN) else 0

    def address(self) -> str:
        """Path and search of the page that is open."""
        return str(self.page.url).removeprefix(self.url)

    def picture(self, name: str) -> Path:
        """The whole page, for a person to look at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{re.sub(r'[^a-z0-9-]+', '-', name.lower())}.png"
        self.page.screenshot(path=path, full_page=True)
        return path


@contextmanager
def surfing(chromium: Any, server: Served, width: int = 1440, theme: str = "light", **more: Any) -> Iterator[Surfer]:
    """A context of its own, at that width and in that theme."""
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce", **more)
    context.add_init_script(f"try {{ if (!localStorage.getItem('theme')) localStorage.setItem('theme', '\"{theme}\"') }} catch (_) {{}}")
    surfer = Surfer(context.new_page(), server.url)
    surfer.listen()
    try:
        yield surfer
    finally:
        context.close()
