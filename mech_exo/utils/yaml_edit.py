"""Changing single values of a YAML file as a person would: everything else stays as it was, comments included."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mech_exo.domain.errors import ConfigError

LINE = r"(?P<key>{indent}{name}:)(?P<gap>[ \t]*)(?P<value>[^#\n]*?)(?P<rest>[ \t]*(?:#[^\n]*)?\n?)"


def with_values(text: str, section: str, values: Mapping[str, str]) -> str:
    """``text`` with the scalars ``values`` (key to YAML) of the top-level mapping ``section`` in place of those it has.

    A key that is not there is added at the section's end, a section that is not there at the file's. A comment behind a value keeps its
    column where there is room. Raises ConfigError for a section that is not written one key a line.
    """
    lines = text.splitlines(keepends=True)
    head = next((n for n, line in enumerate(lines) if re.match(rf"{section}:", line)), None)
    if head is None:
        ending = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{ending}\n{section}:\n" + "".join(f"  {key}: {value}\n" for key, value in values.items())
    if not re.fullmatch(rf"{section}:[ \t]*(#[^\n]*)?\n?", lines[head]):
        raise ConfigError(f"{section}: must be written one key a line to be changed by a program", remedy="change it by hand")
    end = next((n for n in range(head + 1, len(lines)) if re.match(r"[^\s#]", lines[n])), len(lines))
    last = max((n for n in range(head + 1, end) if lines[n].strip() and not lines[n].lstrip().startswith("#")), default=head)
    indent = re.match(r"[ \t]*", lines[last])[0] if last > head else "  "  # type: ignore[index]
    added = ""
    for key, value in values.items():
        pattern = re.compile(LINE.format(indent=re.escape(indent), name=re.escape(key)))
        found = next(((n, match) for n in range(head + 1, end) if (match := pattern.fullmatch(lines[n]))), None)
        if found is None:
            added += f"{indent}{key}: {value}\n"
        else:
            lines[found[0]] = _replaced(found[1], value)
    if added:
        lines[last] = lines[last].rstrip("\n") + "\n" + added
    return "".join(lines)


def with_key(text: str, key: str, value: str) -> str:
    """``text`` with the scalar ``value`` (YAML) for the top-level ``key``, which is added at the end where it is not there.

    Raises ConfigError for a key that is a mapping or written over several lines.
    """
    lines = text.splitlines(keepends=True)
    place = next((n for n, line in enumerate(lines) if re.match(rf"{re.escape(key)}[ \t]*:", line)), None)
    if place is None:
        ending = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{ending}{key}: {value}\n"
    found = re.fullmatch(LINE.format(indent="", name=re.escape(key)), lines[place])
    if found is None or any(re.match(r"[ \t]+[^\s#]", line) for line in lines[place + 1 : place + 2]):
        raise ConfigError(f"{key}: must be one line to be changed by a program", remedy="change it by hand")
    lines[place] = _replaced(found, value)
    return "".join(lines)


def _replaced(found: re.Match[str], value: str) -> str:
    rest, before = found["rest"], len(found["value"])
    if "#" in rest:
        gap = len(rest) - len(rest.lstrip(" \t")) + before - len(value)
        rest = " " * max(1, gap) + rest.lstrip(" \t")
    return f"{found['key']}{found['gap'] or ' '}{value}{rest}"
