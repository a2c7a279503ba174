"""What every download shares: its settings, one outcome per symbol, patience with a busy vendor, and a progress bar on stderr."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from mech_exo.datasource.pace import due_in
from mech_exo.domain.errors import ConfigError, DataError, InputError, cut
from mech_exo.utils.retry import ATTEMPTS, DEADLINE_SECONDS, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, download_policy
from mech_exo.utils.settings import ApiKeys, Config, DataConfig

if TYPE_CHECKING:
    import polars as pl

SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9.^=-]{0,19}")
Made = TypeVar("Made")


class Status(StrEnum):
    """What became of one symbol's download. An empty answer is never taken for "nothing changed"."""

    OK = "ok"
    UNKNOWN = "unknown"
    EMPTY = "empty"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One symbol's download: how many ``rows``, the ``first`` and ``last`` date among them, and what is to be said about it.

    ``missing``: sessions the exchange held, within what was asked for, of which there is no bar.
    """

    symbol: str
    status: Status
    rows: int = 0
    first: date | None = None
    last: date | None = None
    detail: str = ""
    missing: tuple[date, ...] = ()


class BusyError(Exception):
    """The vendor may well answer if asked again. ``retry_after``: seconds it asked for, None = it did not say."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RefusedError(Exception):
    """The vendor's answer is final: ``status`` says which."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """How to download: ``workers`` symbols at a time, ``attempts`` and ``deadline`` (seconds) each, ``timeout`` seconds per request.

    ``rate``: requests per second, of all threads together; None: what each vendor bears (``pace.RATES``). ``user_agent``: who asks,
    "Your Name you@example.com", as the SEC wants to know. ``quiet``: no progress bar.
    """

    workers: int = 4
    attempts: int = ATTEMPTS
    deadline: float = DEADLINE_SECONDS
    first_wait: float = FIRST_WAIT_SECONDS
    longest_wait: float = LONGEST_WAIT_SECONDS
    timeout: float = 15.0
    rate: float | None = None
    finnhub_key: str = field(default="", repr=False)
    user_agent: str = ""
    quiet: bool = False

    def __post_init__(self) -> None:
        for name in ("workers", "attempts", "deadline", "timeout", "rate"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ConfigError(f"{name} of a download must be above 0; got {getattr(self, name)!r}")


def settings_from(config: object) -> FetchSettings:
    """Download settings from None, :class:`FetchSettings`, a ``Config``, ``DataConfig`` or ``ApiKeys``, or a plain dictionary.

    A dictionary may hold the names of :class:`FetchSettings` and what ``api_keys.yml`` and ``data.yml`` hold.

    Raises
    ------
    ConfigError
        An unknown key, or a value of the wrong kind.
    """
    if config is None:
        return FetchSettings()
    if isinstance(config, FetchSettings):
        return config
    if isinstance(config, Config):
        return _from_models(config.data, config.keys)
    if isinstance(config, DataConfig):
        return _from_models(config, ApiKeys())
    if isinstance(config, ApiKeys):
        return _from_models(DataConfig(), config)
    if isinstance(config, Mapping):
        return _from_mapping(config)
    raise ConfigError(f"a downloader's config must be None, a Config or a dictionary; got {type(config).__name__}")


def _from_models(data: DataConfig, keys: ApiKeys) -> FetchSettings:
    chosen = data.sources
    return FetchSettings(
        workers=chosen.workers,
        rate=chosen.requests_per_second,
        finnhub_key=keys.finnhub.api_key.get_secret_value(),
        user_agent=keys.sec_user_agent,
    )


def _from_mapping(config: Mapping[object, object]) -> FetchSettings:
    from pydantic import ValidationError

    own = {item.name for item in dataclasses.fields(FetchSettings)}
    known = own | set(ApiKeys.model_fields) | set(DataConfig.model_fields) | set(Config.model_fields)
    for key in config:
        if key not in known:
            near = difflib.get_close_matches(str(key), sorted(known), 1)
            raise ConfigError(f"unknown key {key!r} in a downloader's config", remedy=f"did you mean {near[0]!r}?" if near else None)
    keys = config.get("keys", {name: value for name, value in config.items() if name in ApiKeys.model_fields})
    try:
        given = _from_models(DataConfig(), ApiKeys.model_validate(keys))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigError(f"{'.'.join(str(part) for part in first['loc'])} in a downloader's config: {first['msg']}") from None
    chosen = {str(name): value for name, value in config.items() if name in own}
    for name, value in chosen.items():
        kind = {"finnhub_key": "a text", "user_agent": "a text", "quiet": "true or false"}.get(name, "a number")
        fits = {"a text": isinstance(value, str), "true or false": isinstance(value, bool)}
        if not fits.get(kind, isinstance(value, (int, float)) and not isinstance(value, bool)):
            raise ConfigError(f"{name} in a downloader's config must be {kind}; got {type(value).__name__}")
    return dataclasses.replace(given, **chosen)  # type: ignore[arg-type]


def symbols_of(symbols: Sequence[str] | str) -> tuple[str, ...]:
    """The symbols in capitals, each once, in the order given.

    Raises
    ------
    InputError
        There is none, or one could not be a ticker.
    """
    given = (symbols,) if isinstance(symbols, str) else tuple(symbols)
    wanted = tuple(dict.fromkeys(str(symbol).strip().upper() for symbol in given))
    if not wanted:
        raise InputError("a download needs at least one symbol; got none")
    for symbol in wanted:
        if not SYMBOL.fullmatch(symbol):
            raise InputError(f"a symbol has 1 to 20 letters, digits or . ^ = -; got {cut(symbol)!r}")
    return wanted


def fetch_each(
    symbols: Sequence[str], fetch_one: Callable[[str], Made], settings: FetchSettings, label: str
) -> list[tuple[str, Made | Outcome]]:
    """``fetch_one`` for every symbol, a few at a time, asking again while it raises BusyError; an Outcome where it never came.

    The answers stand in the order of ``symbols``, whatever order they came in. No symbol takes longer than ``settings.deadline``.
    """

    def patiently(symbol: str) -> Made | Outcome:
        with due_in(settings.deadline):
            return asked(symbol)

    def asked(symbol: str) -> Made | Outcome:
        policy = download_policy(
            BusyError,
            attempts=settings.attempts,
            deadline=settings.deadline,
            first_wait=settings.first_wait,
            longest_wait=settings.longest_wait,
        )
        said: list[str] = []

        def once(name: str) -> Made:
            try:
                return fetch_one(name)
            except BusyError as error:
                said.append(str(error))
                raise

        try:
            return policy(once, symbol)
        except BusyError:
            return Outcome(symbol, Status.FAILED, detail="; ".join(dict.fromkeys(said)))
        except RefusedError as error:
            return Outcome(symbol, error.status, detail=str(error))

    with ThreadPoolExecutor(max_workers=min(settings.workers, len(symbols)), thread_name_prefix="fetch") as pool:
        answers = [(symbol, pool.submit(patiently, symbol)) for symbol in symbols]
        try:
            return [(symbol, answer.result()) for symbol, answer in _shown(answers, label, settings.quiet)]
        except BaseException:  # a person has interrupted: what has not begun does not begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _shown(answers: list[Made], label: str, quiet: bool) -> list[Made]:
    """The answers as they are waited for, with a bar on stderr when a person is looking."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(answers, description=label, console=console, transient=True, disable=quiet or not console.is_terminal)  # type: ignore[return-value]


