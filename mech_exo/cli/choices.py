"""Options of every command that tries several configurations: ``--set KEY=V1,V2`` and where the work is done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from mech_exo.domain.errors import InputError, cut

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"\s*({NUMBER})\.\.({NUMBER})\s*")
EXAMPLE = "e.g. --set strategy.selection.top=20,30"

SetOption = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=V1,V2",
        help="A key of the configuration and its candidates in YAML; once for each key. LOW..HIGH is a range, for Optuna.",
    ),
]
BackendOption = Annotated[str, typer.Option(help="Where the work is done: serial, threads, processes, ray or dask.")]
WorkersOption = Annotated[int | None, typer.Option(help="At most so many at once; default all processors.")]
AddressOption = Annotated[str | None, typer.Option(help="Of a Ray or Dask cluster, e.g. auto; default one is started here.")]


def grid(words: Sequence[str]) -> dict[str, list[Any] | tuple[float, float]]:
    """``KEY=V1,V2`` words as keys and candidates, in their order; ``KEY=LOW..HIGH`` is a tuple.

    Values are read as in the configuration files: ``null``, ``true``, ``0.1``, ``equal_weight``. Whether a key exists and takes its
    values is for the configuration to say. Raises InputError for a word of another form or a key given twice and ConfigError for
    values that are no YAML.
    """
    from mech_exo.utils.strict_yaml import items

    found: dict[str, list[Any] | tuple[float, float]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip()
        if not (equals and key and text.strip()):
            raise InputError(f"--set takes KEY=V1,V2; got {cut(word)!r}", remedy=EXAMPLE)
        if key in found:
            raise InputError(f"each key is set once; {cut(key)} is set twice", remedy=f"--set {cut(key)}=V1,V2,V3")
        ends = RANGE.fullmatch(text)
        if ends:
            low, high = items(",".join(ends.groups()))
            if not low < high:
                raise InputError(f"a range goes from its lower to its higher end; got {cut(text)}", remedy="e.g. 10..40")
            found[key] = (low, high)
        else:
            found[key] = items(text)
    return found


def as_yaml(value: Any) -> str:
    """A configuration's value as one writes it in YAML."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
