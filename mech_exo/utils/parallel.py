"""One :func:`map` for every way of working in parallel: serial, threads, processes, Ray, Dask. Nothing of Ray or Dask is elsewhere.

Work for other processes is one parcel (:mod:`mech_exo.utils.parcel`): its arrays go once into shared memory or Ray's object store, and a
worker unpacks it once, onto read-only views of the very same memory. Only a cluster at an address (other machines) gets a copy per
worker (Dask) or per machine (Ray).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from multiprocessing import get_context
from typing import Any, TypeVar

from mech_exo.domain.errors import InputError, UserError, WorkerError
from mech_exo.utils.parcel import Parcel, in_shared_memory, opened, perform, perform_posted

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
Submit = Callable[[Any], "futures.Future[Any]"]

AHEAD = 4
"""Items handed out per worker: enough to keep it busy, few enough to stop soon."""
SINGLE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
"""One thread in each worker: W workers with W threads each would only wait for one another."""


def map(  # noqa: A001 - it is one: parallel.map
    function: Callable[[Any, Item], Result],
    items: Iterable[Item],
    *,
    shared: Any = None,
    backend: str = "serial",
    workers: int | None = None,
    address: str | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """``[function(shared, item) for item in items]``, in that order, whichever backend does it.

    Parameters
    ----------
    function
        Beyond threads: a function of a module (not a lambda), which every worker can import.
    shared
        Beyond threads: picklable. Its NumPy arrays travel once and are read-only views there; serial and threads see the object itself.
    backend
        ``serial``, ``threads`` (for compiled functions, which release the GIL), ``processes`` (spawned), ``ray``, ``dask``.
    workers
        At most so many at once; None = the CPUs this process may use, or all of the cluster at ``address``.
    address
        A running Ray or Dask cluster, e.g. ``auto`` (Ray) or ``tcp://host:8786`` (Dask). None starts one on this machine and ends it.
    progress
        ``(done, total)`` after every item, in the caller's thread.

    Raises
    ------
    InputError
        Unknown backend, workers below 1, an address where there is none, a function or object that cannot be sent.
    UserError
        The optional library is not installed; the message names the extra.
    WorkerError
        A worker ended in the middle of its work (killed, out of memory).
    Exception
        Of the first item, in their order, whose function raised; with the worker's traceback as a note.
    """
    if backend not in BACKENDS:
        raise InputError(f"the backend must be one of {', '.join(BACKENDS)}; got {backend!r}")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise InputError(f"workers must be a whole number, at least 1; got {workers!r}")
    if address is not None and backend not in ("ray", "dask"):
        raise InputError(f"an address is that of a Ray or Dask cluster; got {address!r} for {backend}", remedy="--backend ray or dask")
    work = list(items)
    if not work:
        return []
    if backend == "serial":
        return _serial(function, shared, work, progress)
    with BACKENDS[backend](function, shared, workers, address) as (submit, size):
        return _collect(submit, work, AHEAD * size, progress)


def cpu_count() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serial(function: Callable[[Any, Any], Any], shared: Any, work: Sequence[Any], progress: Progress | None) -> list[Any]:
    results = []
    for item in work:
        results.append(function(shared, item))
        if progress is not None:
            progress(len(results), len(work))
    return results


def _collect(submit: Submit, work: Sequence[Any], ahead: int, progress: Progress | None) -> list[Any]:
    """Hand out ``work``, a few items ahead, and gather in order; the first failure in that order is raised."""
    results: list[Any] = []
    early: dict[int, futures.Future[Any]] = {}
    pending: dict[futures.Future[Any], int] = {}
    handed = 0
    try:
        while len(results) < len(work):
            while handed < len(work) and len(pending) < ahead:
                pending[submit(work[handed])] = handed
                handed += 1
            done, _ = futures.wait(pending, return_when=futures.FIRST_COMPLETED)
            for future in done:
                early[pending.pop(future)] = future
                if progress is not None:
                    progress(len(results) + len(early), len(work))
            while len(results) in early:
                results.append(opened(early.pop(len(results)).result()))
    finally:
        for future in pending:
            future.cancel()
    return results


_parcel: Parcel | None = None


def _start_worker(parcel: Parcel) -> None:
    """In a new process: Ctrl-C is the caller's business, and nothing here starts threads of its own."""
    import signal

    global _parcel  # noqa: PLW0603 - an initializer has no other way to hand something over
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "numba" not in sys.modules:
        os.environ["NUMBA_NUM_THREADS"] = "1"
    _parcel = parcel


