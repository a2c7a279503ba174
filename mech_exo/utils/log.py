"""One logger for the whole program, on stderr, that never prints a secret. Libraries log through it too.

Secrets read from the configuration are registered with :func:`redact`, brokerage accounts with :func:`redact_account`. Every record,
everything a command prints (:func:`masked_output`) and every report is searched for them before it is written, so that not even a
library's message can carry one out.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = "mech_exo"
MASK = "********"
SHORTEST_SECRET = 4
SHORT = "%(levelname)s %(name)s: %(message)s"
OTHERS = ("ib_async",)
"""Libraries whose talk is shown with ``debug``: it tells what went over the wire."""
ACCOUNT = re.compile(r"\b(D?[UFI][A-Z]?)\d{2,5}(\d{3})\b")
"""What Interactive Brokers' account ids look like: U1234567, paper DU1234567, advisers' F and I. Logs tell of more than the configured."""

_secrets: dict[str, str] = {}
"""What stands in the place of each registered text."""


class _Redacting(logging.Formatter):
    """Formats a record, traceback included, and masks every registered secret in it."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(mask_accounts(super().format(record)))


def redact(secret: str) -> None:
    """From now on ``secret`` is written as ``********``. Texts under four characters would mask half the language: ignored."""
    if len(secret) >= SHORTEST_SECRET:
        _secrets[secret] = MASK


def redact_account(account: str) -> None:
    """From now on ``account`` is written like ``U…567``. What is no brokerage account ("paper") is ignored."""
    if ACCOUNT.fullmatch(account):
        _secrets[account] = mask_accounts(account)


def mask_accounts(text: str) -> str:
    """``text`` with everything that looks like an account of Interactive Brokers as ``U…567``, registered or not."""
    return ACCOUNT.sub(r"\1…\2", text)


def mask(text: str) -> str:
    """``text`` with every registered secret replaced; longer secrets first, so that none is left half visible."""
    for secret in sorted(_secrets, key=len, reverse=True):
        if secret in text:
            text = _replaced(text, secret)
    return text


def _replaced(text: str, secret: str) -> str:
    """A secret of digits alone is masked where it stands alone: as a part of other numbers it would make figures and scripts unreadable."""
    if not secret.isdecimal():
        return text.replace(secret, _secrets[secret])
    return re.sub(rf"(?<!\w)(?<!\d[.,]){secret}(?!\w|[.,]\d)", _secrets[secret], text)


class _Masked:
    """A text stream that masks what is written to it and is the stream itself in everything else."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(mask(mask_accounts(text)))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def masked_output() -> Iterator[None]:
    """Whatever the block prints on stdout and stderr is masked."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Masked(out), _Masked(err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def get(name: str) -> logging.Logger:
    """The logger ``mech_exo.<name>``; ``name`` may be a module's ``__name__``."""
    return logging.getLogger(name if name == ROOT or name.startswith(f"{ROOT}.") else f"{ROOT}.{name}")


def setup(*, debug: bool = False, file: Path | None = None) -> None:
    """Send warnings (``debug``: everything) to stderr and, when ``file`` is given, everything from INFO to it as well.

    Calling it again replaces the handlers, so that a program that runs two commands does not print twice. Of libraries (:data:`OTHERS`
    and whatever else logs) warnings are shown, with ``debug`` everything of :data:`OTHERS`.
    """
    handlers = [_handler(_Stderr(), logging.DEBUG if debug else logging.WARNING, SHORT)]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_handler(logging.FileHandler(file, encoding="utf-8"), logging.INFO, f"%(asctime)s {SHORT}"))
    own = logging.getLogger(ROOT)
    own.setLevel(logging.DEBUG if debug else logging.INFO)
    own.propagate = False
    for name in OTHERS:
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.WARNING)
    for logger in (own, logging.getLogger()):
        _replace(logger, handlers)


class _Stderr(logging.StreamHandler[Any]):
    """Writes to what is ``sys.stderr`` at that moment: a command's is not the one it was set up with."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


def _replace(logger: logging.Logger, handlers: list[logging.Handler]) -> None:
    for handler in logger.handlers[:]:
        if isinstance(handler.formatter, _Redacting):
            logger.removeHandler(handler)
            handler.close()
    for handler in handlers:
        logger.addHandler(handler)


def _handler(handler: logging.Handler, level: int, layout: str) -> logging.Handler:
    handler.setLevel(level)
    handler.setFormatter(_Redacting(layout))
    return handler
