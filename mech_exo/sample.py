"""A workspace of the sample market, and the choice between the user's own and that: what the demo and the notebooks open."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.assembly import Workspace
from mech_exo.domain.errors import MissingDataError
from mech_exo.utils.calendar import sessions

if TYPE_CHECKING:
    from mech_exo.datasource.demo import SampleMarket
    from mech_exo.session import NightResult

NIGHTS = 22
"""The first decides on an empty book, the last decides it anew."""
SYMBOLS, YEARS = 100, 6
"""Of the notebooks' market: small enough to be made while one waits."""


def opened(*, nights: bool = False) -> Workspace:
    """The user's workspace (``$EXO_HOME``, else the current folder or the nearest above it that is one); where it has no published
    bars, or with ``nights`` no decided night, the sample's, whose every page says "synthetic sample".

    Raises ConfigError where the user's configuration is wrong.
    """
    home = _nearest()
    if home is not None:
        workspace = Workspace.open(home)
        try:
            if workspace.storage.status().bars and (not nights or _decided(workspace)):
                return workspace
        except MissingDataError:
            pass
    return Workspace.open(kept())


def kept() -> Path:
    """The sample's workspace with its paper nights, as this very code makes it, in the user's cache; made whole or not at all."""
    from mech_exo.datasource.demo import sample_market
    from mech_exo.kernels import cache_folder, code_version

    place = cache_folder() / f"sample-{code_version()}"
    with (place.parent / "sample.lock").open("w") as lock, tempfile.TemporaryDirectory(dir=place.parent, prefix=".sample-") as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process makes it, the others wait
        if not place.exists():
            for stale in place.parent.glob("sample-*"):
                shutil.rmtree(stale, ignore_errors=True)
            workspace = make(Path(scratch) / "w", sample_market(symbols=SYMBOLS, years=YEARS))
            play(workspace, last_nights(workspace.known().as_of))
            workspace.home.rename(place)
    return place


def make(folder: Path, market: SampleMarket) -> Workspace:
    """A new workspace in ``folder`` that trades ``market``, stored, assessed and published."""
    from mech_exo.datasource.demo import BENCHMARK, UNIVERSE
    from mech_exo.datasource.quality import assess
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.utils.config import load
    from mech_exo.utils.workspace import create
    from mech_exo.utils.yaml_edit import with_key, with_values

    create(folder)
    strategy, data = folder / "config" / "strategy.yml", folder / "config" / "data.yml"
    strategy.write_text(with_values(strategy.read_text("utf-8"), "universe", {"name": UNIVERSE}), "utf-8")
    data.write_text(with_key(data.read_text("utf-8"), "benchmark", BENCHMARK), "utf-8")
    with DataStorage(DataStorage.path_in(folder)) as storage:
        market.store(storage)
        assess(storage, load(folder), now=datetime.now(UTC))
        storage.publish()
    return Workspace.open(folder)


def last_nights(last: date) -> tuple[date, ...]:
    """The :data:`NIGHTS` sessions that end with ``last``."""
    days = sessions(last - timedelta(days=2 * NIGHTS), last)[-NIGHTS:]
    return tuple(day.astype(object) for day in days)


def play(workspace: Workspace, nights: Sequence[date], said: Callable[[date], object] = date.isoformat) -> list[NightResult]:
    """Perform ``nights`` in order, each announced by ``said``."""
    from mech_exo.session import run_night

    done = []
    with workspace.ledger() as ledger:
        desks = workspace.desks(ledger)
        for night in nights:
            said(night)
            done.append(run_night(desks, night))
    return done


def _nearest() -> Path | None:
    """The workspace that is meant: by the environment, else the first one from the current folder upwards."""
    named = os.environ.get("EXO_HOME")
    if named:
        return Path(named).expanduser().absolute()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "config" / "strategy.yml").is_file()), None)


def _decided(workspace: Workspace) -> bool:
    """Whether the workspace's book has a night to look at."""
    with workspace.journal() as ledger:
        last = ledger.last_session(workspace.book_id())
        return last is not None and ledger.decision(workspace.book_id(), last.session) is not None
