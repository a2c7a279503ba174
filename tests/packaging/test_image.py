"""The image, without an engine: the Dockerfile by hadolint and by rules of our own, compose.yml by its schema, and what would reach the engine.

Its steps themselves are executed by ``make image-check``.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

pytest.importorskip("dockerfile_parse", reason="needs dockerfile-parse, from the development extra: make test")


@pytest.fixture(scope="module")
def steps(repository: Path) -> ModuleType:
    """The script that executes the Dockerfile: its reading of the file is the one that is checked."""
    spec = importlib.util.spec_from_file_location("image_steps", repository / "scripts" / "image_steps.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def compose(repository: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((repository / "compose.yml").read_text()))


def faults(told: list[tuple[str, str]], comments: str) -> list[str]:
    """What is wrong with a Dockerfile's instructions, in words."""
    found = []
    users = [value for step, value in told if step == "USER"]
    if not users or re.split(":", users[-1])[0] in ("root", "0"):
        found.append("it ends as root")
    args = dict(value.split("=", 1) for step, value in told if step == "ARG" and "=" in value)
    for step, value in told:
        if step == "FROM":
            base = re.sub(r"\$\{(\w+)\}", lambda match: args.get(match[1], ""), value.split()[0])
            if "@sha256:" not in base and "No digest:" not in comments:
                found.append(f"{base} has no digest and no reason")
            if not re.search(r":[^/]*\d", base):
                found.append(f"{base or value} has no version")
        elif step == "ADD":
            found.append("ADD unpacks and downloads what it was not asked to: COPY")
        elif step == "COPY" and value.split()[0] in (".", "/", "./"):
            found.append("COPY names what it copies")
        elif step == "RUN":
            if re.search(r"apt-get install", value) and ("rm -rf /var/lib/apt/lists" not in value or "--no-install-recommends" not in value):
                found.append("apt leaves its lists or brings what nobody asked for")
            if "pip install" in value and "--require-hashes" not in value and "--no-deps" not in value:
                found.append("a package without a hash")
            if re.search(r"\b(curl|wget|sudo|chmod 777)\b", value):
                found.append(f"not in an image: {value}")
        if step in ("ENV", "ARG") and re.search(r"(?i)(token|secret|password|api_?key)", value):
            found.append(f"a secret in {step}")
    return found


def test_the_dockerfile_keeps_the_rules(repository: Path, steps: ModuleType) -> None:
    text = (repository / "Dockerfile").read_text()
    assert faults(list(steps.instructions(repository / "Dockerfile")), text) == []


BAD = {
    "FROM python:latest\nUSER exo\n": ["no digest", "no version"],
    "# No digest: a reason\nFROM python:3.11.13\n": ["ends as root"],
    "FROM python:3.11.13@sha256:00\nUSER 0:0\nADD a b\nCOPY . .\n": ["ends as root", "ADD", "COPY names"],
    "FROM python:3.11.13@sha256:00\nRUN apt-get install -y git\nRUN pip install x\nENV API_KEY=1\nUSER exo\n": ["apt", "without a hash", "secret"],
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_dockerfile_would_be_seen(text: str) -> None:
    found = faults([(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")], text)
    assert len(found) == len(BAD[text])
    assert all(said in fault for said, fault in zip(BAD[text], sorted(found, key=lambda f: [s in f for s in BAD[text]], reverse=True), strict=True))


def test_hadolint_has_nothing_to_say(repository: Path) -> None:
    program = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if program is None:
        pytest.skip("needs hadolint, from the development extra, which has no wheel for this machine")
    ran = subprocess.run([program, repository / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_compose_keeps_its_schema(compose: dict[str, Any]) -> None:
    builtin = pytest.importorskip("check_jsonschema.builtin_schemas", reason="needs check-jsonschema, from the development extra: make test")
    schema = builtin.get_builtin_schema("vendor.compose-spec")
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(compose)] == []
    assert list(validator.iter_errors(compose | {"services": {"dash": {"comand": ["dash"]}}})) != []


def test_every_service_is_confined(compose: dict[str, Any], steps: ModuleType, repository: Path) -> None:
    assert {"schedule", "dash", "alert"} <= set(compose["services"])
    user = [value for step, value in steps.instructions(repository / "Dockerfile") if step == "USER"][-1]
    for name, service in compose["services"].items():
        assert service["user"] == user, name
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and "privileged" not in service, name
        assert {volume.split(":")[0] for volume in service["volumes"]} == set(compose["volumes"]), name
        assert not service["image"].endswith(":latest") and ":" in service["image"], name
        assert "environment" not in service and "env_file" not in service, "keys lie in the workspace"
    assert compose["services"]["dash"]["ports"] == ["127.0.0.1:8050:8050"], "published to this machine alone"
    assert "/healthz" in " ".join(compose["services"]["dash"]["healthcheck"]["test"])


def test_what_the_services_run_are_commands(compose: dict[str, Any], exo: Callable[..., Any]) -> None:
    for service in compose["services"].values():
        words = [str(word) for word in service.get("command", []) if not str(word).startswith("-") and not str(word)[0].isdigit()]
        assert exo(*words, "--help").code == 0, words


def test_only_what_is_copied_reaches_the_engine(repository: Path, steps: ModuleType, tmp_path: Path) -> None:
    copied = [word for step, value in steps.instructions(repository / "Dockerfile") if step == "COPY" and "--from" not in value
              for word in value.split()[:-1]]  # fmt: skip
    sent = {path.parts[0] for path in steps.context(repository)}
    assert sent == set(copied)
    shutil.copy(repository / ".dockerignore", tmp_path)
    lying = ("config/api_keys_local.yml", "config/strategy.yml", ".env", "data/ledger.sqlite", "mech_exo/a.py", "mech_exo/x/b.sqlite", ".git/config",
             "mech_exo/__pycache__/a.pyc")  # fmt: skip
    for name in lying:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.as_posix() for path in steps.context(tmp_path)] == ["config/strategy.yml", "mech_exo/a.py"]
