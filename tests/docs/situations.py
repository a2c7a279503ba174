"""What must have happened before some commands make sense: each prepares a fresh copy of the sample workspace and lasts for one command."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from mech_exo.assembly import Workspace
from mech_exo.domain.orders import OrderState
from tests.docs.stage import Stage, bring
from tests.gateway import FakeGateway
from tests.reporting.alerts.servers import DISCORD, world

ACCOUNT = "DU1234567"


def nothing(stage: Stage) -> AbstractContextManager[None]:
    """Nothing: the command only looks."""
    return nullcontext()


def alone(stage: Stage) -> AbstractContextManager[None]:
    """Nothing but a copy of its own: the command changes what others look at."""
    return nullcontext()


@contextmanager
def channels(stage: Stage) -> Iterator[None]:
    """A Discord that answers, named ``chat``, told one batch already."""
    folder = stage.folder.parent / f"authority of {stage.folder.name}"
    folder.mkdir(exist_ok=True)
    write_keys(stage.home, f"discord_webhook: {DISCORD}\n")
    (stage.home / "config" / "alerts.yml").write_text("channels: {chat: {kind: discord, per_minute: 600}}\nsingle_critical_channel: true\n")
    with world(folder):
        ran = stage.exo("alert", "run", "--once", "--home", stage.home)
        assert ran.code == 0, ran
        yield


@contextmanager
def gateway(stage: Stage) -> Iterator[None]:
    """The simulated gateway, logged in to the configured paper account."""
    write_keys(stage.home, f"ib_account: {ACCOUNT}\n")
    with FakeGateway(account=ACCOUNT) as one:
        settings = stage.home / "config" / "broker.yml"
        settings.write_text(re.sub(r"^  port: \w+", f"  port: {one.port}", settings.read_text(), flags=re.MULTILINE))
        for symbol in Workspace.open(stage.home).known().panel.symbols:
            one.exchange.enlist(symbol)
        yield


@contextmanager
def doubt(stage: Stage) -> Iterator[None]:
    """An order that was sent and nobody knows whether it arrived."""
    with Workspace.open(stage.home).ledger() as ledger:
        ledger.set_state(stage.facts["order"], OrderState.UNKNOWN, "no answer")
    yield


@contextmanager
def backups(stage: Stage) -> Iterator[None]:
    """A backup of the store and one of the ledger; a workspace that is yet empty is restored from what its page has made."""
    made = (stage.home / "data" / "mech_exo.duckdb").exists()
    for words in () if not made else (
        ("data", "backup", stage.facts["backup"]),
        ("data", "backup", stage.home / "store-backup.duckdb"),
        ("ledger", "backup", stage.home / "ledger-backup.sqlite"),
    ):
        ran = stage.exo(*words, "--home", stage.home)
        assert ran.code == 0, ran
    yield


@contextmanager
def evidence(stage: Stage) -> Iterator[None]:
    """Thresholds of ``research.yml`` that the sample's runs pass."""
    none = ["min_sessions", "min_trades", "min_deflated_sharpe", "max_pbo", "max_drawdown", "max_cost_share"]
    (stage.home / "config" / "research.yml").write_text(
        f"promotion: {{{', '.join(f'{name}: null' for name in none)}, require_walk_forward: false}}\n"
    )
    yield


@contextmanager
def promoted(stage: Stage) -> Iterator[None]:
    """A promotion to take back."""
    with evidence(stage):
        words = ("backtest", "promote", "last", "--accept", "synthetic", "--accept", "code", "--reason", "to be taken back", "--yes", "--home", stage.home)
        ran = stage.exo(*words)
        assert ran.code == 0, ran.err
        yield


@contextmanager
def locked(stage: Stage) -> Iterator[None]:
    """A dashboard with a password."""
    stage.type("exo dash --set-password")
    yield


@contextmanager
def tonight(stage: Stage) -> Iterator[None]:
    """The last night performed with the store as it is: the sample's nights were performed before all of it was stored."""
    for old in (stage.home / "data").glob("ledger.sqlite*"):
        old.unlink()
    ran = stage.exo("run", "--no-download", "--home", stage.home)
    assert ran.code == 0, ran
    yield


@contextmanager
def brought(stage: Stage) -> Iterator[None]:
    """Files that a reader has."""
    if not (stage.folder / "d_us_txt.zip").exists():
        bring(stage.home)
    yield


@contextmanager
def halted(stage: Stage) -> Iterator[None]:
    """A halt to end."""
    assert stage.exo("halt", "--reason", "looks wrong", "--home", stage.home).code == 0
    yield


@contextmanager
def source(stage: Stage) -> Iterator[None]:
    """Bars up to tonight in a folder of CSV files, which ``data.yml`` names as the source."""
    folder = stage.home / "prices"
    folder.mkdir(exist_ok=True)
    panel = Workspace.open(stage.home).known().panel
    frame = panel.to_frame().drop_nulls("close")
    for symbol in (stage.facts["symbol"], stage.facts["other"]):
        frame.filter(symbol=symbol).select("date", "open", "high", "low", "close", "volume").write_csv(folder / f"{symbol}.csv")
    text = (stage.home / "config" / "data.yml").read_text()
    text = text.replace("bars: null ", "bars: csv ").replace("  folder: null ", "  folder: prices ")
    (stage.home / "config" / "data.yml").write_text(
        text.replace("symbols: [] ", f"symbols: [{stage.facts['symbol']}, {stage.facts['other']}] ")
    )
    yield


def write_keys(home: Path, text: str) -> None:
    """The secret file of a workspace, readable by its owner alone."""
    file = home / "config" / "api_keys_local.yml"
    file.write_text(text)
    file.chmod(0o600)


SITUATIONS: dict[str, Callable[[Stage], AbstractContextManager[None]]] = {
    "exo alert test": channels,
    "exo alert run --once": channels,
    "exo alert show": channels,
    "exo alert list": channels,
    "exo alert status": channels,
    "exo broker check": gateway,
    "exo run --broker ib": gateway,
    "exo plan --broker ib": gateway,
    "exo reconcile --broker ib": gateway,
    "exo ledger settle": doubt,
    "exo ledger restore": backups,
    "exo data restore": backups,
    "exo backtest rollback": promoted,
    "exo backtest promote": evidence,
    "exo backtest delete": alone,
    "exo data update": source,
    "exo data quality accept": alone,
    "exo data repair": alone,
    "exo data import": brought,
    "exo alert run": channels,
    "exo dash --host": locked,
    "exo replay": tonight,
    "exo cash": alone,
    "exo reconcile accept": alone,
    "exo halt": alone,
    "exo flatten": alone,
    "exo resume": halted,
    "exo init": alone,
    "exo demo": alone,
    "exo dash --set-password": alone,
    "cp ": alone,
    "touch ": alone,
}
"""What precedes a command, by how it begins (the longest match counts). All others are typed in one shared copy, which they only read."""


def situation_of(plain: str) -> Callable[[Stage], AbstractContextManager[None]]:
    """What must precede a command; :func:`nothing`: it may be typed in the shared copy."""
    fitting = [begins for begins in SITUATIONS if plain == begins.strip() or plain.startswith(begins.rstrip() + " ")]
    return SITUATIONS[max(fitting, key=len)] if fitting else nothing
