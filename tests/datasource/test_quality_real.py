"""The gate on real bars with the faults vendors leave in them: each known one is found, and a hundred flags were looked at by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource.quality import QualityReport, assess
from mech_exo.datasource.quality.repair import proposals
from mech_exo.datasource.storage import DataStorage
from mech_exo.utils.settings import Config

NOW = datetime(2016, 7, 1, 12, tzinfo=UTC)
STEPS = ("missed_split", "invented_split", "late_split", "unit_error", "jump", "reused_symbol")
GOLDEN = Path(__file__).parent.parent / "golden" / "quality_flags.csv"
PRECISION = 0.91


@pytest.fixture(scope="module")
def store(shared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStorage]:
    with DataStorage(tmp_path_factory.mktemp("real") / "data" / "mech_exo.duckdb") as storage:
        frame = pl.read_parquet(shared("data/prices/us_sp500_members_2003_2016.parquet"))
        storage.store_ohlc_data(frame, source="real", price_basis="split_adjusted", recorded_at=NOW)
        yield storage


@pytest.fixture(scope="module")
def found(store: DataStorage) -> QualityReport:
    return assess(store, Config(), now=NOW)


@pytest.fixture(scope="module")
def findings(store: DataStorage, found: QualityReport) -> pl.DataFrame:
    return store.view().findings()


def of(findings: pl.DataFrame, symbol: str, check: str, verdict: str = "block") -> list[date]:
    rows = findings.filter((pl.col("symbol") == symbol) & (pl.col("check") == check) & (pl.col("verdict") == verdict))
    return rows["session"].to_list()


@pytest.mark.parametrize(
    ("symbol", "check", "session"),
    [
        ("C", "missed_split", date(2011, 5, 6)),  # the 1:10 reverse split, a session late
        ("C", "late_split", date(2011, 5, 9)),
        ("HPQ", "jump", date(2015, 10, 19)),  # a week divided for the HPE spin-off, two weeks early
        ("HPQ", "late_split", date(2015, 10, 26)),
        ("HPQ", "missed_split", date(2015, 11, 2)),  # the spin-off itself, which nobody told
        ("FIS", "jump", date(2004, 6, 3)),  # every Thursday of that summer
        ("FIS", "late_split", date(2004, 6, 4)),
        ("DYN", "missed_split", date(2010, 5, 24)),
        ("DYN", "late_split", date(2010, 5, 25)),
        ("DYN", "reused_symbol", date(2012, 10, 3)),  # other shares after the bankruptcy
        ("GGP", "reused_symbol", date(2010, 3, 5)),  # back from 223 sessions without a bar, thirteen times as dear
        ("NSM", "reused_symbol", date(2012, 3, 8)),  # National Semiconductor's symbol, now Nationstar's
    ],
)
def test_the_known_faults_are_found(findings: pl.DataFrame, symbol: str, check: str, session: date) -> None:
    assert session in of(findings, symbol, check)


def test_fis_is_found_every_week_of_its_summer(findings: pl.DataFrame) -> None:
    weeks = [day for day in of(findings, "FIS", "late_split") if day.year == 2004]
    assert len(weeks) == 20 and weeks[0] == date(2004, 6, 4) and weeks[-1] == date(2004, 10, 13)


def test_the_refused_rows_are_counted_by_what_is_wrong_with_them(store: DataStorage, findings: pl.DataFrame) -> None:
    told = findings.filter(pl.col("check") == "refused")["evidence"]
    assert told.str.contains(r"open 0\b(?:[^.]|$)").sum() == 1968
    assert told.str.contains(r"high 0\b(?:[^.]|$)").sum() == 870
    refused = store.quality().refused()
    assert refused.filter((pl.col("high") < pl.col("low")) & (pl.col("high") > 0.0)).height == told.str.contains("below low").sum() == 8


def test_one_history_under_two_symbols_is_found(findings: pl.DataFrame) -> None:
    """FOXA carries FOX's bars until 2008."""
    assert set(findings.filter(pl.col("check") == "duplicate")["symbol"]) == {"FOXA"}


