"""What ``exo doctor`` looks at in the workspace: its place, its configuration, who may read its secrets, the user's own rules."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mech_exo.cli.checks.finding import Answer, Patient, fault, ok, warning
from mech_exo.domain.errors import ConfigError

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def place(patient: Patient) -> Answer:
    """The folder, its parts, and whether this user may read and write them."""
    home = patient.home
    if not home.is_dir():
        return fault(f"{home} is no folder", f"exo init {home}")
    if not patient.is_workspace:
        return warning(f"{home} is no workspace: only the program itself is looked at", f"exo init {home}/my-money")
    missing = [name for name in ("data", "reports") if not (home / name).is_dir()]
    if missing:
        return warning(f"{' and '.join(missing)} must be folders of {home}", patient.exo("init --missing"))
    for folder in (home / "config", home / "data", home / "reports"):
        if not os.access(folder, os.R_OK | os.X_OK):
            return fault(f"{folder} belongs to {_owner(folder)} and cannot be read by this user", f"sudo -u {_owner(folder)} exo doctor")
        if not os.access(folder, os.W_OK):
            if folder.stat().st_uid == os.geteuid():
                return fault(f"{folder} cannot be written: its mode forbids it, or the disk is read-only", f"chmod u+w {folder}")
            return fault(f"{folder} belongs to {_owner(folder)} and cannot be written", f"sudo -u {_owner(folder)} exo doctor")
    return ok(str(home))


def configuration(patient: Patient) -> Answer:
    """What ``exo config check`` says, without mending anything."""
    from mech_exo.cli.workspace import channel_notes, check_factors, unusual
    from mech_exo.utils.config import config_hash
    from mech_exo.utils.config_swap import FOLDER

    try:
        config = patient.config
        check_factors(config, patient.home / "config" / "factors.yml")
        doubts = [*unusual(config), *channel_notes(config)]
    except ConfigError as error:
        hint = error.remedy or ""
        first = hint.splitlines()[0] if hint.startswith("exo ") else "config check"
        said = error.message if not hint or hint.startswith("exo ") else f"{error.message}\n{hint}"
        return fault(said, patient.exo(first.removeprefix("exo ")))
    if (patient.home / "config" / FOLDER).exists():
        doubts.append("a change of several files was decided and is not finished: any other command finishes it")
    if doubts:
        return warning("\n".join(doubts), patient.exo("config check"))
    return ok(f"{len(config.factors.weights())} factors, config hash {config_hash(config)}")


def secrets(patient: Patient) -> Answer:
    """Mode and owner of the file of keys, and whether keys stand in the template, which is under version control."""
    from mech_exo.utils.config import KEYS_FILE, LOCAL_KEYS_FILE, secrets_in

    folder = patient.home / "config"
    local, template = folder / LOCAL_KEYS_FILE, folder / KEYS_FILE
    if local.exists():
        about = local.stat()
        if about.st_mode & OTHERS:
            return fault(f"{local} has mode {stat.S_IMODE(about.st_mode):04o}: others can read it", f"chmod 600 {local}")
        if about.st_uid != os.geteuid():
            return warning(f"{local} belongs to {_owner(local)}", f"sudo chown {os.geteuid()} {local}")
    if template.exists() and secrets_in(template):
        move = f"mv {template} {local} && chmod 600 {local} && {patient.exo('init --missing')}"
        return warning(f"{template} holds keys, and is no place for them", move if not local.exists() else f"mv its keys into {local}")
    return ok(f"{local.name} has mode 0600" if local.exists() else "there are no keys yet")


def dashboard(patient: Patient) -> Answer:
    """The password as the dashboard reads it."""
    from mech_exo.reporting.dashboard.auth import Password

    stored = patient.config.keys.dashboard_password.get_secret_value()
    if not stored:
        return ok("no password: exo dash serves this machine alone")
    try:
        Password.read(stored)
    except ConfigError as error:
        return fault(error.message, patient.exo("dash --set-password"))
    return ok("a password is asked")


def permissions(patient: Patient) -> Answer:
    """Folders others may write, and records others may read."""
    home = patient.home
    loose = [path for path in (home / "config", home / "data", home / "reports") if path.is_dir() and path.stat().st_mode & stat.S_IWOTH]
    if loose:
        return fault(f"everybody can write {_names(loose)}", f"chmod o-w {_names(loose)}")
    told = [path for path in _records(home / "data") if path.stat().st_mode & OTHERS]
    if told:
        return warning(f"others can read {_names(told)}, which hold account numbers", f"chmod 600 {_names(told)}")
    shared = [path for path in (home / "config", home / "data") if path.is_dir() and path.stat().st_mode & stat.S_IWGRP]
    if shared:
        return warning(f"the group can write {_names(shared)}", f"chmod g-w {_names(shared)}")
    return ok("folders are written by their owner alone, records are read by their owner alone")


def own_parts(patient: Patient) -> Answer:
    """The laws, tried on every part that comes from a plug-in; the program's own factors are tried by its tests."""
    from mech_exo.plugins.findings import findings

    found = findings(patient.config)
    broken = [one for one in found if not one.holds]
    if broken:
        said = "\n".join(f"{one.kind} {one.part or one.plugin}: {one.law}: {one.broken}" for one in broken)
        remedy = next((one.remedy for one in broken if one.remedy), f"correct {broken[0].plugin}, then: {patient.exo('doctor')}")
        return fault(said, remedy)
    count = len(patient.config.factors.weights())
    if not found:
        return ok(f"{count} factors, all of them the program's own")
    parts = {(one.kind, one.part) for one in found}
    return ok(f"{count} factors; {len(parts)} parts of plug-ins keep {len(found)} laws")


def _records(data: Path) -> list[Path]:
    names = ("ledger.sqlite", "ledger.sqlite-wal", "deliveries.sqlite", "deliveries.sqlite-wal")
    return [path for name in names if (path := data / name).exists()]


def _names(paths: list[Path]) -> str:
    return " ".join(map(str, paths))


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)
