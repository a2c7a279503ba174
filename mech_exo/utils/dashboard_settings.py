"""``dashboard.yml``: how the pages are served. No part of a decision, so no part of the config hash."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mech_exo.utils.model import Model


class DashboardConfig(Model):
    """``dashboard.yml``. The password's hash is ``dashboard_password`` of ``api_keys_local.yml``: ``exo dash --set-password``."""

    refresh_seconds: Annotated[float, Field(ge=1.0, le=600.0)] = Field(5.0, description="how often an open page asks for news")
