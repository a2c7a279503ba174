"""What is handed out: a wheel and an sdist made by `python -m build`, what is in them, and a clean environment that runs the wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mech_exo.kernels import code_version

pytest.importorskip("build", reason="needs build, from the development extra: make test")

PACKED = ("mech_exo", "config", "dags", "docs", "scripts", "bench", "notebooks")
LOOSE = ("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "mkdocs.yml", "Makefile", ".gitignore")
CANARY = "canary-must-never-be-packed"
UNTRACKED = ("*_local.yml", "*.sqlite*", "*.duckdb*")
# What lies about in the folder of somebody who works with the program and in it.
PRIVATE = (
    "config/api_keys_local.yml", "data/mech_exo.duckdb", "data/ledger.sqlite", "data/ledger.sqlite-wal", "reports/daily.html", "HALT", ".env",
    "mech_exo/notes.sqlite", "config/broker_local.yml", "dist/old.whl", "id_ed25519",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """The folder of sources, the sdist, the wheel made from the sources and the wheel made from the sdist."""

    source: Path
    sdist: Path
    wheel: Path
    again: Path


def build(source: Path, out: Path, *kinds: str) -> None:
    """`python -m build` without isolation, so that nothing is downloaded and the build backend is the locked one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SETUPTOOLS_SCM")}
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", out, *kinds, source], env=environment)


def run(words: list[object], **options: object) -> str:
    """What a program wrote; the test fails with all of it when it fails."""
    ran = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert ran.returncode == 0, f"{words}\n{ran.stdout}\n{ran.stderr}"
    return str(ran.stdout)


