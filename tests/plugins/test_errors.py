"""What is wrong with a plug-in is said with rule, value and remedy, the author's line, and never a traceback; what is unlawful decides nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from mech_exo.domain.errors import ConfigError, PluginError
from mech_exo.plugins import check
from mech_exo.scoring.factors import REGISTRY, known, lookup
from mech_exo.utils import plugin_files
from mech_exo.utils.config import config_hash, load
from tests.plugins.pages import configure

HEAD = "import numpy as np\nfrom mech_exo.plugins import *\nfrom mech_exo.plugins import Direction, Family\n"
FACTOR = HEAD + '''
def f(inputs, rows, params):
    {body}

MINE = Factor({name!r}, Family.TECHNICAL, {inputs}, "fraction", Direction.HIGHER_BETTER, "mine", f{more})
'''
Run = Callable[..., object]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A workspace without data."""
    from mech_exo.utils.workspace import create

    create(tmp_path / "w")
    (tmp_path / "w" / "plugins").mkdir()
    return tmp_path / "w"


def factor(body: str, name: str = "mine", inputs: str = '("close",)', more: str = "") -> str:
    return FACTOR.format(body=body, name=name, inputs=inputs, more=more)


def put(home: Path, text: str, file: str = "factors", more: dict[str, object] | None = None, spec: str = "plugins/mine.py") -> Path:
    (home / spec).write_text(text)
    configure(home / "config" / f"{file}.yml", {"plugins": [spec], **(more or {})})
    return home


