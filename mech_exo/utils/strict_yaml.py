"""YAML as configuration wants it: plain values only, every key once, and every complaint with its line.

Not read: tags (``!!python/...``), anchors and aliases, and YAML 1.1's surprises (``no`` and ``on`` stay text, so that the
tickers NO and ON survive; ``010``, ``1:30`` and dates are text, which a model may read; ``5e6`` is a number).
"""

from __future__ import annotations

import copy
import functools
import re
from pathlib import Path
from typing import Any

import yaml

from mech_exo.domain.errors import ConfigError, cut

PLAIN = (
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9_]*)$", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"^(?:[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?)|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+0123456789."),
    ),
)
STANDARD_TAG = "tag:yaml.org,2002:"


class _Refused(yaml.constructor.ConstructorError):
    """Well-formed YAML that configuration does not accept."""


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases, tags, doubled keys and YAML 1.1's readings of plain words."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own pattern

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused(None, None, "anchors and aliases (& and *) are not read: write the value out", event.start_mark)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _Refused(None, None, f"YAML tags are not read; got {tag.replace(STANDARD_TAG, '!!')}", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused(None, None, "a key must be one word", key.start_mark)
            line = key.start_mark.line + 1
            if key.value in seen:
                rule = f"the key {key.value} must stand once; it stands on line {seen[key.value]} already"
                raise _Refused(None, None, rule, key.start_mark)
            seen[key.value] = line
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


for _tag, _pattern, _first in PLAIN:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


def read(path: Path, *, secret: bool = False) -> dict[str, Any]:
    """The mapping in the YAML file ``path``; keys are text.

    ``secret`` files are never quoted in a message.

    Raises
    ------
    ConfigError
        The file cannot be read, is empty, is no mapping, names a key twice, or uses tags, anchors or aliases.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: must be UTF-8 text; byte {error.start} is not") from None
    except OSError as error:
        raise ConfigError(f"{path}: must be readable; {error.strerror}") from None
    try:
        document = _parsed(text) if secret else copy.deepcopy(_seen(text))
    except yaml.YAMLError as error:
        raise ConfigError(_complaint(path, error, secret)) from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None
    if document is None:
        remedy = f"delete it and run: exo init --missing {path.parent.parent}"
        raise ConfigError(f"{path}: must hold keys; the file is empty", remedy=remedy)
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a mapping of keys to values; got a {'list' if isinstance(document, list) else 'single value'}")
    return document


def _parsed(text: str) -> Any:
    """The document in ``text``."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader made stricter


_seen = functools.lru_cache(maxsize=64)(_parsed)
"""As ``_parsed``, once for each text: a night opens its workspace six times, and PyYAML takes 40 ms for eight files. Never of a secret."""


def items(text: str) -> list[Any]:
    """``text`` as the inside of a YAML list, for the command line: ``10, 20`` or ``null, 0.1`` or ``equal_weight``.

    Raises ConfigError when that is no plain YAML.
    """
    try:
        found = _parsed(f"[{text}]")
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "unreadable"
        raise ConfigError(f"values must be plain YAML; {cut(text)!r}: {problem}", remedy="e.g. 10,20,30 or null,0.1") from None
    return list(found)


def _complaint(path: Path, error: yaml.YAMLError, secret: bool) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"{path}: line {mark.line + 1}" if mark is not None else str(path)
    if isinstance(error, _Refused):
        return f"{where}: {error.problem}"
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    line = mark.buffer.splitlines() if mark is not None and isinstance(mark.buffer, str) else []
    quoted = "" if secret or mark is None or mark.line >= len(line) else f" in {line[mark.line].strip()!r}"
    return f"{where}: must be valid YAML; {problem}{quoted}"
