"""Ways to begin: what ``exo init --template NAME`` writes in place of the defaults. One small file each in ``overlays/``.

An overlay holds only what differs; it is laid over the commented templates line by line, so that every explanation stays. To add one:
a file ``NAME.yml`` with ``says`` (what it is), ``next`` (commands to go on with) and ``files`` (values by file, section and key).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mech_exo.domain.errors import UserError

FOLDER = Path(__file__).parent / "overlays"
DEFAULTS = "; the values below are the defaults"
"""What a template says of itself and is no longer true where an overlay changed it."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """A way to begin. ``files``: file to section to key to YAML, as it is written; a section may be a single value."""

    name: str
    says: str
    next: tuple[str, ...]
    files: Mapping[str, Mapping[str, str | Mapping[str, str | Mapping[str, str]]]]

    def over(self, file: str, text: str) -> str:
        """The template ``text`` of ``file`` with the values of this overlay."""
        from mech_exo.utils.yaml_edit import with_key, with_values

        sections = self.files.get(file)
        if sections is None:
            return text
        for section, values in sections.items():
            if isinstance(values, str):
                text = with_key(text, section, values)
            else:
                text = with_values(text, section, {key: _written(value) for key, value in values.items()})
        head = f"# Written by exo init --template {self.name}: what differs from the defaults is shown by exo config show.\n"
        return head + text.replace(DEFAULTS, "", 1)


def names() -> tuple[str, ...]:
    """The overlays there are."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yml")))


def overlay(name: str) -> Overlay:
    """The overlay ``name``. Raises UserError for an unknown one."""
    import yaml

    if name not in names():
        raise UserError(f"a template must be one of {', '.join(names())}; got {name!r}", remedy="without --template: the defaults")
    found = yaml.load((FOLDER / f"{name}.yml").read_text("utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - every scalar stays the text it is
    return Overlay(name, found["says"], tuple(found["next"]), found["files"])


def _written(value: str | Mapping[str, str]) -> str:
    """``value`` as it stands behind a key: a scalar, or a mapping on one line."""
    if isinstance(value, str):
        return value
    return "{" + ", ".join(f"{key}: {_written(item)}" for key, item in value.items()) + "}"