UNREADABLE = {
    "syntax": ("x = (1\n", r"plugins/mine\.py, line 1: cannot be imported: SyntaxError: "),
    "name": ("\n\nx = nonsense\n", r"plugins/mine\.py, line 3: cannot be imported: NameError: name 'nonsense' is not defined"),
    "exit": ("import sys\nsys.exit(3)\n", r"plugins/mine\.py, line 2: cannot be imported: SystemExit: 3"),
    "package": ("import no_such_package_at_all\n", r"line 1: cannot be imported: ModuleNotFoundError: "),
    "taken": (factor("return inputs.close[rows]", name="rsi_14"), r"a name belongs to one factor; 'rsi_14' is built in already"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read(case: str, plain: Path, exo: Run) -> None:
    text, said = UNREADABLE[case]
    done = exo("--home", put(plain, text), "factors", "list")
    assert done.code == 2 and re.search(said, done.err), done.err
    assert "Traceback" not in done.err and "→ " in done.err and "plugins:" in done.err
    (finding,) = check(plain)
    assert not finding.holds and re.search(said, finding.broken) and finding.remedy
    assert exo("--home", plain, "plugins", "check").code == 2


def test_a_file_that_is_not_there(plain: Path, exo: Run) -> None:
    configure(plain / "config" / "risk_limits.yml", {"plugins": ["plugins/nowhere.py", "no.such.module"]})
    done = exo("--home", plain, "config", "check")
    assert done.code == 2 and "risk_limits.yml: plugins: names Python files" in done.err and "nowhere.py does not exist" in done.err
    assert exo("--home", plain, "halt", "--reason", "a broken plug-in stops no halt").code == 0
    configure(plain / "config" / "risk_limits.yml", {"plugins": ["plugins/not python"]})
    assert "text matching" in exo("--home", plain, "config", "check").err or exo("--home", plain, "config", "check").code == 2


UNLAWFUL = {
    "looks ahead": (factor("v = inputs.close.copy(); v[:-1] = inputs.close[1:]; return v[rows]"), "it does not look ahead"),
    "knows the mean of all": (factor("return (inputs.close - np.nansum(inputs.close, axis=0))[rows]"), "it does not look ahead"),
    "wrong shape": (factor("return inputs.close[:1]"), "must give float64"),
    "wrong type": (factor("return inputs.close[rows].astype('f4')"), "must give float64"),
    "infinite": (factor("return inputs.close[rows] / 0.0"), "unknown is NaN"),
    "fills": (factor("return np.nan_to_num(inputs.close[rows])"), "unknown is NaN"),
    "depends on the column": (factor("return inputs.close[rows] * (1 + np.arange(inputs.close.shape[1]))"), "permuting the symbols"),
    "chance": (factor("return inputs.close[rows] * np.random.default_rng().random()"), ""),
    "place instead of row": (factor("return inputs.close[rows] + np.arange(len(rows))[:, None]"), ""),
    "undeclared": (factor("return inputs.close[rows] * inputs.volume[rows]"), "it declares what it reads"),
    "undeclared fact": (factor("return inputs.close[rows] / inputs.fact('pe_ratio')[rows]"), "declares the facts it reads"),
    "writes": (factor("inputs.close[0] = 1.0; return inputs.close[rows]"), "ValueError"),
    "wrong signature": (factor("return inputs.close[rows]").replace("def f(inputs, rows, params)", "def f(inputs)"), "TypeError"),
    "early": (factor("return inputs.close[rows]", more=", warmup=lambda params: 50"), "none before its warm-up"),
}


@pytest.mark.parametrize("case", UNLAWFUL)
def test_an_unlawful_factor_is_told_and_scores_nothing(case: str, plain: Path) -> None:
    text, law = UNLAWFUL[case]
    config = load(put(plain, text))
    broken = [finding for finding in check(plain) if not finding.holds]
    assert broken and any(law in f"{finding.law} {finding.broken}" for finding in broken), broken
    with pytest.raises(PluginError, match=r"plugins/mine\.py: factor mine breaks a law: "):
        lookup("mine", config.factors.plugins)


def limit(body: str) -> str:
    return HEAD + f"def g(sight, figure):\n    {body}\n\nMINE = Limit('mine', g, 'of NAV', example=0.05)\n"


RULES = {
    "negative": (limit("return -np.ones(len(sight.symbols))"), "it gives the most shares"),
    "one number": (limit("return 100.0"), "it gives the most shares"),
    "unknown is any": (
        limit("v = np.nan_to_num(np.abs(sight.history.close[-1] / sight.history.close[-5] - 1.0)); return 1e3 / (0.001 + v)"),
        "what is unknown never allows more",
    ),
    "changes its mind": (limit("return 0.5 * np.abs(sight.wanted)"), "asked again"),
    "by column": (limit("return 100.0 + np.arange(len(sight.symbols))"), "permuting the symbols"),
    "fails": (limit("return sight.nothing"), "AttributeError"),
}


@pytest.mark.parametrize("case", RULES)
def test_an_unlawful_limit_is_told_and_decides_nothing(case: str, plain: Path) -> None:
    from mech_exo.decision.strategy import Strategy

    text, law = RULES[case]
    config = load(put(plain, text, "risk_limits", {"plugin_limits": {"mine": 0.05}}))
    broken = [finding for finding in check(plain) if not finding.holds]
    assert any(law in f"{finding.law} {finding.broken}" for finding in broken), broken
    with pytest.raises(PluginError, match="limit mine breaks a law"):
        _ = Strategy(config).own_limits


METHODS = {
    "negative": ("return -sight.nav / sight.close", "it gives shares"),
    "all of it for each": ("return sight.nav / sight.close", "do not exceed"),
    "invents": ("return 1.0 / np.nan_to_num(sight.volatility, nan=0.02)", "what is unknown has no size"),
    "nothing": ("return np.zeros(len(sight.symbols))", "not all 0"),
    "by place": ("return sight.nav * 0.01 * np.arange(len(sight.symbols)) / sight.close", "permuting"),
}


@pytest.mark.parametrize("case", METHODS)
def test_an_unlawful_method_is_told_and_sizes_nothing(case: str, plain: Path) -> None:
    from mech_exo.decision.strategy import Strategy

    body, law = METHODS[case]
    text = HEAD + f"def g(sight):\n    {body}\n\nMINE = Sizing('mine', g, exposure=Exposure.AS_IS, reads=('volatility',))\n"
    config = load(put(plain, text, "strategy", {"sizing": {"method": "plugin.mine"}}))
    broken = [finding for finding in check(plain) if not finding.holds]
    assert any(law in f"{finding.law} {finding.broken}" for finding in broken), broken
    with pytest.raises(PluginError, match="sizing method mine breaks a law"):
        _ = Strategy(config).own_sizing


def test_names_there_are_none_of(plain: Path) -> None:
    from mech_exo.decision.strategy import Strategy

    put(plain, limit("return np.full(len(sight.symbols), 10.0)"), "risk_limits", {"plugin_limits": {"mien": 0.05}})
    with pytest.raises(ConfigError, match="plugin_limits names limits of plug-ins") as caught:
        _ = Strategy(load(plain)).own_limits
    assert caught.value.remedy == "did you mean mine?"
    configure(plain / "config" / "risk_limits.yml", {"plugins": [], "plugin_limits": {"mien": None}})
    configure(plain / "config" / "strategy.yml", {"sizing": {"method": "plugin.nobody"}})
    with pytest.raises(ConfigError, match=r"sizing\.method plugin\.NAME"):
        _ = Strategy(load(plain)).own_sizing
    configure(plain / "config" / "strategy.yml", {"sizing": {"method": "equal_wait"}})
    with pytest.raises(ConfigError, match=r"one of equal_weight.*or plugin\.NAME.*did you mean equal_weight"):
        load(plain)


def test_two_workspaces_share_nothing_and_lines_may_stand_in_any_order(tmp_path: Path) -> None:
    from mech_exo.utils.workspace import create

    for name, value in (("a", 1.0), ("b", 2.0)):
        create(tmp_path / name)
        (tmp_path / name / "plugins").mkdir()
        put(tmp_path / name, factor(f"return {value} * inputs.close[rows]"))
    a, b = (load(tmp_path / name).factors.plugins for name in "ab")
    assert lookup("mine", a) is not lookup("mine", b) and "mine" not in known(()) and "mine" not in REGISTRY
    assert known(a)["mine"].origin != known(b)["mine"].origin
    with pytest.raises(ConfigError):
        lookup("mine")
    (tmp_path / "a" / "plugins" / "other.py").write_text(factor("return inputs.close[rows]", name="other"))
    hashes = set()
    for order in (["plugins/mine.py", "plugins/other.py"], ["plugins/other.py", "plugins/mine.py"]):
        configure(tmp_path / "a" / "config" / "factors.yml", {"plugins": order})
        hashes.add(frozenset(known(load(tmp_path / "a").factors.plugins)))
    assert len(hashes) == 1


def test_the_source_is_part_of_the_config_hash_and_its_place_is_not(plain: Path, tmp_path: Path) -> None:
    import shutil

    without = config_hash(load(plain))
    text = factor("return inputs.close[rows]")
    first = config_hash(load(put(plain, text)))
    moved = Path(shutil.copytree(plain, tmp_path / "elsewhere"))
    assert config_hash(load(moved)) == first != without
    (plain / "plugins" / "mine.py").write_text(text + "# a thought\n")
    assert config_hash(load(plain)) != first


def test_a_source_that_is_stated_must_be_what_lies_there(plain: Path) -> None:
    put(plain, factor("return inputs.close[rows]"))
    (plugin,) = load(plain).factors.plugins
    configure(plain / "config" / "factors.yml", {"plugins": [{"spec": plugin.spec, "source": plugin.source}]})
    assert load(plain).factors.plugins == (plugin,)
    (plain / plugin.spec).write_text(factor("return 2.0 * inputs.close[rows]"))
    with pytest.raises(ConfigError, match="a source that is stated must be what lies there"):
        load(plain)


def test_a_verdict_is_kept_by_source(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mech_exo.scoring.factors import laws

    put(plain, factor("return inputs.close[rows] * 1.0000001"))
    assert all(finding.holds for finding in check(plain))
    monkeypatch.setattr(laws, "factor_verdicts", lambda _: pytest.fail("judged again"))
    assert all(finding.holds for finding in check(plain))
    put(plain, factor("return inputs.close[rows] * 1.0000002"))
    with pytest.raises(pytest.fail.Exception, match="judged again"):
        check(plain)


def test_what_was_recorded_is_derived_with_its_own_source(plain: Path) -> None:
    from mech_exo.utils.config import deciding
    from mech_exo.utils.settings import Config

    put(plain, factor("return inputs.close[rows] * 1.5"))
    recorded = Config.model_validate(deciding(load(plain)))
    assert recorded.factors.plugins[0].path == ""
    assert lookup("mine", recorded.factors.plugins).name == "mine"
    put(plain, factor("return inputs.close[rows] * 2.5"))
    gone = recorded.model_copy(update={"factors": recorded.factors.model_copy(update={"plugins": (recorded.factors.plugins[0].model_copy(update={"source": "0" * 16}),)})})
    with pytest.raises(PluginError, match="with the source it was made with"):
        lookup("mine", gone.factors.plugins)


def test_an_installed_package_offers_a_factor_without_a_line(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    (site / "house_rules").mkdir(parents=True)
    (site / "house_rules" / "__init__.py").write_text("")
    (site / "house_rules" / "factors.py").write_text(factor("return inputs.close[rows]", name="house"))
    info = site / "house_rules-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house-rules\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mech_exo.factors]\nhouse = house_rules.factors:MINE\n")
    monkeypatch.syspath_prepend(str(site))
    for cache in (plugin_files.installed, plugin_files._anybody_offers):
        cache.cache_clear()
    try:
        assert {point.name for point in metadata.entry_points(group="mech_exo.factors")} == {"house"}
        before = load(plain)
        assert before.factors.plugins == (), "offered, and not used: it decides nothing"
        configure(plain / "config" / "factors.yml", {"technical": {"house": {"weight": 1, "direction": "higher_better"}}})
        config = load(plain)
        (plugin,) = config.factors.plugins
        assert plugin.spec == "house_rules.factors" and lookup("house", config.factors.plugins).name == "house"
        (site / "house_rules" / "helpers.py").write_text("x = 1\n")
        assert config_hash(load(plain)) != config_hash(config), "the whole package decides"
    finally:
        for name in [name for name in sys.modules if name.startswith("house_rules")]:
            del sys.modules[name]
        monkeypatch.undo()
        for cache in (plugin_files.installed, plugin_files._anybody_offers):
            cache.cache_clear()
