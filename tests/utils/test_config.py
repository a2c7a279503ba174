"""The configuration: every kind of wrong file by name, the hash, the secrets, and the templates."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import ConfigError
from mech_exo.utils import config as configuration
from mech_exo.utils import log
from mech_exo.utils.config_errors import allowed, key_paths
from mech_exo.utils.research_settings import ResearchConfig
from mech_exo.utils.settings import (
    Config,
    DataConfig,
    Direction,
    FactorsConfig,
    RiskLimits,
    SizingRules,
    StopRules,
    StrategyConfig,
)
from mech_exo.utils.workspace import home_folder

CANARY = "canary-7f3a9c51-must-not-be-seen"

WRONG = {
    "unknown key": ("risk_limits.yml", "portfolio: {max_drawdwn: 0.1}", r"portfolio\.max_drawdwn: unknown key; did you mean max_drawdown\?"),
    "unknown section": ("risk_limits.yml", "porfolio: {}", r"porfolio: unknown key; did you mean portfolio\?"),
    "key in the wrong section": ("risk_limits.yml", "stops: {max_drawdown: 0.1}", r"did you mean portfolio\.max_drawdown\?"),
    "percent for a fraction": (
        "risk_limits.yml",
        "portfolio: {max_drawdown: 5}",
        r"portfolio\.max_drawdown: must be a number above 0 and at most 1; got 5 \(fractions, not percent: 0\.05 is 5 %\)",
    ),
    "percent for a stop": ("risk_limits.yml", "stops: {hard: 15}", r"stops\.hard: .*above 0 and below 1, or null; got 15 .*0\.15 is 15 %"),
    "percent for an exposure": ("risk_limits.yml", "portfolio: {max_gross_exposure: 150}", r"at most 4; got 150 .*1\.5 is 150 %"),
    "percent for a target": ("risk_limits.yml", "stops: {target: 30}", r"0\.3 is 30 %"),
    "percent for a volatility": ("strategy.yml", "sizing: {target_volatility: 12}", r"0\.12 is 12 %"),
    "percent for a rate": ("strategy.yml", "costs: {cash_rate: 4}", r"0\.04 is 4 %"),
    "NaN": ("risk_limits.yml", "portfolio: {max_drawdown: .nan}", r"portfolio\.max_drawdown: must be a number above 0 and at most 1; got nan"),
    "infinity": ("strategy.yml", "initial_cash: .inf", r"initial_cash: must be a number above 0; got inf"),
    "negative": ("risk_limits.yml", "position_sizing: {max_single_trade_risk: -0.02}", r"above 0 and at most 1; got -0\.02"),
    "zero cash": ("strategy.yml", "initial_cash: 0", r"initial_cash: must be a number above 0; got 0"),
    "fraction of a session": ("strategy.yml", "schedule: {every_sessions: 2.5}", r"a whole number at least 1 and at most 5000; got 2\.5"),
    "text for a number": ("risk_limits.yml", "portfolio: {max_drawdown: '0.1'}", r"got '0\.1' \(text: leave out the quotes\)"),
    "true for a number": ("risk_limits.yml", "portfolio: {max_drawdown: true}", r"must be a number above 0 and at most 1; got true"),
    "text for a multiplier": ("factors.yml", "{FACTOR}\nsector_adjustments: {Energy: '2'}", r"sector_adjustments\.Energy: must be a number .*got '2'"),
    "text for a parameter": (
        "factors.yml",
        "technical: {rsi_14: {weight: 1, direction: mean_revert, params: {window: 'x'}}}",
        r"technical\.rsi_14\.params\.window: must be a number",
    ),
    "a number for a date": ("strategy.yml", "history_start: 86400", r"history_start: must be a date like 2003-01-02; got 86400"),
    "no such day": ("strategy.yml", "history_start: 2003-02-30", r"history_start: must be a date like 2003-01-02; got '2003-02-30'"),
    "misspelt choice": ("strategy.yml", "sizing: {method: volatilty_based}", r"one of equal_weight, .*got 'volatilty_based'; did you mean volatility_based\?"),
    "half of Kelly's figures": ("strategy.yml", "sizing: {win_rate: 0.6}", r"sizing: win_rate and payoff are given together, or neither"),
    "Kelly until Kelly": ("strategy.yml", "sizing: {until_measured: kelly}", r"it cannot be kelly itself"),
    "lots of fractions": ("strategy.yml", "sizing: {lot_size: 10, fractional_shares: true}", r"exclude each other; set lot_size to 1"),
    "no lot": ("strategy.yml", "sizing: {lot_size: 0}", r"lot_size: must be a whole number at least 1"),
    "a skill beyond 1": ("strategy.yml", "sizing: {cost_filter: {information_coefficient: 3}}", r"information_coefficient: must be .*; got 3"),
    "missing direction": ("factors.yml", "technical: {rsi_14: {weight: 8}}", r"technical\.rsi_14\.direction: must be given: one of lower_better"),
    "weight out of range": ("factors.yml", "technical: {rsi_14: {weight: 800, direction: mean_revert}}", r"at least 0 and at most 100; got 800"),
    "no factor": ("factors.yml", "{}", r"at least one factor needs a weight above 0"),
    "factor in two families": ("factors.yml", "{FACTOR}\nquality: {rsi_14: {weight: 1, direction: mean_revert}}", r"one family only; doubled: rsi_14"),
    "null section": ("risk_limits.yml", "portfolio:", r"portfolio: must be a mapping of keys to values; got nothing \(null\)"),
    "duplicate key": ("risk_limits.yml", "stops:\n  hard: 0.1\n  hard: 0.2", r"risk_limits\.yml: line 3: the key hard must stand once; .* line 2"),
    "empty file": ("risk_limits.yml", "", r"risk_limits\.yml: must hold keys; the file is empty"),
    "only comments": ("risk_limits.yml", "# nothing\n", r"must hold keys; the file is empty"),
    "a list": ("risk_limits.yml", "- 1\n- 2", r"must be a mapping of keys to values; got a list"),
    "a word": ("risk_limits.yml", "nonsense", r"must be a mapping of keys to values; got a single value"),
    "broken YAML": ("risk_limits.yml", "stops: {hard: [}", r"line 1: must be valid YAML"),
    "a tag": ("risk_limits.yml", "stops: !!python/object/apply:os.system ['false']", r"YAML tags are not read; got !!python/object/apply:os\.system"),
    "a standard tag": ("risk_limits.yml", "stops: {hard: !!float 0.1}", r"YAML tags are not read; got !!float"),
    "an alias": ("risk_limits.yml", "a: &x 1\nb: *x", r"line 1: anchors and aliases"),
    "too deep": ("risk_limits.yml", "[" * 5000, r"nested too deeply"),
    "a key that is no word": ("risk_limits.yml", "? [a]\n: 1", r"a key must be one word"),
    "an odd number of blocks": ("research.yml", "overfitting: {blocks: 7}", r"overfitting\.blocks: must be one of 2, 4, 6, .*got 7"),
    "percent for a probability": ("research.yml", "promotion: {max_pbo: 20}", r"promotion\.max_pbo: .*got 20 .*0\.2 is 20 %"),
    "a ticker that looks like a boolean": ("data.yml", "symbols: [AAPL, TRUE]", r"symbols\.1: must be text; got true \(write texts .* quotes\)"),
    "another calendar": ("data.yml", "calendar: XLON", r"calendar: must be XNYS; got 'XLON'"),
}
FACTOR = "technical: {rsi_14: {weight: 8, direction: mean_revert}}"


def write(workspace: Path, file: str, text: str) -> None:
    (workspace / "config" / file).write_text(text.replace("{FACTOR}", FACTOR), encoding="utf-8")


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_with_file_key_rule_and_value(name: str, workspace: Path) -> None:
    file, text, expected = WRONG[name]
    write(workspace, file, text)
    with pytest.raises(ConfigError) as caught:
        configuration.load(workspace)
    assert file in str(caught.value)
    assert re.search(expected, str(caught.value)), str(caught.value)


def test_all_mistakes_of_all_files_are_told_at_once(workspace: Path) -> None:
    write(workspace, "risk_limits.yml", "portfolio: {max_drawdown: 5, max_leverage: -1}")
    write(workspace, "data.yml", "benchmrk: SPY")
    with pytest.raises(ConfigError) as caught:
        configuration.load(workspace)
    assert len(str(caught.value).splitlines()) == 3
    assert "benchmark" in str(caught.value)


def test_a_folder_without_config_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exo init"):
        configuration.load(tmp_path)


@pytest.mark.parametrize("file", ["strategy.yml", "risk_limits.yml", "factors.yml", "data.yml"])
def test_a_missing_file_says_how_to_restore_it(file: str, workspace: Path) -> None:
    (workspace / "config" / file).unlink()
    with pytest.raises(ConfigError, match=rf"{file} does not exist(.|\n)*exo init --missing"):
        configuration.load(workspace)


def test_a_workspace_from_before_research_has_its_defaults(workspace: Path) -> None:
    (workspace / "config" / "research.yml").unlink()
    assert configuration.load(workspace).research == ResearchConfig()


def test_bytes_that_are_no_text_are_refused(workspace: Path) -> None:
    (workspace / "config" / "data.yml").write_bytes(b"benchmark: \xff\xfe")
    with pytest.raises(ConfigError, match=r"data\.yml: must be UTF-8"):
        configuration.load(workspace)


def test_an_unreadable_file_is_named(workspace: Path) -> None:
    path = workspace / "config" / "data.yml"
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match=r"data\.yml: must be readable"):
        configuration.load(workspace)


def test_plain_words_stay_words_and_numbers_numbers(workspace: Path) -> None:
    write(workspace, "data.yml", "symbols: [ON, NO, Y, '1:30']\nmax_jump: 5e-1")
    data = configuration.load(workspace).data
    assert data.symbols == ("ON", "NO", "Y", "1:30")
    assert data.max_jump == 0.5


def test_the_templates_say_exactly_the_defaults(workspace: Path) -> None:
    loaded = configuration.load(workspace)
    assert loaded.strategy == StrategyConfig()
    assert loaded.risk == RiskLimits()
    assert loaded.data == DataConfig()
    assert loaded.research == ResearchConfig()
    assert loaded.keys == Config().keys
    assert loaded.factors.scoring == FactorsConfig.model_validate({"technical": {"x": {"weight": 1, "direction": "mean_revert"}}}).scoring


@pytest.mark.parametrize("file", ["strategy.yml", "risk_limits.yml", "data.yml", "research.yml", "api_keys.yml"])
def test_the_templates_name_every_key(file: str, repository: Path) -> None:
    from mech_exo.utils.settings import ApiKeys
    from mech_exo.utils.strict_yaml import read

    models = {**dict(configuration.FILES.values()), "api_keys.yml": ApiKeys}

    def names(values: dict[str, object], prefix: str = "") -> set[str]:
        found = {prefix + key for key in values}
        for key, value in values.items():
            if isinstance(value, dict):
                found |= names(value, f"{prefix}{key}.")
        return found

    assert names(read(repository / "config" / file)) == {".".join(path) for path, _ in key_paths(models[file].model_json_schema())}


def test_the_users_factors_are_all_in_the_template(workspace: Path) -> None:
    factors = configuration.load(workspace).factors
    families = {
        "fundamental": ["pe_ratio", "price_to_book", "debt_to_equity", "return_on_equity", "revenue_growth", "earnings_growth"],
        "technical": ["rsi_14", "momentum_12_1", "volatility_ratio", "volume_trend"],
        "sentiment": ["news_sentiment", "analyst_rating", "social_sentiment"],
        "quality": ["earnings_quality", "balance_sheet_strength"],
    }
    assert {family: list(getattr(factors, family)) for family in families} == families
    assert factors.fundamental["pe_ratio"].weight == 15
    assert factors.technical["rsi_14"].direction is Direction.MEAN_REVERT


def test_a_file_may_leave_out_what_is_default(workspace: Path) -> None:
    write(workspace, "risk_limits.yml", "portfolio: {max_drawdown: 0.2}")
    risk = configuration.load(workspace).risk
    assert risk.portfolio.max_drawdown == 0.2
    assert risk.position_sizing == RiskLimits().position_sizing


def test_the_hash_covers_every_file_that_decides(workspace: Path) -> None:
    before = configuration.config_hash(configuration.load(workspace))
    assert re.fullmatch(r"[0-9a-f]{16}", before)
    write(workspace, "api_keys_local.yml", f"finnhub: {{api_key: {CANARY}}}")
    write(workspace, "research.yml", "promotion: {min_trades: 7}")
    assert configuration.config_hash(configuration.load(workspace)) == before
    seen = {before}
    changes = {
        "strategy.yml": "initial_cash: 100000.00000001",
        "risk_limits.yml": "stops: {hard: null}",
        "factors.yml": FACTOR,
        "data.yml": "max_jump: 0.5",
    }
    for file, text in changes.items():
        write(workspace, file, text)
        seen.add(configuration.config_hash(configuration.load(workspace)))
    assert len(seen) == 5


def test_the_hash_does_not_depend_on_how_a_number_is_written(workspace: Path) -> None:
    hashes = set()
    for text in ("initial_cash: 100000", "initial_cash: 100_000.0", "initial_cash: 1e5", "{}"):
        write(workspace, "strategy.yml", text)
        hashes.add(configuration.config_hash(configuration.load(workspace)))
    assert len(hashes) == 1


def test_the_hash_is_the_same_in_every_process() -> None:
    assert configuration.config_hash(Config()) == configuration.config_hash(Config.model_validate(Config().model_dump()))


def test_local_keys_override_key_by_key(workspace: Path) -> None:
    write(workspace, "api_keys.yml", "telegram: {bot_token: token-below-77, chat_id: chat-kept-77}\nsec_user_agent: me")
    write(workspace, "api_keys_local.yml", "telegram: {bot_token: token-above-77}")
    keys = configuration.load(workspace).keys
    assert keys.telegram.bot_token.get_secret_value() == "token-above-77"
    assert keys.telegram.chat_id.get_secret_value() == "chat-kept-77"
    assert keys.sec_user_agent == "me"


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_local_keys_are_tightened_with_one_notice(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(workspace, "api_keys_local.yml", f"finnhub: {{api_key: {CANARY}}}")
    path = workspace / "config" / "api_keys_local.yml"
    path.chmod(0o644)
    configuration.load(workspace)
    configuration.load(workspace)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    printed = capsys.readouterr()
    assert printed.err.count("0600") == 1
    assert printed.out == ""


def test_no_secret_is_ever_shown(workspace: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    lines = f"finnhub: {{api_key: {CANARY}}}\nslack_webhook: {CANARY}-2\ntelegram: {{bot_token: {CANARY}-3, chat_id: {CANARY}-4}}\nib_account: {CANARY}-5"
    write(workspace, "api_keys_local.yml", lines)
    loaded = configuration.load(workspace)
    shown = [configuration.effective(loaded), repr(loaded), str(loaded), repr(loaded.keys), loaded.model_dump_json(), str(configuration.masked(loaded))]
    log.setup(debug=True)
    log.get("test").warning("a library says %s", f"GET /quote?token={CANARY}")
    shown.append(capsys.readouterr().err)
    assert "a library says" in shown[-1]
    assert [text for text in shown if CANARY in text] == []
    assert configuration.effective(loaded).count(log.MASK) == 5


@pytest.mark.parametrize(
    "text",
    [
        f"finnhub: {{api_kye: {CANARY}}}",
        f"finnhub: {CANARY}",
        f"finnhub: {{api_key: [{CANARY}]}}",
        f"finnhub: {{api_key: '{CANARY}",
        f"finnhub: {{api_key: {CANARY}, api_key: x}}",
        "finnhub: {api_key: 739551234}",
    ],
)
def test_a_complaint_about_a_key_file_does_not_quote_it(text: str, workspace: Path) -> None:
    write(workspace, "api_keys_local.yml", text)
    with pytest.raises(ConfigError) as caught:
        configuration.load(workspace)
    assert CANARY not in str(caught.value)
    assert "739551234" not in str(caught.value)
    assert "api_keys_local.yml" in str(caught.value)


def test_the_effective_configuration_reads_back_as_itself(workspace: Path) -> None:
    import yaml

    write(workspace, "strategy.yml", "initial_cash: 123456.789\nschedule: {anchor: 2015-01-02}\nuniverse: {name: sp500}")
    loaded = configuration.load(workspace)
    assert Config.model_validate(yaml.safe_load(configuration.effective(loaded))) == loaded


def test_home_is_the_option_then_the_environment_then_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert home_folder(None) == tmp_path
    monkeypatch.setenv("EXO_HOME", str(tmp_path / "e"))
    assert home_folder(None) == tmp_path / "e"
    assert home_folder(Path("o")) == tmp_path / "o"


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_fraction_is_accepted_exactly_in_its_range(value: float) -> None:
    accepted = True
    try:
        RiskLimits.model_validate({"portfolio": {"max_drawdown": value}})
    except ValueError:
        accepted = False
    assert accepted == (0 < value <= 1)


def test_every_key_has_its_allowed_values_in_words() -> None:
    for _, model in configuration.FILES.values():
        schema = model.model_json_schema()
        for path, node in key_paths(schema):
            assert allowed(schema, node) != "another value", path


def test_models_built_in_a_program_obey_the_same_rules() -> None:
    with pytest.raises(ValueError, match="a number is wanted"):
        SizingRules(gross_exposure="1.0")  # type: ignore[arg-type]
    assert StopRules.none().hard is None
    assert StrategyConfig.model_validate({"history_start": "2010-01-04"}).history_start.year == 2010


