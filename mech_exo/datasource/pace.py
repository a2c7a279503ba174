"""How fast, and for how long, a vendor may be asked: one pace per vendor for all threads, one deadline per symbol."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

from mech_exo.domain.errors import ConfigError

RATES = {"yahoo": (20.0, 20), "finnhub": (0.5, 30), "edgar": (8.0, 4)}
"""Requests per second in the long run, and how many may leave at once. Yahoo publishes no limit (it answers 429); Finnhub's free plan
allows 60 a minute and 30 a second; the SEC allows 10 a second."""

_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


class Pace:
    """At most ``burst`` requests at once and ``rate`` per second in the long run, whoever asks (a generic cell rate algorithm).

    Raises
    ------
    ConfigError
        The rate or the burst is not above 0.
    """

    def __init__(self, rate: float, burst: int = 1) -> None:
        if not (rate > 0.0 and burst > 0):
            raise ConfigError(f"requests per second must be above 0; got {rate}")
        self._step, self._slack = 1.0 / rate, (burst - 1) / rate
        self._due = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the next request may leave."""
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now - self._slack)
            pause = self._due - now
            self._due += self._step
        if pause > 0.0:
            time.sleep(pause)


@functools.cache
def pace_of(vendor: str, rate: float | None = None) -> Pace:
    """The pace of ``vendor``, one for everybody in this process: :data:`RATES`, or ``rate`` for Yahoo, and where it is less for others."""
    usual, burst = RATES[vendor]
    chosen = usual if rate is None else rate if vendor == "yahoo" else min(rate, usual)
    return Pace(chosen, burst if chosen == usual else max(1, min(burst, round(chosen))))


@contextlib.contextmanager
def due_in(seconds: float) -> Iterator[None]:
    """Within, every request of this thread must be over ``seconds`` from now, however slowly its answer trickles in."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def seconds_left(at_most: float | None = None) -> float:
    """Seconds until the deadline of this thread's symbol, at least a hundredth (0 would mean "for ever" to some clients)."""
    left = _deadline.get() - time.monotonic()
    return max(0.01, left if at_most is None else min(left, at_most))
