"""The market a replay is played on: as it is known now, as it was known when each night booked, or with the actions that were booked."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.backtest.stage import decisions
from mech_exo.decision.asked import Asked
from mech_exo.decision.night import Known
from mech_exo.decision.strategy import Strategy, cost_params, night_buffers
from mech_exo.domain.errors import MissingDataError
from mech_exo.execution.live import PAPER
from mech_exo.kernels.records import Bars
from mech_exo.utils.calendar import session_close
from mech_exo.utils.settings import Config

if TYPE_CHECKING:
    import polars as pl

    from mech_exo.decision.params import Features, Night
    from mech_exo.execution.ledger import Ledger
    from mech_exo.kernels.records import CostParams, Floats, Ints, Terms
    from mech_exo.reporting.drift.facts import Account, BookedNight

NEVER = 10**9
"""Sessions without a bar after which a position is closed at its last close: behind a wire it is the broker's to end."""
GIVEN_UP = 5
"""Nights that cannot be read back, and none that can: no other is tried."""
PRICES = ("open", "high", "low", "close", "volume")
KnownWith = Callable[[Config, date | None, datetime | None], Known]


@dataclass(frozen=True, eq=False)
class Model:
    """One configuration on what is known now: its features at every session it decides at, its costs and terms."""

    strategy: Strategy
    known: Known
    features: Features
    decision_at: Ints
    costs: CostParams
    terms: Terms
    night: Night

    @functools.cached_property
    def asked(self) -> Asked | None:
        """The rules of plug-ins it is decided by."""
        return Asked.of(self.strategy, self.symbols, self.known.universe)

    @functools.cached_property
    def bars(self) -> Bars:
        """The bars as known now."""
        return Bars.of(self.known.panel)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Its columns."""
        return self.known.panel.symbols

    @functools.cached_property
    def column(self) -> dict[str, int]:
        """The place of each symbol."""
        return {symbol: place for place, symbol in enumerate(self.symbols)}

    def row(self, session: date) -> int:
        """The row of ``session``, which is there."""
        return int(np.searchsorted(self.known.panel.sessions, np.datetime64(session, "D")))


@dataclass(frozen=True, slots=True, eq=False)
class Then:
    """A past night on what it had in hand: its data, and what it decides from."""

    known: Known
    features: Features
    night: Night


class Market:
    """Everything the courses of one drift report read. ``known_with`` and ``arrivals`` are the workspace's."""

    def __init__(self, ledger: Ledger, account: Account, known_with: KnownWith, arrivals: Callable[[datetime], pl.DataFrame]) -> None:
        self.account = account
        self._ledger, self._known_with = ledger, known_with
        self._models: dict[str, Model] = {}
        self._then: dict[date, Then | None] = {}
        self._had: dict[date, Known | None] = {}
        self.forgotten: set[date] = set()
        self._bars: dict[tuple[int, bool, bool], Bars] = {}
        self._hashes = _hashes(account.nights)
        self.late, self.late_bars = _late(account.nights, arrivals)

    def model(self, k: int) -> Model:
        """The configuration that the night of place ``k`` was run with."""
        hash_ = self._hashes[k]
        if hash_ not in self._models:
            self._models[hash_] = self._made(self._config(hash_))
        return self._models[hash_]

    def then(self, k: int) -> Then | None:
        """What the night of place ``k`` decided the book from, None where that is what is known now, or it did not decide the book."""
        night, model = self.account.nights[k], self.model(k)
        if night.session not in self.late or night.decided is None or model.decision_at[model.row(night.session)] < 0:
            return None
        if night.session not in self._then:
            known, strategy = self.had(k), model.strategy
            if known is None:
                self._then[night.session] = None
            else:
                features, _ = strategy.features(known.panel, known.universe, np.array([known.row], np.int64))
                buffers = night_buffers(len(known.panel.symbols), strategy.rules.limits, len(strategy.own_limits))
                self._then[night.session] = Then(known, features, buffers)
        return self._then[night.session]

    def had(self, k: int) -> Known | None:
        """What the night of place ``k`` had in hand; None, and noted in ``forgotten``, where the store does not give that back: its hash
        is not the journaled one."""
        night = self.account.nights[k]
        if night.session not in self._had and len(self.forgotten) >= GIVEN_UP and not any(self._had.values()):
            self._had[night.session] = None  # a store that came from elsewhere: reading it for every night would show the same
            self.forgotten.add(night.session)
        if night.session not in self._had:
            try:
                known: Known | None = self._known_with(self.model(k).strategy.config, night.session, night.stored_until)
            except MissingDataError:
                known = None
            if known is None or (night.decided is not None and known.data_hash() != night.decided.data_hash):
                known = None
                self.forgotten.add(night.session)
            self._had[night.session] = known
        return self._had[night.session]

    def bars(self, k: int, late: bool, booked: bool) -> Bars:
        """The bars of the model of night ``k``: ``late``, each session as it was known when it was booked; ``booked``, with the splits,
        dividends and delistings that were booked of what was held."""
        model = self.model(k)
        late = late and bool(self.late_bars)
        key = (id(model), late, booked)
        if key not in self._bars:
            bars = self._as_they_came(model) if late else model.bars
            self._bars[key] = self._as_booked(model, bars) if booked else bars
        return self._bars[key]

    @functools.cached_property
    def differing(self) -> dict[str, date]:
        """Symbols of which another split, dividend or delisting was booked than is known now, and the first session of it."""
        found: dict[str, date] = {}
        for k, night in enumerate(self.account.nights):
            model = self.model(k)
            t = model.row(night.session)
            for symbol, told in night.told.items():
                s = model.column.get(symbol)
                if s is None or not told.held or symbol in found:
                    continue
                bars = model.bars
                gone = t >= bars.delisted[s]
                same = told.split == bars.split_ratio[t, s] and told.dividend == bars.dividend[t, s] and (told.ended is not None) == gone
                if not same:
                    found[symbol] = night.session
        return found

    def _config(self, hash_: str) -> Config:
        night = next(night for night in self.account.nights if night.decided is not None and night.decided.config_hash == hash_)
        row = self._ledger.decision(self.account.book, night.session)
        assert row is not None
        return Config.model_validate(json.loads(row.body)["config"])

    def _made(self, config: Config) -> Model:
        strategy, known = Strategy(config), self._known_with(config, None, None)
        panel, nights = known.panel, self.account.nights
        rows = _rows(panel.sessions, [night.session for night in nights])
        began = int(np.searchsorted(panel.sessions, np.datetime64(self.account.began, "D")))
        at = strategy.decision_rows(panel, began, int(rows[0]), int(rows[-1]) + 1)
        features, _ = strategy.features(panel, known.universe, at)
        terms = strategy.terms if self.account.book.account == PAPER else strategy.terms._replace(max_missing=NEVER)
        buffers = night_buffers(len(panel.symbols), strategy.rules.limits, len(strategy.own_limits))
        return Model(strategy, known, features, decisions(at, len(panel.sessions)), cost_params(strategy.settings.costs), terms, buffers)

    def _as_they_came(self, model: Model) -> Bars:
        arrays = {name: getattr(model.bars, name).copy() for name in PRICES}
        for k, night in enumerate(self.account.nights):
            if night.session in self.late_bars:
                known = self.had(k)
                if known is None:
                    continue
                panel = known.panel
                t, columns = model.row(night.session), [model.column.get(symbol, -1) for symbol in panel.symbols]
                place = np.array(columns, np.int64)
                for name, array in arrays.items():
                    array[t] = np.nan
                    array[t, place[place >= 0]] = getattr(panel, name)[-1][place >= 0]
        return model.bars._replace(**arrays)

    def _as_booked(self, model: Model, bars: Bars) -> Bars:
        if not self.differing:
            return bars
        split, dividend = bars.split_ratio.copy(), bars.dividend.copy()
        delisted, value = bars.delisted.copy(), bars.delisting_value.copy()
        for night in self.account.nights:
            t = model.row(night.session)
            for symbol in night.told.keys() & self.differing.keys():
                told, s = night.told[symbol], model.column.get(symbol)
                if s is None or not told.held:
                    continue
                split[t, s], dividend[t, s] = told.split, told.dividend
                if told.ended is not None:
                    delisted[s], value[s] = t, told.ended
                elif t >= delisted[s] and told.kept:
                    delisted[s] = len(model.known.panel.sessions)
        return bars._replace(split_ratio=split, dividend=dividend, delisted=delisted, delisting_value=value)


