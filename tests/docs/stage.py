"""Where a page's commands are typed: a copy of a workspace with a market, nights, runs and alerts; and what its placeholders stand for."""

from __future__ import annotations

import gzip
import io
import os
import re
import shlex
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from mech_exo.assembly import Workspace
from mech_exo.datasource.demo import sample_market
from tests.browser.workspaces import copy, kept, sample_workspace
from tests.docs.pages import Command
from tests.docs.servers import is_server, served
from tests.docs.values import ANSWERS, AS_WRITTEN, VALUES

Exo = Callable[..., Any]
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


class Terminal(io.StringIO):
    """A person's answers."""

    def isatty(self) -> bool:
        """A person sits there where there is something to answer."""
        return bool(self.getvalue())


@dataclass(frozen=True)
class Stage:
    """A folder to type in, and what this folder knows of :data:`tests.docs.values.VALUES`."""

    folder: Path
    exo: Exo
    patch: pytest.MonkeyPatch
    facts: dict[str, str]
    home: Path
    """The workspace: the folder itself, or one in it."""
    yours: str = ""
    """Name of the workspace with the reader's own bars: what is said to it is typed as printed."""

    def meant(self, text: str) -> str:
        """``text`` with every placeholder replaced. Raises ValueError for one that the table does not know."""
        if self.yours and re.search(rf"(--home|init) {self.yours}\b|bars\.csv", text):
            return text
        known = sorted(VALUES, key=len, reverse=True)
        found = re.compile("|".join(rf"(?<![\w./-]){re.escape(word)}(?![\w-])" for word in known))
        said = found.sub(lambda one: VALUES[one[0]].format_map(self.facts), text)
        unknown = [word for word in re.findall(r"(?<![\w=./-])(?:[A-Z]{1,12}|<[^>]+>)(?![\w.=-])", said) if word not in AS_WRITTEN]
        unknown = [word for word in unknown if word not in self.facts.values()]
        if unknown:
            raise ValueError(f"tests/docs/values.py must say what stands for {', '.join(unknown)} in {text!r}")
        return said

    def at(self, text: str) -> Stage:
        """The stage whose workspace is the one that ``text`` names with ``--home``, where that is a folder here."""
        named = re.search(r" --home (\w+)", text)
        return replace(self, home=self.folder / named[1]) if named and (self.folder / named[1] / "config").is_dir() else self

    def type(self, text: str) -> Ended:
        """Run one command in the folder, as a reader would, with its answers typed in too; a server is looked at and ended."""
        said = self.meant(text)
        self.patch.chdir(self.folder)
        plain = Command("", 0, text, inline=True).plain
        if is_server(plain):
            return served(self, said)
        answers = next((answer for begins, answer in ANSWERS.items() if plain.startswith(begins)), "").format_map(self.facts)
        if re.match(r"(\S*/)?exo ", said) and not re.search(r"[|<>;&]", re.sub(r"'[^']*'|\"[^\"]*\"", "", said)):
            self.patch.setattr(sys, "stdin", Terminal(answers))
            self.patch.setattr("getpass.getpass", lambda *_, **__: sys.stdin.readline().rstrip("\n"))  # which asks the terminal, not stdin
            ran = self.exo(*(word.replace("~", str(self.folder)) for word in shlex.split(said)[1:]))
            return Ended(ran.code, ran.out, ran.err)
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(self.folder)}
        done = subprocess.run(["sh", "-c", said], capture_output=True, text=True, input=answers, env=environment, check=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    @staticmethod
    def ended(code: int, out: str, err: str) -> Ended:
        """How something ended."""
        return Ended(code, out, err)


def sample_copy(folder: Path) -> dict[str, str]:
    """A copy of the kept sample workspace at ``folder``; returns its facts."""
    return facts_of(copy(kept("sample", sample_workspace), folder).home)


def facts_of(home: Path) -> dict[str, str]:
    """What stands in a workspace: its last night, what it holds, ids."""
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        book = workspace.book_id()
        nights = [day.session for day in ledger.day_history(book)]
        last = ledger.last_session(book)
        order, alert = ledger.orders(book)[-1].order.id, ledger.alerts()[-1].id
    assert last is not None
    held = [line.symbol for line in last.lines]
    runs = sorted(path.name for path in (home / "data" / "runs").iterdir() if path.is_dir())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {
        "symbol": held[0], "other": held[1], "third": held[2], "night": str(nights[-1]), "eve": str(nights[-2]), "before": str(nights[-22]), "stuck": str(nights[-29]), "month": f"{nights[-1]:%Y-%m}",
        "began": str(nights[-1].replace(day=1, year=nights[-1].year - 3)), "run": runs[0], "order": order, "alert": alert, "port": str(port),
        "account": book.account, "backup": str(home / "backup.duckdb"), "elsewhere": str(home / "elsewhere.duckdb"), "here": str(home),
    }  # fmt: skip


READER_FACTS = {"symbol": "AAPL", "other": "MSFT", "account": "paper"}


def bring(folder: Path) -> None:
    """The invented market under real names as a reader has it: bars as CSV, Parquet, DuckDB, a folder and Stooq's archive; sectors, members,
    headlines, company figures."""
    market = sample_market(seed=11, symbols=40, years=10)
    renamed = pl.col("symbol").replace({"SYN001": "AAPL", "SYN002": "MSFT", "SYN003": "SPY"})
    bars = (
        market.panel.to_frame().drop_nulls("close").with_columns(renamed).select("symbol", "date", "open", "high", "low", "close", "volume")
    )
    bars.write_csv(folder / "bars.csv")
    bars.write_parquet(folder / "bars.parquet")
    market.sectors.with_columns(renamed).write_csv(folder / "sectors.csv")
    market.universe.with_columns(renamed).write_csv(folder / "members.csv")
    news = market.news.with_columns(renamed).head(50)
    news.write_csv(folder / "headlines.csv")
    (folder / "headlines.csv.gz").write_bytes(gzip.compress((folder / "headlines.csv").read_bytes()))
    market.fundamentals.with_columns(renamed).write_parquet(folder / "reports.parquet")
    apple = bars.filter(symbol="AAPL")
    (folder / "prices").mkdir(exist_ok=True)
    apple.drop("symbol").write_csv(folder / "prices" / "AAPL.csv")
    with duckdb.connect(folder / "other.duckdb") as connection:
        connection.register("shown", apple.to_arrow())
        connection.execute("create table prices as select * from shown")
    rows = [f"AAPL.US,D,{day:%Y%m%d},000000,{o},{h},{low},{c},{v:.0f},0" for _, day, o, h, low, c, v in apple.iter_rows()]
    header = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
    with zipfile.ZipFile(folder / "d_us_txt.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/daily/us/nasdaq stocks/1/aapl.us.txt", "\r\n".join([header, *rows]) + "\r\n")
