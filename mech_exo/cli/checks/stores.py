"""What ``exo doctor`` looks at in the records: store, snapshot, ledger, room on the disk, what dead processes left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mech_exo.cli.checks.finding import Answer, Patient, fault, ok, unknown, warning
from mech_exo.domain.errors import ConfigError, MissingDataError, StoreError

MB = 1_000_000
PLENTY = 3.0
"""Times what the next night needs: below it there is a warning."""
SHOWN = 5


def store(patient: Patient) -> Answer:
    """The database read to its end, and its schema against the program's."""
    from mech_exo.datasource.storage.publish import verify

    database = _database(patient)
    if not database.exists():
        return warning(f"{database} is not there: nothing was imported yet", patient.exo("data import BARS.csv"))
    if (writer := _writer(database)) is not None:
        return unknown(f"process {writer} is writing {database}", f"ps -p {writer}")
    try:
        rows = verify(database)
        older = _version(database)
    except StoreError as error:
        return fault(error.message, _restore(patient, "data restore", "*.duckdb", " --yes"))
    if older:
        return warning(older, patient.exo("data publish"))
    return ok(f"{sum(rows.values()):,} rows in {len(rows)} tables")


def snapshot(patient: Patient) -> Answer:
    """The published snapshot against its own name, its arrays against their checksums, both against the database."""
    from mech_exo.datasource.storage import publish
    from mech_exo.datasource.storage.panel_files import intact
    from mech_exo.utils import durable

    database = _database(patient)
    mend = patient.exo("data publish")
    try:
        path = publish.current(database)
    except StoreError as error:
        return fault(error.message, mend)
    if path is None:
        if not database.exists():
            return unknown("nothing was imported yet", patient.exo("data import BARS.csv"))
        return warning(f"{publish.snapshot_folder(database)} holds nothing published", mend)
    if not durable.digest(path).startswith(path.stem):
        return fault(f"{path} is not what was published: its contents do not fit its name", mend)
    if publish.grid_folder(path).exists() and not intact(publish.grid_folder(path)):
        return warning(f"the arrays beside {path.name} are damaged: the database answers instead, more slowly", mend)
    if not database.exists():
        return warning(f"{path.name} is whole, and {database} is gone", f"cp {path} {database}")
    if (writer := _writer(database)) is not None:
        return unknown(f"{path.name} is whole; process {writer} is writing the database", f"ps -p {writer}")
    with database.open("rb") as file:
        if not publish.same(file.fileno(), path):
            return warning(f"{path.name} is whole, and the database was changed since it was published", mend)
    return ok(f"{path.name} is whole and is what is stored")


def ledger(patient: Patient) -> Answer:
    """The whole chain recomputed, and the tables rebuilt from it."""
    from mech_exo.execution import ledger_care
    from mech_exo.execution.ledger import Ledger, default_path

    path = default_path(patient.home)
    mark = ledger_care.mark_of(path).path
    if not path.exists():
        if not mark.exists():
            return ok("no night was run yet: there is no ledger")
        return fault(f"{path} is gone; {mark.name} says that it held rows", _restore(patient, "ledger restore", "ledger-*.sqlite"))
    if (writer := _held(path.with_name(path.name + ".lock"))) is not None:
        return unknown(f"process {writer} is writing {path}", f"ps -p {writer}")
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:  # left by a process that died: opening takes it in
        with Ledger.open(path, read_only=True) as opened:
            report = opened.verify()
    else:
        report = ledger_care.look(path)
    if not report.sound:
        return fault("\n".join(report.faults[:SHOWN]), _restore(patient, "ledger restore", "ledger-*.sqlite"))
    return ok(f"{report.rows:,} rows, last hash {report.last_hash[:16]}…")


def disk(patient: Patient) -> Answer:
    """Free space against what alerts watch for, and room for one more copy of what is stored (a night publishes one)."""
    data = patient.home / "data"
    if not data.is_dir():
        return unknown(f"{data} is not there", patient.exo("init --missing"))
    try:
        least = patient.config.alerts.watch.disk_free_mb * MB
    except ConfigError:
        from mech_exo.utils.alert_settings import AlertsConfig

        least = AlertsConfig().watch.disk_free_mb * MB
    needed = least + _published(patient)
    free, about = shutil.disk_usage(data).free, os.statvfs(data)
    said = f"{free / MB:,.0f} MB are free; a night needs {needed / MB:,.0f} MB"
    look = f"du -xh --max-depth=2 {data} | sort -h | tail"
    if about.f_files and not about.f_favail:
        return fault(f"{data} can hold no more files", look)
    if free < needed:
        return fault(said, look)
    return warning(said, look) if free < PLENTY * needed else ok(said)


def left_over(patient: Patient) -> Answer:
    """Half-written files that nobody is writing, and locks with their holders. A lock file alone blocks nobody."""
    data = patient.home / "data"
    locks = sorted(data.glob("*.lock"))
    held = [f"{path.name} by process {process}" for path in locks if (process := _held(path)) is not None]
    partial = [*data.rglob("*.partial"), *(patient.home / "reports").rglob("*.partial"), *data.glob("*.restoring*")]
    if partial and not held:
        names = " ".join(map(str, partial[:SHOWN])) + (" …" if len(partial) > SHOWN else "")
        return warning(f"{len(partial)} half-written: {names}", f"rm -r {' '.join(map(str, partial))}")
    return ok(f"held: {', '.join(held)}" if held else f"nothing; {len(locks)} lock files are free")


def _database(patient: Patient) -> Path:
    from mech_exo.datasource.storage import DataStorage

    return DataStorage.path_in(patient.home)


def _version(database: Path) -> str:
    """What is to be said of a schema that is not this program's; "" where it is."""
    from mech_exo.datasource.storage.connection import connect, migrations, schema_version

    connection = connect(database, read_only=True, older=True)
    try:
        have, want = schema_version(connection), len(migrations())
    finally:
        connection.close()
    return "" if have == want else f"{database} has schema version {have}; this program's is {want}"


def _writer(database: Path) -> int | None:
    return _held(database.with_name(database.name + ".lock"))


def _held(path: Path) -> int | None:
    from mech_exo.utils.lock import holder_of

    return holder_of(path)


def _published(patient: Patient) -> float:
    """Bytes of the snapshot and its arrays, 0 before the first."""
    from mech_exo.datasource.storage import publish

    try:
        path = publish.current(_database(patient))
    except (StoreError, MissingDataError):
        return 0.0
    if path is None:
        return 0.0
    arrays = publish.grid_folder(path)
    return float(path.stat().st_size + sum(file.stat().st_size for file in arrays.glob("*")))


def _restore(patient: Patient, words: str, pattern: str, more: str = "") -> str:
    """The command that puts the newest backup back; a placeholder where none is in data/backups."""
    backups = sorted((patient.home / "data" / "backups").glob(pattern), key=lambda path: path.stat().st_mtime)
    return patient.exo(f"{words} {backups[-1] if backups else 'BACKUP'}{more}")
