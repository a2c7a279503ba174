"""What the laws said of a plug-in's part, kept on disk by its source: a night does not try again what has not changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.domain.errors import MechExoError, PluginError
from mech_exo.utils.durable import write_text
from mech_exo.utils.plugin_files import OUT

if TYPE_CHECKING:
    from mech_exo.utils.plugin_settings import Plugin


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one law found: ``broken`` says how it was broken, "" = it holds."""

    law: str
    broken: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.broken


Verdicts = tuple[Verdict, ...]


def tried(law: str, check: Callable[[], str]) -> Verdict:
    """The verdict of ``check``; what it raises on purpose breaks the law, too."""
    try:
        return Verdict(law, check())
    except MechExoError as error:
        return Verdict(law, error.message)


def judged(folder: Path, key: Iterable[str], judge: Callable[[], Verdicts]) -> Verdicts:
    """The verdicts kept in ``folder`` under ``key``, else those of ``judge``, kept for the next time where all hold.

    ``key`` names everything they depend on: the part, its source, the program's own code. A verdict is thrown away with the folder.
    """
    name = hashlib.sha256("\0".join(key).encode()).hexdigest()[:32]
    file = folder / f"{name}.json"
    try:
        return tuple(Verdict(**line) for line in json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        found = judge()
    if all(verdict.holds for verdict in found):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps([asdict(verdict) for verdict in found]))
        except OSError:  # a cache that cannot be written costs time, not truth
            pass
    return found


def require(plugin: Plugin, what: str, verdicts: Verdicts) -> None:
    """Raises PluginError with the first law that ``what`` (``factor quiet``) breaks."""
    for verdict in verdicts:
        if not verdict.holds:
            remedy = f"exo plugins check tells of every law; correct {plugin.spec}, {OUT}"
            raise PluginError(f"{plugin.spec}: {what} breaks a law: {verdict.law}; {verdict.broken}", remedy=remedy)
