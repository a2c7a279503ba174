"""``exo data import --fundamentals``: the layouts people have, what is refused in them, and what the command says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource import DataStorage
from mech_exo.datasource.accounts.files import LAYOUTS, read_facts
from mech_exo.domain.errors import InputError

Shared = Callable[[str], Path]
Exo = Callable[..., Any]
FOLDER = "data/fundamentals/"


def stats(**columns: list[Any]) -> pl.DataFrame:
    rows = len(next(iter(columns.values())))
    empty = {"Ticker": ["aaa"] * rows, "Date": ["2009-12-31 10:00:00"] * rows, "Trailing P/E": [None] * rows, "Shares Outstanding": [None] * rows, "Total Debt/Equity": [None] * rows}  # fmt: skip
    return pl.DataFrame({**empty, **columns}, strict=False)


def values(frame: pl.DataFrame) -> dict[tuple[Any, ...], float]:
    rows = read_facts(frame).rows
    return {tuple(row[:-1]): row[-1] for row in rows.select("metric", "period_end", "fiscal_period", "value").iter_rows()}


def test_debt_to_equity_changes_its_unit_in_2010() -> None:
    found = values(stats(**{"Date": ["2009-12-31 23:59:59", "2010-01-01 00:00:01"], "Total Debt/Equity": [0.5, 50.0]}))
    assert set(found.values()) == {0.5} and len(found) == 2
    shares = {"Return on Equity": [12.5], "Book Value Per Share": [2.0], "Shares Outstanding": [100.0], "Revenue": [7.0]}
    day = date(2009, 12, 31)
    assert values(stats(**shares)) == {
        ("return_on_equity", day, "snapshot"): 0.125, ("shares_outstanding", day, "instant"): 100.0,
        ("total_equity", day, "instant"): 200.0, ("revenue", day, "12M"): 7.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "stock_p_change",
        "SP500_p_change",
        "forward_return",
        "fwd_ret_21d",
        "Future Return",
        "next_return",
        "price_change",
        "forward 5d return",
    ],
)
def test_a_column_that_looks_ahead_is_refused_by_name(name: str) -> None:
    file = read_facts(stats(**{name: [5.0], "Forward P/E": [9.0]}))
    assert any(name in text and text.startswith("refused") for text in file.notices)
    assert file.rows["metric"].to_list() == ["forward_pe"]


def test_the_last_snapshot_of_a_day_counts() -> None:
    file = read_facts(stats(**{"Date": ["2005-05-05 20:00:00", "2005-05-05 08:00:00"], "Trailing P/E": [11.0, 10.0]}))
    assert file.rows["value"].to_list() == [11.0] and "1 rows were followed" in " ".join(file.notices)


def report(**columns: Any) -> dict[str, Any]:
    row = {
        "symbol": "AAA",
        "end_date": date(2015, 3, 31),
        "period_focus": "Q1",
        "first_seen": date(2015, 5, 7),
        "revenues": 5.0,
        "cash_flow_op": 2.0,
    }
    return {**row, **columns}


def test_quarters_stand_alone_and_cash_flow_runs_from_the_years_beginning() -> None:
    ends = {"Q1": date(2015, 3, 31), "Q2": date(2015, 6, 30), "Q3": date(2015, 9, 30), "FY": date(2015, 12, 31)}
    found = values(pl.DataFrame([report(period_focus=focus, end_date=end, first_seen=date(2016, 3, 1)) for focus, end in ends.items()]))
    assert {(metric, span) for metric, _, span in found} == {
        ("revenue", "3M"), ("revenue", "12M"),
        ("operating_cash_flow", "3M"), ("operating_cash_flow", "6M"), ("operating_cash_flow", "9M"), ("operating_cash_flow", "12M"),
    }  # fmt: skip


def test_reports_that_cannot_be_are_left_out_and_said() -> None:
    rows = [
        report(first_seen=date(2015, 3, 1)),
        report(symbol="BBB", revenues=1.0), report(symbol="BBB", revenues=2.0),
        report(symbol="CCC"), report(symbol="CCC"),
        report(symbol="GOOG/GOOGL"),
    ]  # fmt: skip
    file = read_facts(pl.DataFrame(rows))
    assert sorted(set(file.rows["symbol"])) == ["CCC", "GOOG", "GOOGL"] and file.rows.height == 6
    said = " ".join(file.notices)
    assert "1 reports seen before their period's end, which cannot be, first AAA 2015-03-31" in said and "2 reports of which two" in said


def test_annual_figures_wait_ninety_days_and_a_zero_is_unknown() -> None:
    row = {"Ticker Symbol": "AAA", "Period Ending": "2014-12-31", "Total Revenue": 5.0, "Total Equity": 0.0, "Long-Term Debt": 0.0,
           "Short-Term Debt / Current Portion of Long-Term Debt": 3.0, "Capital Expenditures": -4.0}  # fmt: skip
    file = read_facts(pl.DataFrame([row, {**row, "Ticker Symbol": "BBB", "Long-Term Debt": 9.0}]))
    mine = file.rows.filter(symbol="AAA")
    assert dict(mine.select("metric", "value").iter_rows()) == {"revenue": 5.0, "capital_expenditure": 4.0}
    assert file.rows.filter(symbol="BBB", metric="total_debt")["value"].to_list() == [12.0]
    assert set(mine["filed"]) == {date(2015, 3, 31)} and file.undated


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pl.DataFrame({"ticker": ["A"], "date": ["2020-01-01"]}), "of a layout known by its columns"),
        (stats(Ticker=["a;drop table"]), "a symbol has"),
        (stats(Date=["yesterday"]), "needs a Date"),
        (stats(**{"Trailing P/E": ["cheap"]}), "every figure must be a number; 1 of the column Trailing P/E"),
    ],
)
def test_what_cannot_be_read_is_refused(frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_facts(frame)


def test_every_layout_is_told_apart() -> None:
    needed = [columns for columns, _ in LAYOUTS.values()]
    assert not any(a < b for a in needed for b in needed)


def test_a_table_of_facts_goes_in_as_it_is(exo: Exo, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "symbol,metric,period_end,fiscal_period,value,unit,filed,fwd_return\n"
        "AAA,net_income,2019-12-31,12M,5,USD,2020-02-07,0.3\nAAA,net_income,2019-12-31,12M,6,USD,2020-05-07,0.3\n"
    )
    ran = exo("data", "import", "--home", workspace, "--fundamentals", path)
    assert ran.code == 0 and "refused, because they tell what happened afterwards, and not stored: fwd_return" in ran.out
    again = exo("data", "import", "--home", workspace, "--fundamentals", path, "--json")
    assert '"unchanged": 2' in again.out and '"new": 0' in again.out
    with DataStorage(DataStorage.path_in(workspace)) as storage:
        assert storage.view(date(2020, 2, 10)).fundamentals().select("value", "source").rows() == [(5.0, "mine")]


@pytest.mark.parametrize(
    ("name", "least", "said"),
    [
        ("edgar_reports_pit_2015_2016.parquet", 200_000, "first NDLS 2016-05-05"),
        ("yahoo_keystats_snapshots_2003_2013.csv.gz", 150_000, "not stored: stock_p_change, SP500_p_change"),
        ("nyse_annual_fundamentals_2012_2016.csv.gz", 25_000, "taken as filed 90 days after the period's end, flagged"),
    ],
)
def test_the_real_files(exo: Exo, workspace: Path, shared: Shared, name: str, least: int, said: str) -> None:
    ran = exo("data", "import", "--home", workspace, "--fundamentals", shared(FOLDER + name))
    assert ran.code == 0 and said in ran.out, ran.err
    with DataStorage(DataStorage.path_in(workspace)) as storage:
        facts = storage.view().fundamentals()
        assert facts.height > least and facts["value"].is_finite().all() and (facts["filed"] >= facts["period_end"]).all()
        assert not any("change" in metric for metric in facts["metric"].unique())
        warned = any("carry no filing dates" in text for text in storage.view().warnings())
        assert warned == ("90 days" in said)


def test_the_first_seen_reports_agree_with_what_apple_filed(shared: Shared) -> None:
    """10-K of 2015-10-28, accession 0001193125-15-356351: revenue 233,715, net income 53,394, operating cash flow 81,266 million."""
    rows = read_facts(pl.read_parquet(shared(FOLDER + "edgar_reports_pit_2015_2016.parquet"))).rows
    year = rows.filter(symbol="AAPL", period_end=date(2015, 9, 26), fiscal_period="12M")
    assert set(year["filed"]) == {date(2015, 10, 28)}
    found = dict(year.select("metric", "value").iter_rows())
    assert (found["revenue"], found["net_income"], found["operating_cash_flow"]) == (233_715e6, 53_394e6, 81_266e6)


def test_debt_to_equity_of_the_real_snapshots_is_debt_over_equity(shared: Shared) -> None:
    """The unit is right in every year: the file's own debt and book value say so."""
    rows = read_facts(pl.read_csv(shared(FOLDER + "yahoo_keystats_snapshots_2003_2013.csv.gz"), infer_schema=False)).rows
    wide = rows.pivot("metric", index=["symbol", "period_end"], values="value", aggregate_function="first")
    sound = wide.filter((pl.col("total_debt") > 0) & (pl.col("total_equity") > 0) & (pl.col("debt_to_equity") > 0.05))
    ratio = (sound["debt_to_equity"] * sound["total_equity"] / sound["total_debt"]).log().abs()
    by_year = (
        sound.select(pl.col("period_end").dt.year().alias("year"), ratio=ratio).group_by("year").agg(pl.col("ratio").median(), pl.len())
    )
    assert by_year.height == 11 and (by_year["ratio"] < 0.02).all() and sound.height > 6000
    assert float(np.mean(ratio.to_numpy() < np.log(10))) > 0.995, "hardly a row off by a factor of ten, none of a wrong unit throughout"
