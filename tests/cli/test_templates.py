"""`exo init --template`: each way to begin checks, differs as it says, and runs a backtest and a night on the sample market."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mech_exo.scoring.factors import REGISTRY
from mech_exo.utils.config import load
from mech_exo.utils.templates import FOLDER, names, overlay
from mech_exo.utils.workspace import TEMPLATES, templates_folder
from mech_exo.utils.yaml_edit import with_values
from tests.session.stage import UNIVERSE, choose_universe

Exo = Callable[..., Any]
NIGHT = "2021-06-30"


@pytest.fixture(scope="module")
def begun(market_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``begun(name)``: the sample market under the configuration of that template."""
    made: dict[str, Path] = {}

    def begin(name: str) -> Path:
        from mech_exo.utils.workspace import create

        if name not in made:
            made[name] = tmp_path_factory.mktemp(name) / "w"
            shutil.copytree(market_home, made[name])
            shutil.rmtree(made[name] / "config")
            create(made[name], overlay=overlay(name))
            choose_universe(made[name], UNIVERSE)
        return made[name]

    return begin


@pytest.mark.parametrize("name", names())
def test_it_checks_and_runs_a_backtest_and_a_night(exo: Exo, begun: Callable[[str], Path], name: str) -> None:
    home = begun(name)
    assert exo("config", "check", "--home", home).code == 0
    ran = exo("backtest", "run", "--home", home, "--start", "2020-01-02", "--end", NIGHT, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["metrics"]["trades"] > 0
    night = exo("run", "--home", home, "--date", NIGHT, "--no-download", "--json")
    assert night.code in (0, 1), night.err
    body = json.loads(night.out)
    assert body["decision"]["orders"], body["decision"]["verdict"]
    weights = [target["weight"] for target in body["decision"]["targets"]]
    longs, shorts = sum(w for w in weights if w > 0), -sum(w for w in weights if w < 0)
    limits = load(home).risk
    assert longs + shorts <= limits.portfolio.max_gross_exposure
    assert max(map(abs, weights)) <= limits.position_sizing.max_position
    if name == "conservative":
        assert len(weights) <= 20
        assert longs <= 0.8 + 1e-9
        assert shorts == 0
    elif name == "long-short":
        assert longs > 0
        assert shorts > 0
        assert abs(longs - shorts) <= 0.3 + 1e-9
    else:
        assert len(weights) > 30
        assert all(target["stop"] is None for target in body["decision"]["targets"])


def test_conservative_is_tighter_than_the_defaults_wherever_it_says_so(begun: Callable[[str], Path], workspace: Path) -> None:
    usual, careful = load(workspace).risk, load(begun("conservative")).risk
    for section, keys in (("position_sizing", ("max_single_trade_risk", "max_sector_exposure", "max_position")),
                          ("portfolio", ("max_gross_exposure", "max_net_exposure", "max_leverage", "max_drawdown")), ("stops", ("hard", "trailing"))):  # fmt: skip
        for key in keys:
            assert getattr(getattr(careful, section), key) < getattr(getattr(usual, section), key), key
    assert careful.soft_drawdown is not None
    assert usual.soft_drawdown is not None
    assert careful.soft_drawdown < usual.soft_drawdown


def test_research_weighs_every_factor_alike_in_its_own_direction(begun: Callable[[str], Path]) -> None:
    factors = load(begun("research")).factors
    found = {name: line for family in (factors.fundamental, factors.technical, factors.sentiment, factors.quality) for name, line in family.items()}
    assert {name: line.direction for name, line in found.items()} == {name: factor.direction for name, factor in REGISTRY.items()}
    assert {line.weight for line in found.values()} == {1.0}
    assert not load(begun("research")).broker.live.enabled


@pytest.mark.parametrize("name", names())
def test_every_value_of_an_overlay_is_a_difference_and_every_comment_stays(name: str) -> None:
    chosen = overlay(name)
    assert set(chosen.files) <= set(TEMPLATES)
    for file in chosen.files:
        template = (templates_folder() / file).read_text("utf-8")
        made = chosen.over(file, template)
        assert f"--template {name}" in made.splitlines()[0]
        comments = {line.split("#", 1)[1].strip() for line in template.splitlines()[2:] if "#" in line}
        assert comments <= {line.split("#", 1)[1].strip() for line in made.splitlines() if "#" in line}
    assert all(line.startswith("exo ") for line in chosen.next)


def test_without_a_template_the_defaults_are_written_byte_for_byte(workspace: Path) -> None:
    assert all((workspace / "config" / name).read_bytes() == (templates_folder() / name).read_bytes() for name in TEMPLATES)


def test_an_unknown_template_is_a_plain_message_and_writes_nothing(exo: Exo, tmp_path: Path) -> None:
    ran = exo("init", tmp_path / "w", "--template", "agressive")
    assert (ran.code, ran.out) == (2, "")
    assert all(name in ran.err for name in names())
    assert not (tmp_path / "w").exists()


def test_help_names_every_template(exo: Exo) -> None:
    said = " ".join(exo("init", "--help").out.split())
    assert [path.stem for path in FOLDER.glob("*.yml") if path.stem not in said] == []


def test_a_new_key_before_the_last_known_one_does_not_hide_it() -> None:
    text = "a:\n  x: 1\n  y: 2   # why\nb: 3\n"
    assert with_values(text, "a", {"new": "9", "y": "5"}) == "a:\n  x: 1\n  y: 5   # why\n  new: 9\nb: 3\n"
