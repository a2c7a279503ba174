"""Writes ``cli.md`` each time the documentation is built: every command as the program itself declares it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from mkdocs.structure.files import File, Files

from mech_exo.cli import COMMANDS, app, loaded
from mech_exo.cli.examples import EXAMPLES

INTRODUCTION = """# Every command

This page is written by the program each time the documentation is built, from the same declarations that `exo COMMAND --help` shows.

- `--home DIR` names the workspace; else it is `EXO_HOME`, else the current folder. It may stand before or after the command.
- `--json` prints JSON on stdout and nothing else there.
- `--debug` logs everything and shows tracebacks; without it a mistake is one message on stderr and an exit code that is not 0.
- Where the package is not installed, `python -m mech_exo.cli` stands for `exo`.
"""

def on_files(files: Files, config: Any) -> Files:
    """Add the generated page."""
    files.append(File.generated(config, "cli.md", content=page()))
    return files


def page() -> str:
    """The page as Markdown: a section for each part of the program, a heading for each command and each command below it."""
    parts = [INTRODUCTION, *_overview(), "\n## exo\n", *_parameters(_top(), _context(_top(), "exo"))]
    for command in COMMANDS:
        parts += _command(loaded(command.name), f"exo {command.name}", "##")
    return "\n".join(parts) + "\n"


def commands() -> Iterator[str]:
    """Every command and group there is, as it is typed."""
    for command in COMMANDS:
        yield from _names(loaded(command.name), f"exo {command.name}")


def _names(command: Any, name: str) -> Iterator[str]:
    yield name
    for word, below in getattr(command, "commands", {}).items():
        yield from _names(below, f"{name} {word}")


def _overview() -> list[str]:
    lines = []
    for section in dict.fromkeys(command.section for command in COMMANDS):
        lines += [f"\n**{section}**\n", "| Command | |", "|---|---|"]
        lines += [f"| [`exo {c.name}`](#{_anchor(f'exo {c.name}')}) | {c.help} |" for c in COMMANDS if c.section == section]
    return lines


def _top() -> Any:
    from typer.main import get_command

    return get_command(app)


def _context(command: Any, name: str) -> Any:
    return command.context_class(command, info_name=name)


def _command(command: Any, name: str, level: str) -> list[str]:
    context = _context(command, name)
    said = _escaped(inspect.cleandoc(command.help or "").replace("\b", ""))
    lines = [f"\n{level} {name} {{ #{_anchor(name)} }}\n", said]
    lines += [f"\n```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```\n", *_parameters(command, context)]
    if name in EXAMPLES:
        lines += ["\n```bash", *EXAMPLES[name], "```"]
    for word, below in getattr(command, "commands", {}).items():
        lines += _command(below, f"{name} {word}", "###")
    return lines


def _parameters(command: Any, context: Any) -> list[str]:
    """The table of arguments and options, without the two that every command has."""
    records = [record for p in command.params if p.name not in ("as_json", "help") and (record := p.get_help_record(context))]
    if not records:
        return []
    return ["\n| Option | |", "|---|---|", *(f"| `{_escaped_code(name)}` | {_escaped(said)} |" for name, said in records), ""]


def _escaped(text: str) -> str:
    text = re.sub(r"(?<!`)<([^<>`\n]+)>", r"&lt;\1&gt;", text)
    return text.replace("|", "\\|").replace("[", "\\[")


def _escaped_code(text: str) -> str:
    return text.replace("|", "\\|")


def _anchor(name: str) -> str:
    return name.replace(" ", "-")
