"""The command line: one file per sub-app, loaded only when it is called, so that ``exo --help`` imports none of them.

To add a command: one line in :data:`COMMANDS`, naming ``module:object`` in this folder. The object is

- a function with Typer annotations: the command itself (``demo.py:demo``), its docstring the help; or
- a ``typer.Typer()``: a group of commands (``data.py:app``).

Every command takes ``--json`` (:data:`mech_exo.cli.output.JsonOption`) and asks :func:`home` for its workspace; ``--home`` and
``--debug`` may stand before or after the command. Errors are raised, never printed: ``__main__`` prints them.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand
from typer.main import get_command, get_group

from mech_exo.cli.examples import Command, Group


class Lazy(NamedTuple):
    """A command that is not imported yet."""

    name: str
    target: str
    help: str
    section: str


START, NIGHT, RESEARCH, DATA = "Start", "Every night", "Research", "Data and records"
COMMANDS = (
    Lazy("demo", "demo:demo", "A whole night and a ten-year backtest on the built-in synthetic sample market.", START),
    Lazy("init", "workspace:init", "Make a workspace: config, data and reports.", START),
    Lazy("doctor", "doctor:doctor", "Whether everything a night depends on is in order, and what mends it.", START),
    Lazy("config", "workspace:config", "Check and show the configuration.", START),
    Lazy("run", "run:run", "One night: recover, reconcile, book the session, decide, hand over the orders.", NIGHT),
    Lazy("schedule", "schedule:schedule", "A night after every close of the exchange, served by Prefect.", NIGHT),
    Lazy("plan", "run:plan", "What tonight's decision would order, and why. Orders nothing.", NIGHT),
    Lazy("why", "run:why", "Why a symbol is held, bought, sold or not bought.", NIGHT),
    Lazy("replay", "run:replay", "Derive a past night's decision again and compare it with the journal.", NIGHT),
    Lazy("dash", "dash:dash", "The account in a browser, read-only.", NIGHT),
    Lazy("risk", "risk:app", "Risk status against the limits.", NIGHT),
    Lazy("orders", "orders:orders", "Orders in the ledger.", NIGHT),
    Lazy("fills", "orders:fills", "Fills in the ledger.", NIGHT),
    Lazy("reconcile", "reconcile:app", "Compare ledger and broker, and repair what differs.", NIGHT),
    Lazy("cash", "cash:app", "Deposit and withdraw.", NIGHT),
    Lazy("positions", "orders:positions", "What is held.", NIGHT),
    Lazy("broker", "broker:app", "Whether Interactive Brokers can be reached, and what it says.", NIGHT),
    Lazy("execution", "execution:app", "What execution cost, and the cost model from own fills.", NIGHT),
    Lazy("halt", "halt:halt", "Stop everything that adds risk, at once.", NIGHT),
    Lazy("flatten", "halt:flatten", "Halt, cancel every open order and close every position.", NIGHT),
    Lazy("resume", "halt:resume", "End a halt.", NIGHT),
    Lazy("alert", "alert:app", "Deliver alerts, try the channels, see what waits.", NIGHT),
    Lazy("score", "score:score", "Rank the universe.", RESEARCH),
    Lazy("factors", "factors:app", "What can be scored with, what a factor says today, and what it told of later returns.", RESEARCH),
    Lazy("plugins", "plugins:app", "Factors, limits, sizing methods, brokers and sources of your own.", RESEARCH),
    Lazy("backtest", "backtest:app", "Run the very same decisions over history.", RESEARCH),
    Lazy("data", "data:app", "Import, inspect, back up and restore market data.", DATA),
    Lazy("ledger", "ledger:app", "Verify and inspect the journal of decisions, orders and fills.", DATA),
    Lazy("report", "report:report", "Write a report.", DATA),
    Lazy("export", "export:export", "Write fills, positions, NAV, decisions and more as CSV or Parquet.", DATA),
)
BY_NAME = {command.name: command for command in COMMANDS}


class LazyGroup(Group):
    """The top of the command tree: lists commands from :data:`COMMANDS` and imports the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update({command.name: TyperCommand(name=command.name, help=command.help) for command in COMMANDS})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, imported now in place of its stand-in."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, stand_in if name is None else loaded(name), rest

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Global options may stand anywhere before ``--``."""
        return super().parse_args(ctx, hoisted(args))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands by section."""
        for section in dict.fromkeys(command.section for command in COMMANDS):
            with formatter.section(section):
                formatter.write_dl([(command.name, command.help) for command in COMMANDS if command.section == section])


def loaded(name: str) -> Any:
    """The real command ``name``."""
    module, _, attribute = BY_NAME[name].target.partition(":")
    target = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    if isinstance(target, typer.Typer):
        target.rich_markup_mode = None
        _with_examples(target)
        group = get_group(target)
        group.help = group.help or BY_NAME[name].help
        group.no_args_is_help = group.no_args_is_help or not group.invoke_without_command
        return group
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, cls=Command)(target)
    return get_command(single)


def _with_examples(group: typer.Typer) -> None:
    """Let everything in ``group`` end its help with its examples."""
    group.info.cls = Group
    for command in group.registered_commands:
        command.cls = Command
    for below in group.registered_groups:
        below.cls = Group
        assert below.typer_instance is not None
        _with_examples(below.typer_instance)


def hoisted(args: list[str]) -> list[str]:
    """``args`` with ``--home DIR``, ``--home=DIR`` and ``--debug`` moved to the front; nothing after ``--`` is touched."""
    end = args.index("--") if "--" in args else len(args)
    front: list[str] = []
    rest: list[str] = []
    words = iter(args[:end])
    for word in words:
        if word == "--home":
            value = next(words, None)
            if value is None:
                raise typer.BadParameter("--home needs a folder")
            front += [word, value]
        else:
            (front if word == "--debug" or word.startswith("--home=") else rest).append(word)
    return [*front, *rest, *args[end:]]


def home() -> Path:
    """The workspace of this call: ``--home``, else ``$EXO_HOME``, else the current folder. Raises UserError for no folder."""
    from mech_exo.domain.errors import UserError
    from mech_exo.utils.workspace import home_folder

    place = home_folder(None)
    if not place.is_dir():
        if place.exists():
            raise UserError(f"a workspace must be a folder; {place} is a file", remedy="choose another with --home or EXO_HOME")
        remedy = f"exo init {place}   (or choose another with --home or EXO_HOME)"
        raise UserError(f"a workspace must be a folder; {place} does not exist", remedy=remedy)
    return place


def _version(wanted: bool) -> None:
    if wanted:
        from mech_exo import __version__

        typer.echo(f"exo {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="--home and --debug may also stand after the command. `exo COMMAND --help` says more. `exo --install-completion` lets your "
    "shell complete names and dates. EXO_HINTS=off leaves out what is said to beginners.",
)


@app.callback()
def root(
    ctx: typer.Context,
    home: Annotated[Path | None, typer.Option("--home", metavar="DIR", help="Workspace; else $EXO_HOME, else the current folder.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything; show tracebacks.")] = False,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Mech-Exo: data → scores → sizes → risk → orders → fills → report, one decision path for backtest, paper and live."""
    if home is not None:  # in the environment, so that default stores and worker processes see the same workspace
        before = os.environ.get("EXO_HOME")
        os.environ["EXO_HOME"] = str(home.expanduser().absolute())
        ctx.call_on_close(lambda: os.environ.pop("EXO_HOME") if before is None else os.environ.update(EXO_HOME=before))
    if ctx.invoked_subcommand is not None:
        from mech_exo.utils import log

        log.setup(debug=debug or os.environ.get("EXO_DEBUG") == "1")
