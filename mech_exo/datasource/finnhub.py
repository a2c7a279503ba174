"""Finnhub through its own client: failures sorted into "ask again" and "final", and the key never in a message."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import requests
from finnhub import Client, FinnhubAPIException, FinnhubRequestException

from mech_exo.datasource.fetching import BusyError, RefusedError, Status
from mech_exo.datasource.yahoo import seconds_of

__all__ = ["Client", "sorted_failures"]


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
    except FinnhubRequestException:
        raise BusyError("Finnhub answered with something that is not data") from None
    except requests.RequestException as error:
        raise BusyError(f"Finnhub could not be reached ({type(error).__name__})") from None
