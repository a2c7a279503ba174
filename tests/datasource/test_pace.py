"""The pace is kept by all threads together, and the deadline counts from the symbol's beginning."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mech_exo.datasource.pace import Pace, due_in, pace_of, seconds_left
from mech_exo.domain.errors import ConfigError


def test_threads_share_one_pace() -> None:
    pace = Pace(100.0, burst=10)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        moments = sorted(pool.map(lambda _: (pace.wait(), time.monotonic() - began)[1], range(60)))
    assert moments[-1] >= 0.49, "60 requests, 10 at once and then 100 a second"
    for at, moment in enumerate(moments):
        assert moment >= (at - 9) / 100.0 - 0.005


def test_a_published_limit_is_kept_whatever_is_configured() -> None:
    assert pace_of("yahoo", 50.0)._step == pytest.approx(0.02)
    assert pace_of("edgar", 1.0)._step == pytest.approx(1.0)
    assert pace_of("edgar", 1e6)._step == pace_of("edgar")._step
    assert pace_of("yahoo") is pace_of("yahoo")
    with pytest.raises(ConfigError, match="above 0"):
        Pace(0.0)


def test_the_deadline_ends_with_its_symbol() -> None:
    assert seconds_left(3.0) == 3.0
    with due_in(0.5):
        assert 0.3 < seconds_left(3.0) <= 0.5
        with due_in(0.0):
            assert seconds_left() == 0.01
    assert seconds_left(3.0) == 3.0
