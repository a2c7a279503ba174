"""The user's own quick start, his snippets and his configuration, to the letter.

``STEPS`` runs everywhere. That it is what his document says is asked of the document itself, which lies beside the repository.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement

from mech_exo.datasource.demo import sample_market
from mech_exo.utils import calendar
from mech_exo.utils.config import load
from mech_exo.utils.workspace import create
from tests.conftest import REPOSITORY
from tests.replay.answers import chart
from tests.replay.server import Answer, page, replaying

STEPS = (
    "git clone <repository-url>",
    "cd Mech-Exo",
    "pip install -r requirements.txt",
    "cp config/api_keys.yml config/api_keys_local.yml",
    "python scripts/test_pipeline.py",
    "python scripts/test_scoring.py",
    "python scripts/test_p3_flow.py",
    "python -m mech_exo.cli risk status --nav 100000",
    "jupyter notebook notebooks/scoring_exploration.ipynb",
)
COLUMNS = "rank  symbol  composite_score  percentile  current_price  pe_ratio"
STATUS = ("✅ OHLC records: 2,500", "✅ Fundamental records: 50", "✅ News articles: 150", "📊 Data quality: 95% complete")
COPIED = ("config", "scripts", "notebooks")


@pytest.fixture(scope="module")
def document(shared: Callable[[str], Path]) -> str:
    return shared("USER_README.md").read_text("utf-8")


def section(document: str, title: str) -> str:
    """What stands under the heading that holds ``title``, up to the next one of its level."""
    found = re.search(rf"^(#+) [^\n]*{re.escape(title)}[^\n]*\n(.*?)(?=^\1 |\Z)", document, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[2]


def fences(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> tuple[str, ...]:
    return tuple(line for block in fences(text, "bash") for line in block.splitlines() if line and not line.startswith("#"))


def test_the_steps_are_those_of_the_document(document: str) -> None:
    quick = section(document, "Quick Start")
    assert re.findall(r"^### (\d)\.", quick, re.MULTILINE) == list("1234567")
    assert commands(quick) == STEPS
    assert " ".join(fences(section(document, "Scoring Results"), "")[0].splitlines()[1].split()) == " ".join(COLUMNS.split())
    assert tuple(fences(section(document, "Data Pipeline Status"), "")[0].splitlines()) == STATUS


@pytest.fixture(scope="module")
def cloned(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of the tree in which step 2 was done; the package is this one, for a copy would be compiled anew for minutes."""
    home = tmp_path_factory.mktemp("cloned") / "Mech-Exo"
    for folder in COPIED:
        shutil.copytree(repository / folder, home / folder, ignore=shutil.ignore_patterns("api_keys_local.yml", "__pycache__"))
    assert step(home, STEPS[3]).returncode == 0
    return home


def step(home: Path, line: str) -> subprocess.CompletedProcess[str]:
    """One line of his, in a shell whose ``python`` is this one."""
    assert line in STEPS
    environment = {name: value for name, value in os.environ.items() if name != "EXO_HOME"}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(line, shell=True, cwd=home, env=environment, capture_output=True, text=True, check=False)


def test_1_what_he_installs_is_what_stands_here(repository: Path) -> None:
    lines = re.findall(r"^([a-z0-9][^\\\n]*?)\s*\\?$", (repository / "requirements.txt").read_text(), re.MULTILINE)
    asked = [Requirement(line) for line in lines]
    meant = [one for one in asked if one.marker is None or one.marker.evaluate()]
    assert len(meant) > 50
    wrong = {str(one): found for one in meant if not one.specifier.contains(found := importlib.metadata.version(one.name), prereleases=True)}
    assert wrong == {}


def test_2_his_keys_are_empty_until_he_writes_them(cloned: Path) -> None:
    local = cloned / "config" / "api_keys_local.yml"
    assert local.read_bytes() == (cloned / "config" / "api_keys.yml").read_bytes()
    keys = load(cloned).keys
    assert keys.finnhub.api_key.get_secret_value() == ""
    assert stat.S_IMODE(local.stat().st_mode) == 0o600, "tightened when first read"


