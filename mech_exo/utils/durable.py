"""Files that are either wholly there or not at all, power cut included."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, Any

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
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        flush_file(writer)
    return digest.hexdigest()


def digest(path: Path) -> str:
    """The SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> Path:
    """Replace the file ``path`` by ``text`` (UTF-8), folders made as needed: a reader sees the old or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            flush_file(file)
        partial.replace(path)
        flush_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)
    return path