def test_the_crash_blocks_no_more_names_than_other_years(store: DataStorage, found: QualityReport) -> None:
    view = store.view()
    panel = view.panel()
    verdict = view.universe(panel, None).verdict
    assert verdict is not None
    blocked = ((verdict == 2) & ~np.isnan(panel.close)).sum(axis=1)
    autumn = blocked[(panel.sessions >= np.datetime64("2008-09-01")) & (panel.sessions < np.datetime64("2009-01-01"))]
    assert blocked.mean() < 10.0 and autumn.max() < 12 and blocked.max() < 40
    assert (found.names, found.coverage) == (580, 1.0)
    assert {line.symbol for line in found.blocked} == {"HPQ", "MTW", "SYMC", "VIAV"}


def drawn(findings: pl.DataFrame) -> pl.DataFrame:
    """A hundred blocking flags about prices, at most one of a name, check and quarter: one fault that comes back weekly is one fault."""
    steps = findings.filter((pl.col("verdict") == "block") & pl.col("check").is_in(STEPS)).sort("symbol", "session", "check")
    quarter = pl.col("session").dt.truncate("1q").alias("quarter")
    single = steps.with_columns(quarter).unique(["symbol", "check", "quarter"], keep="first", maintain_order=True)
    return single.sample(100, seed=2016, shuffle=False).select("symbol", "session", "check").sort("check", "symbol", "session")


def test_the_precision_on_a_hand_checked_sample(findings: pl.DataFrame) -> None:
    """Every flag of the sample was looked at: the bars around it, the volume, what is known of the company."""
    judged = pl.read_csv(GOLDEN, try_parse_dates=True)
    assert drawn(findings).equals(judged.select("symbol", "session", "check")), "the gate flags others now: judge the new sample"
    faults = judged.filter(pl.col("judgement") == "fault").height
    assert judged.height == 100 and set(judged["judgement"]) == {"fault", "real move"} and faults / judged.height >= PRECISION
    assert judged["why"].str.len_chars().min() > 5


def test_what_is_certain_is_proposed_and_what_is_not_is_left_to_a_person(store: DataStorage) -> None:
    every = {(r.symbol, r.kind, r.first): r for r in proposals(store, Config())}
    citi = every["C", "rescale", date(2011, 5, 6)]
    assert citi.certain and citi.bars["close"].to_list() == pytest.approx([45.2], abs=0.05)
    assert citi.bars["volume"].to_list() == pytest.approx([51_317_869], rel=0.01)
    assert not every["HPQ", "split", date(2015, 11, 2)].certain  # a spin-off looks like a split and is none
    assert not every["MTW", "split", date(2016, 3, 4)].certain
    splits = {(symbol, day) for (symbol, kind, day), r in every.items() if kind == "split" and r.certain}
    assert {("CSX", date(2006, 8, 16)), ("LKQ", date(2007, 12, 4)), ("UAA", date(2014, 4, 15))} <= splits
    assert not any(day == date(2012, 10, 2) for _, day in splits)  # Kraft, one third of Mondelez


def test_recall_of_missed_splits_on_raw_prices(shared: Callable[[str], Path], tmp_path: Path) -> None:
    """Where the file's own adjusted close steps at 3:2 or more and the price steps with it, the gate says so from the price alone."""
    frame = pl.read_parquet(shared("data/prices/us_top1500_raw_2015_2016.parquet")).sort("symbol", "date")
    ratio = (pl.col("adj_close") / pl.col("close")).over("symbol")
    before = pl.col("close").shift(1).over("symbol")
    step = frame.with_columns(adjusted=(ratio / ratio.shift(1).over("symbol")), moved=pl.col("close") / before)
    known = step.filter(((pl.col("adjusted") > 1.45) | (pl.col("adjusted") < 0.69)) & ((pl.col("adjusted") * pl.col("moved")) - 1.0).abs().lt(0.2))
    with DataStorage(tmp_path / "raw.duckdb") as storage:
        storage.store_ohlc_data(frame, source="raw")
        assess(storage, Config(), now=datetime.now(UTC))
        flags = storage.view().findings().filter((pl.col("verdict") == "block") & pl.col("check").is_in(STEPS))
        splits = [r for r in proposals(storage, Config()) if r.kind == "split" and r.certain]
    hit = known.join(flags, left_on=["symbol", "date"], right_on=["symbol", "session"], how="semi")
    assert known.height >= 20 and hit.height / known.height >= 0.9, (known.height, hit.height)
    truth = set(known.select("symbol", "date").iter_rows())
    assert len(splits) >= 20, len(splits)
    print(len(splits), len([r for r in splits if (r.symbol, r.first) in truth]))
