"""``alerts.yml``: who is told what, and how. No part of a decision, so no part of the config hash."""

from __future__ import annotations

from mech_exo.utils.model import Model


class AlertsConfig(Model):
    """``alerts.yml``."""
