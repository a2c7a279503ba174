"""A saved run: the same to the last bit when it is loaded, whole or not there, and honest about what it lacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mech_exo.backtest import BacktestResult, EventBacktester
from mech_exo.backtest.store import RUN, TABLES
from mech_exo.decision.strategy import Strategy
from mech_exo.domain.errors import InputError, StoreError, UserError
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.reporting.tearsheet import write_tearsheet
from tests.backtest.driving import busy_config, sample

FRAMES = ("equity", "exposure", "holdings", "weights", "fills", "orders", "costs", "costs_by_kind", "trades", "by_symbol", "by_sector", "by_exit_reason")


@pytest.fixture(scope="module")
def market():
    return sample(seed=5, symbols=30, years=3)


@pytest.fixture(scope="module")
def result(market):
    panel, universe = market
    flows, benchmark = np.zeros(len(panel.sessions)), np.full(len(panel.sessions), 0.0003)
    flows[400], benchmark[10] = 5_000.0, np.nan
    engine = EventBacktester(panel, busy_config(), universe=universe, flows=flows, benchmark=benchmark)
    return engine.run(panel.sessions[300].astype(object), panel.sessions[700].astype(object))


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    return result.save(tmp_path_factory.mktemp("runs") / result.run_id)


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    shutil.copytree(folder, tmp_path / folder.name)
    return tmp_path / folder.name


def test_a_loaded_run_is_the_same_to_the_last_bit(result, folder):
    again = BacktestResult.load(folder)
    for name in ("days", "events", "round_trips", "sessions"):
        assert getattr(again, name).tobytes() == getattr(result, name).tobytes(), name
    for name in FRAMES:
        assert getattr(again, name).equals(getattr(result, name)) and getattr(again, name).schema == getattr(result, name).schema, name
    assert again.as_dict() == result.as_dict() and again.config == result.config and again.symbols == result.symbols
    assert again.benchmark is not None and np.array_equal(again.benchmark, result.benchmark, equal_nan=True)
    assert again.warnings == result.warnings and any("synthetic sample" in said for said in again.warnings)
    assert again.days["flow"].sum() == 5_000.0


def test_the_tear_sheet_needs_no_bars_but_for_the_factors(result, folder, tmp_path):
    """With the data it is the same page; without, the risk of the last book and the attribution to factors say what they lack."""
    with_data = BacktestResult.load(folder, result.known.panel, result.known.universe)
    runs = (result, with_data, BacktestResult.load(folder))
    mine, same, without = (write_tearsheet(run, tmp_path / f"{n}.html").read_text("utf-8") for n, run in enumerate(runs))
    assert mine == same
    assert up_to_attribution(without) == up_to_attribution(mine) and f"{result.run_id} was loaded without them" in without
    assert "loaded without its data" in without and "loaded without its data" not in mine and "Unknown because of" not in without


def up_to_attribution(page: str) -> str:
    """What stands before the attribution, but for the risk of the last book."""
    page = page[: page.index('<section id="attribution"')]
    start = page.index('<section id="risk"')
    return page[:start] + page[page.index("</section>", start) :]


def test_run_json_is_for_people(result, folder):
    run = json.loads((folder / RUN).read_text("utf-8"))
    assert run["metrics"] == result.metrics and run["kpi"] == result.kpi.as_dict() and run["config"]["strategy"]["selection"]["top"] == 12
    assert "keys" not in run["config"] and run["strategy"] == "configured" and set(run["files"]) == {f"{name}.parquet" for name in TABLES}
    assert pl.read_parquet(folder / "events.parquet")["kind"].unique().is_in(["order", "stop", "target", "split", "dividend", "delisting", "stale_close"]).all()


def test_saving_it_again_leaves_it(result, copy):
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert result.save(copy) == copy and {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_a_damaged_copy_of_it_is_replaced_whole(result, copy):
    (copy / "days.parquet").write_bytes(b"PAR1")
    (copy / "events.parquet").unlink()
    result.save(copy)
    assert BacktestResult.load(copy).days.tobytes() == result.days.tobytes()
    assert [path for path in copy.parent.iterdir() if path != copy] == []


def test_nothing_else_is_ever_written_over(result, copy, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"folder of its own; .*mine holds other things"):
        result.save(mine)
    assert (mine / "thesis.txt").read_text() == "years of work"
    other = EventBacktester(result.known.panel, busy_config(), universe=result.known.universe).run(end=result.sessions[50].astype(object))
    with pytest.raises(UserError, match=f"holds the run {result.run_id}"):
        other.save(copy)
    assert BacktestResult.load(copy).run_id == result.run_id


def test_a_place_that_cannot_be_written(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="must be saved where it can be written"):
        result.save(tmp_path / "file" / "run")


@pytest.mark.parametrize("table", TABLES)
def test_a_changed_file_is_told(copy, table):
    path = copy / f"{table}.parquet"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    with pytest.raises(StoreError, match=f"{table}.parquet is not what was written"):
        BacktestResult.load(copy)
    path.unlink()
    with pytest.raises(StoreError, match=f"{table}.parquet is missing"):
        BacktestResult.load(copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run.pop("kpi"), "lacks kpi"),
        (lambda run: run.update(format=99), "format 99"),
        (lambda run: run["config"]["strategy"].update(nonsense=1), "configuration this version knows"),
        (lambda run: run.update(run_id="0" * 16), "calls itself 0000000000000000"),
        (lambda run: run.update(config_hash="0" * 16), "calls itself"),
    ],
)
def test_a_foreign_run_is_told(copy, change, said):
    run = json.loads((copy / RUN).read_text("utf-8"))
    change(run)
    (copy / RUN).write_text(json.dumps(run))
    with pytest.raises(StoreError, match=said):
        BacktestResult.load(copy)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"format": 1}', "\x00"])
def test_a_run_json_that_is_none(copy, text):
    (copy / RUN).write_text(text)
    with pytest.raises(StoreError, match="saved run must"):
        BacktestResult.load(copy)


def test_no_run_at_all(tmp_path):
    with pytest.raises(StoreError, match=r"a folder with a run\.json"):
        BacktestResult.load(tmp_path / "nowhere")


class TestBars:
    @pytest.mark.parametrize("ask", [lambda run: run.explain(run.sessions[0].astype(object), run.symbols[0]), lambda run: run.by_factor, lambda run: run.panel])
    def test_what_needs_them_says_what_to_hand_in(self, folder, ask):
        with pytest.raises(InputError, match=r"(?s)loaded without them.*load\(folder, panel="):
            ask(BacktestResult.load(folder))

    def test_later_sessions_and_further_symbols_do_not_matter(self, result, folder, market):
        panel, universe = market
        again = BacktestResult.load(folder, panel, universe)
        assert again.by_factor.equals(result.by_factor) and again.panel.data_hash() == result.panel.data_hash()
        bars = {name: np.column_stack([getattr(panel, name), np.full(len(panel.sessions), 10.0)]) for name in ("open", "high", "low", "close", "volume")}
        bars |= {"split_ratio": np.column_stack([panel.split_ratio, np.ones(len(panel.sessions))]), "dividend": np.column_stack([panel.dividend, np.zeros(len(panel.sessions))])}
        bars |= {"delisted": np.append(panel.delisted, len(panel.sessions)), "delisting_value": np.append(panel.delisting_value, np.nan)}
        wider = BarPanel.from_arrays(panel.sessions, (*panel.symbols, "ZZZ"), bars, label=panel.label)
        members = Universe(np.column_stack([universe.member, universe.member[:, :1]]), np.column_stack([universe.sector, universe.sector[:, :1]]), universe.sector_names)
        assert BacktestResult.load(folder, wider, members).data_hash == result.data_hash

    def test_other_bars_are_refused(self, folder, market):
        panel, universe = market
        close = panel.close.copy()
        close[5, 3] *= 1.0001
        from dataclasses import replace

        with pytest.raises(InputError, match="must be those of the run"):
            BacktestResult.load(folder, replace(panel, close=close), universe)
        with pytest.raises(InputError, match="must be those of the run"):
            BacktestResult.load(folder, panel)
        with pytest.raises(InputError, match="other symbols"):
            BacktestResult.load(folder, panel.select(panel.symbols[:5]), Universe.everyone(panel.select(panel.symbols[:5])))


def test_a_callable_and_a_run_without_any_event(market, tmp_path):
    panel, universe = market
    for number, weight in enumerate((0.0, 0.3)):
        run = EventBacktester(panel, lambda view, _, weight=weight: {view.symbols[12]: weight} if view.row == 5 else None, universe=universe).run(end=panel.sessions[60].astype(object))
        again = BacktestResult.load(run.save(tmp_path / str(number)))
        assert not again.configured and again.strategy is None and again.benchmark is None
        for name in FRAMES:
            assert getattr(again, name).equals(getattr(run, name)), name
        assert again.as_dict() == run.as_dict() and again.round_trips.tobytes() == run.round_trips.tobytes()


def test_a_loaded_configured_run_knows_its_strategy(folder):
    loaded = BacktestResult.load(folder)
    assert isinstance(loaded.strategy, Strategy) and loaded.configured
