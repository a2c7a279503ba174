"""The gate and the store: what is stored, when it is known, and that looking again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mech_exo.datasource.quality import CHECKS, NAMES, assess, report
from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.errors import InputError
from mech_exo.utils import calendar
from mech_exo.utils.settings import Config, DataConfig
from tests.datasource.faults import SESSIONS, clean, put, scaled
from tests.datasource.market import changed

NOW = datetime(2014, 1, 2, 12, tzinfo=UTC)
CONFIG = Config()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DataStorage]:
    with DataStorage(tmp_path / "data" / "mech_exo.duckdb") as storage:
        yield storage


def test_an_empty_store_has_nothing_to_say(store: DataStorage) -> None:
    found = assess(store, CONFIG, now=NOW)
    assert found.as_of is None and found.coverage is None and found.blocked == ()


def test_a_finding_is_known_at_its_session_and_assessing_again_changes_nothing(store: DataStorage) -> None:
    panel = scaled(clean(), 3, 200, SESSIONS, 0.5)
    store.store_ohlc_data(panel.to_frame(), source="v", recorded_at=NOW)
    first = assess(store, CONFIG, now=NOW)
    told = store.view().findings()
    session = panel.sessions[200].item()
    assert (first.changed, first.fresh) == (1, True) and told["known_at"].to_list() == [calendar.session_close(session)]
    assert told["recorded_at"][0] >= NOW
    again = assess(store, CONFIG, now=NOW + timedelta(hours=1))
    assert (again.changed, again.fresh) == (0, False) and store.view().findings().equals(told)
    other = Config(data=DataConfig(max_jump=0.41))
    assert (assess(store, other, now=NOW + timedelta(hours=2)).changed, store.view().findings().height) == (0, 1)


def test_a_longer_history_adds_and_never_changes(store: DataStorage) -> None:
    whole = scaled(scaled(clean(), 3, 200, SESSIONS, 0.5), 5, 300, 302, 100.0).to_frame()
    cut = clean().sessions[250].item()
    store.store_ohlc_data(whole.filter(pl.col("date") <= cut), source="v", recorded_at=NOW)
    assess(store, CONFIG, now=NOW)
    before = store.view().findings()
    store.store_ohlc_data(whole, source="v", recorded_at=NOW + timedelta(hours=1))
    found = assess(store, CONFIG, now=NOW + timedelta(hours=1))
    after = store.view().findings()
    assert found.changed == 2 and after.filter(pl.col("session") <= cut).equals(before) and after["version"].max() == 0


def test_what_a_restatement_explains_is_taken_back_from_then_on(store: DataStorage) -> None:
    frame = scaled(clean(), 3, 200, 201, 0.1).to_frame()
    store.store_ohlc_data(frame, source="v", recorded_at=NOW)
    assess(store, CONFIG, now=NOW)
    later = NOW + timedelta(hours=1)
    store.store_ohlc_data(clean().to_frame(), source="v", recorded_at=later)
    assess(store, CONFIG, now=later)
    assert store.view().universe(store.view().panel(), None).verdict is None
    then = store.view(recorded_by=NOW + timedelta(minutes=1))
    verdict = then.universe(then.panel(), None).verdict
    assert verdict is not None and verdict[200, 3] == 2 and verdict[199, 3] == 0


def test_a_fault_that_came_by_restatement_is_known_only_since(store: DataStorage) -> None:
    store.store_ohlc_data(clean().to_frame(), source="v", recorded_at=NOW)
    later = NOW + timedelta(hours=1)
    store.store_ohlc_data(scaled(clean(), 3, 200, SESSIONS, 0.5).to_frame(), source="v", recorded_at=later)
    assess(store, CONFIG, now=later)
    assert store.view().findings()["known_at"][0] == later
    past = clean().sessions[300].item()
    assert store.view(past).findings().is_empty()


def test_two_sources_that_disagree_are_told(store: DataStorage) -> None:
    frame = clean().to_frame()
    store.store_ohlc_data(frame, source="one", recorded_at=NOW)
    day = clean().sessions[210].item()
    row = frame.filter((pl.col("symbol") == "N04") & (pl.col("date") == day)).row(0, named=True)
    other = changed(frame, "N04", day, **{name: row[name] * 1.08 for name in ("open", "high", "low", "close")})
    store.store_ohlc_data(other, source="two", recorded_at=NOW + timedelta(hours=1))
    assess(store, CONFIG, now=NOW + timedelta(hours=1))
    told = store.view().findings()
    assert told.select("symbol", "session", "check", "verdict").rows() == [("N04", day, "sources", "block")]
    assert told["value"][0] == pytest.approx(0.08) and "two says" in told["evidence"][0] and "one said" in told["evidence"][0]


def test_reports_in_other_money_are_told_from_when_they_were_known(store: DataStorage) -> None:
    store.store_ohlc_data(clean().to_frame(), source="v", recorded_at=NOW)
    filed = clean().sessions[50].item()
    facts = pl.DataFrame(
        {"symbol": ["N02", "N03"], "metric": ["revenue"] * 2, "period_end": [filed] * 2, "fiscal_period": ["Q1"] * 2, "filed": [filed] * 2,
         "value": [1.0, 1.0], "unit": ["EUR", "USD"]}
    )  # fmt: skip
    store.store_fundamentals(facts, recorded_at=NOW)
    assess(store, CONFIG, now=NOW)
    told = store.view().findings().select("symbol", "session", "check", "verdict", "evidence").rows()
    assert told == [("N02", clean().sessions[51].item(), "currency", "warn", "its reports are in EUR")]


def test_the_report_tells_tonight(store: DataStorage) -> None:
    panel = put(scaled(clean(), 3, SESSIONS - 5, SESSIONS, 0.5), "bar", SESSIONS - 1, 8, np.nan)
    store.store_ohlc_data(panel.to_frame(), source="v", recorded_at=NOW)
    found = assess(store, CONFIG, now=NOW)
    assert found.as_of == panel.sessions[-1].item() and (found.names, found.coverage) == (30, pytest.approx(29 / 30))
    (line,) = found.blocked
    assert (line.symbol, line.check, line.left) == ("N03", "missed_split", 252 - 4) and "exo data repair --dry-run --symbol N03" in line.clear
    assert found.counts == {"missed_split": (0, 1)} and found.trend[-1][2] > 0.0
    assert report(store.view().panel(), store.view().findings()).blocked == found.blocked


def test_an_acceptance_is_not_known_before_it_was_said(store: DataStorage) -> None:
    panel = scaled(clean(), 3, 200, SESSIONS, 0.5)
    store.store_ohlc_data(panel.to_frame(), source="v", recorded_at=NOW)
    assess(store, CONFIG, now=NOW)
    store.quality().accept("N03", panel.sessions[200].item(), "missed_split", "a spin-off", NOW + timedelta(hours=1))
    assess(store, CONFIG, now=NOW + timedelta(hours=2))
    (told,) = store.view().findings().select("verdict", "known_at").rows()
    assert told == ("ok", calendar.session_close(calendar.latest_session(NOW)))
    assert store.view(panel.sessions[300].item()).findings()["verdict"].to_list() == ["block"]


def test_accepting_what_was_not_found_is_refused(store: DataStorage) -> None:
    store.store_ohlc_data(scaled(clean(), 3, 200, SESSIONS, 0.5).to_frame(), source="v", recorded_at=NOW)
    assess(store, CONFIG, now=NOW)
    with pytest.raises(InputError, match="must have been found") as raised:
        store.quality().accept("N03", clean().sessions[201].item(), "missed_split", "because", NOW)
    assert "2012-10-17 missed_split" in str(raised.value.remedy)


def test_every_check_has_a_name_and_says_what_it_is() -> None:
    assert len(set(NAMES)) == len(NAMES) == 14 and all(check.says for check in CHECKS)
    page = (Path(__file__).parents[2] / "docs" / "data-quality.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in NAMES)
    assert all(f"`{key}`" in page for key in type(CONFIG.data.quality).model_fields)
