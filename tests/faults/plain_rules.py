"""A pytest plugin: the rules as plain Python, one of them with a seeded bug. ``MUTANT`` = "module|old text|new text", or empty for none.

A fresh compile of a kernel takes seconds, so a campaign over many bugs runs without: ``numba.njit`` gives the function itself back, records
have attributes as in compiled code, and division follows IEEE as it does there. Load it before anything of the package is imported:
``pytest -p tests.faults.plain_rules``.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import os
import sys

import hypothesis
import numba
import numpy as np

np.seterr(all="ignore")


def _plain(**options):
    """In place of ``numba.njit``: floats become NumPy's, which divide by 0 without an exception."""

    def decorate(function):
        @functools.wraps(function)
        def call(*arguments, **named):
            return function(*map(_ieee, arguments), **{name: _ieee(one) for name, one in named.items()})

        return call

    return decorate


def _ieee(value):
    return np.float64(value) if type(value) is float else value


def _with_records(make):
    @functools.wraps(make)
    def made(*arguments, **options):
        array = make(*arguments, **options)
        return array.view(np.recarray) if array.dtype.names else array

    return made


class Mutating(importlib.machinery.SourceFileLoader):
    """Loads one module from its source with ``old`` replaced by ``new``, past any cached bytecode."""

    old = new = ""

    def get_code(self, fullname):
        source = self.get_source(fullname)
        if source.count(self.old) != 1:
            raise ImportError(f"a mutant replaces text that stands once in {fullname}; {self.old!r} stands there {source.count(self.old)} times")
        return compile(source.replace(self.old, self.new), self.path, "exec")


class Finder:
    """Finds the module to be mutated; everything else is found as ever."""

    def __init__(self, mutant: str) -> None:
        self.module, Mutating.old, Mutating.new = mutant.split("|")

    def find_spec(self, name, path=None, target=None):
        if name != self.module:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path, target)
        return importlib.util.spec_from_file_location(name, found.origin, loader=Mutating(name, found.origin))


numba.njit = _plain
np.zeros, np.empty = _with_records(np.zeros), _with_records(np.empty)
if os.environ.get("MUTANT"):
    sys.meta_path.insert(0, Finder(os.environ["MUTANT"]))
hypothesis.settings.register_profile(
    "mutants", max_examples=60, deadline=None, derandomize=True, database=None, phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip
