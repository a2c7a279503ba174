"""``plugins:`` of a configuration file: the user's own parts, by the file or module they are written in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from mech_exo.utils.model import Model

PREFIX = "plugin."
"""Before the name of a user's part where the configuration else takes one of a few words."""

PluginName = Annotated[
    str, Field(pattern=r"^plugin\.[a-z][a-z0-9_]{0,63}$", json_schema_extra={"words": "plugin.NAME, of a plug-in"})
]
"""``plugin.half_kelly``: the part ``half_kelly`` of a plug-in."""


class Plugin(Model):
    """One line of ``plugins:``. The file states ``spec`` alone; the program adds the rest when it reads the file. A promoted run's
    configuration states ``source`` as well, and another source is then refused.

    ``source`` is the hash of what the plug-in's source is (64 bits, hex), part of the config hash; ``path`` where it lies here.
    """

    spec: Annotated[str, Field(pattern=r"^(?:[^\s].*\.py|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)$")] = Field(
        description="a Python file, from the workspace on (plugins/quiet.py), or an installed module (my_package.factors)"
    )
    source: str = ""
    path: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        return {"spec": value} if isinstance(value, str) else value


Plugins = tuple[Plugin, ...]
Settings = Mapping[str, str | float | int | bool]
"""What a broker or source of a plug-in is told by the configuration, by names of its own."""


def named(value: object) -> str | None:
    """The name of a user's part in a value like ``plugin.half_kelly``; None for any other value."""
    text = str(value)
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None
