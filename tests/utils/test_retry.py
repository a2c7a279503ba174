"""The download policy: bounded in tries and time, jittered, obedient, and choosy."""

from __future__ import annotations

import pytest

from mech_exo.utils.retry import download_policy


class Busy(Exception):
    """The server asks for patience."""

    def __init__(self, retry_after: float | None = None) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


class Flaky:
    """Fails ``failures`` times, then answers 7."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return 7


def test_a_passing_trouble_is_outlasted() -> None:
    slept: list[float] = []
    work = Flaky(3, TimeoutError())
    assert download_policy(TimeoutError, sleep=slept.append)(work) == 7
    assert work.calls == 4
    assert len(slept) == 3
    assert all(0 <= wait <= 0.5 * 2**i for i, wait in enumerate(slept))


def test_the_last_error_comes_out_as_it_was() -> None:
    error = TimeoutError("gone")
    work = Flaky(99, error)
    with pytest.raises(TimeoutError) as caught:
        download_policy(TimeoutError, attempts=3, sleep=lambda _: None)(work)
    assert caught.value is error
    assert work.calls == 3


def test_other_errors_are_not_repeated() -> None:
    work = Flaky(1, ValueError("no such ticker"))
    with pytest.raises(ValueError, match="no such ticker"):
        download_policy(TimeoutError, sleep=lambda _: None)(work)
    assert work.calls == 1


def test_the_servers_wish_is_obeyed() -> None:
    slept: list[float] = []
    assert download_policy(Busy, sleep=slept.append)(Flaky(1, Busy(retry_after=11.0))) == 7
    assert slept == [11.0]


def test_no_wait_ends_after_the_deadline() -> None:
    slept: list[float] = []
    work = Flaky(99, Busy(retry_after=3600.0))
    with pytest.raises(Busy):
        download_policy(Busy, sleep=slept.append)(work)
    assert slept == []
    assert work.calls == 1


def test_waits_are_not_in_step() -> None:
    waits = []
    for _ in range(20):
        download_policy(TimeoutError, sleep=waits.append)(Flaky(1, TimeoutError()))
    assert len(set(waits)) > 15


def test_errors_must_be_named() -> None:
    with pytest.raises(TypeError, match="name the errors"):
        download_policy()
