"""From a line of ``plugins:`` to the parts that its source declares: found, hashed, imported once, never as a side effect of an import.

What is imported depends on the line alone (path and hash of the source), so two workspaces in one process share nothing, the order of
lines does not matter, and a worker process that is handed a configuration has the same parts.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Generic, Protocol, TypeVar

from mech_exo.domain.errors import ConfigError, MechExoError, PluginError
from mech_exo.utils.plugin_settings import Plugin, Plugins


class Named(Protocol):
    """A part: it has a name."""

    @property
    def name(self) -> str:
        """By which a configuration asks for it."""


P = TypeVar("P", bound=Named)
R = TypeVar("R")
OUT = "or take its line out of plugins:"
_imported: dict[tuple[str, str], ModuleType] = {}
_lock = threading.RLock()


@dataclass(frozen=True, slots=True)
class Part(Generic[P]):
    """A part and the plug-in it comes from; None for one of the program's own."""

    what: P
    plugin: Plugin | None

    @property
    def brought(self) -> Plugin:
        """The plug-in of a part that the user brought: nobody asks for that of the program's own."""
        assert self.plugin is not None
        return self.plugin

    @property
    def origin(self) -> str:
        """``plugins/quiet.py (source 3f2a90b1c4d5e6f7)``; ``built in`` for the program's own."""
        return "built in" if self.plugin is None else f"{self.plugin.spec} (source {self.plugin.source})"


def settled(plugin: Plugin, home: Path) -> Plugin:
    """``plugin`` with the hash of its source and where it lies; imports nothing of a file. Raises ConfigError where there is none.

    The hash of a module of a package is that of all the package's Python files: what one of them imports from another decides, too.
    """
    path = _place(plugin.spec, home)
    if path is None:
        what = f"{home / plugin.spec} does not exist" if plugin.spec.endswith(".py") else f"no module {plugin.spec} is installed"
        raise ConfigError(
            f"plugins: names Python files of the workspace and installed modules; {what}", remedy=f"correct the line {plugin.spec!r}, {OUT}"
        )
    source = source_hash(plugin.spec, path)
    if plugin.source not in ("", source):  # a promoted run states what it was made with
        raise ConfigError(
            f"plugins: a source that is stated must be what lies there; {plugin.spec} states {plugin.source} and is {source}",
            remedy=f"put that version of {plugin.spec} back, or write its name alone to take what is there",
        )
    return plugin.model_copy(update={"source": source, "path": str(path)})


def source_hash(spec: str, path: Path) -> str:
    """Hash (64 bits, hex) of the source at ``path``; of a package's module, of the package. Raises ConfigError for what cannot be read."""
    files, root = [path], path.parent
    if not spec.endswith(".py") and (path.name == "__init__.py" or "." in spec):
        depth = spec.count(".") + (path.name == "__init__.py")
        root = path.parents[depth - 1] if depth else path.parent
        files = sorted(root.rglob("*.py"))
    digest = hashlib.sha256()
    try:
        for file in files:
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    except OSError as error:
        raise ConfigError(f"plugins: a plug-in's source must be readable; {error.filename}: {error.strerror}") from None
    return digest.hexdigest()[:16]


def parts(plugins: Plugins, kind: type[P], own: Mapping[str, P] = MappingProxyType({})) -> dict[str, Part[P]]:
    """The program's ``own`` parts of a ``kind`` and those that ``plugins`` declare, by name; whether they obey their laws is not asked.

    Raises PluginError for a plug-in that cannot be imported and for a name that is taken.
    """
    found = {key: Part(part, None) for key, part in own.items()}
    ours = {id(part) for part in own.values()}
    for plugin in plugins:
        for part in _declared(module_of(plugin), kind):
            if id(part) in ours:
                continue
            key = part.name
            if key in found and found[key].what is not part:
                raise PluginError(
                    f"{plugin.spec}: a name belongs to one {kind.__name__.lower()}; {key!r} is {found[key].origin} already",
                    remedy=f"give it another name in {plugin.spec}, {OUT}",
                )
            found.setdefault(key, Part(part, plugin))
    return found


def chosen(found: Mapping[str, Part[P]], name: str, rule: str, file: str, prefix: str = "") -> Part[P]:
    """The part ``name`` of ``found``.

    Raises ConfigError with the ``rule`` (``sizing.method plugin.NAME names a method of a plug-in``) where none has that name; ``prefix``
    stands before a name in the configuration, ``file`` is the one whose ``plugins:`` would bring it.
    """
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, list(found), 1, 0.5)
    raise ConfigError(
        f"{rule} ({', '.join(found) or 'there is none'}); got {prefix}{name}",
        remedy=f"did you mean {prefix}{near[0]}?" if near else f"name its file in plugins: of {file}",
    )


def _declared(module: ModuleType, kind: type[P]) -> list[P]:
    """Each public object of ``kind`` at the module's top level once, in the order of its text."""
    values = [value for key, value in vars(module).items() if isinstance(value, kind) and not key.startswith("_")]
    return list({id(value): value for value in values}.values())