def _rows(sessions: Floats | np.ndarray, wanted: Sequence[date]) -> Ints:
    days = np.array(wanted, "datetime64[D]")
    found = np.searchsorted(sessions, days)
    there = found < len(sessions)
    there[there] = sessions[found[there]] == days[there]
    if not there.all():
        raise MissingDataError(
            f"a replay needs the bars of every booked session; the store lacks {days[~there][0]}",
            remedy="exo data import FILE   (the bars of that session)",
        )
    return found.astype(np.int64)


def _hashes(nights: Sequence[BookedNight]) -> list[str]:
    """The configuration each session was booked with: of one booked later, that of the night that booked it."""
    found: list[str] = []
    hash_ = next((night.decided.config_hash for night in reversed(nights) if night.decided is not None), None)
    if hash_ is None:
        raise MissingDataError("a replay needs a decided session; none of these was decided", remedy="name a longer --range")
    for night in reversed(nights):
        hash_ = hash_ if night.decided is None else night.decided.config_hash
        found.append(hash_)
    return found[::-1]


def _late(nights: Sequence[BookedNight], arrivals: Callable[[datetime], pl.DataFrame]) -> tuple[dict[date, tuple[str, ...]], set[date]]:
    """Sessions that were decided or booked without something that is known now: the tables it stands in; and those of them whose own
    bars came, or were corrected, later."""
    read = [night.stored_until for night in nights if night.stored_until is not None]
    if not read:
        return {}, set()
    clocks = arrivals(min(read))
    table, recorded, known = clocks["table"].to_numpy(), _instants(clocks["recorded_at"]), _instants(clocks["known_at"])
    session = clocks["session"].to_numpy().astype("datetime64[D]")
    of_session = ~np.isnat(session)
    late: dict[date, tuple[str, ...]] = {}
    late_bars: set[date] = set()
    for night in nights:
        if night.stored_until is None:
            continue
        close, until = _instant(session_close(night.session)), _instant(night.stored_until)
        day = np.datetime64(night.session, "D")
        unseen = np.where(of_session, (session <= day) & ((recorded > until) | (known > close)), (known <= close) & (recorded > until))
        if unseen.any():
            late[night.session] = tuple(sorted(set(table[unseen].tolist())))
            if (unseen & (table == "bars") & (session == day)).any():
                late_bars.add(night.session)
    return late, late_bars


def _instant(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _instants(column: pl.Series) -> np.ndarray:
    return column.dt.epoch("us").to_numpy()
