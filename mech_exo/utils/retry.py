"""Asking again, politely: the one retry policy of every download.

Bounded in tries *and* in total time, jittered so that many clients do not come back together, and obedient: an exception
carrying ``retry_after`` (seconds, from the server's header) waits at least that long. Never used for orders: doubt about an order
is not resolved by sending it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import DataError

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying

ATTEMPTS = 5
DEADLINE_SECONDS = 90.0
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0


def download_policy(
    *errors: type[BaseException],
    attempts: int = ATTEMPTS,
    deadline: float = DEADLINE_SECONDS,
    first_wait: float = FIRST_WAIT_SECONDS,
    longest_wait: float = LONGEST_WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Retrying:
    """A tenacity policy that repeats on ``errors`` only; the last error is raised as it came.

    Waits are uniform in ``[0, first_wait × 2^(try - 1)]``, at most ``longest_wait`` ("full jitter", Brooker 2015,
    "Exponential Backoff And Jitter"), and never less than the error's ``retry_after``. No wait is begun that would end after
    ``deadline``.

    Parameters
    ----------
    errors
        What is worth a second try; anything else is raised at once.
    attempts
        Tries in all, at least 1.
    deadline, first_wait, longest_wait
        Seconds.
    sleep
        For tests.

    Examples
    --------
    >>> download_policy(TimeoutError)(lambda: 7)
    7
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_random_exponential

    if not errors:
        raise TypeError("name the errors worth a second try")
    jitter = wait_random_exponential(multiplier=first_wait, max=longest_wait)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked = getattr(error, "retry_after", None)
        return max(jitter(state), float(asked) if asked is not None else 0.0)

    return Retrying(
        retry=retry_if_exception_type(errors),
        stop=stop_after_attempt(attempts) | stop_before_delay(deadline),
        wait=wait,
        sleep=sleep,
        reraise=True,
    )


def worth_asking_again(_task: object, _run: object, state: Any) -> bool:
    """Prefect's ``retry_condition_fn``: who failed with DataError may answer later; a wrong configuration will not mend itself."""
    try:
        state.result()
    except DataError:
        return True
    except Exception:  # noqa: BLE001 - whatever else it is, asking again does not help
        return False
    return False
