"""Bad input, each kind by name: the rule, the value and the remedy on stderr, a code that is not 0, and nothing stored is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mech_exo.datasource.storage import DataStorage
from tests.datasource.market import bars, days
from tests.session.stage import journal, set_line

Exo = Callable[..., Any]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that already holds something: three names. Not to be changed."""
    from mech_exo.utils.workspace import create

    home = tmp_path_factory.mktemp("filled") / "w"
    create(home)
    with DataStorage(DataStorage.path_in(home)) as storage:
        storage.store_ohlc_data(bars(("OLD", "OLDER", "OLDEST")), source="before")
        storage.publish()
    return home


class Shop:
    """A workspace into which bad things are brought."""

    def __init__(self, exo: Exo, home: Path) -> None:
        self.exo, self.home = exo, home
        self.status, self.stored = self.now()

    def now(self) -> tuple[Any, pl.DataFrame]:
        """What `exo data status` says and what is stored of the names that were there before."""
        status = json.loads(self.exo("data", "status", "--home", self.home, "--json").out)
        with DataStorage.snapshot(self.home) as snapshot:
            return status, snapshot.view().panel(symbols=["OLD", "OLDER", "OLDEST"]).to_frame()

    def bring(self, content: pl.DataFrame | str, name: str = "x.csv") -> Any:
        """Import a file."""
        path = self.home.parent / name
        if isinstance(content, str):
            path.write_text(content)
        else:
            content.write_csv(path)
        return self.exo("data", "import", path, "--home", self.home)

    def refused(self, ran: Any, *parts: str, code: int = 2) -> None:
        """Nothing on stdout, the message on stderr with a remedy, and the store exactly as before."""
        assert (ran.code, ran.out) == (code, ""), (ran.code, ran.out, ran.err)
        self.said(ran.err, *parts)
        status, stored = self.now()
        assert status == self.status and stored.equals(self.stored)

    def noticed(self, ran: Any, *parts: str) -> None:
        """The usable part was stored, the rest is said; what was there before is as it was."""
        assert ran.code == 1, (ran.code, ran.out, ran.err)
        self.said(ran.out + ran.err, *parts)
        assert self.now()[1].equals(self.stored)

    def said(self, text: str, *parts: str) -> None:
        """Rule, value, remedy; no traceback."""
        flat = " ".join(text.split())
        for part in (*parts, "→"):
            assert part in flat, (part, text)
        assert "Traceback" not in text and "this is a bug" not in text


@pytest.fixture
def shop(exo: Exo, filled: Path, tmp_path: Path) -> Shop:
    """A copy of the filled workspace."""
    shutil.copytree(filled, tmp_path / "w")
    return Shop(exo, tmp_path / "w")


# Files


def test_empty_file(shop: Shop) -> None:
    shop.refused(shop.bring(""), "must not be empty", "x.csv")


def test_header_only(shop: Shop) -> None:
    shop.refused(shop.bring(bars().head(0)), "x.csv")


def test_missing_column(shop: Shop) -> None:
    shop.refused(shop.bring(bars().drop("close")), "close", "x.csv")


def test_wrong_types(shop: Shop) -> None:
    shop.refused(shop.bring(bars().with_columns(open=pl.lit("much"))), "numbers are needed", "open=much")


def test_dates_that_are_none(shop: Shop) -> None:
    shop.refused(shop.bring(bars().with_columns(date=pl.lit("soon"))), "date", "soon")


def test_all_nan_symbol(shop: Shop) -> None:
    blank = bars(("NAN",)).with_columns(close=pl.lit(None, pl.Float64))
    shop.noticed(shop.bring(pl.concat([bars(), blank])), "every symbol needs at least one usable bar", "NAN")


def test_all_nan_file(shop: Shop) -> None:
    ran = shop.bring(bars(("NAN",)).with_columns(close=pl.lit(None, pl.Float64)))
    assert ran.code == 2 and shop.now()[1].equals(shop.stored)
    shop.said(ran.out + ran.err, "a price is missing")


def test_one_row_symbol(shop: Shop) -> None:
    shop.noticed(shop.bring(bars(("ONE",), days(count=1))), "at least two bars", "ONE")


def test_duplicated_rows(shop: Shop) -> None:
    shop.noticed(shop.bring(pl.concat([bars(), bars()])), "identical rows")


def test_contradicting_rows(shop: Shop) -> None:
    shop.noticed(shop.bring(pl.concat([bars(), bars(("AAA",), days(count=1), seed=5)])), "two different rows")


def test_future_dates(shop: Shop) -> None:
    later = pl.when(pl.col("date") == days()[-1]).then(pl.date(2044, 1, 4)).otherwise("date").alias("date")
    shop.noticed(shop.bring(bars().with_columns(later)), "had not closed yet")
    assert shop.now()[0]["last"] < "2044"


def test_no_such_file(shop: Shop) -> None:
    ran = shop.exo("data", "import", shop.home / "nowhere.csv", "--home", shop.home)
    assert (ran.code, ran.out) == (2, "") and "nowhere.csv" in ran.err and "Traceback" not in ran.err


def test_something_that_is_no_table(shop: Shop) -> None:
    (shop.home.parent / "x.parquet").write_bytes(b"PAR1 is what it says, but no")
    shop.refused(shop.exo("data", "import", shop.home.parent / "x.parquet", "--home", shop.home), "x.parquet")


# Symbols


@pytest.fixture
def night(market_copy: Path, exo: Exo) -> Path:
    """The sample market after one night."""
    assert exo("run", "--date", "2021-06-30", "--home", market_copy).code == 0
    return market_copy


