"""Examples of every command, as `--help` prints them: data, so that a test can run what a reader is shown.

They are written for the workspace that ``exo demo`` makes (its names are SYN001 to SYN200, its last session 2024-12-31), and work there
as they stand unless they need what a demo lacks: a broker, a network, channels, a file of yours (an upper-case word).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from typer.core import TyperCommand, TyperGroup

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "exo": ("exo demo", "exo init my-money --template conservative", "exo doctor"),
    "exo demo": ("exo demo", "exo demo --folder elsewhere"),
    "exo init": ("exo init my-money", "exo init trial --template long-short", "exo init my-money --missing"),
    "exo doctor": ("exo doctor", "exo doctor --offline --json"),
    "exo config": ("exo config check", "exo config show --effective"),
    "exo config check": ("exo config check", "exo config check --json"),
    "exo config show": ("exo config show", "exo config show --effective"),
    "exo run": ("exo run", "exo run --mode paper --date 2024-12-31", "exo run --mode paper --no-download --json"),
    "exo schedule": ("exo schedule", "exo schedule --show --count 5"),
    "exo plan": ("exo plan", "exo plan --date 2024-12-31 --json"),
    "exo why": ("exo why SYN004", "exo why SYN004 --date 2024-12-31"),
    "exo replay": ("exo replay 2024-12-31",),
    "exo dash": ("exo dash --open", "exo dash --check", "exo dash --host 0.0.0.0 --port 8080"),
    "exo risk": ("exo risk status", 'exo risk what-if "BUY 100 SYN004"'),
    "exo risk status": ("exo risk status", "exo risk status --nav 100000"),
    "exo risk what-if": ('exo risk what-if "BUY 100 SYN004"', 'exo risk what-if "SELL 50 SYN004" --price 20.5'),
    "exo orders": ("exo orders", "exo orders --date 2024-12-31 --legs"),
    "exo fills": ("exo fills", "exo fills --since 2024-12-02 --json"),
    "exo positions": ("exo positions", "exo positions --json"),
    "exo reconcile": ("exo reconcile", "exo reconcile --broker paper --json"),
    "exo reconcile accept": (
        'exo reconcile accept SYN004 --reason "a transfer from another broker"',
        'exo reconcile accept cash --reason "interest of October"',
    ),
    "exo cash": ("exo cash deposit 5000", "exo cash withdraw 2500"),
    "exo cash deposit": ("exo cash deposit 5000", "exo cash deposit 5000 --note January"),
    "exo cash withdraw": ("exo cash withdraw 2500",),
    "exo broker": ("exo broker check",),
    "exo broker check": ("exo broker check", "exo broker check --mode live"),
    "exo execution": ("exo execution costs", "exo execution calibrate"),
    "exo execution costs": ("exo execution costs", "exo execution costs --since 2024-12-02 --by symbol"),
    "exo execution calibrate": ("exo execution calibrate", "exo execution calibrate --since 2024-12-02"),
    "exo halt": ('exo halt --reason "looks wrong"',),
    "exo resume": ('exo resume --reason "the fill was right"',),
    "exo flatten": ("exo flatten", 'exo flatten --symbol SYN004 --yes --reason "fraud in the news"'),
    "exo alert": ("exo alert status", "exo alert run"),
    "exo alert run": ("exo alert run", "exo alert run --once"),
    "exo alert test": ("exo alert test", "exo alert test telegram"),
    "exo alert status": ("exo alert status", "exo alert status --json"),
    "exo alert list": ("exo alert list", "exo alert list --waiting --limit 10"),
    "exo alert show": ("exo alert show ID",),
    "exo score": ("exo score", "exo score --top 20 --date 2024-06-28", "exo score --explain SYN004"),
    "exo plugins": ("exo plugins list", "exo plugins check"),
    "exo plugins list": ("exo plugins list", "exo plugins list --json"),
    "exo plugins check": ("exo plugins check",),
    "exo factors": ("exo factors list", "exo factors show momentum_12_1"),
    "exo factors list": ("exo factors list", "exo factors list --json"),
    "exo factors show": ("exo factors show momentum_12_1",),
    "exo factors research": (
        "exo factors research momentum_12_1",
        "exo factors research rsi_14 --start 2020-01-02 --horizons 5,21 --next-open",
    ),
    "exo factors compare": ("exo factors compare", "exo factors compare --start 2020-01-02 --every 5"),
    "exo factors health": ("exo factors health", "exo factors health --window 126 --strict"),
    "exo backtest": ("exo backtest run", "exo backtest list", "exo backtest show last"),
    "exo backtest run": (
        "exo backtest run",
        "exo backtest run --start 2015-01-01 --end 2024-12-31 --cash 250000",
        "exo backtest run --report out.html",
    ),
    "exo backtest list": ("exo backtest list",),
    "exo backtest show": ("exo backtest show last", "exo backtest show last --json"),
    "exo backtest compare": ("exo backtest compare last last",),
    "exo backtest explain": ("exo backtest explain last --date 2020-03-18 --symbol SYN004",),
    "exo backtest governor": ("exo backtest governor last",),
    "exo backtest delete": ("exo backtest delete last", "exo backtest delete last --yes"),
    "exo backtest sweep": (
        "exo backtest sweep --set strategy.selection.top=20,30 --set risk.stops.hard=0.1,null",
        "exo backtest sweep --set risk.stops.trailing=0.1..0.3 --trials 4 --seed 1",
        "exo backtest sweep --set strategy.selection.top=20,30 --plan",
    ),
    "exo backtest walk-forward": (
        "exo backtest walk-forward --set strategy.selection.top=20,30",
        "exo backtest walk-forward --set strategy.selection.top=20,30 --train 504 --test 252 --purge 21 --anchored",
    ),
    "exo backtest cross-validate": (
        "exo backtest cross-validate --set strategy.selection.top=20,30 --groups 6 --test-groups 2 --purge 21 --embargo 21",
    ),
    "exo backtest trials": ("exo backtest trials",),
    "exo backtest promote": ("exo backtest promote last", 'exo backtest promote last --reason "top 20 holds out of sample" --yes'),
    "exo backtest rollback": ("exo backtest rollback", 'exo backtest rollback --reason "too much turnover" --yes'),
    "exo backtest promotions": ("exo backtest promotions",),
    "exo data": ("exo data import BARS.csv", "exo data status", "exo data quality"),
    "exo data import": (
        "exo data import BARS.csv",
        "exo data import STOOQ.zip --adjusted split --universe MEMBERS.csv --sectors SECTORS.csv",
        "exo data import --news HEADLINES.csv",
    ),
    "exo data update": ("exo data update", "exo data update --kind bars --symbols AAPL,MSFT"),
    "exo data status": ("exo data status", "exo data status --json"),
    "exo data quality": ("exo data quality", "exo data quality --symbol SYN004", "exo data quality --check jump --since 2024-01-02"),
    "exo data quality accept": ('exo data quality accept SYN004 2024-03-15 jump --because "a takeover was announced"',),
    "exo data repair": ("exo data repair --dry-run", "exo data repair --symbol SYN004"),
    "exo data quarantine": ("exo data quarantine", "exo data quarantine --limit 5"),
    "exo data publish": ("exo data publish",),
    "exo data diff": (
        "exo data diff --as-of 2024-11-29 --as-of 2024-12-31 --limit 5",
        "exo data diff --as-of 2024-11-29 --as-of 2024-12-31 --symbol SYN004 --table bars",
    ),
    "exo data sentiment": ("exo data sentiment", 'exo data sentiment "Profit rises beyond every forecast"'),
    "exo data backup": ("exo data backup store-backup.duckdb",),
    "exo data restore": ("exo data restore store-backup.duckdb --yes",),
    "exo ledger": ("exo ledger verify", "exo ledger backup"),
    "exo ledger verify": ("exo ledger verify", "exo ledger verify --json"),
    "exo ledger backup": ("exo ledger backup", "exo ledger backup ledger-backup.sqlite"),
    "exo ledger restore": ("exo ledger restore ledger-backup.sqlite",),
    "exo ledger settle": ('exo ledger settle ORDER --as cancelled --reason "not in the broker\'s list of today"',),
    "exo report": ("exo report daily", "exo report performance", "exo report drift"),
    "exo report daily": ("exo report daily", "exo report daily --date 2024-12-31"),
    "exo report performance": ("exo report performance", "exo report performance --pdf account.pdf"),
    "exo report drift": ("exo report drift", "exo report drift --range 2024-12 --every"),
    "exo export": ("exo export", "exo export --range 2024-12 --what fills,nav --format parquet --force"),
}
"""Command path to its examples, one to three."""


class _Examples:
    """Prints the examples of a command under its options; while a line is being typed, reads no more of it than where it stands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer's; for completion values stay as they are typed: checking them would import pydantic, two thirds of the wait."""
        if ctx.resilient_parsing:
            for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
                parameter.process_value = _as_typed
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return rest

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The block ``Examples:``, each line as it is typed, then the epilog."""
        lines = EXAMPLES.get(ctx.command_path, ())
        if lines:
            with formatter.section("Examples"):
                for line in lines:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)  # type: ignore[misc]


def _as_typed(_: Any, value: Any) -> Any:
    return value


class Command(_Examples, TyperCommand):
    """A command whose help ends with examples."""


class Group(_Examples, TyperGroup):
    """A group of commands whose help ends with examples."""


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """``command`` and everything below it with the words that call it, depth first."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, f"{path} {name}")
