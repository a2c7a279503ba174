"""What was kept of the factors' health, and whether it is still of what trades now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from mech_exo.domain.errors import MissingDataError
from mech_exo.scoring.research.bulletin import FILE, Bulletin, read, recipe_of

if TYPE_CHECKING:
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.dashboard.reader import Reader

OLD = 6
"""Sessions after which the study is old: a night renews it at least once a week."""


@dataclass(frozen=True, slots=True)
class FactorState:
    """The kept study, None where there is none; how many sessions it is ``behind`` the last one stored (None unknown); why it is old."""

    kept: Bulletin | None
    behind: int | None
    reasons: tuple[str, ...]


def factor_state(reader: Reader) -> FactorState:
    """The study in the file, read anew when the file changes. Raises StoreError where it cannot be read."""
    data = reader.home / "data"
    path = data / FILE
    about = path.stat() if path.exists() else None
    key = None if about is None else (about.st_ino, about.st_mtime_ns, about.st_size)
    return reader.once(("factors", key), lambda house, _: _state(house))


def _state(house: House) -> FactorState:
    kept = read(house.home / "data")
    if kept is None:
        return FactorState(None, None, ())
    try:
        storage = house.storage
        behind, snapshot = _behind(kept.as_of, storage.view().as_of), storage.path.stem
    except MissingDataError:
        behind, snapshot = None, ""
    reasons = []
    config = house.config
    if kept.recipe != recipe_of(config.factors, config.strategy.universe):
        reasons.append("the factors or the universe's rules were changed since")
    if behind is not None and behind >= OLD:
        reasons.append(f"it is {behind} sessions old")
    if behind == 0 and snapshot and snapshot != kept.snapshot:
        reasons.append("the stored data were changed since")
    return FactorState(kept, behind, tuple(reasons))


def _behind(then: date, last: date | None) -> int | None:
    from mech_exo.utils.calendar import sessions

    if last is None:
        return None
    return 0 if last <= then else len(sessions(then, last)) - 1
