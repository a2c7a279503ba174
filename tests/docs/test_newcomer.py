"""A newcomer's first hour: a fresh clone, the README's own commands and nothing else, a tear sheet and a dashboard. ``make newcomer``."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.pages import read

BAR = 300.0
ASKED = os.environ.get("EXO_TEST_NEWCOMER")


@pytest.mark.slow
@pytest.mark.skipif(not ASKED, reason="a fresh clone that installs everything takes minutes: make newcomer")
def test_from_nothing_to_a_tear_sheet_and_a_dashboard(repository: Path, tmp_path: Path) -> None:
    """`make run` makes the demo and its tear sheet; the command that the README names for it shows the account in a browser."""
    began = time.monotonic()
    clone = tmp_path / "Mech-Exo"
    subprocess.run(["git", "clone", "--quiet", str(repository), str(clone)], check=True)
    said = [command.text for command in read("README.md", (clone / "README.md").read_text()).commands()]
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "EXO_HOME", "PYTHONPATH")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{clone / '.venv/bin'}:{environment['PATH']}"}
    step(next(text for text in said if text == "make run"), clone, environment, began)
    sheets = [sheet for sheet in (clone / "demo" / "reports").rglob("*.html") if "Deflated Sharpe" in sheet.read_text()]
    assert sheets and "synthetic sample" in sheets[0].read_text(), "README: the tear sheet of its backtest lies in demo/reports"
    dashboard(next(text for text in said if text.startswith("exo --home demo dash")), clone, environment)
    minutes = (time.monotonic() - began) / 60
    print(f"\nfrom nothing to a tear sheet and a dashboard: {minutes:.1f} minutes (bar {BAR / 60:.0f})")
    assert minutes * 60 < BAR


def step(text: str, folder: Path, environment: Mapping[str, str], began: float) -> None:
    """Type one command; it must end well."""
    done = subprocess.run(["sh", "-c", text], cwd=folder, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    print(f"{time.monotonic() - began:6.0f} s  {text}")


def dashboard(text: str, folder: Path, environment: Mapping[str, str]) -> None:
    """It answers with a page and with figures."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([*shlex.split(text.replace("--open", "")), "--port", str(port)], cwd=folder, env=dict(environment))
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    assert answer.status == 200
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None, "the dashboard does not answer"
                time.sleep(0.2)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            nav = re.search(r"^mechexo_nav_usd\S* (\S+)$", answer.read().decode(), re.MULTILINE)
        assert nav is not None and float(nav[1]) > 50_000, "the account's value"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
