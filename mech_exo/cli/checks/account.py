"""What ``exo doctor`` looks at in what watches the account: HALT, the delivery of alerts, the dead-man's switch."""

from __future__ import annotations

from mech_exo.cli.checks.finding import Answer, Patient, ok, warning

KEYS = "config/api_keys_local.yml"


def halt(patient: Patient) -> Answer:
    """The HALT file."""
    from mech_exo.execution.safety import HaltSwitch

    state = HaltSwitch(patient.home).state()
    if not state.halted:
        return ok("not halted")
    since = "" if state.since is None else f" since {state.since:%Y-%m-%d %H:%M} UTC"
    return warning(f"halted{since}: {state.reason or 'no reason given'}", patient.exo("resume --reason 'what was found'"))


def alerts(patient: Patient) -> Answer:
    """Channels, the process that delivers, and channels that fail."""
    from mech_exo.reporting.alerts.status import look

    status = look(patient.home, patient.config, patient.now)
    if not status.channels:
        return warning(
            "no channel is configured: nobody is told of anything",
            f"write a key into {patient.home / KEYS}, then: {patient.exo('alert test')}",
        )
    failing = [f"{channel.name} failed {channel.failures} times: {channel.said}" for channel in status.channels if channel.failures]
    if failing:
        return warning("\n".join(failing), patient.exo("alert test"))
    names = ", ".join(channel.name for channel in status.channels)
    if status.process is None:
        return warning(f"{names} are configured, and no process delivers", patient.exo("alert run"))
    return ok(f"{names}; process {status.process} delivers")


def heartbeat(patient: Patient) -> Answer:
    """The addresses that are pinged while all is well."""
    keys = patient.config.keys
    pinged = [
        name for name, address in (("alert run", keys.heartbeat_url), ("the night", keys.night_heartbeat_url)) if address.get_secret_value()
    ]
    if pinged:
        return ok(f"an address is pinged by {' and '.join(pinged)}")
    return warning(
        "no address is pinged: a machine that is off tells nobody", f"write heartbeat_url into {patient.home / KEYS} (docs/alerts.md)"
    )
