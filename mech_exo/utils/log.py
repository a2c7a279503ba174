"""One logger for the whole program, on stderr, that never prints a secret.

Secrets read from the configuration are registered with :func:`redact`; every record is searched for them before it is
written, so that not even a library's message can carry one out.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

ROOT = "mech_exo"
MASK = "********"
SHORTEST_SECRET = 4

_secrets: set[str] = set()


class _Redacting(logging.Formatter):
    """Formats a record, traceback included, and masks every registered secret in it."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


def redact(secret: str) -> None:
    """From now on ``secret`` is written as ``********``. Texts under four characters would mask half the language: ignored."""
    if len(secret) >= SHORTEST_SECRET:
        _secrets.add(secret)


def mask(text: str) -> str:
    """``text`` with every registered secret replaced; longer secrets first, so that none is left half visible."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def get(name: str) -> logging.Logger:
    """The logger ``mech_exo.<name>``; ``name`` may be a module's ``__name__``."""
    return logging.getLogger(name if name == ROOT or name.startswith(f"{ROOT}.") else f"{ROOT}.{name}")


def setup(*, debug: bool = False, file: Path | None = None) -> None:
    """Send warnings (``debug``: everything) to stderr and, when ``file`` is given, everything from INFO to it as well.

    Calling it again replaces the handlers, so that a program that runs two commands does not print twice.
    """
    root = logging.getLogger(ROOT)
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    root.propagate = False
    _add(root, logging.StreamHandler(sys.stderr), logging.DEBUG if debug else logging.WARNING, "%(levelname)s %(name)s: %(message)s")
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        _add(root, logging.FileHandler(file, encoding="utf-8"), logging.INFO, "%(asctime)s %(levelname)s %(name)s: %(message)s")


def _add(root: logging.Logger, handler: logging.Handler, level: int, layout: str) -> None:
    handler.setLevel(level)
    handler.setFormatter(_Redacting(layout))
    root.addHandler(handler)