def _perform_here(item: Any) -> Any:
    assert _parcel is not None
    return perform(_parcel, item)


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    """What is started inside inherits :data:`SINGLE`."""
    before = {name: os.environ.get(name) for name in SINGLE}
    os.environ.update(SINGLE)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started inside never hears Ctrl-C, not even while it starts; the caller hears one that comes meanwhile afterwards."""
    import signal

    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _named(*dead: type[BaseException]) -> Iterator[None]:
    """Every library's own word for a worker that died becomes ours."""
    try:
        yield
    except dead as error:
        raise WorkerError(
            f"a worker must live until its work is done; one ended before ({type(error).__name__}): killed, or out of memory",
            remedy="fewer workers, or look for the kernel's OOM killer; a script must start its work under `if __name__ == '__main__':`",
        ) from error


@contextlib.contextmanager
def _threads(function: Callable[..., Any], shared: Any, workers: int | None, _: str | None) -> Iterator[tuple[Submit, int]]:
    size = workers or cpu_count()
    pool = futures.ThreadPoolExecutor(size, thread_name_prefix="mech_exo")
    try:
        yield lambda item: pool.submit(function, shared, item), size
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _processes(function: Callable[..., Any], shared: Any, workers: int | None, _: str | None) -> Iterator[tuple[Submit, int]]:
    """Spawned, never forked: a fork copies the locks of threads that it does not copy."""
    size = workers or cpu_count()
    with _named(futures.BrokenExecutor), in_shared_memory(Parcel.of(function, shared)) as parcel:
        pool = futures.ProcessPoolExecutor(size, get_context("spawn"), _start_worker, (parcel,))

        def submit(item: Any) -> futures.Future[Any]:
            with _single_threaded(), _deaf_to_interrupts():  # a process is started when there is something for it to do
                return pool.submit(_perform_here, item)

        try:
            yield submit, size
        except BaseException:
            running = list((pool._processes or {}).values())  # Python 3.14: pool.terminate_workers()
            for process in running:
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def running_ray(workers: int | None, address: str | None) -> Iterator[Any]:
    """The module ``ray``, joined to the cluster at ``address`` or to one of this machine's; one that runs already is left as it is."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise _missing("ray") from None
    if ray.is_initialized():
        yield ray
        return
    where = address or "on this machine"
    chosen = {"address": address} if address else {"num_cpus": workers or cpu_count(), "include_dashboard": False}
    try:
        with _single_threaded():
            ray.init(**chosen, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray raises bare ones
        ray.shutdown()
        raise WorkerError(f"Ray must start or be reachable; {where}: {error}", remedy="try again, or --backend threads") from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _ray(function: Callable[..., Any], shared: Any, workers: int | None, address: str | None) -> Iterator[tuple[Submit, int]]:
    parcel = Parcel.of(function, shared)
    with running_ray(workers, address) as ray, _named(ray.exceptions.RayError):
        import numpy as np

        size = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        arrays = ray.put([np.frombuffer(array, np.uint8) for array in parcel.arrays])
        body = ray.put(parcel.body)
        task = ray.remote(num_cpus=1, max_retries=0)(perform_posted)
        yield lambda item: task.remote(parcel.token, body, arrays, item).future(), size


@contextlib.contextmanager
def _dask(function: Callable[..., Any], shared: Any, workers: int | None, address: str | None) -> Iterator[tuple[Submit, int]]:
    try:
        import dask
        import distributed
        from distributed.comm.core import CommClosedError
    except ImportError:
        raise _missing("distributed") from None
    local_cluster: Any = distributed.LocalCluster  # neither is typed
    new_client: Any = distributed.Client
    parcel = Parcel.of(function, shared)
    settings = {"distributed.scheduler.allowed-failures": 0, "distributed.worker.daemon": True}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_named(distributed.KilledWorker, CommClosedError, futures.CancelledError))
        stack.enter_context(dask.config.set(settings))
        if address is None:
            parcel = stack.enter_context(in_shared_memory(parcel))
            with _single_threaded():
                cluster = local_cluster(
                    n_workers=workers or cpu_count(), threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0,
                    silence_logs=logging.CRITICAL,
                )  # fmt: skip
            address = stack.enter_context(cluster).scheduler_address
        client = stack.enter_context(new_client(address, set_as_default=False))
        chosen = sorted(client.scheduler_info(n_workers=-1)["workers"])[:workers]
        if not chosen:
            raise WorkerError(f"a Dask cluster needs a worker; the one at {address} has none", remedy="dask worker ADDRESS")
        posted = client.scatter(parcel, broadcast=True, hash=False)
        pool = client.get_executor(pure=False, workers=chosen)
        yield lambda item: pool.submit(perform, posted, item), len(chosen)


def _missing(package: str) -> UserError:
    return UserError(f"this backend needs the package {package}, which is not installed", remedy="pip install 'mech-exo[ray]'")


BACKENDS: Mapping[str, Any] = {"serial": None, "threads": _threads, "processes": _processes, "ray": _ray, "dask": _dask}
"""Each but serial: a context manager ``(function, shared, workers, address) -> (submit, how many work at once)``."""
