"""What commands print: JSON alone on stdout with ``--json``, Rich otherwise; notices and progress on stderr."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 120
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")]


@functools.cache
def console() -> Console:
    """Rich on stderr: notices and progress bars. Never disturbs ``--json`` or a pipe."""
    from rich.console import Console

    return Console(stderr=True)


def paper() -> Console:
    """Rich on stdout, for tables a person reads. Made anew each time: stdout may have been redirected since."""
    import sys

    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)


def emit(data: object, as_json: bool, render: Callable[[Console], None]) -> None:
    """Print ``data`` as one JSON document, or let ``render`` draw it for a person.

    Parameters
    ----------
    data
        Mappings, sequences, dataclasses, dates, enums, paths, NumPy scalars and arrays, Polars frames (as a list of rows). NaN and
        the infinities become null: unknown is null, never 0.
    as_json
        The command's ``--json``.
    render
        Draws on the console of stdout; called without ``--json`` only.
    """
    if as_json:
        typer.echo(json.dumps(plain(data), indent=2, allow_nan=False, ensure_ascii=False))
    else:
        render(paper())


def plain(value: object) -> Any:
    """``value`` as JSON knows it: see :func:`emit`. Raises TypeError for anything else."""
    if value is None or (isinstance(value, (bool, int)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    return _foreign(value)


def _foreign(value: object) -> Any:
    """NumPy and Polars, recognised without importing either."""
    for method in ("to_dicts", "tolist", "item"):
        convert = getattr(value, method, None)
        if callable(convert):
            return plain(convert())
    raise TypeError(f"{type(value).__name__} has no JSON form")