@pytest.fixture(scope="module")
def made(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Built from a copy in which private things lie about."""
    root = tmp_path_factory.mktemp("build")
    source = root / "source"
    for folder in PACKED:
        shutil.copytree(repository / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", *UNTRACKED))
    for name in (*LOOSE, *(path.name for path in repository.glob("requirements*.txt"))):
        shutil.copy(repository / name, source)
    for name in PRIVATE:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(CANARY)
    build(source, root / "out")  # the sdist, and from the sdist the wheel
    build(source, root / "direct", "--wheel")
    return Made(source, *(root / "out").glob("*.tar.gz"), *(root / "direct").glob("*.whl"), *(root / "out").glob("*.whl"))


@pytest.fixture(scope="module")
def contents(made: Made) -> dict[str, dict[str, bytes]]:
    """Path in the archive → bytes, by archive."""
    with zipfile.ZipFile(made.wheel) as wheel, tarfile.open(made.sdist) as sdist:
        files = {member.name.partition("/")[2]: sdist.extractfile(member).read() for member in sdist if member.isfile()}  # type: ignore[union-attr]
        return {"wheel": {name: wheel.read(name) for name in wheel.namelist()}, "sdist": files}


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_sources(made: Made) -> None:
    assert made.again.name == made.wheel.name
    assert made.again.read_bytes() == made.wheel.read_bytes()


@pytest.mark.parametrize("archive", ["wheel", "sdist"])
def test_nothing_private_is_packed(archive: str, contents: dict[str, dict[str, bytes]]) -> None:
    leaked = [name for name, body in contents[archive].items() if CANARY.encode() in body and not name.startswith("tests/")]
    assert leaked == []
    kinds = {Path(name).suffix for name in contents[archive]}
    assert kinds & {".duckdb", ".sqlite", ".pyc", ".log", ".so"} == set()


def test_the_wheel_carries_every_file_of_the_package_and_every_template(repository: Path, contents: dict[str, dict[str, bytes]]) -> None:
    tracked = (path for path in (repository / "mech_exo").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    expected = {path.relative_to(repository).as_posix() for path in tracked}
    inside = set(contents["wheel"])
    assert {name for name in expected - inside if not name.endswith((".sqlite", ".duckdb"))} == set()
    templates = {f"mech_exo/templates/{path.relative_to(repository / 'config')}" for path in (repository / "config").rglob("*.yml")}
    assert {name for name in templates - inside if not name.endswith("_local.yml")} == set()
    assert {f"mech_exo/dags/{path.name}" for path in (repository / "dags").glob("*.py")} <= inside
    assert {Path(name).suffix for name in inside} >= {".py", ".typed", ".sql", ".html", ".js", ".css", ".yml"}


def test_the_sdist_carries_what_a_reader_needs(contents: dict[str, dict[str, bytes]]) -> None:
    inside = set(contents["sdist"])
    assert {*LOOSE, "PKG-INFO", "requirements.txt", "requirements-dev.txt", "docs/index.md", "scripts/test_pipeline.py"} <= inside
    assert contents["sdist"]["LICENSE"].startswith(b"MIT License")


def test_a_clean_environment_runs_the_wheel(made: Made, tmp_path: Path) -> None:
    """The dependencies are those of this environment, by a .pth file, which reads no .pth file there: the checkout stays unseen."""
    home = tmp_path / "clean"
    venv.create(home, symlinks=True)
    program = home / "bin" / "python"
    site = Path(run([program, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
    (site / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    run([sys.executable, "-m", "pip", "--python", program, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", made.wheel])
    smoke(home, tmp_path)
    where, code = run([program, "-c", "import mech_exo.kernels as k; print(k.__file__, k.code_version())"], cwd=tmp_path).split()
    assert Path(where).is_relative_to(site)
    assert code == code_version()  # what every decision and backtest records


def smoke(home: Path, folder: Path) -> None:
    """The first minutes with an installed program: version, workspace, configuration, completion, the commands' own words."""
    exo = home / "bin" / "exo"

    def say(*words: object, **more: str) -> str:
        clean = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        return run([exo, *words], cwd=folder, env=clean | more)

    version = run([home / "bin" / "python", "-c", "from importlib.metadata import version; print(version('mech-exo'))"]).strip()
    assert say("--version") == f"exo {version}\n"
    assert "backtest" in say(_EXO_COMPLETE="complete_bash", COMP_WORDS="exo ba", COMP_CWORD="1").split()
    assert "complete -o default -F _exo_completion exo" in say(_EXO_COMPLETE="source_bash")
    say("init", "w", "--template", "long-short")
    assert (folder / "w" / "config" / "strategy.yml").read_text()
    say("config", "check", "--home", "w")
    assert json.loads(say("doctor", "--offline", "--json", "--home", "w"))


@pytest.fixture
def cloned(repository: Path, tmp_path: Path) -> Callable[..., str]:
    """``cloned("tag", "v1.2.3")`` runs git in a small repository with this project's build settings."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    place = tmp_path / "clone"
    (place / "mech_exo").mkdir(parents=True)
    (place / "mech_exo" / "__init__.py").touch()
    for name in ("pyproject.toml", ".gitattributes", ".git_archival.txt", "README.md", "LICENSE"):
        shutil.copy(repository / name, place)
    identity = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"), "x@example.org")

    def git(*words: str) -> str:
        return run(["git", "-C", place, "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false", *words], env=os.environ | identity)

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    return git


def version_of(folder: Path) -> str:
    """As the build backend derives it."""
    return run([sys.executable, "-m", "hatchling", "version"], cwd=folder).strip()


def test_a_tag_is_the_version_and_between_tags_it_says_how_far(cloned: Callable[..., str], tmp_path: Path) -> None:
    place = tmp_path / "clone"
    node = cloned("rev-parse", "HEAD").strip()
    untagged = version_of(place)
    assert untagged.startswith("0.1.dev1+g")
    assert node.startswith(untagged.partition("+g")[2])
    cloned("tag", "v1.2.3")
    assert version_of(place) == "1.2.3"
    cloned("commit", "--quiet", "--allow-empty", "--message", "second")
    assert version_of(place).startswith("1.2.4.dev1+g")


def test_an_archive_knows_its_tag_and_a_bare_copy_says_that_it_knows_none(cloned: Callable[..., str], tmp_path: Path) -> None:
    cloned("tag", "v1.2.3")
    archive, copy = tmp_path / "archive", tmp_path / "copy"
    archive.mkdir()
    cloned("archive", "--output", str(tmp_path / "a.tar"), "HEAD")
    run(["tar", "xf", tmp_path / "a.tar", "-C", archive])
    assert version_of(archive) == "1.2.3"
    shutil.copytree(tmp_path / "clone", copy, ignore=shutil.ignore_patterns(".git", ".git_archival.txt"))
    assert version_of(copy) == "0.0"


@pytest.mark.skipif(os.environ.get("EXO_TEST_CLEAN_INSTALL", "") == "", reason="downloads every dependency: make package")
def test_a_clean_install_from_nothing_runs_the_demo(made: Made, repository: Path, tmp_path: Path) -> None:
    """Hashed dependencies from the index, the sdist instead of the wheel, and the whole demo: what a stranger does."""
    home = tmp_path / "clean"
    venv.create(home, with_pip=True)
    pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet"]
    run([*pip, "--require-hashes", "-r", repository / "requirements.txt"])
    run([*pip, "--no-deps", "--no-build-isolation", made.sdist])
    run([home / "bin" / "python", "-m", "pip", "check"])
    smoke(home, tmp_path)
    told = run([home / "bin" / "exo", "demo"], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"})
    assert "synthetic sample" in told