def test_3_the_pipeline_says_what_arrived_in_his_four_lines(cloned: Path) -> None:
    ran = step(cloned, STEPS[4])
    assert ran.returncode == 0, ran.stderr
    title, *lines = ran.stdout.splitlines()
    assert title == "Data pipeline status (synthetic sample)"
    for line, his in zip(lines, STATUS, strict=True):
        assert re.fullmatch(re.sub(r"[\d,]+", r"[\\d,.]+", his), line), (line, his)
    panel = sample_market().panel
    listed = np.flatnonzero(~np.isnan(panel.close[-1]))[:10]
    within = panel.sessions >= panel.sessions[-1] - np.timedelta64(365, "D")
    assert lines[0] == f"✅ OHLC records: {int((~np.isnan(panel.close[np.ix_(within, listed)])).sum()):,}"
    assert lines[3] == "📊 Data quality: 100% complete"
    assert "Traceback" not in ran.stderr and "⚠️" not in ran.stderr
    assert sorted(path.name for path in cloned.iterdir()) == sorted(COPIED), "nothing is left behind"


def test_4_the_scoring_shows_his_columns(cloned: Path) -> None:
    ran = step(cloned, STEPS[5])
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith("rank"))
    assert lines[head].split() == COLUMNS.split()
    assert "🏆 Top Investment Ideas:" in lines[head - 1]
    assert [line.split()[0] for line in lines[head + 1 : head + 11]] == [str(place) for place in range(1, 11)]
    assert "synthetic sample" in ran.stdout and ran.stderr.count("\n") <= 1


def test_5_the_way_from_score_to_risk(cloned: Path) -> None:
    before = sorted(cloned.iterdir())
    ran = step(cloned, STEPS[6])
    assert ran.returncode == 0, ran.stderr
    for said in ("synthetic sample", "1. Score", "2. Size", "3. Stops", "4. Risk", "5. Stress", "score_weighted", "risk_parity",
                 "minimum_variance", "No limit is broken"):  # fmt: skip
        assert said in ran.stdout
    assert ran.stdout.count("max_position (10 % of NAV = 10,000 USD) allows") >= 6
    assert sorted(cloned.iterdir()) == before


def test_6_the_risk_status_of_his_account(cloned: Path) -> None:
    ran = step(cloned, STEPS[7])
    assert ran.returncode == 0, ran.stderr
    assert "NAV 100,000.00 USD" in ran.stdout and "state active" in ran.stdout
    for limit in ("Single position", "Sector", "Gross exposure", "Net exposure", "Leverage", "Drawdown"):
        assert limit in ran.stdout


def test_7_his_notebook_is_one_that_is_executed(repository: Path) -> None:
    from tests.test_notebooks import THROUGH_A_KERNEL

    assert STEPS[8].split()[:2] == ["jupyter", "notebook"] and shutil.which("jupyter", path=str(Path(sys.executable).parent))
    assert repository / STEPS[8].split()[2] == repository / "notebooks" / f"{THROUGH_A_KERNEL}.ipynb"


def test_the_test_files_he_runs_hold_tests(document: str, repository: Path) -> None:
    asked = commands(section(document, "Testing"))
    assert asked == tuple(f"python -m pytest {what} -v" for what in ("tests/", "tests/test_datasource.py", "tests/test_scoring.py"))
    for line in asked[1:]:
        assert len(re.findall(r"^def test_", (repository / line.split()[3]).read_text(), re.MULTILINE)) >= 3


