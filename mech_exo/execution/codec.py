"""Canonical JSON of frozen rows, and back: the same row always gives the same bytes, and the same floats to the last bit.

Keys are sorted, no spaces, dates in ISO form, floats by ``repr`` (shortest text that reads back exactly), NaN as null.
An infinite figure is never a fact about money: it is refused.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import types
from collections.abc import Callable
from datetime import date, datetime
from enum import Enum
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from mech_exo.domain.errors import LedgerError

Row = TypeVar("Row")
GENESIS = "0" * 64
"""Hash before the first row of a chain."""
OTHER_VERSION = (
    "run the version that wrote it (its `exo ledger backup` copies and verifies the ledger); or keep a copy of the files data/ledger.* "
    "and begin a new book: name another strategy in config/strategy.yml"
)
"""Not this version's own backup: that reads every row of its copy and stops at the same one."""


def encode(row: object) -> str:
    """``row`` (a frozen dataclass) as canonical JSON. Raises LedgerError for an infinite number or an unknown type."""
    return json.dumps(_plain(row), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def decode(kind: type[Row], text: str) -> Row:
    """The row of class ``kind`` that :func:`encode` wrote; a field it did not have then takes its default.

    Raises LedgerError when the text does not fit the class; a field that is lacking and has no default means another version wrote it.
    """
    try:
        return cast(Row, _typed(kind, json.loads(text)))
    except KeyError as error:
        raise LedgerError(
            f"a journal row must have every field of {kind.__name__}; this one lacks {error}: another version of this program wrote it",
            remedy=OTHER_VERSION,
        ) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise LedgerError(f"a journal row must read as {kind.__name__}; {error}") from error


def link(previous: str, seq: int, at: str, kind: str, key: str, body: str) -> str:
    """SHA-256 (hex) that chains a journal row to its predecessor; every field is framed by its length."""
    digest = hashlib.sha256()
    for field in (previous, str(seq), at, kind, key, body):
        data = field.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    kind = type(value)  # the commonest first: a sweep journals half a million figures
    if kind is float:
        return _number(value)
    if kind is str or value is None:
        return value
    if kind is tuple:
        return [_plain(item) for item in value]
    names = _names(cast(type, kind))
    if names:
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, (bool, int)) and not isinstance(value, Enum):
        return value
    return _rare(value)


def _rare(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode()
    raise LedgerError(f"a ledger row holds numbers, text, dates and rows; got {type(value).__name__}")


def _number(value: float) -> float | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise LedgerError(f"a figure in the ledger must be finite or unknown; got {value}")
    return value


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()


@functools.cache
def _optional(kind: type) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING)


@functools.cache
def _parts(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    """Name, type and whether it may be lacking, of every field."""
    names, hints = _names(kind), get_type_hints(kind)
    return tuple((name, hints[name], name in _optional(kind)) for name in names)


@functools.cache
def _shape(hint: Any) -> tuple[Any, Any]:
    """What a generic type is made of, None for a plain one; and the type inside, None beside it left out."""
    origin = get_origin(hint)
    inner = next((part for part in get_args(hint) if part is not type(None)), None)
    return (types.UnionType if origin is Union else origin), inner


def _typed(hint: Any, value: Any) -> Any:
    return _reader(hint)(value)


@functools.cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """What makes a value of type ``hint`` of its JSON; made once for each type, for a journal has millions of values."""
    if hint is float:
        return _float
    if hint is int or hint is str or hint is bool:
        return functools.partial(_exactly, hint)
    origin, inner = _shape(hint)
    if origin is types.UnionType:
        some = _reader(inner)
        return lambda value: None if value is None else some(value)
    if origin is tuple:
        each = _reader(inner)
        return lambda value: tuple([each(item) for item in value])
    if hint is datetime or hint is date:
        return cast(Callable[[Any], Any], hint.fromisoformat)
    if hint is bytes:
        return str.encode
    if issubclass(hint, Enum):
        return functools.partial(_member, hint, {one.value: one for one in hint})
    return functools.partial(_row, hint, tuple((name, _reader(part), optional) for name, part, optional in _parts(hint)))


def _float(value: Any) -> float:
    return value if type(value) is float else math.nan if value is None else float(value)


def _exactly(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"wanted {kind.__name__}, got {value!r}")
    return value


def _member(kind: type[Enum], known: dict[Any, Enum], value: Any) -> Enum:
    found = known.get(value)
    return kind(value) if found is None else found


def _row(kind: Any, parts: tuple[tuple[str, Callable[[Any], Any], bool], ...], value: Any) -> Any:
    """A row written before a field existed lacks it."""
    return kind(**{name: read(value[name]) for name, read, optional in parts if not optional or name in value})
