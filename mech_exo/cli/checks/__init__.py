"""The checks of ``exo doctor``. To add one: a function that looks at a :class:`Patient` and answers, and its line in :data:`CHECKS`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mech_exo.cli.checks import account, outside, program, stores, workspace
from mech_exo.cli.checks.finding import Answer, Check, Finding, Needs, Patient, fault, unknown
from mech_exo.domain.errors import ConfigError, MechExoError

PROGRAM, HOME, RECORDS, OUTSIDE = "Program", "Workspace", "Records", "Around it"
CHECKS = (
    Check("python", PROGRAM, "Python is one this program is made for", program.python),
    Check("packages", PROGRAM, "every package is there, within its bounds", program.packages),
    Check("lock", PROGRAM, "packages are the ones that were tested together", program.lock),
    Check("compile cache", PROGRAM, "compiled functions can be kept from one command to the next", program.compile_cache),
    Check("time zones", PROGRAM, "New York's clock is known, and agrees with the exchange's calendar", program.time_zones),
    Check("calendar", PROGRAM, "the exchange's sessions are known from today for a year", program.calendar),
    Check("clock", PROGRAM, "the clock runs evenly, and no file was written in its future", program.clock),
    Check("workspace", HOME, "the folder is a workspace that this user can read and write", workspace.place),
    Check("config", HOME, "every file of the configuration keeps its rules", workspace.configuration, Needs.WORKSPACE),
    Check("secrets", HOME, "keys stand in api_keys_local.yml alone, which only its owner can read", workspace.secrets, Needs.WORKSPACE),
    Check("dashboard", HOME, "the dashboard's password is kept as a hash of this program's", workspace.dashboard, Needs.CONFIG),
    Check("permissions", HOME, "nobody else can write the folders or read the ledger", workspace.permissions, Needs.WORKSPACE),
    Check("factors", HOME, "every part of a plug-in keeps its laws: no look into the future, for one", workspace.own_parts, Needs.CONFIG),
    Check("store", RECORDS, "the market data can be read to their end, and are of this program's version", stores.store, Needs.WORKSPACE),
    Check("snapshot", RECORDS, "what is published is whole, and is what is stored", stores.snapshot, Needs.WORKSPACE),
    Check("ledger", RECORDS, "every row of the journal fits its hash, and every table the journal", stores.ledger, Needs.WORKSPACE),
    Check("disk", RECORDS, "there is room for the nights to come", stores.disk, Needs.WORKSPACE),
    Check("left over", RECORDS, "no half-written file of a process that died lies about", stores.left_over, Needs.WORKSPACE),
    Check("halt", RECORDS, "trading is not halted", account.halt, Needs.WORKSPACE),
    Check("alerts", OUTSIDE, "somebody is told, and a process delivers", account.alerts, Needs.CONFIG),
    Check("heartbeat", OUTSIDE, "somebody else notices when this machine is gone", account.heartbeat, Needs.CONFIG),
    Check("broker", OUTSIDE, "the configured broker can be reached, with the right account", outside.broker, Needs.CONFIG),
    Check("network clock", OUTSIDE, "this machine's clock agrees with others'", outside.network_clock, Needs.CONFIG),
)


def examine(checks: Sequence[Check], patient: Patient) -> Iterator[tuple[Check, Finding]]:
    """Each check with its finding; whatever one runs into is its own finding and stops no other."""
    for check in checks:
        answer = _answer(check, patient)
        yield check, Finding(check.name, check.section, answer.state, check.rule, answer.value, answer.remedy)


def _answer(check: Check, patient: Patient) -> Answer:
    try:
        if check.needs is not Needs.NOTHING and not patient.is_workspace:
            return unknown(f"{patient.home} is no workspace")
        if check.needs is Needs.CONFIG:
            try:
                _ = patient.config
            except ConfigError:
                return unknown("the configuration cannot be read: see config", patient.exo("config check"))
        return check.look(patient)
    except MechExoError as error:
        return fault(error.message, _typed(error.remedy, patient))
    except OSError as error:
        about = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        return unknown(f"cannot be looked at: {about}")
    except Exception as error:  # noqa: BLE001 - an outermost edge: a check that breaks is a finding
        return unknown(f"the check itself failed, please report it: {type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _typed(remedy: str | None, patient: Patient) -> str:
    """A remedy's command for this home."""
    return "" if remedy is None else patient.exo(remedy.removeprefix("exo ")) if remedy.startswith("exo ") else remedy
