"""What pages show beside commands: configuration is accepted where it would be written, JSON and INI are well formed, options exist."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mech_exo.cli import COMMANDS, examples, loaded
from mech_exo.utils.config import FILES, load
from mech_exo.utils.settings import ApiKeys
from tests.docs.pages import Block, pages
from tests.docs.situations import write_keys

PAGES = pages()
CONFIGURATION = [block for page in PAGES for block in page.blocks if block.info in ("yaml", "yml")]
FOREIGN = {
    "--no-deps": "pip", "--no-build-isolation": "pip", "--require-hashes": "pip", "--strict": "mkdocs", "--fast": "scripts/train_sentiment.py",
    "--once": "dags/nightly.py", "--to": "jupyter", "--now": "systemctl", "--no-send": "dags/daily_report.py", "--rm": "docker", "--build-arg": "docker", "--live": "scripts/test_pipeline.py",
}  # fmt: skip
"""Options of other programs that sentences name."""


def files_of(block: Block) -> tuple[str, ...]:
    """The configuration files whose model knows every key at the top of the block; a comment that names one decides."""
    named = re.search(r"^# *(?:\w+/)?config/([\w]+)\.yml", block.text, re.MULTILINE)
    if named:
        return (named[1],)
    keys = set(yaml.safe_load(block.text) or {})
    found = [file.removesuffix(".yml") for file, model in FILES.values() if keys <= set(model.model_fields)]
    return tuple(found) + (("api_keys_local",) if keys <= set(ApiKeys.model_fields) else ())


@pytest.mark.parametrize("block", CONFIGURATION, ids=lambda block: f"{block.page}:{block.line}")
def test_configuration_that_is_shown_is_accepted(block: Block, workspace: Path) -> None:
    """Laid over the workspace's own files, as its reader would."""
    names = files_of(block)
    assert len(names) >= 1, f"{block.page}:{block.line} fits no configuration file: name it in a comment (# config/FILE.yml)"
    for file in (one for page in PAGES if page.name == block.page for one in page.blocks if one.title):
        (workspace / file.title).parent.mkdir(exist_ok=True)
        (workspace / file.title).write_text(file.text)
    shown = yaml.safe_load(block.text)
    name = names[0]
    if name.startswith("api_keys"):
        write_keys(workspace, block.text)
    else:
        path = workspace / "config" / f"{name}.yml"
        own: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
        path.write_text(yaml.safe_dump(merged(own, shown), allow_unicode=True))
    load(workspace)


def merged(own: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """``shown`` laid over ``own``."""
    both = {key: merged(own[key], value) if isinstance(value, dict) and isinstance(own.get(key), dict) else value for key, value in shown.items()}
    return own | both


def test_configuration_with_a_wrong_key_is_refused(workspace: Path) -> None:
    assert files_of(Block("x.md", 1, "yaml", "selektion: {top: 3}")) == ()
    assert files_of(Block("x.md", 1, "yaml", "# config/strategy.yml\nselektion: {top: 3}")) == ("strategy",)
    assert files_of(Block("x.md", 1, "yaml", "ib_account: DU1")) == ("api_keys_local",)


@pytest.mark.parametrize("block", [block for page in PAGES for block in page.blocks if block.info == "ini"], ids=lambda block: f"{block.page}:{block.line}")
def test_a_unit_is_well_formed(block: Block) -> None:
    read = configparser.ConfigParser(strict=True)
    read.read_string(block.text)
    assert {"Unit", "Service", "Install"} <= set(read.sections())


def test_json_is_well_formed() -> None:
    for block in (block for page in PAGES for block in page.blocks if block.info == "json"):
        json.loads(block.text)


def test_options_that_sentences_name_exist() -> None:
    known = {"--help", "-h", "--home", "--debug", "--version", "--install-completion", "--show-completion"}
    tree = [command for entry in COMMANDS for _, command in examples.walk(loaded(entry.name), entry.name)]
    known |= {name for command in tree for option in command.params for name in (*option.opts, *option.secondary_opts)}
    named = [(page.name, line, option) for page in PAGES for line, code in page.inline for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)]
    assert [one for one in named if one[2] not in known and one[2] not in FOREIGN] == []


def test_files_of_the_repository_that_pages_name_exist(repository: Path) -> None:
    """``scripts/x.py``, ``tests/…``, ``docs/…``, ``bench/…``, ``mech_exo/…`` in a sentence."""
    path = re.compile(r"(?<![\w/.~-])(?:scripts|tests|docs|bench|dags|mech_exo|notebooks)/[\w./-]+\.(?:py|md|ipynb|tsv|txt|sql)")
    named = [(page.name, line, found) for page in PAGES for line, code in page.inline for found in path.findall(code)]
    assert [one for one in named if not (repository / one[2]).exists()] == []
