"""What travels to the workers of :mod:`mech_exo.utils.parallel` and how it is opened there: a parcel, packed once, unpacked once.

The function and the shared object are pickled once (protocol 5) with their arrays beside the pickle ("out of band", PEP 574), so that the
arrays can lie in shared memory and a worker's objects are read-only views of it.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

from mech_exo.domain.errors import InputError, WorkerError

ALIGNMENT = 64
"""Bytes: a cache line, and what vector instructions like."""


class Failed:
    """What a worker hands back instead of raising: every library would wrap the exception in its own."""

    def __init__(self, error: Exception) -> None:
        self.told = "".join(traceback.format_exception(error))
        try:
            self.body = pickle.dumps(error)
            pickle.loads(self.body)  # noqa: S301 - our own bytes: some exceptions can be packed and not unpacked
        except Exception:  # noqa: BLE001 - whatever a foreign exception does when pickled
            self.body = pickle.dumps(WorkerError(f"a task failed with {type(error).__name__}: {error}"))

    def error(self) -> Exception:
        """The exception as it was, the worker's traceback as a note."""
        error: Exception = pickle.loads(self.body)  # noqa: S301 - from our own worker
        error.add_note(f"in a worker:\n{self.told}")
        return error


def opened(answer: Any) -> Any:
    """What a worker handed back; what it could not do is raised."""
    if isinstance(answer, Failed):
        raise answer.error()
    return answer


@dataclass(frozen=True, slots=True)
class _Segment:
    """Arrays one behind the other in shared memory."""

    name: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Parcel:
    """The pickled ``(function, shared)`` and its arrays: themselves, or the segment they lie in."""

    token: str
    body: bytes
    arrays: Any

    @classmethod
    def of(cls, function: Callable[..., Any], shared: Any) -> Parcel:
        """Pack. Raises InputError for what cannot be pickled."""
        found: list[pickle.PickleBuffer] = []
        try:
            body = pickle.dumps((function, shared), protocol=5, buffer_callback=found.append)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                f"what goes to other processes must be picklable, the function one of a module; {error}",
                remedy="def the function at the top of a module, or use backend='threads'",
            ) from error
        return cls(uuid.uuid4().hex, body, tuple(buffer.raw() for buffer in found))

    def unpack(self) -> tuple[Callable[[Any, Any], Any], Any, SharedMemory | None]:
        """(function, shared, the segment its arrays lie in)."""
        segment, arrays = None, self.arrays
        if isinstance(arrays, _Segment):
            segment = _attach(arrays.name)
            room = _room(segment)
            arrays = [room[start:stop] for start, stop in arrays.spans]
        views = [memoryview(array).toreadonly() for array in arrays]
        function, shared = pickle.loads(self.body, buffers=views)  # noqa: S301 - packed by Parcel.of in the caller's process
        return function, shared, segment


class _Attached(SharedMemory):
    """A worker's door to the segment; when the worker ends with arrays still on it, the system closes it."""

    def __del__(self) -> None:
        with contextlib.suppress(BufferError):
            self.close()


def _room(segment: SharedMemory) -> memoryview:
    assert segment.buf is not None  # None only once closed
    return segment.buf


_attaching = threading.Lock()


def _attach(name: str) -> SharedMemory:
    """Open a segment without becoming its owner: only who made it may remove it (Python 3.13 has ``track=False`` for that)."""
    with _attaching:
        register = resource_tracker.register
        resource_tracker.register = lambda *_: None
        try:
            return _Attached(name)
        finally:
            resource_tracker.register = register


@contextlib.contextmanager
def in_shared_memory(parcel: Parcel) -> Iterator[Parcel]:
    """The parcel with its arrays in one segment, which is gone afterwards whatever happens."""
    spans, end = [], 0
    for array in parcel.arrays:
        start = -(-end // ALIGNMENT) * ALIGNMENT
        end = start + array.nbytes
        spans.append((start, end))
    segment = SharedMemory(create=True, size=max(1, end))
    try:
        for (start, stop), array in zip(spans, parcel.arrays, strict=True):
            _room(segment)[start:stop] = array
        yield Parcel(parcel.token, parcel.body, _Segment(segment.name, tuple(spans)))
    finally:
        segment.close()
        segment.unlink()


_unpacked: dict[str, Any] = {}


def perform(parcel: Parcel, item: Any) -> Any:
    """In a worker: one item. The parcel is unpacked once and kept until another one comes."""
    try:
        if parcel.token not in _unpacked:
            _unpacked.clear()
            _unpacked[parcel.token] = parcel.unpack()
        function, shared, _ = _unpacked[parcel.token]
        return function(shared, item)
    except Exception as error:  # noqa: BLE001 - raised again where the caller is
        return Failed(error)


def perform_posted(token: str, body: bytes, arrays: Sequence[Any], item: Any) -> Any:
    """The same for Ray, which hands over the parts."""
    return perform(Parcel(token, body, arrays), item)
