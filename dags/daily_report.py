"""The daily report as a Prefect flow: write it, then send its digest to the channels that ``alerts.yml`` names under ``digest``.

    python dags/daily_report.py --once [--home DIR] [--date D] [--no-send]    plain functions, no server

Only the sending is repeated, and a channel that has the digest does not get it again: deliveries are remembered in the workspace. Where
``exo alert run`` is running, that process sends it. The night writes the report itself; this flow is for an hour of your own choosing.
"""
from __future__ import annotations

import argparse
import os
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
if (Path(__file__).resolve().parents[1] / "mech_exo").is_dir():  # from the source tree, installed or not
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from mech_exo.domain.errors import DataError, MechExoError
from mech_exo.nightly import session_of
from mech_exo.utils.retry import worth_asking_again

if TYPE_CHECKING:
    from mech_exo.reporting.alerts.service import Told

NAME = "daily-report"
WAITS = [60.0, 300.0, 900.0]
PLAIN: dict[str, Any] = {"persist_result": False, "cache_policy": NO_CACHE, "log_prints": False}


def write(home: str, session: date | None) -> date:
    """Write the report of ``session`` (None: the last one booked) and return its session. Raises MissingDataError without one."""
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.query import night_report
    from mech_exo.reporting.snapshot import DailySnapshot

    workspace = Workspace.open(Path(home))
    with workspace.journal() as ledger:
        report = night_report(ledger, workspace.book_id(), session, workspace)
    DailySnapshot(report).write(workspace.reports)
    return report.session


def send(home: str, session: date) -> str:
    """Send the digest of ``session`` and say what became of it. Raises DataError where a channel did not take it: worth another try."""
    from mech_exo.assembly import Workspace
    from mech_exo.reporting.alerts.digest import send_digest

    place = Path(home)
    told = send_digest(place, Workspace.open(place).config, session, lambda: Workspace.open(place))
    if told is None:
        return "a running exo alert run sends the digest"
    if told.failed:
        raise DataError("the digest must reach every channel; " + "; ".join(f"{name}: {why}" for name, why in sorted(told.failed.items())))
    return _arrived(told)


@task(name="write", retries=0, **PLAIN)
def write_report(home: str, session: date | None) -> date:
    """The three files."""
    written = write(home, session)
    get_run_logger().info("the report of %s is written", written)
    return written


@task(name="send", retries=len(WAITS), retry_delay_seconds=WAITS, retry_condition_fn=worth_asking_again, **PLAIN)
def send_report(home: str, session: date) -> None:
    """The one step that may be repeated."""
    get_run_logger().info(send(home, session))


@flow(name=NAME, retries=0, persist_result=False, validate_parameters=True)
def daily_report(home: str, date: str | None = None) -> None:
    """Report the session ``date`` (None: the last one booked) of the workspace ``home`` and send its digest."""
    send_report(home, write_report(home, session_of(date)))


def _arrived(told: Told) -> str:
    names = ", ".join(sorted(told.arrived))
    return f"the digest reached {names}" if names else "every channel had the digest before"


def main() -> int:
    """The command line: one report, as plain functions or as a flow run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="plain functions, no Prefect server; else one flow run")
    parser.add_argument("--home", default=os.environ.get("EXO_HOME", "."), help="the workspace; else $EXO_HOME, else the current folder")
    parser.add_argument("--date", help="session, YYYY-MM-DD; else the last one booked")
    parser.add_argument("--no-send", action="store_true", help="with --once: only write the report")
    options = parser.parse_args()
    home = str(Path(options.home).expanduser().absolute())
    try:
        if not options.once:
            daily_report(home, options.date)
            return 0
        session = write(home, session_of(options.date))
        print(f"the report of {session} is written")
        if not options.no_send:
            print(send(home, session))
    except MechExoError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
