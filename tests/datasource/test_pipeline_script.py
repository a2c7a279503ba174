"""The user's own `python scripts/test_pipeline.py --live`, as a program of its own; offline it is a step of tests/test_quick_start.py."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mech_exo.domain.panel import BarPanel
from mech_exo.utils import calendar
from tests.replay.answers import chart, nobody, search, summary
from tests.replay.server import Replay, data, page


@pytest.fixture
def script(repository: Path) -> Path:
    return repository / "scripts" / "test_pipeline.py"


@pytest.fixture
def module(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("pipeline_script", script)
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def run(script: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In an empty folder, with the libraries' own caches elsewhere."""
    folder.mkdir()
    cache = {"XDG_CACHE_HOME": str(folder.with_name("cache"))}
    command = [sys.executable, str(script), *words]
    return subprocess.run(command, cwd=folder, env={**os.environ, **cache}, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def vendors(replay: Replay) -> Replay:
    """Two symbols over the last three closed sessions; a third symbol nobody knows."""
    last = calendar.latest_session(datetime.now(UTC))
    days = calendar.sessions(last - timedelta(days=10), last)[-3:].tolist()
    for symbol in ("AAA", "BBB"):
        replay.on(f"v8/finance/chart/{symbol}", chart(symbol, dict(zip(days, (10.0, 11.0, 12.0), strict=True))))
        replay.on(f"quoteSummary/{symbol}", summary(trailingPE=9.0, forwardPE=8.0))
    replay.on("v8/finance/chart/", nobody())
    replay.on("quoteSummary/", page(status=404))
    replay.on("v7/finance/quote", data({"quoteResponse": {"result": [], "error": None}}))
    replay.on("fundamentals-timeseries", data({"timeseries": {"result": [], "error": None}}))
    replay.on("v1/finance/search", search([("a", "AAA rises", datetime.now(UTC) - timedelta(hours=1), ("AAA",))]))
    return replay


def test_live_it_counts_what_the_vendors_gave(script: Path, tmp_path: Path, vendors: Replay) -> None:
    ran = run(script, tmp_path / "w", "--live", "AAA", "BBB", "NOPE", "--days", "9")
    assert ran.returncode == 0, ran.stderr
    title, bars, facts, news, quality = ran.stdout.splitlines()
    assert (title, bars) == ("Data pipeline status (live: AAA, BBB, NOPE)", "✅ OHLC records: 6")
    assert facts.startswith("✅ Fundamental records: ") and news == "✅ News articles: 1"
    assert quality == "📊 Data quality: 100% complete"
    assert "NOPE, bars from yahoo: unknown" in ran.stderr and "Traceback" not in ran.stderr
    assert list((tmp_path / "w").iterdir()) == []


def test_nothing_at_all_is_an_error(script: Path, tmp_path: Path, vendors: Replay) -> None:
    vendors.on("v1/finance/search", search([]))
    ran = run(script, tmp_path / "w", "--live", "NOPE")
    assert ran.returncode == 3 and "❌ at least one symbol must come back with something" in ran.stderr
    assert ran.stdout == "" and "Traceback" not in ran.stderr


def test_quality_counts_gaps_and_refused_rows_but_not_life_before_listing(module: ModuleType) -> None:
    nan = float("nan")
    close = np.array([[1.0, nan, 1.0], [nan, nan, 1.0], [1.0, 1.0, nan], [1.0, 1.0, nan]])
    bars = dict.fromkeys(("open", "high", "low", "close", "volume"), close)
    panel = BarPanel.from_arrays(np.arange(4).astype("datetime64[D]"), ("A", "B", "C"), bars)
    assert module.complete(panel, refused=0) == 7 / 8
    assert module.complete(panel, refused=2) == 7 / 10
