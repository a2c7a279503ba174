"""Files that are either wholly there or not at all, power cut included."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mech_exo.utils import log

CHUNK = 1 << 22


def flush_file(file: IO[Any]) -> None:
    """Push an open file's bytes to the disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Push a folder's entries (creations, renames) to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def copy(source: Path, target: Path) -> str:
    """Copy ``source`` durably to the new file ``target``; the SHA-256 of the bytes, hex."""
    with source.open("rb") as reader:
        return copy_open(reader.fileno(), target)


def copy_open(source: int, target: Path) -> str:
    """Copy the open file ``source`` (a descriptor, left open and where it stands) durably to ``target``; its SHA-256, hex."""
    digest = hashlib.sha256()
    with target.open("wb") as writer:
        for chunk in _chunks(source):
            digest.update(chunk)
            writer.write(chunk)
        flush_file(writer)
    return digest.hexdigest()


def digest(path: Path) -> str:
    """The SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return digest_open(file.fileno())


def digest_open(source: int) -> str:
    """The SHA-256 of the open file ``source`` (a descriptor, left open and where it stands), hex."""
    digest = hashlib.sha256()
    for chunk in _chunks(source):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(source: int) -> Iterator[bytes]:
    offset = 0
    while chunk := os.pread(source, CHUNK, offset):
        offset += len(chunk)
        yield chunk


def write_text(path: Path, text: str) -> Path:
    """Replace the file ``path`` by ``text`` (UTF-8), folders made as needed: a reader sees the old or the new, never a part.

    No secret and no account number gets into it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(log.mask(text))
            flush_file(file)
        partial.replace(path)
        flush_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)
    return path


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write into that becomes ``target`` when the block is done: a reader sees all of its files or none.

    Whatever ends the block early leaves nothing behind; what a killed process left beside ``target`` goes with the next one.
    Raises FileExistsError when ``target`` is there already: it is never written over.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in target.parent.glob(f".{target.name}.*.partial"):
        if not _alive(stale.name.split(".")[-2]):
            shutil.rmtree(stale, ignore_errors=True)
    partial = _beside(target)
    try:
        partial.mkdir()
        yield partial
        for path in partial.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        flush_folder(partial)
        if target.exists():
            raise FileExistsError(f"{target} is there already")
        partial.rename(target)
        flush_folder(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove ``folder``: at once for a reader, its files after that."""
    gone = _beside(folder)
    folder.rename(gone)
    flush_folder(folder.parent)
    shutil.rmtree(gone, ignore_errors=True)


def _beside(target: Path) -> Path:
    """A name for one use that tells its process: neither another thread nor what an earlier process of this id left has it."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.{os.getpid()}.partial")


def _alive(pid: str) -> bool:
    """Whether a process of that id runs on this machine."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
