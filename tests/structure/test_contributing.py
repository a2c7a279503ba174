"""What is asked of a contributor: hooks that need no network, commands and files that exist, a list of changes that can be read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def test_every_hook_is_local_and_its_tool_is_installed(repository: Path) -> None:
    pytest.importorskip("pre_commit", reason="needs pre-commit, from the development extra: make test")
    path = repository / ".pre-commit-config.yaml"
    ran = subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", path], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said = yaml.safe_load(path.read_text())
    hooks = [hook for source in said["repos"] for hook in source["hooks"]]
    assert {source["repo"] for source in said["repos"]} == {"local"} and "://" not in path.read_text()
    assert {hook["id"] for hook in hooks} == {"ruff", "lint-imports", "mypy", "structure"}
    for hook in hooks:
        assert hook["language"] == "system"
        tool = hook["entry"].split()[0]
        assert tool.startswith(".venv/bin/") and (Path(sys.executable).parent / Path(tool).name).exists(), tool


def test_what_contributing_names_is_there(repository: Path) -> None:
    text = (repository / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    places = re.findall(r"`((?:tests|docs)/[\w./-]+|[A-Z]+\.md|[\w]+\.toml)`", text)
    assert len(places) > 8
    assert [place for place in places if not (repository / place).exists()] == []


def test_the_changes_are_kept_as_keepachangelog_says(repository: Path) -> None:
    text = (repository / "CHANGELOG.md").read_text()
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert heads[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", head) for head in heads[1:])
    kinds = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    entries = re.findall(r"^- ", text, re.MULTILINE)
    assert len(entries) > 40


def test_the_licence_is_the_mit_licence(repository: Path) -> None:
    text = (repository / "LICENSE").read_text()
    assert text.startswith("MIT License\n") and 'THE SOFTWARE IS PROVIDED "AS IS"' in text
    assert re.search(r"^license = \"MIT\"$", (repository / "pyproject.toml").read_text(), re.MULTILINE)
