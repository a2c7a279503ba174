"""Yahoo Finance through yfinance: one session for all requests, and its failures sorted into "ask again" and "final"."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import yfinance
from curl_cffi.requests import Session
from yfinance.data import YfData
from yfinance.exceptions import YFException, YFPricesMissingError, YFRateLimitError, YFTickerMissingError

from mech_exo.datasource.fetching import BusyError, FetchSettings, RefusedError, Status
from mech_exo.datasource.pace import pace_of
from mech_exo.datasource.web import PunctualSession, RequestException, Response, refuse_busy

CLASS_SHARE = re.compile(r"([A-Z]+)\.([AB])")
UNHEARD_OF = "no such symbol at Yahoo, or delisted"
NOTHING = (b"", b"{}", b"[]", b"null")
HEADS = {"/v8/finance/chart/": b'"chart"', "/v1/finance/search": b'"news"', "/quoteSummary/": b'"quoteSummary"'}
"""What an answer must hold to be one: yfinance takes any other JSON for "there is nothing"."""


class YahooSession(PunctualSession):
    """A browser-like session that says at once when a data request failed.

    yfinance itself answers a busy server with a second try and a message without the server's ``Retry-After``, and takes
    a page of HTML for an absent price.
    """

    def __init__(self, settings: FetchSettings) -> None:
        super().__init__(pace_of("yahoo", settings.rate), settings.timeout, impersonate="chrome")

    def request(self, method: Any, url: str, *args: Any, **options: Any) -> Response:
        """As the parent's. Raises BusyError when a data request gets no JSON, 429 or 5xx, or does not get through."""
        if "/finance/" not in url:
            return super().request(method, url, *args, **options)
        try:
            response = super().request(method, url, *args, **options)
        except RequestException as error:
            raise BusyError(f"Yahoo could not be reached ({type(error).__name__})") from error
        refuse_busy(response, "Yahoo")
        final = response.status_code >= 400 or "consent." in str(response.url)
        if not final and "json" not in (response.headers.get("Content-Type") or ""):
            raise BusyError("Yahoo answered with a page instead of data")
        if not final and response.content.strip() in NOTHING:
            raise BusyError("Yahoo answered with nothing")
        if not final and any(path in url and head not in response.content for path, head in HEADS.items()):
            raise BusyError("Yahoo answered with something that is not what was asked for")
        return response


def yahoo_symbol(symbol: str) -> str:
    """Yahoo writes share classes with a dash: BRK.B is BRK-B there."""
    share = CLASS_SHARE.fullmatch(symbol)
    return f"{share[1]}-{share[2]}" if share else symbol


@contextlib.contextmanager
def connected(settings: FetchSettings) -> Iterator[YahooSession]:
    """A session, with yfinance raising instead of printing and guessing; afterwards yfinance is as it was for everybody else.

    What it does with pandas that pandas will drop one day is its authors' affair, not the user's.
    """
    for category in (DeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category, module=r"yfinance\.")
    hidden = yfinance.config.debug.hide_exceptions
    yfinance.config.debug.hide_exceptions = False
    session = YahooSession(settings)
    try:
        yield session
    finally:
        yfinance.config.debug.hide_exceptions = hidden
        YfData(Session(impersonate="chrome"))
        session.close()


def ticker(symbol: str, session: YahooSession) -> yfinance.Ticker:
    """A ticker of yfinance that will ask anew: it keeps some answers, bad ones too, for the life of the process."""
    YfData.cache_get.cache_clear()
    return yfinance.Ticker(yahoo_symbol(symbol), session=session)


def news_about(symbol: str, count: int, session: YahooSession, timeout: float) -> list[dict[str, object]]:
    """What Yahoo's search finds and itself ties to ``symbol``, asked anew. A search by name also brings others' news."""
    YfData.cache_get.cache_clear()
    name = yahoo_symbol(symbol)
    found = yfinance.Search(name, max_results=1, news_count=count, session=session, timeout=timeout).news
    return [item for item in found if name in (item.get("relatedTickers") or ())]


@contextlib.contextmanager
def sorted_failures() -> Iterator[None]:
    """Turn yfinance's failures into BusyError (ask again) and RefusedError (final)."""
    try:
        yield
    except YFRateLimitError as error:
        raise BusyError("Yahoo answered 429") from error
    except YFPricesMissingError as error:
        if error.yahoo_reason is None or "Data doesn't exist" in error.yahoo_reason:
            raise RefusedError(Status.EMPTY, "no prices in the period asked for") from error
        raise RefusedError(Status.UNKNOWN, UNHEARD_OF) from error
    except YFTickerMissingError as error:
        raise RefusedError(Status.UNKNOWN, UNHEARD_OF) from error
    except YFException as error:
        raise BusyError(str(error)) from error
    except RequestException as error:
        code = getattr(error.response, "status_code", None)
        if code == 404:
            raise RefusedError(Status.UNKNOWN, UNHEARD_OF) from error
        raise BusyError(f"Yahoo answered {code}" if code else f"Yahoo could not be reached ({type(error).__name__})") from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise BusyError(f"Yahoo's answer could not be read ({type(error).__name__})") from error
