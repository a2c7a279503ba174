"""kill -9 at every step of a promotion: the next command finds the old configuration or the new one, whole, and the journal agrees."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mech_exo.domain.errors import UserError
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.utils import config as configuration
from mech_exo.utils import config_swap
from mech_exo.utils.settings import Config
from tests.faults.promote_child import NEW, STEPS

CHILD = Path(__file__).with_name("promote_child.py")
BEFORE = {"keeping", "kept", "preparing", "prepared"}


def contents(workspace: Path) -> dict[str, bytes]:
    return {name: (workspace / "config" / name).read_bytes() for name in NEW}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at(step: str, workspace: Path, exo: Callable[..., Any]) -> None:
    old, old_config = contents(workspace), configuration.load(workspace)
    died = subprocess.run([sys.executable, str(CHILD), str(workspace), step, "p1"], capture_output=True, text=True, timeout=120)
    assert died.returncode == (0 if step == "never" else -9), died.stderr
    changed = step not in BEFORE
    expected = configuration.with_files(workspace, NEW) if changed else old_config
    assert configuration.load(workspace) == expected
    assert contents(workspace) == (NEW if changed else old), "to the byte"
    told = exo("--home", workspace, "backtest", "promotions", "--json")
    assert told.code == 0, told.err
    assert [row["id"] for row in json.loads(told.out)["promotions"]] == (["p1"] if changed else [])
    with Ledger.open(default_path(workspace)) as ledger:
        assert ledger.verify().faults == ()
    assert list((workspace / "config").glob(".*replacing")) == [], "nothing waits any more"
    if changed:
        for name, text in old.items():
            assert (workspace / "data" / "promotions" / "p1" / name).read_bytes() == text
    again = subprocess.run([sys.executable, str(CHILD), str(workspace), "never", "p2"], capture_output=True, text=True, timeout=120)
    assert (again.returncode, contents(workspace)) == (0, NEW), "what a dead one left is in nobody's way"


def version(number: int) -> dict[str, bytes]:
    """Three files that belong together."""
    return {
        "strategy.yml": f"initial_cash: {1000 + number}\n".encode(),
        "risk_limits.yml": f"stops: {{time_sessions: {1 + number}}}\n".encode(),
        "factors.yml": f"technical: {{rsi_14: {{weight: {1 + number}, direction: mean_revert}}}}\n".encode(),
    }


def number_of(config: Config) -> set[int]:
    return {
        int(config.strategy.initial_cash) - 1000,
        config.risk.stops.time_sessions - 1,
        int(config.factors.technical["rsi_14"].weight) - 1,
    }


def test_a_reader_beside_the_change_never_sees_halves(workspace: Path) -> None:
    folder = workspace / "config"
    for name, text in version(0).items():
        (folder / name).write_bytes(text)
    seen: list[set[int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(number_of(configuration.load(workspace)))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, 60):
            config_swap.begin(folder, version(number), "{}")
            config_swap.clear(folder)
    finally:
        done.set()
        reader.join()
    assert len(seen) > 3
    assert [one for one in seen if len(one) != 1] == []
    assert number_of(configuration.load(workspace)) == {59}


def test_one_change_at_a_time(workspace: Path) -> None:
    config_swap.begin(workspace / "config", version(1), "first")
    with pytest.raises(UserError, match="one change of the configuration at a time"):
        config_swap.begin(workspace / "config", version(2), "second")
    assert config_swap.note(workspace / "config") == "first"
    assert number_of(configuration.load(workspace)) == {1}


def test_a_file_keeps_its_mode(workspace: Path) -> None:
    (workspace / "config" / "strategy.yml").chmod(0o640)
    config_swap.begin(workspace / "config", version(1), "x")
    assert (workspace / "config" / "strategy.yml").stat().st_mode & 0o777 == 0o640
