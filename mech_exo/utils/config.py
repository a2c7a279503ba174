"""The configuration of one workspace: YAML files in, one frozen :class:`~mech_exo.utils.settings.Config` out.

``<home>/config`` holds ``strategy.yml``, ``risk_limits.yml``, ``factors.yml``, ``data.yml``, ``research.yml``, ``broker.yml``,
``alerts.yml``, ``dashboard.yml`` and ``api_keys.yml``, the last overridden key by key by ``api_keys_local.yml``, which only its
owner may read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from mech_exo.domain.errors import ConfigError
from mech_exo.utils import config_swap, log, plugin_files
from mech_exo.utils.alert_settings import AlertsConfig
from mech_exo.utils.broker_settings import BrokerConfig
from mech_exo.utils.config_errors import explain
from mech_exo.utils.dashboard_settings import DashboardConfig
from mech_exo.utils.plugin_settings import Plugins, named
from mech_exo.utils.research_settings import ResearchConfig
from mech_exo.utils.settings import ApiKeys, Config, DataConfig, FactorsConfig, RiskLimits, StrategyConfig
from mech_exo.utils.strict_yaml import read

FILES: dict[str, tuple[str, type[BaseModel]]] = {
    "strategy": ("strategy.yml", StrategyConfig),
    "risk": ("risk_limits.yml", RiskLimits),
    "factors": ("factors.yml", FactorsConfig),
    "data": ("data.yml", DataConfig),
    "research": ("research.yml", ResearchConfig),
    "broker": ("broker.yml", BrokerConfig),
    "alerts": ("alerts.yml", AlertsConfig),
    "dashboard": ("dashboard.yml", DashboardConfig),
}
NEWER = {"research", "broker", "alerts", "dashboard"}
"""Files a workspace made before them lacks: absent means every default."""
NOT_DECIDING = {"keys", "research", "broker", "alerts", "dashboard"}
"""Parts that change no decision: not hashed, not recorded with one."""
KEYS_FILE = "api_keys.yml"
LOCAL_KEYS_FILE = "api_keys_local.yml"
OTHERS_BITS = stat.S_IRWXG | stat.S_IRWXO

M = TypeVar("M", bound=BaseModel)
_told: set[Path] = set()

PLUGINS = "plugins"
Used = Callable[[Any], Sequence[str]]
FAMILIES = ("fundamental", "technical", "sentiment", "quality")
PLUGGED: dict[str, tuple[str, Used]] = {
    "factors": ("factors", lambda part: [name for family in FAMILIES for name in getattr(part, family)]),
    "risk": ("limits", lambda part: list(part.plugin_limits)),
    "strategy": ("sizing", lambda part: _named(part.sizing.method)),
    "broker": ("brokers", lambda part: _named(part.kind)),
    "data": ("sources", lambda part: _named(part.sources.bars, *part.sources.fundamentals, *part.sources.news)),
}
"""Parts that take plug-ins: the group of their entry points, and the names a configuration uses."""


def _named(*values: object) -> list[str]:
    return [name for name in map(named, values) if name is not None]


def load(home: Path, *, mend: bool = True) -> Config:
    """The effective configuration of the workspace ``home``.

    Side effects, unless ``mend`` is False: a change of several files that was decided is finished, and ``api_keys_local.yml`` is tightened
    to mode 0600 with one notice on stderr. In any case every secret is registered with :func:`mech_exo.utils.log.redact`.

    Raises
    ------
    ConfigError
        A file is missing, unreadable, no plain YAML mapping, or holds an unknown key or a value outside its range. Every complaint
        names the file, the key path, the rule, the value and the allowed range.
    """
    folder = home / "config"
    if not folder.is_dir():
        remedy = f"exo init {home}   (or choose a workspace with --home or EXO_HOME)"
        raise ConfigError(f"a workspace must hold the folder config; {folder} does not exist", remedy=remedy)
    while True:  # until nothing was replaced under our eyes: one configuration, never halves of two
        if mend:
            config_swap.settle(folder)
        before = config_swap.state(folder)
        try:
            config = _read(folder, home, mend=mend)
        except ConfigError:
            if config_swap.state(folder) == before:
                raise
            continue
        if config_swap.state(folder) == before:
            return config


def _read(folder: Path, home: Path, *, mend: bool = True) -> Config:
    parts: dict[str, BaseModel] = {}
    mistakes: list[ConfigError] = []
    readers: dict[str, Callable[[], BaseModel]] = {"keys": partial(_keys, folder, mend=mend)}
    readers.update({name: partial(_settled, name, folder / file, model, home) for name, (file, model) in FILES.items()})
    for name, reader in readers.items():
        try:
            parts[name] = reader()
        except ConfigError as error:  # all files are read, so that every mistake is told at once
            mistakes.append(error)
    if mistakes:
        remedies = dict.fromkeys(error.remedy for error in mistakes if error.remedy)
        raise ConfigError("\n".join(error.message for error in mistakes), remedy="\n  → ".join(remedies) or None)
    return Config.model_validate(parts)


def with_files(home: Path, files: Mapping[str, bytes]) -> Config:
    """What the configuration of ``home`` would be with ``files`` (name to contents) in place of its own. Raises ConfigError."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "config"
        shutil.copytree(home / "config", folder, ignore=shutil.ignore_patterns(".*"))
        for name, contents in files.items():
            (folder / name).write_bytes(contents)
        return _read(folder, home)