def test_his_configuration_means_what_it_says(document: str, tmp_path: Path) -> None:
    create(tmp_path / "w")
    limits, factors = fences(section(document, "Risk Limits"), "yaml")[0], fences(section(document, "Available Factors"), "yaml")[0]
    (tmp_path / "w" / "config" / "risk_limits.yml").write_text(limits)
    (tmp_path / "w" / "config" / "factors.yml").write_text(factors)
    config = load(tmp_path / "w")
    for part, keys in yaml.safe_load(limits).items():
        for key, value in keys.items():
            assert getattr(getattr(config.risk, part), key) == value, key
    his = {name: line for family in yaml.safe_load(factors).values() for name, line in family.items()}
    read = {name: {"weight": one.weight, "direction": str(one.direction)} for name, one in config.factors.weights().items()}
    assert read == his


def snippets(document: str) -> list[str]:
    found = fences(document, "python")
    assert len(found) == 3
    return found


def test_his_first_snippet_downloads_and_stores(document: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yfinance

    from mech_exo.datasource.replay.server import leading_to

    monkeypatch.setenv("EXO_HOME", str(workspace))
    last = calendar.latest_session(datetime.now(UTC))
    days = calendar.sessions(last - timedelta(days=20), last)[-10:].tolist()
    (tmp_path / "server").mkdir()
    with replaying(tmp_path / "server") as server, leading_to(server):
        yfinance.set_tz_cache_location(str(tmp_path / "yfinance"))
        server.on("fc.yahoo.com", page("gone", 404))
        server.on("getcrumb", Answer(200, b"crumb", "text/plain"))
        for symbol in ("SPY", "QQQ"):
            server.on(f"v8/finance/chart/{symbol}", chart(symbol, {day: 100.0 + place for place, day in enumerate(days)}))
        names: dict[str, Any] = {"config": load(workspace)}
        exec(snippets(document)[0], names)
    with names["storage"] as storage:
        panel = storage.view().panel()
        assert panel.symbols == ("QQQ", "SPY") and panel.shape == (10, 2) and panel.close[-1].tolist() == [109.0, 109.0]


def test_his_second_snippet_ranks_what_is_stored(document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mech_exo import sample

    monkeypatch.setenv("EXO_HOME", str(sample.kept()))
    names: dict[str, Any] = {}
    exec(snippets(document)[1], names)
    assert set(COLUMNS.split()) <= set(names["ranking"].columns)
    assert names["top_10"].equals(names["ranking"].head(10))


def test_his_third_snippet_sizes_stops_and_checks(document: str) -> None:
    names: dict[str, Any] = {"datetime": datetime}
    exec(snippets(document)[2], names)
    assert names["shares"] == 66 and "max_position" in repr(names["shares"]) and "500" in repr(names["shares"])
    assert (names["stops"]["hard_stop"], names["stops"]["trailing_stop"], names["stops"]["profit_target"]) == (127.5, 112.5, 195.0)
    assert names["stops"]["volatility_stop"] == 144.0
    assert names["portfolio"].cash == 100_000 - 66 * 150 and names["portfolio"].nav == 100_000 + 66 * 5
    assert names["risk_status"]["nav"] == names["portfolio"].nav and names["risk_status"]["drawdown"] is None


def test_the_tables_he_names_are_there(document: str) -> None:
    import duckdb

    from mech_exo import sample
    from mech_exo.datasource import DataStorage
    from mech_exo.datasource.storage.connection import SETTINGS

    named = re.findall(r"^- `(\w+)`", section(document, "Database Schema"), re.MULTILINE)
    assert named == ["ohlc_data", "fundamental_data", "news_data", "universe", "data_quality"]
    with duckdb.connect(str(DataStorage.snapshot(sample.kept()).path), read_only=True, config=SETTINGS) as store:
        there = {name for (name,) in store.execute("select table_name from information_schema.tables").fetchall()}
        assert set(named) <= there
        asked = {"close", "volume", "returns", "volatility", "atr"}
        columns = {name for name, *_ in store.execute("describe ohlc_data").fetchall()}
        assert [word for word in asked if not any(word in name for name in columns)] == []
