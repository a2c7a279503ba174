"""From a tear sheet to a PDF, printed by the Chromium that is installed: A4, page numbers, nothing fetched, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from mech_exo.domain.errors import UserError
from mech_exo.utils.durable import copy

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
VARIABLE = "EXO_CHROMIUM"
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
PATIENCE = 120.0
"""Seconds until a browser that does not answer is ended; a sheet takes about three."""
FLAGS = (
    "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--no-default-browser-check", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer", "--window-size=1240,1754",
)  # fmt: skip
"""No name is resolved: whatever the page asked for, nothing would be fetched. Margins and page numbers are the style sheet's."""


def write_pdf(html: Path | str, pdf: Path | str, *, timeout: float = PATIENCE) -> Path:
    """Print the page ``html`` to the file ``pdf`` and return its path. The file appears whole or not at all; folders are made.

    The browser is :func:`browser`. Its profile is a temporary folder, removed afterwards.

    Raises
    ------
    UserError
        ``html`` is not there, no browser is installed, it gave no PDF within ``timeout`` seconds, or ``pdf`` cannot be written.
    """
    page, target = Path(html).resolve(), Path(pdf)
    if not page.is_file():
        raise UserError(f"a PDF is printed from a page; {page} is not there", remedy="write the HTML report first")
    program = browser()
    with tempfile.TemporaryDirectory(prefix="exo-pdf-", ignore_cleanup_errors=True) as folder:
        printed = Path(folder) / "printed.pdf"
        _print(program, page, printed, Path(folder) / "profile", timeout)
        try:
            _place(printed, target)
        except OSError as error:
            raise UserError(f"the PDF must be writable; {target}: {error.strerror}", remedy="name another place") from error
    return target


def _place(printed: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        copy(printed, partial)
        partial.replace(target)
    finally:
        if partial.exists():
            partial.unlink()


def browser() -> str:
    """The browser that prints: ``EXO_CHROMIUM`` if it is set, else the first of :data:`BROWSERS` that is installed.

    Raises UserError when there is none.
    """
    named = os.environ.get(VARIABLE)
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, (*BROWSERS, MAC))), None)
    if found is None:
        said = f"{VARIABLE} names {named}, which is no program" if named else f"none of {', '.join(BROWSERS)} is installed"
        remedy = f"apt install chromium   (or {VARIABLE}=/path/to/chrome); the HTML report prints from any browser, too"
        raise UserError(f"a PDF is printed by Chromium or Chrome; {said}", remedy=remedy)
    return found


def _print(program: str, page: Path, printed: Path, profile: Path, timeout: float) -> None:
    command = [program, *FLAGS, f"--user-data-dir={profile}", f"--print-to-pdf={printed}", page.as_uri()]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # Chromium refuses to start as root with its sandbox
    environment = os.environ | {"HOME": str(profile), "XDG_CACHE_HOME": str(profile), "XDG_CONFIG_HOME": str(profile)}
    said = profile.with_name("said")
    try:
        with said.open("wb") as words:
            # A session of its own, so that a browser that hangs is ended together with its helpers.
            ran = subprocess.Popen(command, stdout=words, stderr=words, env=environment, start_new_session=True)  # noqa: S603
    except OSError as error:
        raise UserError(f"the browser must start; {program}: {error.strerror}", remedy=f"{VARIABLE}=/path/to/chromium") from error
    try:
        code = ran.wait(timeout)
    except subprocess.TimeoutExpired:
        raise UserError(f"a page must be printed within {timeout:g} seconds; {program} did not answer", remedy="try again") from None
    finally:
        if ran.poll() is None:
            _end(ran)
    if not printed.is_file() or not printed.read_bytes().startswith(b"%PDF"):
        last = said.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise UserError(f"the browser must print the page; {program} ended with code {code}: {last[0]}", remedy="try again")


def _end(browser: subprocess.Popen[bytes]) -> None:
    """End what is left of the browser, its helpers included; Ctrl-C comes through here, too."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(browser.pid, signal.SIGKILL)
    browser.wait()
