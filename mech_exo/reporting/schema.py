"""A report's dataclasses as plain values, and the JSON schema of these values: both from the fields and properties of the classes."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any, Union, get_args, get_origin, get_type_hints

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    type(None): {"type": "null"},
}


def plain(value: Any) -> Any:
    """``value`` for JSON: dataclasses with their properties, dates as ISO text, tuples as lists; None stays None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in _names(type(value))}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def schema_of(kind: type, title: str, **more: Any) -> dict[str, Any]:
    """The JSON schema that ``plain`` of a ``kind`` meets, and ``more`` by name beside its own: all are required, no other is allowed."""
    found: dict[str, Any] = {}
    _reference(kind, found)
    top = found[kind.__name__]
    top["properties"] = {name: _schema(hint, found) for name, hint in more.items()} | top["properties"]
    top["required"] = [*more, *top["required"]]
    return {"$schema": DRAFT, "title": title, "$ref": f"#/$defs/{kind.__name__}", "$defs": dict(sorted(found.items()))}


def _names(kind: type) -> tuple[str, ...]:
    return (*(field.name for field in fields(kind)), *(name for name, member in vars(kind).items() if isinstance(member, property)))


def _reference(kind: type, found: dict[str, Any]) -> dict[str, Any]:
    if kind.__name__ not in found:
        found[kind.__name__] = {}  # before its parts: one of them may be of the same kind
        hints = get_type_hints(kind)
        hints |= {name: get_type_hints(member.fget)["return"] for name, member in vars(kind).items() if isinstance(member, property)}
        names = _names(kind)
        about = (kind.__doc__ or "").strip().partition("\n")[0]
        found[kind.__name__] = {
            "description": about,
            "type": "object",
            "properties": {name: _schema(hints[name], found) for name in names},
            "required": list(names),
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _schema(hint: Any, found: dict[str, Any]) -> dict[str, Any]:
    if is_dataclass(hint) and isinstance(hint, type):
        return _reference(hint, found)
    if get_origin(hint) in (Union, types.UnionType):
        return {"anyOf": [_schema(part, found) for part in get_args(hint)]}
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        if len(parts) == 2 and parts[1] is Ellipsis:
            return {"type": "array", "items": _schema(parts[0], found)}
        items = [_schema(part, found) for part in parts]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    return dict(SIMPLE[hint])
