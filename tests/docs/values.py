"""The tables of these tests: what placeholders stand for, what is typed at a question, which commands may end otherwise than with 0,
and which are executed elsewhere. An entry that no page uses any more fails a test."""

from __future__ import annotations

from typing import NamedTuple

VALUES = {
    # Placeholders.
    "SYMBOL": "{symbol}", "NAME": "momentum_12_1", "DATE": "{night}", "D": "{night}", "A": "{before}", "B": "{night}",
    "RUN": "last", "ORDER": "{order}", "ID": "{alert}", "BACKUP": "{backup}", "U…": "U7654321", "mx1-…": "{order}", "CHANNEL": "chat",
    # Companies, days and ids that a page takes for its example: the sample market's, the sample workspace's own.
    "AAPL": "{symbol}", "C": "{other}", "HPQ": "{third}", "SPY,AAPL": "{symbol},{other}",
    "2024-12-31": "{night}", "2015-01-01": "{began}", "2004-01-01": "{began}", "2015-12-31": "{night}", "2005-01-01": "{began}", "2015-11-02": "{before}",
    "2020-03-18": "{night}", "2026-10": "{month}", "2011-01-01": "{before}", "3f2a": "{run}",
    # Places.
    "8051": "{port}", "8050": "{port}", "/mnt/elsewhere/2026-11-25.duckdb": "{elsewhere}", "w": "{here}",
}  # fmt: skip
"""What stands for what, in the copy of the sample workspace. ``{…}`` is what the workspace knows (:func:`tests.docs.stage.facts_of`)."""

AS_WRITTEN = ("BUY", "SELL", "X")
"""Capitals that are typed as they are."""

ANSWERS = {
    "exo --home w backtest delete": "y\n",
    "exo flatten": "{account}\n",
    "exo dash --set-password": "a long enough password\na long enough password\n",
    "exo backtest promote": "y\n",
    "exo backtest rollback": "y\n",
}
"""What is typed at the question that a command asks, by how the command begins."""


class Ends(NamedTuple):
    """A code that is not 0, and what the command says then: a page or ``--help`` must name the code."""

    code: int
    says: str


CODES: dict[str, Ends] = {}


class Elsewhere(NamedTuple):
    """Why a command is not executed here, and the test that executes it (None: nobody can)."""

    reason: str
    test: str | None = None


ELSEWHERE: dict[str, Elsewhere] = {}
