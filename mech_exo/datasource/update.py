"""``exo data update``: download what the store lacks, batch by batch, each stored as it came. Publishing is the caller's."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from mech_exo.datasource.base import Kind
from mech_exo.datasource.downloads import Downloaded, Job, sessions_before
from mech_exo.datasource.fetching import settings_from, symbols_of
from mech_exo.datasource.registry import sources_of
from mech_exo.datasource.update_bars import update_bars
from mech_exo.datasource.update_others import update_fundamentals, update_news
from mech_exo.domain.errors import MissingDataError
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.utils.settings import Config


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What an update did. ``session``: the last one closed, up to which bars were wanted. No downloads: no source is configured."""

    session: date
    symbols: tuple[str, ...]
    downloads: tuple[Downloaded, ...]
    seconds: float

    @property
    def changed(self) -> bool:
        """Whether the store's facts changed."""
        return any(one.new or one.restated for one in self.downloads)

    @property
    def attention(self) -> tuple[str, ...]:
        """What a person should look at, of all sources."""
        return tuple(text for one in self.downloads for text in one.attention)


def update(
    storage: DataStorage,
    config: Config,
    *,
    now: datetime,
    symbols: Sequence[str] | None = None,
    kinds: Collection[Kind] = tuple(Kind),
    held: Collection[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> UpdateReport:
    """Download what is missing from the sources of ``data.yml`` into ``storage``; what was good stays, whatever fails.

    Every batch is stored when it has come: an update that was killed goes on where it stopped. Bars are asked for from ten sessions
    before a symbol's last one, so that a vendor's corrections are seen; news from the day before they were last asked for.

    Parameters
    ----------
    now
        The present instant (tz-aware): nothing that could not be known by then is taken.
    symbols
        None: those of :func:`wanted`.
    held
        Names in the book, asked for in any case.
    progress
        Told what happens next.

    Raises
    ------
    InputError
        A symbol could not be one.
    MissingDataError
        Nobody says which symbols.
    """
    began = time.perf_counter()
    session = calendar.latest_session(now)
    settings = replace(settings_from(config), quiet=True)
    home = storage.path.parent.parent
    chosen = [(kind, one) for kind in Kind if kind in kinds for one in sources_of(config, kind, settings, home, now)]
    if not chosen:
        return UpdateReport(session, (), (), 0.0)
    names = symbols_of(symbols) if symbols is not None else wanted(storage, config, session)
    names = tuple(dict.fromkeys((*names, *sorted(held))))
    if not names:
        raise MissingDataError(
            "somebody must say which symbols to download; data.symbols is empty, and neither a universe nor the store names one",
            remedy="symbols: [SPY, AAPL] in config/data.yml, or exo data update --symbols SPY,AAPL, or exo data import --universe FILE",
        )
    steps = {Kind.BARS: update_bars, Kind.FUNDAMENTALS: update_fundamentals, Kind.NEWS: update_news}
    job = Job(storage, config, names, session, now, progress)
    return UpdateReport(session, names, tuple(steps[kind](job, one) for kind, one in chosen), time.perf_counter() - began)


def wanted(storage: DataStorage, config: Config, session: date) -> tuple[str, ...]:
    """Whom to ask for: ``data.symbols``; else the members of the strategy's universe on ``session``; else every symbol of the store
    that still traded within ``max_missing_sessions`` of the store's last bar.
    """
    if config.data.symbols:
        return symbols_of(config.data.symbols)
    if config.strategy.universe.name is not None:
        return storage.members(config.strategy.universe.name, session)
    found = storage.reach()
    if not found.last:
        return ()
    newest = max(found.last.values())
    return found.alive(sessions_before(newest, config.strategy.max_missing_sessions))
