"""Where orders go, as a command says it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from mech_exo.domain.errors import InputError
from mech_exo.utils.broker_settings import BrokerKind


class Mode(StrEnum):
    """Whether real money moves."""

    PAPER = "paper"
    LIVE = "live"


Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Route:
    """Where orders go. ``broker`` None: as ``broker.yml`` says; ``mode`` None: as the account is; ``typed``: the account typed by hand."""

    mode: Mode | None = None
    broker: BrokerKind | None = None
    typed: str = ""

    @classmethod
    def of(cls, mode: str | None, broker: str | None, typed: str | None = None) -> Route:
        """From the words of a command. Raises InputError for a word there is none of."""
        return cls(_one_of(Mode, "--mode", mode), _one_of(BrokerKind, "--broker", broker), typed or "")


def _one_of(kind: type[Word], option: str, said: str | None) -> Word | None:
    if said is None:
        return None
    try:
        return kind(said)
    except ValueError:
        words = " or ".join(kind)
        raise InputError(f"{option} must be {words}; got {said!r}", remedy=f"use {option} {next(iter(kind))}") from None


CONFIGURED = Route()
"""As the configuration says."""
