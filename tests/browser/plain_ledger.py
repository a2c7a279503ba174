"""The ledger read the plain way: SQL on its journal, sums in a loop. Nothing here calls the program."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Body = dict[str, Any]


@contextmanager
def journal(home: Path) -> Iterator[sqlite3.Connection]:
    """The journal of a workspace, read-only."""
    connection = sqlite3.connect(f"file:{home / 'data' / 'ledger.sqlite'}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def bodies(home: Path, kind: str) -> list[Body]:
    """Every row of a kind, oldest first."""
    with journal(home) as connection:
        return [json.loads(body) for (body,) in connection.execute("SELECT body FROM journal WHERE kind = ? ORDER BY seq", (kind,))]


@dataclass(frozen=True)
class Account:
    """The figures of a workspace's last booked session."""

    sessions: list[Body]

    @classmethod
    def of(cls, home: Path) -> Account:
        """From the journal."""
        return cls(sorted(bodies(home, "session"), key=lambda row: row["session"]))

    @property
    def last(self) -> Body:
        """The last booked session."""
        return self.sessions[-1]

    @property
    def nav(self) -> float:
        """Cash and what is held at its mark, added up."""
        total = self.last["day"]["cash"]
        for line in self.last["lines"]:
            if line["shares"]:
                total += line["shares"] * line["mark"]
        return float(total)

    @property
    def pnl(self) -> float:
        """NAV less the NAV before and what was paid in."""
        return float(self.last["day"]["nav"] - self.sessions[-2]["day"]["nav"] - self.last["day"]["flow"])

    @property
    def fall(self) -> float:
        """Below the highest growth of the last 252 sessions, as a fraction of it; deposits are no growth."""
        growth, highest = 1.0, []
        before = None
        for row in self.sessions:
            day = row["day"]
            if before is not None:
                growth *= (day["nav"] - day["flow"]) / before
            before = day["nav"]
            highest.append(growth)
        return 1.0 - growth / max(highest[-252:])

    @property
    def held(self) -> dict[str, tuple[float, float]]:
        """Shares and mark by symbol."""
        return {line["symbol"]: (line["shares"], line["mark"]) for line in self.last["lines"] if line["shares"]}


def fills(home: Path) -> list[Body]:
    """The last word on every fill."""
    found = {}
    for row in bodies(home, "fill"):
        found[row["fill"]["id"]] = row["fill"]
    return list(found.values())


def score_of(home: Path, session: str, symbol: str) -> Body:
    """One name's line among the scores of a decision."""
    (row,) = [row for row in bodies(home, "decision") if row["session"] == session]
    (line,) = [line for line in json.loads(row["body"])["scores"] if line["symbol"] == symbol]
    return dict(line)
