"""Replacing several configuration files at once: whenever the process dies, the next reader finds all of the old or all of the new.

The new files are made ready in a folder beside the old ones; its renaming to :data:`FOLDER` is the moment of the change. From then on
:func:`settle`, which every reader calls first, moves them into place, however often it is interrupted. The note stays until whoever
ordered the change has journaled it and calls :func:`clear`.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from mech_exo.domain.errors import UserError
from mech_exo.utils.durable import flush_folder, new_folder

FOLDER = ".replacing"
NOTE = "note.json"


def begin(config: Path, files: Mapping[str, bytes], note: str) -> None:
    """Decide that ``files`` (name to contents) replace those of the folder ``config``: after this they do, whatever happens.

    Raises UserError while an earlier change is not cleared, or where the folder cannot be written.
    """
    try:
        with new_folder(config / FOLDER) as ready:
            for name, contents in files.items():
                (ready / name).write_bytes(contents)
                if (config / name).exists():
                    shutil.copymode(config / name, ready / name)
            (ready / NOTE).write_text(note, encoding="utf-8")
    except FileExistsError:
        raise UserError(f"one change of the configuration at a time; {config / FOLDER} holds another", remedy="run it again") from None
    except OSError as error:
        raise _unwritable(config, error) from error
    settle(config)


def settle(config: Path) -> None:
    """Move into place what a change has decided. Nothing to do, nothing done. Raises UserError where that cannot be written."""
    ready = config / FOLDER
    try:
        for path in _files(ready):
            with contextlib.suppress(FileNotFoundError):  # another process does the same
                path.replace(config / path.name)
        if ready.is_dir():
            flush_folder(config)
            with contextlib.suppress(OSError):  # the note still waits in it; or it is empty and this was its end
                ready.rmdir()
    except OSError as error:
        raise _unwritable(config, error) from error


def note(config: Path) -> str | None:
    """What the last change is waiting to have journaled; None when there is nothing."""
    try:
        return (config / FOLDER / NOTE).read_text("utf-8")
    except FileNotFoundError:
        return None


def clear(config: Path) -> None:
    """The note is journaled: let it go."""
    (config / FOLDER / NOTE).unlink(missing_ok=True)
    settle(config)


def state(config: Path) -> tuple[tuple[str, int, int], ...]:
    """Which files the folder ``config`` holds now; two readings with equal states in between and after saw one configuration."""
    found = []
    for path in (*_files(config), *_files(config / FOLDER)):
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            found.append((str(path), stat.st_ino, stat.st_mtime_ns))
    return tuple(found)


def _files(folder: Path) -> list[Path]:
    """The configuration files in ``folder``, by name; none where it is not, or goes meanwhile."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".yml")
    except FileNotFoundError:
        return []


def _unwritable(config: Path, error: OSError) -> UserError:
    return UserError(f"a change of the configuration must be finished; {config} cannot be written: {error.strerror or error}")
