"""A rule of a plug-in, written as a built-in one is, decides the same to the last bit: backtest, night, worker of a sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mech_exo.assembly import Workspace
from mech_exo.backtest.engine import EventBacktester
from mech_exo.backtest.result import BacktestResult
from mech_exo.decision.night import Known
from mech_exo.session import run_night
from tests.plugins.pages import configure

COPIES = '''
"""Built-in rules once more."""
import numpy as np
from mech_exo.plugins import Direction, Exposure, Factor, Family, Limit, Param, Sizing
from mech_exo.kernels.rolling import lagged_ratio_rows

def momentum(inputs, rows, params):
    return lagged_ratio_rows(inputs.total_return, rows, params["skip"], params["lookback"])

MOMENTUM = Factor("my_momentum", Family.TECHNICAL, ("total_return",), "fraction", Direction.HIGHER_BETTER, "as built in", momentum,
                  {"lookback": Param(252), "skip": Param(21, minimum=0)}, lambda params: params["lookback"], ("skip", "lookback"))
POSITION = Limit("my_position", lambda sight, figure: figure * sight.nav / sight.close, "of NAV", example=0.1)
INVERSE = Sizing("inverse", lambda s: s.nav * s.trade_risk / (s.volatility * np.sqrt(252.0) * s.close), reads=("volatility",))
EQUAL = Sizing("equal", lambda s: s.gross * s.nav / s.count / s.close, exposure=Exposure.AS_IS)
ATR = Sizing("atr", lambda s: s.nav * s.trade_risk / (2.0 * s.atr), exposure=Exposure.AT_MOST, reads=("atr",))
'''
PLUGINS = {"plugins": ["plugins/copies.py"]}
Changes = dict[str, dict[str, object]]


def weights(name: str) -> dict[str, object]:
    line = {"weight": 10, "direction": "higher_better", "params": {"lookback": 60, "skip": 5}}
    return {"technical": {name: line, "rsi_14": {"weight": 8, "direction": "mean_revert"}}}


CASES: dict[str, tuple[Changes, Changes]] = {
    "factor": ({"factors": weights("momentum_12_1")}, {"factors": {**PLUGINS, **weights("my_momentum")}}),
    "limit": (
        {"risk_limits": {"position_sizing": {"max_position": 0.04}}},
        {"risk_limits": {"position_sizing": {"max_position": 1.0}, **PLUGINS, "plugin_limits": {"my_position": 0.04}}},
    ),
    "inverse volatility": ({}, {"strategy": {**PLUGINS, "sizing": {"method": "plugin.inverse"}}}),
    "equal weight": ({"strategy": {"sizing": {"method": "equal_weight"}}}, {"strategy": {**PLUGINS, "sizing": {"method": "plugin.equal"}}}),
    "atr": ({"strategy": {"sizing": {"method": "atr_based"}}}, {"strategy": {**PLUGINS, "sizing": {"method": "plugin.atr"}}}),
}


@pytest.fixture(scope="module")
def known(stocked: Path) -> Known:
    return Workspace.open(stocked).known()


@pytest.fixture
def configured(home: Path) -> Callable[[Changes], Workspace]:
    (home / "plugins").mkdir()
    (home / "plugins" / "copies.py").write_text(COPIES)
    kept = {file: file.read_bytes() for file in (home / "config").iterdir()}

    def set_to(changes: Changes) -> Workspace:
        for file, text in kept.items():
            file.write_bytes(text)
        for name, lines in changes.items():
            if "technical" in lines:
                configure(home / "config" / "factors.yml", {"technical": None})
            configure(home / "config" / f"{name}.yml", lines)
        return Workspace.open(home)

    return set_to


def played(workspace: Workspace, known: Known) -> BacktestResult:
    return EventBacktester(known.panel, workspace.strategy, universe=known.universe).run()


@pytest.mark.parametrize("case", CASES)
def test_a_copy_of_a_built_in_rule_decides_the_same(case: str, configured: Callable[[Changes], Workspace], known: Known) -> None:
    built_in, own = (played(configured(changes), known) for changes in CASES[case])
    assert len(built_in.events) > 200
    assert built_in.events.tobytes() == own.events.tobytes() and built_in.days.tobytes() == own.days.tobytes()
    assert own.config_hash != built_in.config_hash
    said = [line for line in own.warnings if line.startswith("rules of plug-ins decided")]
    assert len(said) == 1 and "plugins/copies.py (source " in said[0] and ("in Python" in said[0]) is (case != "factor")
    assert not any(line.startswith("rules of plug-ins") for line in built_in.warnings)


def test_night_for_night_it_is_the_backtest(configured: Callable[[Changes], Workspace], known: Known, tmp_path: Path) -> None:
    """Paper, stepped over sessions with a limit and a method of a plug-in, gives the backtest's fills; a night's replay its decision."""
    changes = {name: {**CASES["limit"][1].get(name, {}), **CASES["inverse volatility"][1].get(name, {})} for name in ("risk_limits", "strategy")}
    workspace = configured({**changes, "factors": {**PLUGINS, **weights("my_momentum")}})
    nights = [day.astype(object) for day in known.panel.sessions[-7:]]
    with workspace.ledger() as ledger:
        for night in nights:
            decided = run_night(workspace.desks(ledger), night)
        book = workspace.book_id()
        fills = [row.fill for row in ledger.fills(book)]
        assert decided.decision is not None and any("rules of plug-ins" in line for line in decided.decision.warnings)
        assert workspace.replay(ledger, nights[0]).identical
    result = EventBacktester(known.panel, workspace.strategy, universe=known.universe).run(start=nights[0])
    theirs = result.fills
    assert [(fill.symbol, fill.shares, fill.price) for fill in fills] == list(zip(theirs["symbol"], theirs["shares"], theirs["price"], strict=True))
    assert len(fills) > 5


def test_what_a_limit_cut_is_told_by_its_name(configured: Callable[[Changes], Workspace], known: Known, tmp_path: Path, exo: Callable[..., object]) -> None:
    workspace = configured({"risk_limits": {**PLUGINS, "plugin_limits": {"my_position": 0.01}}})
    night = known.panel.sessions[-1].astype(object)
    with workspace.ledger() as ledger:
        done = run_night(workspace.desks(ledger), night)
    assert done.decision is not None
    bound = {breach.word for breach in done.decision.verdict.breaches}
    assert "plugin.my_position" in bound
    body = json.loads(done.decision.body())
    symbol = next(line["symbol"] for line in body["targets"] if line["binding"] == "plugin.my_position")
    assert "plugin.my_position" in exo("--home", workspace.home, "why", symbol, "--date", night).out
    made = exo("--home", workspace.home, "report", "daily", "--date", night)
    assert made.code == 0 and "rules of plug-ins decided" in next(workspace.reports.rglob("*.html")).read_text()
    sheet = workspace.home / "sheet.html"
    assert exo("--home", workspace.home, "backtest", "run", "--start", "2024-06-03", "--report", sheet).code == 0
    assert "limit my_position at 0.01 of plugins/copies.py (source " in sheet.read_text()
    asked = json.loads(exo("--home", workspace.home, "risk", "what-if", f"BUY 500 {symbol}", "--json").out)
    assert "plugin.my_position" in json.dumps(asked)


def test_the_workers_of_a_sweep_decide_by_the_plug_ins(configured: Callable[[Changes], Workspace], known: Known, exo: Callable[..., object]) -> None:
    workspace = configured(CASES["limit"][1])
    words = ("backtest", "sweep", "--set", "risk.plugin_limits.my_position=0.02,0.04", "--backend", "processes", "--workers", "2", "--json")
    done = exo("--home", workspace.home, *words)
    assert done.code == 0, done.err
    apart, alike = (trial["sharpe"] for trial in json.loads(done.out)["trials"])
    assert apart != alike
    assert alike == pytest.approx(played(workspace, known).metrics["sharpe"], rel=1e-9)
