"""What every test may use: `shared` data, a scratch `workspace`, the command line as a function, and a tame environment."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from mech_exo.domain.panel import BarPanel
    from tests.reporting.alerts.servers import World

REPOSITORY = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")

settings.register_profile("modest", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("modest"), derandomize=True, database=None, print_blob=True)
settings.register_profile("thorough", parent=settings.get_profile("modest"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "modest"))


NO_GRAMMAR = "rfc3987_syntax"
"""jsonschema, which Prefect and Ray import, builds this package's grammar of addresses for two seconds in every process: tests read none."""
sys.modules.setdefault(NO_GRAMMAR, None)  # type: ignore[arg-type]


@pytest.fixture(autouse=True, scope="session")
def _tame_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No workspace, log level or colour of the developer's shell leaks into a test; its children build no grammar they do not need."""
    without = tmp_path_factory.mktemp("without")
    (without / f"{NO_GRAMMAR}.py").write_text("raise ImportError\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(without), os.environ.get("PYTHONPATH")))))
        for name in ("EXO_HOME", "EXO_DEBUG", "FORCE_COLOR", "CLICOLOR_FORCE"):
            patch.delenv(name, raising=False)
        patch.setenv("NO_COLOR", "1")
        patch.setenv("COLUMNS", "160")
        patch.setenv("TZ", "UTC")
        yield


@pytest.fixture(autouse=True)
def _secrets_of_one_test() -> Iterator[None]:
    """What a test calls secret (a token of 1 to 9) is not masked in what later tests write."""
    from mech_exo.utils import log

    before = dict(log._secrets)
    yield
    log._secrets.clear()
    log._secrets.update(before)


@pytest.fixture(autouse=True, scope="session")
def _unhurried_vendors() -> Iterator[None]:
    """The replay server bears what Finnhub does not: its 60 requests a minute would make the suite wait."""
    from mech_exo.datasource import pace

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(pace.RATES, "finnhub", (500.0, 30))
        patch.setitem(pace.RATES, "edgar", (500.0, 30))
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """``shared("data/prices/x.parquet")``: a file beside the repository; skips with a reason where it is absent, fails if CI=true."""

    def find(path: str) -> Path:
        found = REPOSITORY.parent / "shared" / path
        if not found.exists():
            reason = f"needs ../shared/{path}, which is not part of the repository"
            pytest.fail(reason) if IN_CI else pytest.skip(reason)
        return found

    return find


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A fresh workspace as `exo init` makes it."""
    from mech_exo.utils.workspace import create

    create(tmp_path / "w")
    return tmp_path / "w"


@pytest.fixture(scope="session")
def real_panel(shared: Callable[[str], Path]) -> BarPanel:
    """582 US stocks, 2003 to 2016, without the bars that the import quarantines; read-only, so that all may share it."""
    import polars as pl

    from mech_exo.domain.panel import BarPanel

    frame = pl.read_parquet(shared("data/prices/us_sp500_members_2003_2016.parquet")).drop("exch")
    price = [pl.col(name) for name in ("open", "high", "low", "close")]
    sane = pl.min_horizontal(price) > 0
    for column in price:
        sane &= column.is_finite() & (column <= pl.col("high")) & (column >= pl.col("low"))
    return BarPanel.from_frame(frame.filter(sane).unique(["symbol", "date"]), price_basis="split_adjusted")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[World]:
    """Slack, Telegram, a mail server and whoever else is told, speaking their own protocols, told nothing yet."""
    from tests.reporting.alerts.servers import world

    folder = tmp_path / "authority"
    folder.mkdir()
    with world(folder) as made:
        yield made


@dataclass(frozen=True)
class Ran:
    """What a command gave back."""

    code: int
    out: str
    err: str


@pytest.fixture
def exo() -> Callable[..., Ran]:
    """``exo("data", "status", "--home", w)`` runs the command line in this process, from its outermost edge."""

    def run(*words: object) -> Ran:
        from mech_exo.cli import output
        from mech_exo.cli.__main__ import main

        out, err = io.StringIO(), io.StringIO()
        output.console.cache_clear()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(word) for word in words])
        output.console.cache_clear()
        return Ran(code, out.getvalue(), err.getvalue())

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--least-passed N``: a run in which fewer than N tests passed has failed, whatever was skipped."""
    parser.addoption("--least-passed", type=int, default=0, metavar="N", help="fail when fewer than N tests passed")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Count what passed; a worker of xdist leaves that to the controller."""
    least = session.config.getoption("--least-passed")
    if not least or hasattr(session.config, "workerinput"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    passed = len(reporter.stats.get("passed", []))
    if passed < least:
        reporter.write_line(f"only {passed} tests passed where at least {least} must", red=True)
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
