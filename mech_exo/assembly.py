"""The composition root: a workspace's configuration becomes storage, strategy, ledger and broker. The only place that picks by mode."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.decision.night import Known
from mech_exo.decision.strategy import Strategy, cost_params
from mech_exo.domain.errors import ConfigError, MissingDataError, UserError
from mech_exo.domain.orders import Order, OrderState
from mech_exo.domain.survivors import survivorship_warnings
from mech_exo.domain.verdict import DataVerdict
from mech_exo.execution.route import CONFIGURED, Mode, Route
from mech_exo.utils import config as configuration
from mech_exo.utils.broker_settings import BrokerKind, Slicing
from mech_exo.utils.plugin_settings import named
from mech_exo.utils.settings import Config, StrategyConfig

if TYPE_CHECKING:
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.domain.panel import BarPanel, Universe
    from mech_exo.execution.broker import BrokerInterface
    from mech_exo.execution.ledger import Ledger
    from mech_exo.execution.paper import PaperBroker
    from mech_exo.execution.protection import Cut
    from mech_exo.execution.rows import BookId
    from mech_exo.execution.safety import HaltSwitch
    from mech_exo.execution.valve import SafetyValve
    from mech_exo.risk.model import Market
    from mech_exo.session import Desks, Replay

LEDGER = Path("data") / "ledger.sqlite"
MONTH = 21
NEVER = 10**9
"""Sessions without a bar after which a position is closed at its last close."""
UNASSESSED = "these data were not assessed: nobody looked for faults in the newest of them (exo data publish does)"


def _complete(panel: BarPanel, universe: Universe, least: float) -> None:
    """Refuse a half-imported last session: names without a bar would count as "did not trade" and be sold.

    Measured on the members that traded in the month before it (of the last session alone a second half-imported one would know no better)
    and are not delisted; a bar whose data are blocked is none. Raises MissingDataError; also where nobody is a member.
    """
    traded = ~np.isnan(panel.close)
    before = np.flatnonzero(traded[:-1].any(axis=1))
    row = len(panel.sessions) - 1
    recent = traded[max(0, before[-1] + 1 - MONTH) : before[-1] + 1].any(axis=0) if len(before) else traded[row]
    expected = universe.member[row] & recent & (panel.delisted > row)
    blocked = universe.verdicts(np.array([row])) >= DataVerdict.BLOCK
    doubtful = expected & traded[row] & blocked[0] if blocked.size else np.zeros_like(expected)
    have, of, doubts = int((traded[row] & expected & ~doubtful).sum()), int(expected.sum()), int(doubtful.sum())
    if not of:
        raise MissingDataError(
            f"a night needs members of the universe that trade; at {panel.sessions[row]} there is none: everything held would be sold",
            remedy="import the members up to this session: exo data import --universe FILE",
        )
    if have < least * of:
        whose = "names" if universe.member[row].all() else "members"
        apart = f", and {doubts} whose data are in doubt" if doubts else ""
        remedy = "import the rest of the session first: exo data import FILE (or lower min_coverage in data.yml)"
        raise MissingDataError(
            f"a night needs bars of at least {least:.0%} of the {whose} that traded in the month before; "
            f"{panel.sessions[row]} has {have} of {of}{apart}",
            remedy="see which and why: exo data quality (or lower min_coverage in data.yml)" if doubts else remedy,
        )


def _tradeable(settings: StrategyConfig) -> None:
    """Refuse what only a backtest can do. Raises UserError."""
    if settings.sizing.fractional_shares:
        raise UserError(
            "a book at a broker trades whole shares; sizing.fractional_shares is true",
            remedy="write fractional_shares: false in strategy.yml; fractions are for backtests",
        )


def _slices(rules: Slicing, book: BookId, known: Known) -> Cut | None:
    """What cuts an order above a share of the month's average daily volume; None where none is cut."""
    if rules.above_volume_share is None:
        return None
    from mech_exo.execution.slicing import children
    from mech_exo.kernels.liquidity import average_volume
    from mech_exo.utils.calendar import session_open

    panel = known.panel

    def cut(order: Order) -> tuple[Order, ...]:
        volume = average_volume(known.row, panel.column_of(order.symbol), panel.volume, panel.split_ratio, MONTH)
        return children(order, book, volume, session_open(order.session), rules)

    return cut


