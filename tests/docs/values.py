"""The tables of these tests: what placeholders stand for, what is typed at a question, which commands may end otherwise than with 0,
and which are executed elsewhere. An entry that no page uses any more fails a test."""

from __future__ import annotations

from typing import NamedTuple

VALUES = {
    # Placeholders.
    "SYMBOL": "{symbol}", "NAME": "momentum_12_1", "DATE": "{night}", "D": "{night}", "A": "{before}", "B": "{night}", "CHANNEL": "chat",
    "RUN": "last", "ORDER": "{order}", "ID": "{alert}", "BACKUP": "{backup} --yes", "mx1-…": "{order}", "--as …": "--as cancelled",
    "exo --home DIR …": "exo --home {here} positions", "exo --home mine …": "exo --home {here} positions", "DIR": "another",
    "--sectors FILE": "--sectors sectors.csv", "--universe FILE": "--universe members.csv", "backup FILE": "backup new.duckdb",
    "--home demo": "--home {here}", "--home mine": "--home {here}", "--since 2024-12-02": "--since {began}", "BARS.csv": "bars.csv", "STOOQ.zip": "d_us_txt.zip", "MEMBERS.csv": "members.csv", "SECTORS.csv": "sectors.csv", "HEADLINES.csv": "headlines.csv",
    # Companies, days and ids that a page takes for its example: the sample market's, the sample workspace's own.
    "AAPL": "{symbol}", "SYN156": "{symbol}", "MSFT": "{other}", "SPY": "{other}", "C": "{other}", "HPQ 2015-11-02 missed_split": "{other} {stuck} stuck_price",
    "SYN004 2024-03-15 jump": "{other} {stuck} stuck_price", "3f2a": "{run}", "telegram": "chat",
    "2024-12-31": "{night}", "2024-12-30": "{eve}", "2015-01-02": "{began}",
    "2024-12-02": "{before}", "2024-11-29": "{before}", "2024-06-28": "{before}", "2015-12-31": "{night}",
    "2015-01-01": "{began}", "2004-01-01": "{began}", "2005-01-01": "{began}", "2011-01-01": "{before}", "2020-01-02": "{began}",
    "2020-03-18": "{night}", "2026-10": "{month}", "2024-12": "{month}",
    # Places.
    "8051": "{port}", "8080": "{port}", "/mnt/elsewhere/2026-11-25.duckdb": "{elsewhere}", "w": "{here}", "/home/exo/trading": "{here}",
    # What would take minutes, or more history than six years.
    "--trials 200": "--trials 4", "--embargo 252": "--embargo 126",
}  # fmt: skip
"""What stands for what, in the copy of the sample workspace. ``{…}`` is what the workspace knows (:func:`tests.docs.stage.facts_of`)."""

AS_WRITTEN = ("BUY", "SELL", "X", "HPE")
"""Capitals that are typed as they are."""

ANSWERS = {
    "exo backtest delete": "y\n",
    "exo flatten": "{account}\n",
    "exo dash --set-password": "a long enough password\na long enough password\n",
    "exo backtest promote": "y\nit holds out of sample\n",
    "exo backtest rollback": "y\ntoo much turnover\n",
}
"""What is typed at the question that a command asks, by how the command begins."""


READER = {"README.md": "w", "docs/quick-start.md": "mine"}
"""Pages whose reader brings his own bars to a workspace of this name: typed literally. ``demo`` beside it is the sample workspace."""


class Ends(NamedTuple):
    """A code that is not 0, and what the command says then: a page or ``--help`` must name the code."""

    code: int
    says: str
    told: str = ""
    """What page or help say of it; else that they name the exit code."""


CODES = {
    "exo factors health --strict": Ends(3, "alarm"),
    "exo factors health --window 126 --strict": Ends(3, "alarm", "alarm"),
    'exo backtest promote RUN --reason "passed, walked forward over ten years"': Ends(2, "synthetic", "on synthetic data.* is refused"),
    'exo backtest promote last --reason "top 20 holds out of sample" --yes': Ends(2, "synthetic", "synthetic"),
    'exo risk what-if "BUY 100 AAPL" --price 150': Ends(2, "0 of 100 approved"),
    'exo risk what-if "BUY 100 AAPL" --price 150 --sector Technology --gap 0.08 --nav 100000': Ends(2, "0 of 100 approved"),
    "exo backtest promote last": Ends(2, "synthetic", "synthetic"),
    "exo data repair --symbol C": Ends(2, "among the 0 proposals", "put it right"),
    "exo data repair --symbol SYN004": Ends(2, "among the 0 proposals", "--dry-run"),
    "exo data update": Ends(1, "sessions missing", "1: stored, but something wants a look"),
}
"""Commands that end otherwise on this market, each as the page that prints it or its ``--help`` says."""


class Elsewhere(NamedTuple):
    """Why a command is not executed here, and the test that executes it (None: nobody can)."""

    reason: str
    test: str | None = None


ELSEWHERE: dict[str, Elsewhere] = {
    r"source .*": Elsewhere("a shell's own; these tests run inside the environment"),
    r"make run": Elsewhere("installs into a fresh clone", "tests/docs/test_newcomer.py::test_from_nothing_to_a_tear_sheet_and_a_dashboard"),
    r"(EXO_\w+=\S+ )?make [a-z-]+( \w+=\S+)*": Elsewhere("runs this suite, or campaigns and benchmarks of minutes", "tests/test_setup.py"),
    r"pip install .*": Elsewhere("changes the machine; the locks and extras are checked", "tests/test_setup.py"),
    r"python bench/\w+\.py.*": Elsewhere("a measurement of minutes; each runs with little", "tests/test_bench.py"),
    r"python scripts/train_sentiment\.py": Elsewhere("needs the corpora it trains on", "tests/datasource/test_sentiment.py"),
    r"python (scripts/test_\w+|dags/\w+)\.py.*": Elsewhere("executed as a process", "tests/dags/test_nightly_flow.py"),
    r"ssh .*": Elsewhere("needs another machine"),
    r"docker .*": Elsewhere("needs Docker; the image's steps are executed by make image-check"),
    r"exo( --home w)? schedule": Elsewhere("a Prefect server", "tests/dags/test_nightly_flow.py::served"),
    r"exo demo.*": Elsewhere("a minute; executed once for all", "tests/cli/test_demo.py"),
    r"exo backtest sweep .*--plan.*": Elsewhere("measures this machine for half a minute", "tests/cli/test_sweep.py"),
    r"exo .*--mode live.*": Elsewhere("a real Gateway with a live account", "tests/execution/test_live.py"),
}
"""The allow-list: pattern of the whole command, reason, test."""
