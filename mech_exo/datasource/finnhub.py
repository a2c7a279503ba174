"""Finnhub through its own client: failures sorted into "ask again" and "final", and the key never in a message."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import finnhub
from finnhub import FinnhubAPIException, FinnhubRequestException

from mech_exo.datasource.fetching import BusyError, FetchSettings, RefusedError, Status
from mech_exo.datasource.pace import pace_of
from mech_exo.datasource.web import PunctualSession, RequestException, seconds_of

__all__ = ["Client", "sorted_failures"]


class Client(finnhub.Client):  # type: ignore[misc]
    """The vendor's client over a session that keeps to the vendor's pace and to a deadline."""

    def __init__(self, settings: FetchSettings) -> None:
        self._session = PunctualSession(pace_of("finnhub", settings.rate), settings.timeout)
        self._session.headers.update({"Accept": "application/json", "User-Agent": "finnhub/python"})
        self._session.params = {"token": settings.finnhub_key}




@contextlib.contextmanager
def sorted_failures() -> Iterator[None]:
    """Turn the client's failures into BusyError (ask again) and RefusedError (final). Addresses hold the key: none is quoted."""
    try:
        yield
    except FinnhubAPIException as error:
        code = error.status_code
        if code == 429 or code >= 500:
            raise BusyError(f"Finnhub answered {code}", seconds_of(error.response.headers.get("Retry-After"))) from None
        why = "the key was not accepted for this" if code in (401, 403) else f"Finnhub answered {code}"
        raise RefusedError(Status.REFUSED, why) from None
    except (FinnhubRequestException, ValueError, TypeError):
        raise BusyError("Finnhub answered with something that is not data") from None
    except RequestException as error:
        raise BusyError(f"Finnhub could not be reached ({type(error).__name__})") from None
