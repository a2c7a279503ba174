"""Printing without a browser on the machine: the errors name the rule and the way out, nothing is left behind."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from mech_exo.domain.errors import UserError
from mech_exo.reporting.pdf import browser, write_pdf


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("<p>x")
    return path


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """A program instead of the browser: real process, real exit code."""

    def install(script: str) -> Path:
        program = tmp_path / "browser"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("EXO_CHROMIUM", str(program))
        return program

    return install


def test_no_browser_is_an_error_with_a_remedy(monkeypatch, page, tmp_path):
    monkeypatch.delenv("EXO_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"none of chromium, .* is installed\n  → apt install chromium"):
        write_pdf(page, tmp_path / "x.pdf")


def test_a_named_browser_that_is_none_is_said(monkeypatch):
    monkeypatch.setenv("EXO_CHROMIUM", "/nowhere/chrome")
    with pytest.raises(UserError, match="EXO_CHROMIUM names /nowhere/chrome, which is no program"):
        browser()


def test_a_page_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UserError, match=r"none\.html is not there"):
        write_pdf(tmp_path / "none.html", tmp_path / "x.pdf")


def test_a_browser_that_fails_leaves_the_old_pdf_and_says_its_last_word(pretend, page, tmp_path):
    pretend("echo no display >&2; exit 7")
    (tmp_path / "x.pdf").write_bytes(b"%PDF old")
    with pytest.raises(UserError, match="ended with code 7: no display"):
        write_pdf(page, tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes() == b"%PDF old" and not list(tmp_path.glob(".*partial"))


def test_a_browser_that_writes_no_pdf_is_no_success(pretend, page, tmp_path):
    pretend('for a in "$@"; do case "$a" in --print-to-pdf=*) echo nothing > "${a#--print-to-pdf=}";; esac; done')
    with pytest.raises(UserError, match="it said nothing"):
        write_pdf(page, tmp_path / "x.pdf")
    assert not (tmp_path / "x.pdf").exists()


def test_a_browser_that_hangs_is_ended_with_its_children(pretend, page, tmp_path):
    pretend(f"sleep 60 & echo $! > {tmp_path}/child; wait")
    began = time.monotonic()
    with pytest.raises(UserError, match="within 1 seconds"):
        write_pdf(page, tmp_path / "x.pdf", timeout=1.0)
    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text())
    for _ in range(50):
        if not alive(child):
            break
        time.sleep(0.1)
    assert not alive(child)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1][:3]


def test_the_profile_is_removed_and_the_folder_made(pretend, page, tmp_path):
    seen = tmp_path / "seen"
    pretend(
        'for a in "$@"; do case "$a" in --print-to-pdf=*) printf %%PDF-1.4 > "${a#--print-to-pdf=}";;\n'
        f'--user-data-dir=*) mkdir -p "${{a#--user-data-dir=}}"; echo "${{a#--user-data-dir=}}" > {seen};; esac; done'
    )
    made = write_pdf(page, tmp_path / "new" / "x.pdf")
    assert made.read_bytes() == b"%PDF-1.4" and not Path(seen.read_text().strip()).exists()


def test_a_backtest_that_could_not_be_printed_is_not_begun(exo, workspace, monkeypatch):
    monkeypatch.setenv("EXO_CHROMIUM", "/nowhere/chrome")
    ran = exo("--home", workspace, "backtest", "run", "--pdf", workspace / "x.pdf")
    assert ran.code == 2 and "EXO_CHROMIUM names /nowhere/chrome" in ran.err and "Traceback" not in ran.err
