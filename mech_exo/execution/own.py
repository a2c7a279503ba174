"""Brokers of the user's plug-ins: how one is made, and the contract it is held to before an order goes to it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from mech_exo.domain.errors import BrokerError, MechExoError
from mech_exo.domain.orders import Order, OrderReason
from mech_exo.execution.broker import Acknowledgement, BrokerInterface, Capabilities
from mech_exo.kernels import cache_folder, code_version
from mech_exo.utils.calendar import next_session
from mech_exo.utils.plugin_files import Part, chosen, guarded, parts
from mech_exo.utils.plugin_settings import PREFIX, Plugin, Plugins, Settings, named
from mech_exo.utils.plugin_verdicts import Verdict, Verdicts, judged, refuses, require, tried

EVER = date(2000, 1, 1)
METHODS = tuple(name for name in vars(BrokerInterface) if not name.startswith("_"))


@dataclass(frozen=True, slots=True)
class BrokerTerms:
    """What a broker is made from.

    Parameters
    ----------
    home
        The workspace.
    account
        ``account`` of ``broker.yml``.
    settings
        ``settings`` of ``broker.yml``.
    key
        ``plugin_keys`` of ``api_keys_local.yml`` under the broker's name; "" where there is none. Never written anywhere.
    clock
        The present instant, UTC.
    """

    home: Path
    account: str
    settings: Settings
    key: str = field(repr=False)
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class BrokerMaker:
    """A broker: how to make it. Orders go to it where ``kind`` of ``broker.yml`` is ``plugin.`` and its name.

    Parameters
    ----------
    make
        ``(terms) -> broker``, not connected: :class:`~mech_exo.execution.broker.BrokerInterface`.
    trial
        The same broker on a stage where nothing is real and nothing is held; ``terms.home`` is an empty folder then. With it the contract
        is tried with orders before the first real one; None: only what needs no connection is.
    """

    name: str
    make: Callable[[BrokerTerms], BrokerInterface]
    trial: Callable[[BrokerTerms], BrokerInterface] | None = None


def declared(plugins: Plugins) -> dict[str, Part[BrokerMaker]]:
    """The brokers of ``plugins`` by name, not checked by the contract. Raises PluginError."""
    return parts(plugins, BrokerMaker)


def own_broker(kind: str, plugins: Plugins, terms: BrokerTerms) -> BrokerInterface:
    """The broker ``kind`` (``plugin.NAME``), not connected, whose maker keeps the contract. Raises ConfigError, PluginError."""
    name = str(named(kind))
    part = chosen(declared(plugins), name, "kind plugin.NAME of broker.yml names a broker of a plug-in", "broker.yml", PREFIX)
    require("broker", part, broker_verdicts(part))
    return guarded(part.brought, f"broker {name} cannot be made", lambda: part.what.make(terms))


def broker_verdicts(part: Part[BrokerMaker]) -> Verdicts:
    """What the contract says of a broker, from the cache where its source and the program are unchanged."""
    return judged("broker", part, code_version(), cache_folder(), lambda: _Stage(part.what, part.brought).verdicts())


class _Stage:
    """A broker tried in an empty folder."""

    def __init__(self, maker: BrokerMaker, plugin: Plugin) -> None:
        self.maker, self.plugin = maker, plugin
        self.now = datetime(2024, 1, 2, 22, 0, tzinfo=UTC)
        self.order = Order("mx1-trial-1", "AAA", 10, next_session(date(2024, 1, 2)), OrderReason.REBALANCE)

    def verdicts(self) -> Verdicts:
        with tempfile.TemporaryDirectory() as folder:
            self.home = Path(folder)
            law = "it is a broker: every method and its capabilities"
            try:
                self.broker = self._made(self.maker.trial or self.maker.make)
            except MechExoError as error:
                return (Verdict(law, error.message),)
            unconnected = ((law, self._is_a_broker), ("before it is connected it answers nothing: BrokerError", self._answers_unconnected))
            connected = self._with_orders() if self.maker.trial is not None else ()
            return tried((*unconnected, *connected), lambda check: guarded(self.plugin, f"broker {self.maker.name} failed", check))

    def _with_orders(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        return (
            ("connected, an empty account shows its cash and nothing else", self._empty),
            ("an order it accepts is among the open ones, under our id", self._places),
            ("placing an id twice never trades twice", self._places_twice),
            ("open orders are shown by symbol", self._sorts),
            ("a cancelled order is no longer open; an unknown id is no error", self._cancels),
            ("closed, it answers nothing; connected again, it shows what it showed", self._reconnects),
        )

    def _made(self, make: Callable[[BrokerTerms], BrokerInterface]) -> BrokerInterface:
        terms = BrokerTerms(self.home, "TRIAL", {}, "", lambda: self.now)
        return guarded(self.plugin, "the broker cannot be made", lambda: make(terms))

    def _is_a_broker(self) -> str:
        made: object = self.broker  # what the author calls a broker
        if not isinstance(made, BrokerInterface):
            names = [name for name in METHODS if not hasattr(made, name)]
            return f"{type(made).__name__} lacks {', '.join(names)}"
        said: object = made.capabilities
        if not isinstance(said, Capabilities):
            return f"capabilities is a {type(said).__name__}, not Capabilities"
        return "on trial no real money may move: capabilities.live is true" if self.maker.trial and self.broker.capabilities.live else ""

    def _answers_unconnected(self) -> str:
        one = self.broker
        asked: dict[str, Callable[[], object]] = {
            "probe": one.probe, "account": one.account, "positions": one.positions, "open_orders": one.open_orders,
            "completed_orders": one.completed_orders, "executions": lambda: one.executions(EVER), "place": lambda: one.place(self.order),
            "cancel": lambda: one.cancel("mx1-nobody"),
        }  # fmt: skip
        return next((f"{name} answered" for name, ask in asked.items() if not refuses(ask, BrokerError)), "")

    def _empty(self) -> str:
        self.broker.connect()
        self.broker.probe()
        state = self.broker.account()
        if state.account != "TRIAL" or not state.cash > 0.0:
            return f"account {state.account!r} with cash {state.cash}; TRIAL and cash above 0 are wanted"
        told = (self.broker.positions(), self.broker.open_orders(), self.broker.completed_orders(), self.broker.executions(EVER))
        return "" if told == ((), (), (), ()) else f"an empty account tells {told}"

    def _places(self) -> str:
        answer = self.broker.place(self.order)
        if not isinstance(answer, Acknowledgement) or not answer.accepted or answer.order_id != self.order.id:
            return f"it answered {answer}"
        found = [(one.order_id, one.symbol, one.shares) for one in self.broker.open_orders()]
        return "" if found == [(self.order.id, "AAA", 10)] else f"open orders are {found}"

    def _places_twice(self) -> str:
        self.broker.place(self.order)
        count = len(self.broker.open_orders())
        return "" if count == 1 else f"after placing {self.order.id} twice {count} orders are open"

    def _sorts(self) -> str:
        for number, symbol in enumerate(("CCC", "BBB"), start=2):
            self.broker.place(replace(self.order, id=f"mx1-trial-{number}", symbol=symbol))
        shown = [one.symbol for one in self.broker.open_orders()]
        return "" if shown == ["AAA", "BBB", "CCC"] else f"they are shown as {shown}"

    def _cancels(self) -> str:
        self.broker.cancel("mx1-trial-2")
        self.broker.cancel("mx1-nobody")
        shown = [one.symbol for one in self.broker.open_orders()]
        return "" if shown == ["AAA", "BBB"] else f"after cancelling CCC these are open: {shown}"

    def _reconnects(self) -> str:
        before = self.broker.open_orders()
        self.broker.close()
        if not refuses(self.broker.probe, BrokerError):
            return "it answers after close()"
        self.broker.connect()
        return "" if self.broker.open_orders() == before else "its open orders are others after it was connected again"
