"""The night's digest to the channels that get it: what ``dags/daily_report.py`` calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.domain.errors import ConfigError, MissingDataError
from mech_exo.execution.ledger import utc_now
from mech_exo.reporting.alerts.process import ServedError, only_one
from mech_exo.reporting.alerts.service import Service, Told, night_digest

if TYPE_CHECKING:
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.utils.settings import Config


def send_digest(
    home: Path, config: Config, session: date, open_house: Callable[[], House], clock: Callable[[], datetime] = utc_now
) -> Told | None:
    """Deliver the digest of ``session``, each channel once however often it is asked for; None where a running ``exo alert run`` does it.

    Raises
    ------
    ConfigError
        ``digest`` of alerts.yml names no channel, or a channel will not do.
    MissingDataError
        There is no digest of that session.
    """
    if not config.alerts.digest:
        raise ConfigError("a digest goes to the channels that alerts.yml names; digest is empty", remedy="write digest: [NAME]")
    posted = night_digest(home, session.isoformat(), clock().timestamp())
    if posted is None:
        raise MissingDataError(f"the night of {session} has no digest in reports/daily", remedy=f"exo report daily --date {session}")
    try:
        with only_one(home):
            service = Service(home, config, open_house, clock)
            try:
                service.office.post(posted)
                return service.once()
            finally:
                service.close()
    except ServedError:  # it tells the digest as soon as it sees the night's alert
        return None
