"""What stands about the user's plug-ins: which parts they declare, whether those obey their laws, and which of them are in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import MechExoError
from mech_exo.utils.plugin_files import Part, installed, settled
from mech_exo.utils.plugin_settings import PREFIX, Plugin, Plugins
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


@dataclass(frozen=True, slots=True)
class Listed:
    """A part of a plug-in: its ``plugin`` with the hash of its ``source``, and how the configuration uses it ("" = it does not)."""

    kind: str
    part: str
    plugin: str
    source: str
    used: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of parts: where the configuration names its plug-ins, what they declare, what the laws say, how a part is used."""

    name: str
    group: str
    plugins: Callable[[Config], Plugins]
    declared: Callable[[Plugins], Mapping[str, Part[Any]]]
    verdicts: Callable[[Config, Part[Any]], Verdicts]
    used: Callable[[Config, Part[Any]], str]


def check(home: Path) -> tuple[Finding, ...]:
    """Every law of every part that the configuration of the workspace ``home`` names; () where it names no plug-in.

    Verdicts are kept by source: what has not changed since it was found lawful is not tried again. Never raises for what is wrong with a
    plug-in; what is wrong with the configuration besides is none of it, and raises ConfigError.
    """
    from mech_exo.utils.config import load

    return findings(load(home))


def findings(config: Config) -> tuple[Finding, ...]:
    """:func:`check` for a configuration that was loaded."""
    return tuple(finding for kind in _kinds() for finding in _findings(kind, config))


def listed(config: Config, home: Path) -> tuple[Listed, ...]:
    """Every part of the plug-ins that ``config`` names, and of installed ones that it could. Raises what is wrong with one."""
    found: list[Listed] = []
    for kind in _kinds():
        named_here = kind.plugins(config)
        specs = {plugin.spec for plugin in named_here}
        more = sorted(set(installed(kind.group).values()) - specs)
        parts = kind.declared((*named_here, *(settled(Plugin(spec=spec), home) for spec in more))).values()
        own = ((part, part.plugin) for part in parts if part.plugin is not None)
        found += [Listed(kind.name, part.what.name, plugin.spec, plugin.source, kind.used(config, part)) for part, plugin in own]
    return tuple(found)


def _findings(kind: _Kind, config: Config) -> Iterator[Finding]:
    for plugin in kind.plugins(config):
        try:
            found = [part for part in kind.declared((plugin,)).values() if part.plugin is not None]
            kind.declared(kind.plugins(config))  # together they may take each other's names
        except MechExoError as error:
            yield Finding(plugin.spec, plugin.source, kind.name, "", "it can be imported", error.message, error.remedy or "")
            continue
        if not found:
            law, broken = f"it declares a {kind.name}", f"no {kind.name} is among the names of {plugin.spec}"
            yield Finding(plugin.spec, plugin.source, kind.name, "", law, broken, "assign it to a name at the file's top level")
        for part in found:
            yield from _judged(kind, config, plugin, part)


def _judged(kind: _Kind, config: Config, plugin: Plugin, part: Part[Any]) -> Iterator[Finding]:
    name = part.what.name
    try:
        verdicts = kind.verdicts(config, part)
    except MechExoError as error:
        yield Finding(plugin.spec, plugin.source, kind.name, name, "it is configured as it asks", error.message, error.remedy or "")
        return
    for verdict in verdicts:
        remedy = "" if verdict.holds else f"correct {plugin.spec}, then: exo plugins check"
        yield Finding(plugin.spec, plugin.source, kind.name, name, verdict.law, verdict.broken, remedy)


def _kinds() -> tuple[_Kind, ...]:
    from mech_exo.datasource import own as sources
    from mech_exo.execution import own as brokers
    from mech_exo.risk import own as limits
    from mech_exo.scoring.factors import REGISTRY
    from mech_exo.scoring.factors import own as factors
    from mech_exo.sizing import own as sizing

    return (
        _Kind("factor", "factors", _factor_plugins, lambda p: factors.declared(p, REGISTRY), lambda _, x: factors.verdicts(x), _weight),
        _Kind("limit", "limits", lambda c: c.risk.plugins, limits.declared, _of_limit, _figure),
        _Kind("sizing", "sizing", lambda c: c.strategy.plugins, sizing.declared, _of_sizing, _sizes),
        _Kind("broker", "brokers", lambda c: c.broker.plugins, brokers.declared, lambda _, x: brokers.broker_verdicts(x), _fills),
        _Kind("source", "sources", lambda c: c.data.plugins, sources.declared, lambda _, x: sources.source_verdicts(x), _asked),
    )


def _of_limit(config: Config, part: Part[Any]) -> Verdicts:
    from mech_exo.risk.own import SetLimit
    from mech_exo.risk.own_laws import limit_verdicts

    figure = config.risk.limits_of_plugins.get(part.what.name)
    return limit_verdicts(SetLimit(part, part.what.example if figure is None else figure))


def _of_sizing(config: Config, part: Part[Any]) -> Verdicts:
    from mech_exo.sizing.own import SetSizing
    from mech_exo.sizing.own_laws import sizing_verdicts

    given = config.strategy.sizing.params if config.strategy.sizing.method == PREFIX + part.what.name else {}
    return sizing_verdicts(SetSizing(part, {**part.what.params, **given}))


def _weight(config: Config, part: Part[Any]) -> str:
    weight = config.factors.weights().get(part.what.name)
    return "" if weight is None else f"weight {weight.weight:g}"


def _figure(config: Config, part: Part[Any]) -> str:
    figure = config.risk.limits_of_plugins.get(part.what.name)
    return "" if figure is None else f"at {figure:g} {part.what.unit}"


def _sizes(config: Config, part: Part[Any]) -> str:
    return "sizes" if config.strategy.sizing.method == PREFIX + part.what.name else ""


def _fills(config: Config, part: Part[Any]) -> str:
    return f"fills for {config.broker.account}" if config.broker.kind == PREFIX + part.what.name else ""


def _asked(config: Config, part: Part[Any]) -> str:
    chosen = config.data.sources
    names = {"bars": (chosen.bars,), "fundamentals": chosen.fundamentals, "news": chosen.news}[part.what.kind.value]
    return f"asked for {part.what.kind}" if PREFIX + part.what.name in names else ""


def _factor_plugins(config: Config) -> Plugins:
    return config.factors.plugins