def _sentinel(desks: Desks, valve: SafetyValve, session: date) -> None:
    """One share far from the market, seen and cancelled before the first orders for ``session``, where anything may leave now."""
    from mech_exo.execution.live import sentinel

    ledger, book = desks.ledger, desks.book
    rows = [row for row in ledger.orders(book, session=session, states={OrderState.NEW}) if row.price > 0.0 and not row.order.rests]
    if rows and valve.refusal(session, ledger.now()) is None:
        sentinel(ledger, desks.broker, book, rows[0].order.symbol, rows[0].price, session)


@dataclass(frozen=True)
class Workspace:
    """A folder with ``config/``, ``data/`` and ``reports/``, and everything that is made from it."""

    home: Path
    config: Config
    route: Route = CONFIGURED

    @classmethod
    def open(cls, home: Path, route: Route = CONFIGURED) -> Workspace:
        """The workspace at ``home``. Raises ConfigError for a missing or wrong configuration."""
        return cls(home, configuration.load(home), route)

    @functools.cached_property
    def strategy(self) -> Strategy:
        """The configured strategy."""
        return Strategy(self.config)

    @property
    def ledger_path(self) -> Path:
        """Where the money journal lies."""
        return self.home / LEDGER

    @property
    def reports(self) -> Path:
        """Folder of reports; made when first written."""
        return self.home / "reports"

    @property
    def runs(self) -> Path:
        """Folder of saved backtests, one folder a run; made when the first is saved."""
        return self.home / "data" / "runs"

    @functools.cached_property
    def storage(self) -> DataStorage:
        """The latest published snapshot, read-only. Raises MissingDataError with the command that makes one."""
        from mech_exo.datasource.storage import DataStorage

        return DataStorage.snapshot(self.home)

    @functools.cached_property
    def _stored_until(self) -> datetime | None:
        return self.storage.last_recorded()

    @property
    def broker_kind(self) -> BrokerKind | str:
        """Who fills: as the route says, else ``broker.yml``; ``plugin.NAME`` is one of a plug-in."""
        return self.route.broker or self.config.broker.kind

    def book_id(self) -> BookId:
        """Which book of the ledger the route keeps. Raises ConfigError where the account is not configured or of the other kind."""
        from mech_exo.execution.live import PAPER
        from mech_exo.execution.rows import BookId

        if self.broker_kind is not BrokerKind.PAPER:
            return BookId(self.account, self.strategy.name)
        if self.route.mode is Mode.LIVE:
            raise UserError(
                "the paper broker moves no money; live trading goes through Interactive Brokers", remedy="use --broker ib, or --mode paper"
            )
        return BookId(PAPER, self.strategy.name)

    @property
    def account(self) -> str:
        """The configured account. Raises ConfigError where Interactive Brokers' is not configured, or not of the route's mode."""
        if named(self.broker_kind) is not None:
            return self.config.broker.account or ""
        from mech_exo.execution.live import is_paper
        from mech_exo.utils.log import mask_accounts

        number = self.config.keys.ib_account.get_secret_value().strip()
        if not number:
            raise ConfigError(
                "Interactive Brokers needs its account number; ib_account is not set",
                remedy="write ib_account: DU… into config/api_keys_local.yml (docs/ib.md)",
            )
        mode = self.route.mode
        if mode is not None and is_paper(number) is (mode is Mode.LIVE):
            kind = "paper" if is_paper(number) else "live"
            raise ConfigError(
                f"--mode {mode} needs a {mode} account; {mask_accounts(number)} (ib_account) is a {kind} account",
                remedy=f"use --mode {kind}, or correct ib_account in config/api_keys_local.yml",
            )
        return number

    def broker(self, ledger: Ledger) -> BrokerInterface:
        """The broker of the route, not connected; close it when done."""
        if self.broker_kind is BrokerKind.PAPER:
            return self.paper_broker(ledger)
        if named(self.broker_kind) is not None:
            return self._own_broker(ledger)
        from mech_exo.execution.ib import IBBroker
        from mech_exo.execution.ib_instruments import FILE
        from mech_exo.execution.live import is_paper

        live, rules = not is_paper(self.account), self.config.broker.gateway
        return IBBroker(self.account, live, rules, clock=ledger.now, instruments=self.home / FILE)

    def _own_broker(self, ledger: Ledger) -> BrokerInterface:
        """The broker of a plug-in. Raises UserError where the route's mode is not what the broker says of itself."""
        from mech_exo.execution.own import BrokerTerms, own_broker

        kind, rules = str(self.broker_kind), self.config.broker
        key = self.config.keys.plugin_keys.get(named(kind) or "")
        terms = BrokerTerms(self.home, self.account, rules.settings, "" if key is None else key.get_secret_value(), ledger.now)
        broker, mode = own_broker(kind, rules.plugins, terms), self.route.mode
        if mode is not None and broker.capabilities.live is not (mode is Mode.LIVE):
            moves = "moves real money" if broker.capabilities.live else "moves no real money"
            raise UserError(
                f"--mode {mode} needs a broker of that mode; {kind} says that it {moves}",
                remedy=f"use --mode {Mode.LIVE if broker.capabilities.live else Mode.PAPER}",
            )
        return broker

    def desks(self, ledger: Ledger, *, sends: bool = True) -> Desks:
        """Everything a night works with; ``sends`` False: nothing will be sent, so nothing of what sending asks for is asked.

        Raises UserError where live trading is refused.
        """
        from mech_exo.execution.safety import HaltSwitch
        from mech_exo.session import Desks

        _tradeable(self.config.strategy)
        switch = HaltSwitch(self.home)
        if sends:
            switch.arm()
        book = self.book_id()
        if self.broker_kind is BrokerKind.PAPER:
            paper = self.paper_broker(ledger)
            return Desks(ledger, paper, paper, book, self.strategy, switch, self.known, ledger.now)
        return self._desks_behind_a_wire(ledger, book, switch, sends=sends)

    def _desks_behind_a_wire(self, ledger: Ledger, book: BookId, switch: HaltSwitch, *, sends: bool) -> Desks:
        from mech_exo.execution.broker_books import BrokerBooks
        from mech_exo.execution.live import LiveCheck, first_caps
        from mech_exo.execution.sending import SendRules
        from mech_exo.execution.valve import SafetyValve
        from mech_exo.kernels import code_version
        from mech_exo.session import Desks

        broker, rules = self.broker(ledger), self.config.broker
        live = broker.capabilities.live
        if sends and live:
            LiveCheck(rules.live, rules.gateway, book.account, book.strategy).require(ledger, self.route.typed)
        terms = self.strategy.terms._replace(max_missing=NEVER)  # a position without bars is the broker's to end
        books = BrokerBooks(ledger, book, broker, cost_params(self.config.strategy.costs), terms)
        caps = first_caps(ledger, book, rules.live) if live else None
        valve = SafetyValve(rules.times, latest=ledger.latest_instant(), caps=caps)
        sending = SendRules(valve, rules.doubt, (self.strategy.config_hash, code_version()))
        cut = functools.partial(_slices, rules.slicing, book)
        desks = Desks(ledger, broker, books, book, self.strategy, switch, self.known, ledger.now, sending, cut)
        return replace(desks, first=functools.partial(_sentinel, desks, valve)) if live and rules.live.sentinel else desks

    def replay(self, ledger: Ledger, session: date) -> Replay:
        """Decide a past night again from what was in hand then."""
        from mech_exo.session import replay_night

        return replay_night(ledger, self.book_id(), self.known_with, session)

    def known_with(self, config: Config, as_of: date | None = None, recorded_by: datetime | None = None) -> Known:
        """As :meth:`known`, for another configuration: the one a past night decided with."""
        return Workspace(self.home, config).known(as_of, recorded_by=recorded_by)

    def known(self, as_of: date | None = None, *, recorded_by: datetime | None = None, facts: Sequence[str] | None = None) -> Known:
        """What was known at the close of ``as_of`` (None: everything stored), optionally as stored by ``recorded_by``.

        ``facts``: which of what bars do not tell; None: what the configured factors read.

        Raises MissingDataError when the store has no bars up to then, or too few of that very session (``data.min_coverage``).
        """
        view = self.storage.view(as_of, recorded_by=recorded_by)
        panel = view.panel(start=self.config.strategy.history_start)
        universe = view.universe(panel, self.config.strategy.universe.name, self.strategy.facts if facts is None else facts)
        doubts = {} if universe.verdict is None else view.doubts(panel)
        said = (*view.warnings(), *(() if view.assessed() else (UNASSESSED,)), *survivorship_warnings(panel))
        known = Known(panel, universe, said, self._stored_until, doubts)
        if as_of is not None and (known.as_of != as_of or np.isnan(panel.close[-1]).all()):
            raise MissingDataError(
                f"deciding at {as_of} needs bars of that session; the store has none (the last with any is {self.storage.view().as_of})",
                remedy="import or download them first: exo data import FILE",
            )
        if as_of is not None:
            _complete(panel, universe, self.config.data.min_coverage)
        return known

    def seen(self, as_of: date | None = None) -> Known:
        """As :meth:`known`, but from the first bar on and however complete the session is: what a risk is measured on, not decided on."""
        view = self.storage.view(as_of)
        panel = view.panel()
        universe = view.universe(panel, self.config.strategy.universe.name)
        return Known(panel, universe, tuple(view.warnings()), self._stored_until, view.doubts(panel))

    def market(self, known: Known) -> Market:
        """``known`` as risk sees it: betas are to its members, equally weighted, as in the limit on them."""
        from mech_exo.decision.market import market_until

        name = self.config.strategy.universe.name
        return market_until(known.panel, known.universe, known.row, "all names" if name is None else f"the members of {name}")

    def sectors(self, session: date) -> dict[str, str | None] | None:
        """Every name's sector as known at ``session``; None where the store does not hold that session, so that all are unknown."""
        try:
            known = self.known(session)
        except MissingDataError:
            return None
        row = len(known.panel.sessions) - 1
        return {symbol: known.universe.sector_name(row, column) for column, symbol in enumerate(known.panel.symbols)}

    def benchmark(self, panel: BarPanel) -> np.ndarray | None:
        """``(T,)`` returns of the configured benchmark on the panel's sessions, NaN unknown; None when it is not stored."""
        name = self.config.data.benchmark
        frame = None if name is None else self.storage.view().benchmark(name)
        if frame is None:
            return None
        out = np.full(len(panel.sessions), np.nan)
        dates = frame["date"].to_numpy().astype("datetime64[D]")
        place = np.searchsorted(panel.sessions, dates)
        inside = (place < len(out)) & (panel.sessions[np.minimum(place, len(out) - 1)] == dates)
        out[place[inside]] = frame["return"].to_numpy()[inside]
        return out

    def ledger(self, *, read_only: bool = False, wait: float = 0.0) -> Ledger:
        """The ledger, to be used as a context manager. Read-only it must exist; a writer waits ``wait`` seconds for another to end."""
        from mech_exo.backtest.promotion import recover
        from mech_exo.execution.ledger import Ledger

        if read_only:
            return Ledger.open(self.ledger_path, read_only=True)
        self.ledger_path.parent.mkdir(parents=True, exist_ok=True)
        ledger = Ledger.open(self.ledger_path, wait=wait)
        try:
            recover(self.home, ledger)
        except BaseException:
            ledger.close()
            raise
        return ledger

    @contextmanager
    def journal(self) -> Iterator[Ledger]:
        """The ledger to be read, beside a night that may be writing it; an empty one where none has been begun."""
        from mech_exo.execution.ledger import Ledger

        if any(self.ledger_path.parent.glob(f"{self.ledger_path.stem}.*")):  # its mark alone means that it is gone: an alarm
            with self.ledger(read_only=True) as ledger:
                yield ledger
        else:
            with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / LEDGER.name) as ledger:
                yield ledger

    def held(self) -> tuple[str, ...]:
        """Names in the books of this workspace: a position is priced even when its name has left the universe."""
        if not self.ledger_path.exists():
            return ()
        with self.ledger(read_only=True) as ledger:
            rows = [ledger.last_session(book) for book in ledger.books()]
        return tuple(sorted({line.symbol for row in rows if row is not None for line in row.lines if line.shares}))

    def paper_broker(self, ledger: Ledger) -> PaperBroker:
        """The paper broker of this workspace's paper book: the backtest's fills on the backtest's costs."""
        from mech_exo.execution.live import PAPER
        from mech_exo.execution.paper import PaperBroker
        from mech_exo.execution.rows import BookId

        settings = self.config.strategy
        return PaperBroker(
            ledger,
            BookId(PAPER, self.strategy.name),
            costs=cost_params(settings.costs),
            initial_cash=settings.initial_cash,
            terms=self.strategy.terms,
        )