def config_hash(config: Config) -> str:
    """Hash of what decides: 64 bits as 16 hex digits of SHA-256 over JSON with sorted keys and floats by ``repr``."""
    text = json.dumps(deciding(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def deciding(config: Config) -> dict[str, Any]:
    """The configuration as plain JSON values without the parts that change no decision.

    Of a plug-in, its source decides and not where it lies. Where there is none, nothing is said of plug-ins, so that a configuration
    without any hashes as it did before there were any.
    """
    body: dict[str, Any] = config.model_dump(mode="json", exclude=NOT_DECIDING)
    plugged = [body[name] for name in PLUGGED if name in body]
    for part in plugged:
        part["plugins"] = [{"spec": plugin["spec"], "source": plugin["source"]} for plugin in part["plugins"]]
    unused = [(part, "plugins") for part in plugged] + [
        (body["risk"], "plugin_limits"), (body["strategy"]["sizing"], "params"), (body["data"]["sources"], "settings"),
    ]  # fmt: skip
    for part, key in unused:
        if not part[key]:
            del part[key]
    return body


def effective(config: Config) -> str:
    """The whole configuration as YAML, every default spelt out, in the order of the models; secrets masked, empty ones empty."""
    return yaml.safe_dump(masked(config), sort_keys=False, allow_unicode=True, width=120)


def masked(config: Config) -> dict[str, Any]:
    """The configuration as plain JSON values with secrets as ``********`` (empty where not set)."""
    values = config.model_dump(mode="json")
    values["keys"] = _masked(config.keys)
    return values


def validated(path: Path, model: type[M], values: Mapping[str, Any], *, secret: bool = False) -> M:
    """``values`` of the file ``path`` as ``model``. Raises ConfigError."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(explain(path, model, error, secret=secret)) from None


def _settled(name: str, path: Path, model: type[M], home: Path) -> M:
    """The file of part ``name`` with its plug-ins settled: their sources hashed, and the installed ones that it uses added."""
    read_from = _file(path, model, name in NEWER)
    if name not in PLUGGED:
        return read_from
    group, used = PLUGGED[name]
    try:
        lines: Plugins = getattr(read_from, PLUGINS)
        plugins = plugin_files.with_installed(lines, group, used(read_from), home)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", remedy=error.remedy) from None
    plugin_files.remember(plugins)
    return read_from.model_copy(update={PLUGINS: plugins}) if plugins else read_from


def _file(path: Path, model: type[M], newer: bool = False) -> M:
    if newer and not path.exists():
        return model()
    if not path.exists():
        remedy = f"exo init --missing {path.parent.parent}"
        raise ConfigError(f"a workspace must hold config/{path.name}; {path} does not exist", remedy=remedy)
    return validated(path, model, read(path))


def _keys(folder: Path, *, mend: bool) -> ApiKeys:
    """Both key files, each checked by itself so that a complaint names the right one. Neither has to exist."""
    merged: dict[str, Any] = {}
    for path in (folder / KEYS_FILE, folder / LOCAL_KEYS_FILE):
        if not path.exists():
            continue
        if mend and path.name == LOCAL_KEYS_FILE:
            _tighten(path)
        values = read(path, secret=True)
        validated(path, ApiKeys, values, secret=True)
        merged = _over(merged, values)
    keys = ApiKeys.model_validate(merged)
    for secret in _secrets(keys):
        log.redact(secret)
    log.redact_account(keys.ib_account.get_secret_value())
    return keys


def secrets_in(path: Path) -> bool:
    """Whether a file of keys holds a secret. Raises ConfigError for one that cannot be read."""
    return any(_secrets(validated(path, ApiKeys, read(path, secret=True), secret=True)))


def _over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``, key by key at every depth."""
    result = dict(below)
    for key, value in above.items():
        result[key] = _over(result[key], value) if isinstance(value, Mapping) and isinstance(result.get(key), dict) else value
    return result


def _tighten(path: Path) -> None:
    """Take the file of keys away from everybody but its owner."""
    if os.name != "posix" or path in _told or not path.stat().st_mode & OTHERS_BITS:
        return
    try:
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        notice = f"{path}: others could read these keys; its mode is 0600 now"
    except OSError as error:
        notice = f"{path}: others can read these keys and the mode could not be set to 0600 ({error.strerror})"
    _told.add(path)
    print(notice, file=sys.stderr)


def _secrets(model: BaseModel) -> Iterator[str]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from _secrets(value)
        elif isinstance(value, dict):
            yield from (secret.get_secret_value() for secret in value.values())


def _masked(model: BaseModel) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            result[name] = _masked(value)
        elif isinstance(value, SecretStr):
            result[name] = _mask_of(value)
        elif isinstance(value, dict):
            result[name] = {key: _mask_of(secret) for key, secret in value.items()}
        else:
            result[name] = value
    return result


def _mask_of(secret: SecretStr) -> str:
    return log.MASK if secret.get_secret_value() else ""
