"""Reports that are to be printed say first that there is no browser, before anything is computed or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("report", ["daily", "performance"])
def test_without_a_browser_nothing_is_written(
    exo: Callable[..., Any], workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: str
) -> None:
    monkeypatch.delenv("EXO_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = exo("report", report, "--pdf", tmp_path / "x.pdf", "--home", workspace)
    assert ran.code == 2 and "apt install chromium" in ran.err and "Traceback" not in ran.err
    assert not (tmp_path / "x.pdf").exists() and not (workspace / "reports" / report).exists()
