"""What ``exo doctor`` asks others, within seconds: the broker whether it is there, vendors' servers what time it is."""

from __future__ import annotations

import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from mech_exo.cli.checks.finding import Answer, Patient, fault, ok, unknown, warning, within
from mech_exo.domain.errors import MechExoError

if TYPE_CHECKING:
    from mech_exo.utils.settings import Config

BROKER_SECONDS = 5.0
SERVER_SECONDS = 4.0
APART, WRONG = 2.0, 60.0
"""Seconds of difference that are worth a warning, and that are a fault."""
CLIENTS = (31, 30)
"""Client ids a look may use, so that it never takes a running night's."""
SERVERS = {"yahoo": "https://query2.finance.yahoo.com/", "edgar": "https://www.sec.gov/", "finnhub": "https://finnhub.io/"}
"""Who tells the time, by the name of the source in data.yml."""
SYNC = "sudo timedatectl set-ntp true"


def broker(patient: Patient) -> Answer:
    """Connect as a client of its own, ask the time, let go. Nothing is ordered."""
    from mech_exo.utils.broker_settings import BrokerKind

    config = patient.config
    if config.broker.kind == BrokerKind.PAPER:
        return ok("the program's own paper broker: nothing to reach")
    if config.broker.kind != BrokerKind.IB:
        return unknown(f"{config.broker.kind} comes from a plug-in", patient.exo("reconcile"))
    if patient.offline:
        return unknown("not asked: --offline")
    try:
        ahead, account = within(BROKER_SECONDS + 1.0, lambda: _reached(patient, config))
    except (MechExoError, TimeoutError) as error:
        said = error.message if isinstance(error, MechExoError) else f"no answer: {error}"
        hint = f"\n{error.remedy}" if isinstance(error, MechExoError) and error.remedy else ""
        return fault(f"{said}{hint}", patient.exo("broker check"))
    if abs(ahead) > APART:
        return warning(f"{account} is reached; its clock is {ahead:+.1f} seconds from this machine's", SYNC)
    return ok(f"{account} is reached; its clock is {ahead:+.1f} seconds from this machine's")


def _reached(patient: Patient, config: Config) -> tuple[float, str]:
    from mech_exo.assembly import Workspace
    from mech_exo.execution.ib import IBBroker
    from mech_exo.execution.live import is_paper

    account = Workspace(patient.home, config).account
    rules = config.broker.gateway
    mine = next(number for number in CLIENTS if number != rules.client_id)
    gateway = rules.model_copy(update={"connect_seconds": min(BROKER_SECONDS, rules.connect_seconds), "client_id": mine,
                                       "answer_seconds": min(BROKER_SECONDS, rules.answer_seconds)})  # fmt: skip
    asked = IBBroker(account, not is_paper(account), gateway)
    try:
        asked.connect()
        there = asked.describe()
        return there.clock_ahead, there.account
    finally:
        asked.close()


def network_clock(patient: Patient) -> Answer:
    """The ``Date`` of the first configured source's server that answers, good to a second."""
    names = _sources(patient.config)
    if not names:
        return unknown("nobody to compare with: data.yml names no source on the network")
    if patient.offline:
        return unknown("not asked: --offline")
    for name in names:
        try:
            ahead, doubt = within(SERVER_SECONDS, lambda name=name: _ahead(SERVERS[name]))  # type: ignore[misc]
        except (OSError, ValueError, TypeError):
            continue
        said = f"{name}'s server is {ahead:+.1f} seconds from this machine, to within {doubt:.1f}"
        if abs(ahead) > WRONG + doubt:
            return fault(said, SYNC)
        return warning(said, SYNC) if abs(ahead) > APART + doubt else ok(said)
    return unknown(f"no server of {', '.join(names)} told the time within {SERVER_SECONDS:g} seconds")


def _sources(config: Config) -> list[str]:
    sources = config.data.sources
    named = [sources.bars, *sources.fundamentals, *sources.news]
    return [name for name in SERVERS if name in {str(one) for one in named if one is not None}]


def _ahead(address: str) -> tuple[float, float]:
    """(seconds by which the server's clock is ahead of ours, how far that may be off)."""
    import requests

    before, began = time.time(), time.monotonic()
    answer = requests.head(address, timeout=SERVER_SECONDS, allow_redirects=False)
    took = time.monotonic() - began
    told: datetime = parsedate_to_datetime(answer.headers["Date"])
    return told.timestamp() + 0.5 - (before + took / 2.0), 0.5 + took / 2.0
