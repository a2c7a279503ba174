"""What a wrong value in a configuration file is told: file, key path, the rule, the value, the allowed range, a suggestion.

The rules are read from the models' own JSON schema, so that a message can never disagree with the check.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Schema = dict[str, Any]
Location = Sequence[str | int]
LARGEST_FRACTION_BOUND = 10.0
PERCENT = 100.0


def explain(path: Path, model: type[BaseModel], error: ValidationError, *, secret: bool = False) -> str:
    """One line per complaint of pydantic about the file ``path`` read as ``model``; a ``secret`` file's values are not quoted."""
    root = model.model_json_schema()
    lines = [_line(root, complaint, secret) for complaint in error.errors(include_url=False)]
    return "\n".join(f"{path}: {line}" for line in dict.fromkeys(lines))


def key_paths(root: Schema, node: Schema | None = None, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Every key of a model's JSON schema with its own schema, depth first, in the order of the model."""
    for name, child in _resolve(root, node or root).get("properties", {}).items():
        here = (*prefix, name)
        yield here, child
        if "properties" in _resolve(root, child):
            yield from key_paths(root, child, here)


def allowed(root: Schema, node: Schema) -> str:
    """The values a key takes, in words: ``a number above 0 and at most 1``."""
    branches = [_resolve(root, branch) for branch in node.get("anyOf", [])]
    if branches:
        words = [allowed(root, branch) for branch in branches if branch.get("type") != "null"]
        return " or ".join(dict.fromkeys(words)) + (", or null" if any(b.get("type") == "null" for b in branches) else "")
    node = _resolve(root, node)
    if "enum" in node:
        return "one of " + ", ".join(map(str, node["enum"]))
    if "const" in node:
        return str(node["const"])
    kind = node.get("type")
    if kind in ("number", "integer"):
        return ("a whole number" if kind == "integer" else "a number") + _range(node)
    if kind == "string":
        if "words" in node:
            return str(node["words"])
        pattern = f" matching {node['pattern']}" if "pattern" in node else ""
        return "a date like 2003-01-02" if node.get("format") == "date" else f"text{pattern}"
    return {"boolean": "true or false", "array": "a list", "object": "a mapping of keys to values"}.get(str(kind), "another value")


def _range(node: Schema) -> str:
    words = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
    both = " and ".join(f"{word} {node[key]:g}" for key, word in words.items() if key in node)
    return f" {both}" if both else ""


def _resolve(root: Schema, node: Schema) -> Schema:
    """``node`` with references followed; of a union, the branch that is not null when there is but one."""
    while "$ref" in node:
        node = root["$defs"][node["$ref"].rsplit("/", 1)[1]]
    if "allOf" in node and len(node["allOf"]) == 1:
        return _resolve(root, node["allOf"][0])
    branches = [branch for branch in node.get("anyOf", []) if branch.get("type") != "null"]
    return _resolve(root, branches[0]) if len(branches) == 1 else node


def _find(root: Schema, location: Location) -> tuple[Schema | None, Schema]:
    """(schema of the key at ``location`` or None, schema of the mapping it stands in)."""
    parent, node = root, root
    for part in location:
        parent = _resolve(root, node)
        properties = parent.get("properties", {})
        child = properties.get(part) or (parent.get("items") if isinstance(part, int) else parent.get("additionalProperties"))
        if not isinstance(child, dict):
            return None, parent
        node = child
    return node, parent


def _line(root: Schema, complaint: Any, secret: bool) -> str:
    location: Location = complaint["loc"]
    kind, value, context = complaint["type"], complaint["input"], complaint.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{_head(location)}{_unknown(root, location)}"
    if kind == "number_wanted" and "key" in context:  # raised for a mapping, meant for one of its values
        location, value = (*location, context["key"]), value[context["key"]]
    node, parent = _find(root, location)
    while node is None and len(location) > 1:  # a branch of a union stands at the end of pydantic's location
        location = location[:-1]
        node, parent = _find(root, location)
    head = _head(location)
    stated = str(context.get("error", "")) if kind == "value_error" else ""
    if node is None or (stated and "properties" in _resolve(root, node)):
        return f"{head}{stated or complaint['msg']}"
    rule = allowed(root, node)
    if kind == "missing":
        return f"{head}must be given: {rule}"
    shown = "a value that is not shown" if secret else _shown(value)
    return f"{head}must be {rule}; got {shown}{_hint(root, node, parent, value)}"


def _head(location: Location) -> str:
    return ".".join(str(part) for part in location) + ": " if location else ""


def _shown(value: object) -> str:
    if value is None:
        return "nothing (null)"
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unknown(root: Schema, location: Location) -> str:
    name = str(location[-1])
    _, parent = _find(root, location)
    elsewhere = [".".join(path) for path, _ in key_paths(root) if path[-1] == name]
    near = elsewhere or difflib.get_close_matches(name, list(parent.get("properties", {})), n=1, cutoff=0.5)
    known = ", ".join(parent.get("properties", {}))
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; the keys here are {known}"


def _hint(root: Schema, node: Schema, parent: Schema, value: object) -> str:
    """Percent where a fraction is meant, a misspelt choice, a number in quotes."""
    node = _resolve(root, node)
    if isinstance(value, str):
        choices = [str(choice) for branch in (node, *node.get("anyOf", [])) for choice in _resolve(root, branch).get("enum", [])]
        near = difflib.get_close_matches(value, choices, n=1, cutoff=0.5)
        if near:
            return f"; did you mean {near[0]}?"
        return " (text: leave out the quotes)" if node.get("type") in ("number", "integer") and _is_number(value) else ""
    if node.get("type") == "string" and not isinstance(value, str) and "format" not in node:
        return " (write texts that look like something else in quotes)"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or node.get("type") != "number" or "properties" not in parent:
        return ""
    upper = node.get("maximum", node.get("exclusiveMaximum"))
    meant = value / PERCENT
    fits = upper is not None and upper <= LARGEST_FRACTION_BOUND and upper <= value and 0 < meant <= upper
    return f" (fractions, not percent: {meant:g} is {value:g} %)" if fits else ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
