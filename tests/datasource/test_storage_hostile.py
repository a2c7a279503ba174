"""Text from outside that means harm: symbols are refused at every door, everything else is stored as it is and does nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from mech_exo.datasource.inspection import no_symbols
from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.errors import InputError
from tests.datasource.market import NOW, bars, days

HOSTILE = (
    "A'; drop table bars; --",
    'A" or 1=1',
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\boot.ini",
    "$(reboot)",
    "`reboot`",
    "A;B",
    "A|B",
    "A&B",
    "A\nB",
    "A\rB",
    "A\tB",
    "A\0B",
    "aapl",
    "ΑAPL",
    "A\u200bB",
    "%s%n",
    "{A}",
    "<b>",
    "*",
    "~",
    "A" * 17,
    "\N{PILE OF POO}",
)
DAY = date(2021, 1, 5)
FIGURE = {"metric": "eps", "period_end": date(2020, 12, 31), "fiscal_period": "Q4", "value": 1.0, "unit": "USD", "filed": DAY}
DOORS: dict[str, Callable[[DataStorage, str], object]] = {
    "bars": lambda store, name: store.store_ohlc_data(bars((name,))),
    "actions": lambda store, name: store.store_corporate_actions(
        pl.DataFrame({"symbol": [name], "date": [DAY], "kind": ["split"], "value": [2.0]})
    ),
    "sectors": lambda store, name: store.store_sectors(pl.DataFrame({"symbol": [name], "sector": ["Energy"]})),
    "universe": lambda store, name: store.store_universe(pl.DataFrame({"symbol": [name]}), name="u"),
    "fundamentals": lambda store, name: store.store_fundamentals(pl.DataFrame([{"symbol": name, **FIGURE}])),
    "news": lambda store, name: store.store_news(
        pl.DataFrame({"symbol": [name], "published": [NOW], "headline": ["words"], "source": ["wire"]})
    ),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DataStorage]:
    with DataStorage(DataStorage.path_in(tmp_path)) as storage:
        storage.store_ohlc_data(bars(), recorded_at=datetime(2021, 2, 1, tzinfo=UTC))
        yield storage


def test_every_door_refuses_every_hostile_symbol(store: DataStorage) -> None:
    before = store.view().panel().data_hash()
    for push in DOORS.values():
        for name in HOSTILE:
            with pytest.raises(InputError, match="a symbol has 1 to 16 of"):
                push(store, name)
    assert store.view().panel().data_hash() == before
    found = store.status()
    assert (found.bars, found.actions, found.sectors, found.universes, found.fundamentals, found.news) == (20, {}, 0, {}, 0, 0)


def test_the_rule_is_a_match_of_the_whole_text() -> None:
    names = [*HOSTILE, "A\n", "AAA\n", "\nA", "A", "BRK.B", "BF-B", "X_1", "A B", "0", "A" * 16]
    rule = re.compile(r"[A-Z0-9.\-_ ]{1,16}")
    assert sorted(no_symbols(pl.Series(names))) == sorted(name for name in names if not rule.fullmatch(name))


def test_blanks_and_line_ends_around_a_symbol_are_not_part_of_it(store: DataStorage) -> None:
    store.store_ohlc_data(bars((" CCC\n",)))
    assert store.view().panel().symbols == ("AAA", "BBB", "CCC")


@pytest.mark.parametrize("text", ["'; drop table bars; --", "$now", "../../x", "$(reboot)", "a\nb", "<script>alert(1)</script>", "%", "\0"])
def test_any_other_text_is_stored_as_it_is_and_does_nothing(store: DataStorage, text: str) -> None:
    store.set_label(text)
    assert store.view().panel().label == text
    store.store_ohlc_data(bars(("CCC",)), source=text, file=text)
    store.store_universe(pl.DataFrame({"symbol": ["AAA"]}), name=text)
    store.store_benchmark(pl.DataFrame({"date": [DAY], "return": [0.01]}), name=text)
    store.store_news(pl.DataFrame({"symbol": ["AAA"], "published": [NOW], "headline": [text + "x"], "source": [text + "y"], "url": [text]}))
    view = store.view()
    assert view.panel().symbols == ("AAA", "BBB", "CCC")
    assert set(view.bars("CCC")["source"]) == {text}
    assert view.universes() == (text,) and view.universe(view.panel(), text).member[:, 0].all()
    assert view.benchmark(text) is not None and view.benchmark(text + "z") is None
    assert view.news()["headline"].to_list() == [(text + "x").strip()]
    assert view.bars(text).is_empty() and view.news([text]).is_empty() and view.fundamentals([text]).is_empty()
    assert store.view(days()[3]).diff(view, symbols=[text]) == ()


@pytest.mark.parametrize("read_only", [False, True])
def test_no_statement_escapes(store: DataStorage, tmp_path: Path, read_only: bool) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    secret = pl.DataFrame({"a": [1]})
    assert secret.height == 1
    store.publish()
    escapes = (
        f"select * from '{tmp_path}/secret.csv'",
        f"select * from read_csv('{tmp_path}/secret.csv')",
        f"select * from read_text('{tmp_path}/secret.csv')",
        f"select * from glob('{tmp_path}/*')",
        f"copy bars to '{tmp_path}/out.csv'",
        f"export database '{tmp_path}/out'",
        f"attach '{tmp_path}/other.duckdb'",
        "install httpfs",
        "load httpfs",
        "select * from secret",
        "set enable_external_access = true",
        "set python_enable_replacements = true",
        "set lock_configuration = false",
        "reset enable_external_access",
        "pragma enable_external_access",
    )
    with DataStorage.snapshot(tmp_path) as snapshot:
        con = (snapshot if read_only else store)._con
        for sql in escapes:
            with pytest.raises(duckdb.Error):
                con.execute(sql).fetchall()
        if read_only:
            for sql in ("delete from bars", "create table t (a int)", "update bars set close = 1"):
                with pytest.raises(duckdb.Error):
                    con.execute(sql).fetchall()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "secret.csv"]
