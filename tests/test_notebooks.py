"""The notebooks tell their stories from a fresh clone: without a workspace, a network or a warning; one of them through a real kernel."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest

from mech_exo import sample
from mech_exo.datasource.demo import sample_market
from mech_exo.domain.errors import ConfigError

NOTEBOOKS = ("scoring_exploration", "backtest_walkthrough", "risk_and_sizing", "execution_replay", "factor_research")
THROUGH_A_KERNEL = "scoring_exploration"
LABEL = "synthetic sample"


def read(repository: Path, name: str) -> Any:
    return nbformat.read(repository / "notebooks" / f"{name}.ipynb", as_version=4)


@pytest.fixture
def nowhere(workspace: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace in which nothing was imported, and no network."""

    def refused(self: socket.socket, address: object) -> None:
        raise AssertionError(f"a notebook must not ask {address}")

    monkeypatch.setenv("EXO_HOME", str(workspace))
    monkeypatch.chdir(repository / "notebooks")
    monkeypatch.setattr(socket.socket, "connect", refused)
    return workspace


def played(repository: Path, name: str) -> tuple[dict[str, Any], list[Any]]:
    """Every cell in turn, in this process: the names it leaves and what it shows."""
    from IPython.core.interactiveshell import InteractiveShell

    shell, shown = InteractiveShell(), []
    for number, cell in enumerate(read(repository, name).cells):
        if cell.cell_type == "code":
            ran = shell.run_cell(cell.source)
            assert ran.success, (name, number, ran.error_in_exec or ran.error_before_exec)
            shown.append(ran.result)
    return shell.user_ns, [one for one in shown if one is not None]


def test_all_of_them_are_known_and_committed_without_outputs(repository: Path) -> None:
    assert {path.stem for path in (repository / "notebooks").glob("*.ipynb")} == set(NOTEBOOKS)
    for name in NOTEBOOKS:
        book = read(repository, name)
        nbformat.validate(book)
        code = [cell for cell in book.cells if cell.cell_type == "code"]
        assert all(cell.outputs == [] and cell.execution_count is None for cell in code), name
        assert 10 <= len(book.cells) <= 17 and max(len(cell.source.splitlines()) for cell in code) <= 12, name
        assert book.cells[0].source.startswith("# ") and "sample market" in book.cells[0].source, name


def story(repository: Path, name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    names, shown = played(repository, name)
    told = capsys.readouterr()
    assert LABEL in told.out and told.err == "", told.err
    assert any(isinstance(one, go.Figure) for one in shown), name
    assert all(callable(getattr(one, "_repr_html_", None)) or isinstance(one, int) for one in shown), shown
    return names


@pytest.mark.usefixtures("nowhere")
def test_backtest_walkthrough(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = story(repository, "backtest_walkthrough", capsys)
    assert len(names["result"].fills) > 100 and LABEL in names["result"].warnings
    assert names["walk"].table.height >= 3
    assert names["luck"].trials == len(names["tried"].runs) == 6


@pytest.mark.usefixtures("nowhere")
def test_risk_and_sizing(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = story(repository, "risk_and_sizing", capsys)
    verdict, status = names["verdict"], names["status"]
    assert any(target.shares < target.wanted for target in verdict.approved), "the limits cut something, or there is no story"
    assert status.violations == ()
    assert np.isclose(sum(one.share for one in status.risk.positions), 1.0)
    assert names["effect"].held_back > 0


@pytest.mark.usefixtures("nowhere")
def test_execution_replay(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = story(repository, "execution_replay", capsys)
    assert len(names["nights"]) == sample.NIGHTS and names["again"] == [True] * 5
    assert names["total"].fills > 20 and names["checked"].sound
    assert names["told"]["verdict"].startswith(names["symbol"])


@pytest.mark.usefixtures("nowhere")
def test_factor_research(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = story(repository, "factor_research", capsys)
    assert names["beside"].table.height >= 10
    assert {one.factor for one in names["health"]} == set(names["config"].weights())


def test_scoring_exploration_through_a_real_kernel(repository: Path, workspace: Path) -> None:
    from nbclient import NotebookClient

    book = read(repository, THROUGH_A_KERNEL)
    client = NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(repository / "notebooks")}})
    client.execute(env={**os.environ, "EXO_HOME": str(workspace), "PYTHONWARNINGS": "error::UserWarning"})
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [one for one in outputs if one.output_type == "error" or one.get("name") == "stderr"] == []
    shown = [one.data for one in outputs if one.output_type in ("execute_result", "display_data")]
    assert LABEL in outputs[0].text
    assert sum("text/html" in data and "<table>" in data["text/html"] for data in shown) >= 3
    assert sum("application/vnd.plotly.v1+json" in data for data in shown) == 2
    assert LABEL in json.dumps(shown[-1]["application/vnd.plotly.v1+json"]["layout"])


def test_the_users_own_workspace_is_opened_where_it_has_bars_and_nights(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXO_HOME", str(workspace))
    assert sample.opened().home == sample.kept()
    own = sample.make(workspace.parent / "own", sample_market(seed=5, symbols=20, years=3))
    monkeypatch.delenv("EXO_HOME")
    (own.home / "notebooks").mkdir()
    monkeypatch.chdir(own.home / "notebooks")
    assert sample.opened().home == own.home
    assert sample.opened(nights=True).home == sample.kept(), "no night to look at yet"
    sample.play(own, sample.last_nights(own.known().as_of)[:1])
    assert sample.opened(nights=True).home == own.home


def test_a_mistake_in_the_users_configuration_is_not_passed_over(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "config" / "strategy.yml").write_text("selction: {top: 3}\n")
    monkeypatch.setenv("EXO_HOME", str(workspace))
    with pytest.raises(ConfigError, match="selction"):
        sample.opened()
