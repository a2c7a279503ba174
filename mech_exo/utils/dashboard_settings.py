"""``dashboard.yml``: how the pages are served. No part of a decision, so no part of the config hash."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mech_exo.utils.model import Model

HostName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class DashboardConfig(Model):
    """``dashboard.yml``. The password's hash is ``dashboard_password`` of ``api_keys_local.yml``: ``exo dash --set-password``."""

    refresh_seconds: Annotated[float, Field(ge=1.0, le=600.0)] = Field(5.0, description="how often an open page asks for news")
    night_minutes: Annotated[int, Field(ge=0, le=1440)] = Field(
        30, description="minutes a night may take after `night_after_close` of data.yml before its session counts as missing"
    )
    names: tuple[HostName, ...] = Field((), description="further host names, in lower case, under which the pages may be asked for")
    https: bool = Field(False, description="a proxy before it speaks https: cookies are for https alone")
    session_hours: Annotated[float, Field(gt=0.0, le=720.0)] = Field(12.0, description="after so long the password is asked again")
