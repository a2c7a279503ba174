"""Compiled arithmetic: arrays and scalars in, arrays and scalars out. Nothing here knows a date, a file or a symbol's name.

:func:`njit`, :func:`lean` and :func:`inlined` are the only ways this package compiles anything. Numba's disk cache does not notice a
changed *callee* in another file, so the cache folder is named by a hash of all compiled sources: an edited rule compiles anew.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

if "NUMBA_OPT" not in os.environ:
    # LLVM's first level compiles these long plain loops a quarter sooner than its third and, measured, runs them as fast.
    numba.config.OPT = type(numba.config.OPT)(1)

Function = TypeVar("Function", bound=Callable[..., object])
PACKAGE = Path(__file__).resolve().parents[1]
KEPT_VERSIONS = 8


@functools.cache
def code_version() -> str:
    """Hash of every source file of the package (64 bits, hex): stands on each decision and backtest.

    The flows, which an installed package carries inside and a checkout beside it, do not count: both are the same code.
    """
    return _hash(path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE / "dags")


def compiled_sources() -> list[Path]:
    """The files whose functions are compiled or whose constants compiled functions read; nothing else is imported for
    compiling (tested), so editing a command or a report compiles nothing anew."""
    marks = (b"@njit", b"@lean", b"@inlined")
    files = [(path, path.read_bytes()) for path in sorted(PACKAGE.rglob("*.py"))]
    return [path for path, text in files if path.parent.name == "kernels" or any(mark in text for mark in marks)]


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_root() -> Path:
    """Where compiled functions are kept: ``mech_exo`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mech_exo"


@functools.cache
def cache_folder() -> Path:
    """Folder of the compiled functions of these sources, under :func:`cache_root`; the oldest others are dropped.

    Where that cannot be written, a folder of this process alone: everything is then compiled anew each time.
    """
    root = cache_root()
    folder = root / _hash(compiled_sources())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    except OSError:
        own = tempfile.mkdtemp(prefix="mech_exo-")
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        return Path(own)
    for stale in sorted(root.iterdir(), key=_last_used, reverse=True)[KEPT_VERSIONS:]:
        shutil.rmtree(stale, ignore_errors=True)
    return folder


def _last_used(folder: Path) -> float:
    """When a version was last used; 0 when another process dropped it just now."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def njit(function: Function) -> Function:
    """Compile ``function`` with Numba, cached on disk under :func:`cache_folder`, releasing the GIL.

    Division follows IEEE (1/0 is inf, no exception); no fast-math, so results are the same on every run.
    """
    return _compiled(function, _nrt=True)  # said, because a lean caller would hand its own setting down


def lean(function: Function) -> Function:
    """As :func:`njit`, for what neither makes nor returns an array: it counts no references.

    A call hands over a dozen arrays, and counting their references in and out (atomically, some 5 ns each) costs more than the work of
    most rules, and as much again in compiling.
    """
    return _compiled(function, _nrt=False)


def inlined(function: Function) -> Function:
    """As :func:`lean`, and its code is put into every compiled caller: for what runs once a session or a fill."""
    return _compiled(function, _nrt=False, forceinline=True)


def _compiled(function: Function, **options: Any) -> Function:
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder())
    try:
        compiled = numba.njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    finally:
        numba.config.CACHE_DIR = before
    return cast(Function, compiled)