def module_of(plugin: Plugin) -> ModuleType:
    """The module of a settled ``plugin``, executed once for each path and source. Raises PluginError with the author's line."""
    with _lock:
        key = (plugin.path, plugin.source)
        if key not in _imported and not (plugin.path and Path(plugin.path).exists() and _unchanged(plugin)):
            key = _same_source(plugin)
        if key not in _imported:
            _imported[key] = _import(plugin)
        return _imported[key]


def _same_source(plugin: Plugin) -> tuple[str, str]:
    """The key of a module imported for another place with the same source: what a recorded decision, which tells no path, was made with."""
    for key in _known_places.get((plugin.spec, plugin.source), ()):
        if key in _imported or (Path(key[0]).exists() and source_hash(plugin.spec, Path(key[0])) == plugin.source):
            if key not in _imported:
                _imported[key] = _import(plugin.model_copy(update={"path": key[0]}))
            return key
    raise PluginError(
        f"{plugin.spec}: a decision is derived with the source it was made with, {plugin.source or 'unknown'}; it is no longer here",
        remedy="put that version of the file back",
    )


_known_places: dict[tuple[str, str], list[tuple[str, str]]] = {}


def remember(plugins: Iterable[Plugin]) -> None:
    """Where the sources of ``plugins`` lie, for configurations that were recorded without a path."""
    with _lock:
        for plugin in plugins:
            places = _known_places.setdefault((plugin.spec, plugin.source), [])
            if (plugin.path, plugin.source) not in places:
                places.append((plugin.path, plugin.source))


def _unchanged(plugin: Plugin) -> bool:
    return source_hash(plugin.spec, Path(plugin.path)) == plugin.source


def _import(plugin: Plugin) -> ModuleType:
    path = Path(plugin.path)
    if not plugin.spec.endswith(".py"):
        return guarded(plugin, "cannot be imported", lambda: importlib.import_module(plugin.spec))
    text = path.read_bytes()
    name = "mech_exo_plugin_" + hashlib.sha256(f"{path}\0{plugin.source}".encode()).hexdigest()[:16]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    try:
        guarded(plugin, "cannot be imported", lambda: exec(compile(text, str(path), "exec"), module.__dict__))  # noqa: S102
    except BaseException:
        del sys.modules[name]
        raise
    return module


def guarded(plugin: Plugin, rule: str, call: Callable[[], R]) -> R:
    """``call()`` into the author's code; whatever it raises becomes a PluginError that names his line, without a traceback."""
    try:
        return call()
    except MechExoError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{where(plugin, error)}: {rule}: {said(error)}", remedy=f"correct {plugin.spec}, {OUT}") from error


def where(plugin: Plugin, error: BaseException) -> str:
    """``plugins/quiet.py, line 7``: the last line of the author's own source that ``error`` went through."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{plugin.spec}, line {error.lineno}"
    folder = Path(plugin.path) if plugin.spec.endswith(".py") else Path(plugin.path).parent
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if _within(frame.filename, folder)]
    return f"{plugin.spec}, line {lines[-1].lineno}" if lines else plugin.spec


def said(error: BaseException) -> str:
    """``NameError: name 'nq' is not defined``, on one line."""
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _within(file: str, place: Path) -> bool:
    return file == str(place) or Path(file).is_relative_to(place)


def _place(spec: str, home: Path) -> Path | None:
    if spec.endswith(".py"):
        path = (home / Path(spec).expanduser()).absolute()
        return path if path.is_file() else None
    try:
        found = importlib.util.find_spec(spec)
    except (ImportError, ValueError):
        return None
    return None if found is None or found.origin is None or not found.has_location else Path(found.origin)


@cache
def installed(group: str) -> Mapping[str, str]:
    """Modules by the names that installed packages declare under the entry point ``mech_exo.<group>``.

    Raises ConfigError where two packages declare one name.
    """
    if not _anybody_offers():
        return {}
    from importlib.metadata import entry_points

    found: dict[str, str] = {}
    for point in entry_points(group=f"mech_exo.{group}"):
        if found.get(point.name, point.module) != point.module:
            raise ConfigError(
                f"a name belongs to one entry point of mech_exo.{group}; {point.name!r} is {found[point.name]} and {point.module}",
                remedy="uninstall one of the two packages",
            )
        found[point.name] = point.module
    return found


@cache
def _anybody_offers() -> bool:
    """Whether any installed package speaks of this program at all: reading every package's metadata takes a tenth of a second."""
    folders = [Path(entry) for entry in dict.fromkeys(sys.path) if Path(entry).is_dir()]
    files = (file for folder in folders for kind in ("dist", "egg") for file in folder.glob(f"*.{kind}-info/entry_points.txt"))
    return any(b"[mech_exo." in file.read_bytes() for file in files)


def with_installed(plugins: Plugins, group: str, used: Sequence[str], home: Path) -> Plugins:
    """``plugins``, settled, and those of the installed entry points whose names are ``used`` and that no line brings."""
    lines = [settled(plugin, home) for plugin in plugins]
    specs = {plugin.spec for plugin in lines}
    offered = installed(group)
    more = sorted({offered[name] for name in used if name in offered} - specs)
    return (*lines, *(settled(Plugin(spec=spec), home) for spec in more))