def outcome_of(symbol: str, frame: pl.DataFrame, column: str, detail: str = "") -> Outcome:
    """The outcome of a symbol with rows; ``column`` holds their dates or instants."""
    if frame.is_empty():
        return Outcome(symbol, Status.EMPTY, detail=detail or "no rows in the period asked for")
    days = frame[column].dt.date()
    return Outcome(symbol, Status.OK, frame.height, days.min(), days.max(), detail)  # type: ignore[arg-type]


def refuse_keyless(settings: FetchSettings) -> None:
    """Raise ConfigError when no key of Finnhub is configured."""
    if not settings.finnhub_key:
        raise ConfigError("Finnhub wants a key; none is configured", remedy='finnhub: {api_key: "…"} in config/api_keys_local.yml')


def refuse_nothing(report: Sequence[Outcome], what: str) -> None:
    """Raise DataError when no symbol came: an empty answer must not look like a quiet day."""
    if any(outcome.status is Status.OK for outcome in report):
        return
    said = "; ".join(f"{outcome.symbol}: {outcome.status} ({outcome.detail})" for outcome in report[:5])
    more = f" and {len(report) - 5} more" if len(report) > 5 else ""
    raise DataError(
        f"at least one symbol must come back with {what}; none of {len(report)} did. {said}{more}",
        remedy="check the symbols and the connection, then try again",
    )


def utc_now() -> datetime:
    """The present instant, tz-aware."""
    return datetime.now(UTC)


class Vendor:
    """What everything that asks a vendor begins with: its settings, a report of the last fetch, a clock.

    Parameters
    ----------
    config
        None, a ``Config`` or a plain dictionary; see :func:`settings_from`.
    clock
        The present instant (tz-aware).
    """

    def __init__(self, config: object = None, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings_from(config)
        self.report: tuple[Outcome, ...] = ()
        self._clock = clock
