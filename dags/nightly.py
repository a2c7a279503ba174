"""The night as a Prefect flow: thin tasks over ``mech_exo.nightly``, which ``exo run`` performs without Prefect.

    python dags/nightly.py --once [--home DIR] [--date D]    one night, plain functions, no server
    exo schedule                                              a flow run after every close of the exchange, half-days and DST included

Only the download is asked again when a vendor fails. Nothing that sends is ever repeated by Prefect: a night that broke off is healed by
the next one. A flow run's parameters are the workspace and the session; keys are read from the workspace's files and go no further.
"""
from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
if (Path(__file__).resolve().parents[1] / "mech_exo").is_dir():  # from the source tree, installed or not
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run
from prefect.utilities.annotations import quote

from mech_exo import nightly as night
from mech_exo.domain.errors import DataError, MechExoError
from mech_exo.nightly import Done, Evening
from mech_exo.utils.calendar import due_and_next
from mech_exo.utils.retry import worth_asking_again

if TYPE_CHECKING:
    from mech_exo.session import NightResult

NAME = "nightly"
WAITS = [60.0, 300.0, 900.0]
AHEAD = 5  # nights that stand in Prefect's list of scheduled runs
LOOK_SECONDS = 300.0
PLAIN: dict[str, Any] = {"persist_result": False, "cache_policy": NO_CACHE, "log_prints": False}
ONCE: dict[str, Any] = {"retries": 0, **PLAIN}


@task(name="download", retries=len(WAITS), retry_delay_seconds=WAITS, retry_condition_fn=worth_asking_again, **PLAIN)
def download(evening: Evening) -> Done[Any]:
    """The one step that may be repeated; after the last time the night goes on with what came."""
    done = night.download(evening)
    broken = night.failed_sources(done.value)
    if broken and task_run.run_count <= len(WAITS):
        raise DataError(f"every source must answer; {'; '.join(broken)}")
    return _told(done)


@task(name="quality", **ONCE)
def quality(evening: Evening) -> Done[Any]:
    """The quality gate."""
    return _told(night.assess(evening))


@task(name="publish", **ONCE)
def publish(evening: Evening) -> Done[Any]:
    """The snapshot that decisions read."""
    return _told(night.publish(evening))


@task(name="decide", **ONCE)
def decide(evening: Evening) -> Done[Any]:
    """Book the session, decide, journal."""
    return _told(night.decide(evening))


@task(name="submit", **ONCE)
def submit(evening: Evening, decided: NightResult) -> Done[Any]:
    """Hand the orders to the broker. Never repeated."""
    return _told(night.submit(evening, decided))


@task(name="report", **ONCE)
def report(evening: Evening, result: NightResult) -> Done[Any]:
    """The night's report."""
    return _told(night.report(evening, result))


@task(name="alert", **ONCE)
def alert(evening: Evening, result: NightResult, steps: list[Done[Any]]) -> Done[Any]:
    """What must be told, into the ledger's outbox."""
    return _told(night.alert(evening, result, steps))


@flow(name=NAME, retries=0, persist_result=False, validate_parameters=True)
def nightly(home: str, date: str | None = None) -> None:
    """One night of the workspace ``home``; ``date`` None: of the last session stored."""
    evening = evening_of(home, date)
    with night.guarded(evening):
        steps = [step(quote(evening)) for step in (download, quality, publish, decide)]
        sent = submit(quote(evening), quote(steps[-1].value))
        told = report(quote(evening), quote(sent.value))
        alert(quote(evening), quote(sent.value), quote([*steps, sent, told]))


def evening_of(home: str, session: str | None) -> Evening:
    """What the parameters of a flow run ask for, now. Raises InputError for a date that is none."""
    return Evening(Path(home), datetime.now(UTC), night.session_of(session))


def _told(done: Done[Any]) -> Done[Any]:
    logger = get_run_logger()
    logger.info(done.said)
    for text in done.attention:
        logger.warning(text)
    return done


async def serve(home: str, minutes: int) -> None:
    """Serve the flow for ``home`` until interrupted: one run ``minutes`` after every close, the close that was missed last included."""
    import anyio
    from prefect.runner import Runner

    runner = Runner(name=NAME, limit=1, pause_on_shutdown=False, query_seconds=5)
    deployment = await nightly.ato_deployment(name="mech-exo", parameters={"home": home})
    identity = await runner.aadd_deployment(deployment)
    async with anyio.create_task_group() as group:
        group.start_soon(_keep_planned, identity, home, minutes)
        await runner.start()
        group.cancel_scope.cancel()


async def _keep_planned(deployment: UUID, home: str, minutes: int) -> None:
    """See to it that the next nights stand in Prefect's list, each once: half-days, holidays and DST are the calendar's business."""
    import anyio

    while True:
        for session, at in due_and_next(datetime.now(UTC), minutes, AHEAD):
            await plan_run(deployment, home, session, at)
        await anyio.sleep(LOOK_SECONDS)


async def plan_run(deployment: UUID, home: str, session: date, at: datetime) -> None:
    """One run of the deployment at ``at``; asked for again, it is the same one."""
    from prefect.client.orchestration import get_client
    from prefect.states import Scheduled

    async with get_client() as client:
        await client.create_flow_run_from_deployment(
            deployment,
            parameters={"home": home, "date": session.isoformat()},
            state=Scheduled(scheduled_time=at),
            name=f"night-{session}",
            idempotency_key=f"{home} {session}",
        )


def main() -> int:
    """The command line: one night, as plain functions or as a flow run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="plain functions, no Prefect server; else one flow run")
    parser.add_argument("--home", default=os.environ.get("EXO_HOME", "."), help="the workspace; else $EXO_HOME, else the current folder")
    parser.add_argument("--date", help="session, YYYY-MM-DD; else the last one stored")
    options = parser.parse_args()
    home = str(Path(options.home).expanduser().absolute())
    try:
        if options.once:
            for done in night.perform(evening_of(home, options.date)).steps:
                print(f"{done.step:9}{done.seconds:7.1f} s  {done.said}")
                for text in done.attention:
                    print(f"{'':19}{text}")
        else:
            nightly(home, options.date)
    except MechExoError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
