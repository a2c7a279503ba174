"""The words of ``exo doctor``: a patient, a check, an answer, a finding."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from mech_exo.utils.settings import Config

T = TypeVar("T")


def _clocks() -> tuple[float, float]:
    return time.time(), time.monotonic()


class State(StrEnum):
    """How a check came out. Unknown is not ok: nothing is known."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNKNOWN = "unknown"


class Needs(StrEnum):
    """What a check cannot be made without; where it is missing the answer is unknown."""

    NOTHING = "nothing"
    WORKSPACE = "a workspace"
    CONFIG = "a configuration that can be read"


class Answer(NamedTuple):
    """What a check saw, and the command that mends it ("" where none is needed, or none can)."""

    state: State
    value: str
    remedy: str = ""


def ok(value: str) -> Answer:
    """The rule is kept."""
    return Answer(State.OK, value)


def warning(value: str, remedy: str = "") -> Answer:
    """The rule is broken, and a night still works."""
    return Answer(State.WARNING, value, remedy)


def fault(value: str, remedy: str = "") -> Answer:
    """The rule is broken, and a night cannot be trusted."""
    return Answer(State.FAULT, value, remedy)


def unknown(value: str, remedy: str = "") -> Answer:
    """Nothing can be said."""
    return Answer(State.UNKNOWN, value, remedy)


@dataclass(frozen=True)
class Patient:
    """What is looked at. ``now`` is UTC; ``offline``: the network is left alone."""

    home: Path
    now: datetime
    offline: bool = False
    started: tuple[float, float] = field(default_factory=_clocks)

    @property
    def is_workspace(self) -> bool:
        """Whether the home holds a configuration folder."""
        return (self.home / "config").is_dir()

    @functools.cached_property
    def config(self) -> Config:
        """The configuration, read without mending anything. Raises ConfigError."""
        from mech_exo.utils.config import load

        return load(self.home, mend=False)

    def stepped(self) -> float:
        """Seconds by which the wall clock moved more than the monotonic one since the examination began."""
        wall, steady = _clocks()
        return (wall - self.started[0]) - (steady - self.started[1])

    def exo(self, words: str) -> str:
        """``exo`` with ``words`` for this home, as it is typed."""
        from mech_exo.cli.hints import command

        return command(self.home, words)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the registry: what is looked at, the rule it must keep, and the function that looks."""

    name: str
    section: str
    rule: str
    look: Callable[[Patient], Answer]
    needs: Needs = Needs.NOTHING


@dataclass(frozen=True, slots=True)
class Finding:
    """What ``exo doctor`` says of one check."""

    check: str
    section: str
    state: State
    rule: str
    value: str
    remedy: str


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What ``ask`` returns or raises, and TimeoutError after ``seconds`` whatever it waits for (a resolver knows no limit of its own)."""
    said: list[Callable[[], T]] = []

    def attempt() -> None:
        try:
            value = ask()
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            said.append(functools.partial(_throw, error))
        else:
            said.append(lambda: value)

    thread = threading.Thread(target=attempt, name="doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if not said:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    return said[0]()


def _throw(error: BaseException) -> T:  # type: ignore[type-var]
    raise error
