"""The exceptions, sorted by what the operator must do.

::

    MechExoError
    ├── UserError            correct the command, the file or the argument, then run it again
    │   ├── ConfigError      correct a configuration file
    │   ├── InputError       correct the data or the argument handed in
    │   └── PluginError      correct the plug-in's file, or take its line out of the configuration
    ├── DataError            fetch, import or repair data, then run it again
    │   ├── MissingDataError     the store does not hold what was asked
    │   └── StoreError           the market-data store is locked, damaged or of another version
    ├── LedgerError          stop: the money journal is locked, damaged or contradicts itself
    ├── BrokerError          look at the broker before anything else is sent
    └── WorkerError          a worker of a parallel run died: run it again, with fewer workers

A message states the rule, then the value, then the remedy. A denied order is a value
(:class:`mech_exo.domain.verdict.Breach`), never an exception.
"""

from __future__ import annotations

LONGEST = 40


def cut(text: object) -> str:
    """What a user gave, for a message: at most 40 characters, the last one an ellipsis where there are more."""
    whole = str(text)
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"


class MechExoError(Exception):
    """Root of every error this program raises on purpose.

    ``rule`` and ``value`` make the message; ``remedy`` is the next step, shown on a line of its own.
    ``exit_code`` is what the command line returns.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message if remedy is None else f"{message}\n  → {remedy}")
        self.message = message
        self.remedy = remedy


class UserError(MechExoError):
    """Correct the command, the file or the argument, then run it again."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration file holds an unknown key or a value outside its allowed range."""


class InputError(UserError):
    """Data or an argument handed in breaks a stated rule."""


class PluginError(UserError):
    """A plug-in cannot be read, breaks a law of its kind or failed at work: correct its file, or take its line out of the configuration."""


class DataError(MechExoError):
    """Fetch, import or repair data, then run it again."""

    exit_code = 3


class MissingDataError(DataError):
    """The store does not hold what was asked of it."""


class StoreError(DataError):
    """The market-data store is locked, damaged or of another schema version."""


class LedgerError(MechExoError):
    """The ledger is locked, damaged or contradicts itself: nothing may be sent."""

    exit_code = 4


class BrokerError(MechExoError):
    """The broker did not answer as the protocol demands: look before anything else is sent."""

    exit_code = 5


class WorkerError(MechExoError):
    """A worker of a parallel run ended before its work was done; nothing of the run is kept."""
