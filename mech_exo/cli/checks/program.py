"""What ``exo doctor`` looks at in the program itself: Python, packages, caches, clocks. Needs no workspace."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mech_exo.cli.checks.finding import Answer, Patient, fault, ok, warning

if TYPE_CHECKING:
    from packaging.requirements import Requirement

NAME = "mech-exo"
SOURCE = Path(__file__).resolve().parents[3]
YEAR = timedelta(days=366)
FEWEST = 245
"""Sessions of the poorest year."""
AHEAD = 60.0
"""Seconds a file may seem to come from the future: clocks of file servers differ a little."""
SHOWN = 5


def python(_: Patient) -> Answer:
    """The running Python against what the package asks for."""
    from packaging.specifiers import SpecifierSet

    asked = _declared().python
    here = ".".join(map(str, sys.version_info[:3]))
    if here in SpecifierSet(asked):
        return ok(f"{here} at {sys.executable}; {asked} is asked for")
    return fault(f"{here} at {sys.executable}; {asked} is asked for", "make clean run PYTHON=python3.11")


def packages(_: Patient) -> Answer:
    """Every package the program needs, and those of the extras that are installed, against their bounds."""
    from importlib.metadata import PackageNotFoundError, version

    missing, wrong, right = [], [], 0
    declared = _declared()
    for needed in declared.packages:
        always = needed.marker is None or needed.marker.evaluate({"extra": ""})
        if not always and not any(needed.marker.evaluate({"extra": extra}) for extra in declared.extras):  # type: ignore[union-attr]
            continue  # of another platform
        try:
            have = version(needed.name)
        except PackageNotFoundError:
            missing += [needed] if always else []
            continue
        if needed.specifier.contains(have, prereleases=True):
            right += 1
        else:
            wrong.append((needed, have))
    if not missing and not wrong:
        return ok(f"{right} packages, each within its bounds")
    said = [f"{needed.name} is missing" for needed in missing]
    said += [f"{needed.name} {have} is not {needed.specifier}" for needed, have in wrong]
    asked = [f"'{needed.name}{needed.specifier}'" for needed in (*missing, *(needed for needed, _ in wrong))]
    return fault("\n".join(said), f"{sys.executable} -m pip install {' '.join(asked)}")


def lock(_: Patient) -> Answer:
    """What is installed against the lock beside the source tree."""
    from importlib.metadata import PackageNotFoundError, version

    path = SOURCE / "requirements.txt"
    if not path.is_file():
        return ok("installed from a package: its bounds apply, there is no lock beside it")
    different, same = [], 0
    for name, locked in _locked(path):
        try:
            have = version(name)
        except PackageNotFoundError:
            continue
        if have == locked:
            same += 1
        else:
            different.append(f"{name} {have}, tested with {locked}")
    if not different:
        return ok(f"{same} packages as in {path.name}")
    more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
    return warning("\n".join(different[:SHOWN]) + more, f"{sys.executable} -m pip install -r {path}")


def compile_cache(_: Patient) -> Answer:
    """Whether the folder of compiled functions can be written; it is not made here."""
    from mech_exo.kernels import cache_root

    root = cache_root()
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if os.access(there, os.W_OK | os.X_OK):
        return ok(str(root))
    return warning(
        f"{there} cannot be written: every command compiles anew, which takes half a minute", "export XDG_CACHE_HOME=/a/folder/of/yours"
    )


def time_zones(patient: Patient) -> Answer:
    """Every opening bell of the coming year must be at half past nine in New York: two sources of the same rule."""
    import zoneinfo

    from mech_exo.utils.calendar import NEW_YORK, session_open, sessions

    today = patient.now.astimezone(NEW_YORK).date()
    days = [day.astype(object) for day in sessions(today, today + YEAR)]
    odd = [day for day in days if f"{session_open(day).astimezone(NEW_YORK):%H:%M}" != "09:30"]
    if odd:
        said = f"the exchange opens at {session_open(odd[0]).astimezone(NEW_YORK):%H:%M} New York on {odd[0]}, by the time zone data here"
        return fault(said, f"{sys.executable} -m pip install --upgrade tzdata exchange_calendars")
    source = next((folder for folder in zoneinfo.TZPATH if (Path(folder) / "America" / "New_York").exists()), "the package tzdata")
    return ok(f"{len(days)} opening bells at 09:30 New York, by {source}")


def calendar(patient: Patient) -> Answer:
    """Sessions from today for a year."""
    from mech_exo.utils.calendar import NEW_YORK, sessions

    today = patient.now.astimezone(NEW_YORK).date()
    days = sessions(today, today + YEAR)
    if len(days) < FEWEST:
        return fault(
            f"{len(days)} sessions from {today} for a year; a year has at least {FEWEST}",
            f"{sys.executable} -m pip install --upgrade exchange_calendars",
        )
    return ok(f"{len(days)} sessions from {days[0]} to {days[-1]}")


def clock(patient: Patient) -> Answer:
    """The clock against a monotonic one while the doctor looks, and against the files of the workspace."""
    step = patient.stepped()
    if abs(step) > 1.0:
        return fault(f"the clock was moved by {step:+.1f} seconds while it was looked at", "sudo timedatectl set-ntp true")
    ahead = [(path, path.stat().st_mtime - patient.now.timestamp()) for path in _written(patient.home)]
    late = [(path, seconds) for path, seconds in ahead if seconds > AHEAD]
    if late:
        path, seconds = max(late, key=lambda one: one[1])
        said = f"it is {patient.now:%Y-%m-%d %H:%M:%S} UTC here, and {path} was written {timedelta(seconds=round(seconds))} later"
        return fault(said, "sudo timedatectl set-ntp true")
    if patient.now < datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC) - timedelta(days=1):
        return fault(f"it is {patient.now:%Y-%m-%d} here, before this program was installed", "sudo timedatectl set-ntp true")
    return ok(f"{patient.now:%Y-%m-%d %H:%M:%S} UTC; {len(ahead)} files of the workspace are older")


def _written(home: Path) -> list[Path]:
    data = home / "data"
    names = [data / name for name in ("ledger.sqlite", "ledger.sqlite.mark", "mech_exo.duckdb", "snapshots/CURRENT", "deliveries.sqlite")]
    return [path for path in (*names, *sorted((home / "config").glob("*.yml"))) if path.is_file()]


class _Declared(NamedTuple):
    """What the package declares: versions of Python, requirements, and the names of its extras."""

    python: str
    packages: list[Requirement]
    extras: list[str]


def _declared() -> _Declared:
    """Of the installed package, else of the source tree beside it, whose extras nobody can have asked for."""
    from importlib.metadata import PackageNotFoundError, metadata

    from packaging.requirements import Requirement

    try:
        said = metadata(NAME)
        needed = [Requirement(line) for line in said.get_all("Requires-Dist") or ()]
        return _Declared(said["Requires-Python"], needed, said.get_all("Provides-Extra") or [])
    except PackageNotFoundError:
        import tomllib

        project = tomllib.loads((SOURCE / "pyproject.toml").read_text("utf-8"))["project"]
        return _Declared(project["requires-python"], [Requirement(line) for line in project["dependencies"]], [])


def _locked(path: Path) -> Iterator[tuple[str, str]]:
    """(name, version) of every line of a lock that is for this machine."""
    from packaging.requirements import Requirement

    for line in path.read_text("utf-8").splitlines():
        if "==" not in line or line[:1] in " #-":
            continue
        needed = Requirement(line.rstrip("\\ "))
        if needed.marker is None or needed.marker.evaluate():
            yield needed.name, next(iter(needed.specifier)).version
