"""What the laws said of a plug-in's part, kept on disk by its source: a night does not try again what has not changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import MechExoError, PluginError
from mech_exo.utils.durable import write_text
from mech_exo.utils.plugin_files import OUT

if TYPE_CHECKING:
    from mech_exo.utils.plugin_files import Part


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


def tried(laws: Iterable[tuple[str, Callable[[], str]]], ask: Callable[[Callable[[], str]], str] = lambda check: check()) -> Verdicts:
    """A verdict for each law and its check; where the first is broken, the others are not asked.

    What a check raises on purpose breaks its law, too. ``ask`` calls a check that goes into the author's code unguarded.
    """
    found: list[Verdict] = []
    for law, check in laws:
        try:
            found.append(Verdict(law, ask(check)))
        except MechExoError as error:
            found.append(Verdict(law, error.message))
        if not found[0].holds:
            break
    return tuple(found)


def refuses(call: Callable[[], object], error: type[MechExoError]) -> bool:
    """Whether ``call`` raises ``error``; another error goes on."""
    try:
        call()
    except error:
        return True
    return False


def judged(kind: str, part: Part[Any], program: str, folder: Path, judge: Callable[[], Verdicts], figures: object = "") -> Verdicts:
    """The verdicts on a part of a plug-in that are kept in ``folder``, else those of ``judge``, kept for the next time where all hold.

    They are kept by everything they depend on: the part, the ``figures`` it is used with, its source, the ``program``'s own code.
    """
    key = (kind, part.what.name, repr(figures), part.brought.spec, part.brought.source, program)
    name = hashlib.sha256("\0".join(key).encode()).hexdigest()[:32]
    file = folder / "verdicts" / f"{name}.json"
    try:
        return tuple(Verdict(**line) for line in json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        found = judge()
    if all(verdict.holds for verdict in found):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps([asdict(verdict) for verdict in found]))
        except OSError:  # a cache that cannot be written costs time, not truth
            pass
    return found


def require(kind: str, part: Part[Any], verdicts: Verdicts) -> None:
    """Raises PluginError with the first law that ``part``, a ``kind`` ("sizing method"), breaks."""
    plugin = part.brought
    for verdict in verdicts:
        if not verdict.holds:
            remedy = f"exo plugins check tells of every law; correct {plugin.spec}, {OUT}"
            raise PluginError(f"{plugin.spec}: {kind} {part.what.name} breaks a law: {verdict.law}; {verdict.broken}", remedy=remedy)