def test_unknown_symbol_why(exo: Exo, night: Path) -> None:
    before = journal(night)
    ran = exo("why", "NOSUCH", "--home", night)
    assert (ran.code, ran.out) == (2, "") and "'NOSUCH' was not known on 2021-06-30" in ran.err and "→" in ran.err
    assert journal(night) == before


def test_unknown_symbol_report_and_what_if(exo: Exo, night: Path) -> None:
    ran = exo("risk", "what-if", "BUY 10 NOSUCH", "--home", night)
    assert ran.code != 0 and "NOSUCH" in ran.out + ran.err and "Traceback" not in ran.out + ran.err


def test_unknown_universe(exo: Exo, market_copy: Path) -> None:
    set_line(market_copy / "config" / "strategy.yml", "  name: sample", "  name: smaple")
    for words in (("backtest", "run"), ("run", "--date", "2021-06-30"), ("score",)):
        ran = exo(*words, "--home", market_copy)
        assert ran.code in (2, 3) and ran.out == "" and "smaple" in ran.err and "→" in ran.err, (words, ran)


# Money


def test_zero_nav(exo: Exo, workspace: Path) -> None:
    for value in ("0", "-5", "nan", "inf"):
        ran = exo("risk", "status", "--nav", value, "--home", workspace)
        assert (ran.code, ran.out) == (2, "") and "must be above 0 and finite" in ran.err and "--nav 100000" in ran.err, (value, ran)


def test_zero_initial_cash(exo: Exo, market_copy: Path) -> None:
    for value in ("0", "-1", "nan"):
        ran = exo("backtest", "run", "--cash", value, "--home", market_copy)
        assert (ran.code, ran.out) == (2, "") and "initial_cash must be above 0 and finite USD" in ran.err and "→" in ran.err, (value, ran)
    set_line(market_copy / "config" / "strategy.yml", "initial_cash: 100000.0", "initial_cash: 0")
    for words in (("backtest", "run"), ("run", "--date", "2021-06-30"), ("config", "check")):
        ran = exo(*words, "--home", market_copy)
        assert (ran.code, ran.out) == (2, "") and "strategy.yml" in ran.err and "initial_cash" in ran.err and "0" in ran.err


# Configuration


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("strategy.yml", "initial_cash:", "inital_cash:", "did you mean initial_cash"),
        ("risk_limits.yml", "  hard: 0.15", "  hard: 15", "hard"),
        ("risk_limits.yml", "  max_position: 0.10", "  max_position: .nan", "max_position"),
        ("risk_limits.yml", "  max_position: 0.10", "  max_position: -0.10", "max_position"),
        ("strategy.yml", "  top: 30", "  top: 30\n  top: 31", "top"),
    ],
)
def test_config_typo(exo: Exo, market_copy: Path, file: str, old: str, new: str, said: str) -> None:
    set_line(market_copy / "config" / file, old, new)
    for words in (("config", "check"), ("run", "--date", "2021-06-30"), ("backtest", "run")):
        ran = exo(*words, "--home", market_copy)
        assert (ran.code, ran.out) == (2, "") and file in ran.err and said in ran.err and "Traceback" not in ran.err, (words, ran)
    assert not (market_copy / "data" / "ledger.sqlite").exists()


# Time


def test_end_before_start(exo: Exo, market_copy: Path) -> None:
    ran = exo("backtest", "run", "--start", "2022-06-01", "--end", "2021-06-01", "--home", market_copy)
    assert (ran.code, ran.out) == (2, "") and "start must not be after the end; got 2022-06-01 and 2021-06-01" in ran.err and "→" in ran.err


@pytest.mark.parametrize("words", [("--start", "2031-01-01"), ("--end", "1999-12-31"), ("--start", "2010-01-04", "--end", "2011-01-03")])
def test_a_period_outside_the_data(exo: Exo, market_copy: Path, words: tuple[str, ...]) -> None:
    ran = exo("backtest", "run", *words, "--home", market_copy)
    assert (ran.code, ran.out) == (2, "") and "at least one session" in ran.err and "None" not in ran.err
    assert "2019-01-02 to 2024-12-31" in ran.err, "the period that there is"
    assert not (market_copy / "reports" / "backtests").exists()


def test_a_date_that_is_none(exo: Exo, market_copy: Path) -> None:
    for words in (
        ("run", "--date", "2021-13-01"),
        ("backtest", "run", "--start", "soon"),
        ("replay", "yesterday"),
        ("score", "--date", "1.6."),
    ):
        ran = exo(*words, "--home", market_copy)
        assert (ran.code, ran.out) == (2, "") and words[-1] in ran.err and "must be a date of the calendar like 2015-06-30" in ran.err and "Traceback" not in ran.err


# Nothing there


@pytest.mark.parametrize("command", ["backtest run", "run", "plan", "score", "data status", "data quarantine"])
def test_no_data_at_all(exo: Exo, workspace: Path, command: str) -> None:
    ran = exo(*command.split(), "--home", workspace)
    assert (ran.code, ran.out) == (3, "") and "exo data import FILE" in ran.err and str(workspace) in ran.err
    assert not list((workspace / "data").glob("*")), "a question makes nothing"


def test_no_workspace_at_all(exo: Exo, tmp_path: Path) -> None:
    for command in ("backtest run", "run", "plan", "why AAA", "replay 2021-01-04"):
        ran = exo(*command.split(), "--home", tmp_path / "nowhere")
        assert (ran.code, ran.out) == (2, "") and f"exo init {tmp_path / 'nowhere'}" in ran.err
    assert not (tmp_path / "nowhere").exists()
