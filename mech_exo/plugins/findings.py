"""What stands about the user's plug-ins: which parts they declare, whether those obey their laws, and which of them are in use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.domain.errors import ConfigError, PluginError
from mech_exo.utils.plugin_files import Part
from mech_exo.utils.plugin_verdicts import Verdicts

if TYPE_CHECKING:
    from mech_exo.utils.settings import Config


@dataclass(frozen=True, slots=True)
class Finding:
    """One law of one part, or that a plug-in could not be read at all (``part`` "" then).

    ``kind`` is factor, limit, sizing, broker or source; ``broken`` says how the law was broken, "" = it holds; ``remedy`` what to do.
    """

    plugin: str
    source: str
    kind: str
    part: str
    law: str
    broken: str = ""
    remedy: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.broken


def check(home: Path) -> tuple[Finding, ...]:
    """Every law of every part that the configuration of the workspace ``home`` may use; () where it names no plug-in.

    Verdicts are kept by source: what has not changed since it was found lawful is not tried again. Never raises for what is wrong with a
    plug-in; what is wrong with the configuration besides is none of it, and raises ConfigError.
    """
    from mech_exo.utils.config import load

    return findings(load(home))


def findings(config: Config) -> tuple[Finding, ...]:
    """:func:`check` for a configuration that was loaded."""
    return tuple(_factors(config))


def _factors(config: Config) -> Iterator[Finding]:
    from mech_exo.scoring.factors import REGISTRY
    from mech_exo.scoring.factors.own import declared, verdicts

    for plugin in config.factors.plugins:
        try:
            found = declared((plugin,), REGISTRY)
        except (ConfigError, PluginError) as error:
            yield Finding(plugin.spec, plugin.source, "factor", "", "it can be imported", error.message, error.remedy or "")
            continue
        for part in found.values():
            if part.plugin is not None:
                yield from _judged("factor", part.what.name, part, verdicts(part))


def _judged(kind: str, name: str, part: Part[object], said: Verdicts) -> Iterator[Finding]:
    assert part.plugin is not None
    for verdict in said:
        remedy = "" if verdict.holds else f"correct {part.plugin.spec}, then: exo plugins check"
        yield Finding(part.plugin.spec, part.plugin.source, kind, name, verdict.law, verdict.broken, remedy)
