"""What every parallel backend must do. Ray and Dask are started for real, with two workers on this machine."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mech_exo.domain import errors
from mech_exo.domain.errors import InputError, MissingDataError, UserError, WorkerError
from mech_exo.utils import parallel
from tests.contracts import parallel_tasks as tasks

ALL = tuple(parallel.BACKENDS)
ELSEWHERE = ("processes", "ray", "dask")
SEGMENTS = Path("/dev/shm")


def segments() -> set[str]:
    return {path.name for path in SEGMENTS.glob("psm_*")} if SEGMENTS.is_dir() else set()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = segments()
    yield
    left, deadline = segments() - before, time.monotonic() + 60  # a test beside this one may have some too: it goes with that test
    while left & segments() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left & segments(), "shared memory was left behind"


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Started once, as ``map`` starts it: half a dozen Python processes take their time."""
    with parallel.running_ray(2, None):
        yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray leaves its own processes' handles to the collector
        gc.collect()


@pytest.fixture
def running(request: pytest.FixtureRequest, backend: str) -> str:
    if backend == "ray":
        request.getfixturevalue("cluster")
    return backend


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray's and Dask's own sockets
@pytest.mark.parametrize("backend", ALL)
def test_order_results_progress_and_one_copy_of_the_array(running: str) -> None:
    backend = running
    array = np.arange(24 * 50_000, dtype=np.float64).reshape(24, 50_000)
    told: list[tuple[int, int]] = []
    shared = {"array": array, "text": "said"}
    found = parallel.map(tasks.facts, range(24), shared=shared, backend=backend, workers=2, progress=lambda *at: told.append(at))
    assert [fact["item"] for fact in found] == list(range(24))
    assert [fact["sum"] for fact in found] == [float(row.sum()) for row in array]
    assert {fact["text"] for fact in found} == {"said"}
    assert told[-1] == (24, 24) and [done for done, _ in told] == list(range(1, 25))
    workers = {fact["pid"] for fact in found}
    if backend in ELSEWHERE:
        assert os.getpid() not in workers and 1 <= len(workers) <= 2
        assert not any(fact["writeable"] or fact["owns"] for fact in found), "views, and read-only"
        assert {fact["mapping"][-1] for fact in found} == {"s"}, "every worker sees the one copy in shared memory"
        assert {fact["threads"] for fact in found} == {"1"}, "no threads inside of workers"
    else:
        assert workers == {os.getpid()} and {fact["address"] for fact in found} == {array.ctypes.data}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("backend", ALL)
def test_the_first_failure_in_order_reaches_the_caller_as_it_was(running: str) -> None:
    with pytest.raises(MissingDataError) as caught:
        parallel.map(tasks.failing, range(6), backend=running, workers=2)
    assert (caught.value.message, caught.value.remedy) == ("a store must hold item 2", "fetch it")
    assert str(caught.value) == "a store must hold item 2\n  → fetch it"
    if running in ELSEWHERE:
        assert any("parallel_tasks.py" in note for note in caught.value.__notes__), "where it was raised is told"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("backend", ELSEWHERE)
def test_a_killed_worker_is_a_named_error_and_no_hang(running: str) -> None:
    start = time.monotonic()
    with pytest.raises(WorkerError, match="killed, or out of memory"):
        parallel.map(tasks.dying, range(8), backend=running, workers=2)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("backend", ALL)
def test_nothing_to_do_starts_nothing(backend: str) -> None:
    start = time.monotonic()
    assert parallel.map(tasks.doubled, [], backend=backend) == []
    assert time.monotonic() - start < 0.1


@pytest.mark.parametrize("backend", ELSEWHERE)
def test_what_cannot_be_sent_is_said_before_anything_starts(backend: str) -> None:
    for function, shared in ((lambda shared, item: item, None), (tasks.doubled, threading.Lock())):
        with pytest.raises(InputError, match="must be picklable") as caught:
            parallel.map(function, [1], shared=shared, backend=backend)
        assert "threads" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backend": "clouds"}, "serial, threads, processes, ray, dask"),
        ({"workers": 0}, "at least 1"),
        ({"workers": True}, "whole number"),
        ({"backend": "threads", "address": "auto"}, "Ray or Dask"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parallel.map(tasks.doubled, [1], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("backend", "package"), [("ray", "ray"), ("dask", "distributed")])
def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, backend: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=package) as caught:
        parallel.map(tasks.doubled, [1], backend=backend)
    assert "mech-exo[ray]" in str(caught.value.remedy)


def test_an_exception_that_cannot_travel_is_told_in_words() -> None:
    with pytest.raises(WorkerError, match="Odd: no"):
        parallel.map(tasks.odd, [1], backend="processes", workers=1)


@pytest.mark.parametrize("kind", sorted({k for k in vars(errors).values() if isinstance(k, type)}, key=str), ids=lambda k: k.__name__)
def test_our_errors_survive_the_journey(kind: type[errors.MechExoError]) -> None:
    error = pickle.loads(pickle.dumps(kind("a rule; a value", remedy="a remedy")))
    assert type(error) is kind and (error.message, error.remedy) == ("a rule; a value", "a remedy")
    assert str(error) == "a rule; a value\n  → a remedy" and error.exit_code == kind.exit_code


def test_a_dask_cluster_at_an_address() -> None:
    """Other machines have no shared memory with us: every worker gets its copy, read-only all the same."""
    import distributed

    array = np.arange(8 * 1000, dtype=np.float64).reshape(8, 1000)
    options = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(n_workers=2, **options) as cluster:
        told = parallel.map(tasks.facts, range(8), shared={"array": array, "text": ""}, backend="dask", address=cluster.scheduler_address)
    assert [fact["sum"] for fact in told] == [float(row.sum()) for row in array]
    assert not any(fact["writeable"] for fact in told)


SCRIPT = """
import sys
from mech_exo.utils import parallel
from tests.contracts import parallel_tasks as tasks
import numpy as np

def started(done, total): pass

if __name__ == "__main__":
    print("ready", flush=True)
    parallel.map(tasks.sleeping, range(4), shared=np.zeros(1000), backend="processes", workers=2)
"""


def test_ctrl_c_ends_it_at_once_and_leaves_nothing(tmp_path: Path, repository: Path) -> None:
    """To the whole foreground group, as a terminal sends it."""
    script = tmp_path / "work.py"
    script.write_text(SCRIPT)
    before = segments()
    environment = os.environ | {"PYTHONPATH": str(repository)}
    ran = subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert ran.stdout is not None and ran.stdout.readline() == "ready\n"
    assert eventually(lambda: not segments() <= before)
    time.sleep(1.5)  # the workers are there and asleep
    begun = time.monotonic()
    os.killpg(ran.pid, signal.SIGINT)
    _, said = ran.communicate(timeout=20)
    assert time.monotonic() - begun < 15, "the tasks sleep for 30"
    assert said.rstrip().endswith("KeyboardInterrupt") and said.count("Traceback") == 1, said
    assert "resource_tracker" not in said
    assert segments() <= before
    assert eventually(lambda: not alive(ran.pid)), "a worker lives on"


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()
