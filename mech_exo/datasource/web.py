"""The one session all downloads use: held to the vendor's pace and to a deadline that counts every byte of the answer."""

from __future__ import annotations

import json
import re
from typing import Any

from curl_cffi.requests import Response, Session
from curl_cffi.requests.exceptions import RequestException

from mech_exo.datasource.fetching import BusyError
from mech_exo.datasource.pace import Pace, seconds_left

__all__ = ["PunctualSession", "RequestException", "Response", "refuse_busy", "seconds_of"]


class _Answer(Response):
    def json(self, **options: Any) -> Any:
        """As every other client reads JSON: a stray NaN spoils its own figure, not the whole answer."""
        return json.loads(self.content, **options)


class PunctualSession(Session[Response]):
    """A session whose every request waits for its turn and is over in time.

    Parameters
    ----------
    pace
        See :func:`mech_exo.datasource.pace.pace_of`.
    timeout
        Seconds for one request in all, cut to what the symbol's deadline leaves (:func:`mech_exo.datasource.pace.due_in`): a server
        that sends a byte now and then for ever does not hold it longer.
    """

    def __init__(self, pace: Pace, timeout: float, **options: Any) -> None:
        super().__init__(response_class=_Answer, **options)
        self._pace, self._longest = pace, timeout

    def request(self, method: Any, url: str, *args: Any, **options: Any) -> Response:
        """As the parent's. Raises its RequestException."""
        self._pace.wait()
        options["timeout"] = seconds_left(self._longest)
        return super().request(method, url, *args, **options)


def refuse_busy(response: Response, vendor: str) -> None:
    """Raise BusyError for an answer that asks for patience (429) or tells of the server's own trouble (5xx)."""
    if response.status_code == 429 or response.status_code >= 500:
        raise BusyError(f"{vendor} answered {response.status_code}", seconds_of(response.headers.get("Retry-After")))


def seconds_of(header: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header, None when it has none (or a date, which nobody sends here)."""
    return float(header) if header and re.fullmatch(r"\d+(\.\d+)?", header.strip()) else None
