"""Nights performed and data published, again and again, beside a dashboard: ``python dashboard_child.py HOME FIRST NIGHTS SECONDS``.

At least NIGHTS of them, and until the time is over. A line of JSON a night: its session. The first night is that of FIRST; every third one publishes a snapshot that holds something new.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from mech_exo.assembly import Workspace
from mech_exo.datasource.storage import DataStorage
from mech_exo.execution.ledger import Ledger
from mech_exo.session import run_night
from mech_exo.utils.calendar import sessions


def publish(home: Path, number: int) -> None:
    """Store one more headline and publish: another snapshot, another hash."""
    with DataStorage(DataStorage.path_in(home)) as storage:
        row = {"symbol": "SYN001", "published": storage.last_recorded(), "headline": f"Message {number}", "source": "test"}
        storage.store_news(pl.DataFrame([row]))
        assert storage.publish().fresh


def main(home: Path, first: date, nights: int, seconds: float) -> None:
    """Perform nights."""
    end = time.monotonic() + seconds
    for number, day in enumerate(sessions(first, first + timedelta(days=900)).astype(object)):
        if number >= nights and time.monotonic() > end:
            return
        if number % 3 == 2:
            publish(home, number)
        workspace = Workspace.open(home)
        with Ledger.open(workspace.ledger_path) as ledger:
            result = run_night(workspace.desks(ledger), day)
        print(json.dumps({"session": str(result.session), "nav": result.day.nav}), flush=True)
    raise SystemExit("ran out of sessions")


if __name__ == "__main__":
    main(Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
