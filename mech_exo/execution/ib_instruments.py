"""Symbols here and instruments at Interactive Brokers. The lasting key of an instrument is its conId.

A ticker may be given to another company; what a symbol meant when it was first traded is remembered in a small file beside the
ledger, and a symbol that has come to mean something else is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import BrokerError
from mech_exo.utils import durable

if TYPE_CHECKING:
    import ib_async

FILE = Path("data") / "ib_instruments.json"
"""Where a workspace keeps what its symbols mean."""
KIND, CURRENCY, ROUTE = "STK", "USD", "SMART"
TRUSTED_DAYS = 7


@dataclass(frozen=True, slots=True)
class Instrument:
    """``symbol`` is ``con_id`` at the broker, ``exchange`` its home, ``step`` its smallest price step in USD, as asked at ``checked``."""

    symbol: str
    con_id: int
    exchange: str
    step: float
    checked: date

    def contract(self) -> ib_async.Contract:
        """What an order names."""
        import ib_async

        return ib_async.Contract(
            secType=KIND, conId=self.con_id, symbol=theirs(self.symbol), exchange=ROUTE, primaryExchange=self.exchange, currency=CURRENCY
        )


def theirs(symbol: str) -> str:
    """Interactive Brokers writes a share class after a blank: ``BRK.B`` and ``BRK-B`` are ``BRK B``."""
    return symbol.replace(".", " ").replace("-", " ")


def ours(symbol: str) -> str:
    """The other way round, with a dot."""
    return symbol.replace(" ", ".")


def question(symbol: str) -> ib_async.Contract:
    """What is asked to learn a symbol's instrument."""
    import ib_async

    return ib_async.Contract(secType=KIND, symbol=theirs(symbol), exchange=ROUTE, currency=CURRENCY)


NO_STOCK = (
    "Interactive Brokers knows no US stock of that symbol: if it was renamed, store its bars under the name it has there; "
    "else leave it out of the universe (universe.name in strategy.yml)"
)
"""That the broker has no such symbol, and what to do. Stands beside the order's symbol, and once where many share it."""


class Instruments:
    """What each symbol means, kept in ``path`` (None: in memory only)."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known = _read(path) if path is not None and path.exists() else {}
        self._names = {one.con_id: symbol for symbol, one in self._known.items()}

    def get(self, symbol: str, today: date) -> Instrument | None:
        """What is known of ``symbol``; None when it has to be asked (again)."""
        found = self._known.get(symbol)
        return found if found is not None and abs((today - found.checked).days) <= TRUSTED_DAYS else None

    def learn(self, symbol: str, answers: Sequence[ib_async.ContractDetails], today: date) -> Instrument | str:
        """The instrument among the broker's ``answers``, remembered; or why the symbol cannot be traded."""
        fitting = {c.conId: (c, details) for details in answers if (c := details.contract) is not None and _fits(c, symbol)}
        if not fitting:
            return NO_STOCK
        if len(fitting) > 1:
            found = f"{len(fitting)} ({', '.join(str(key) for key in sorted(fitting))})"
            return f"a symbol must mean one US stock at Interactive Brokers; {symbol} means {found}: look it up in TWS"
        ((con_id, (contract, details)),) = fitting.items()
        before = self._known.get(symbol)
        if before is not None and before.con_id != con_id:
            forget = f"remove {symbol} from {self._path}" if self._path else "start anew"
            return (
                f"{symbol} means another instrument than before (conId {con_id}, was {before.con_id}): a ticker given anew. "
                f"Close what is held of the old one in TWS, then {forget}"
            )
        step = float(details.minTick)
        self._known[symbol] = Instrument(symbol, con_id, contract.primaryExchange, step if step > 0.0 else 0.01, today)
        self._names[con_id] = symbol
        self._write()
        return self._known[symbol]

    def name(self, contract: ib_async.Contract) -> str:
        """Our symbol of a contract the broker speaks of.

        An instrument known by its conId keeps the symbol it was traded under. One that is no US stock, or that carries the symbol of
        another known instrument, gets a name that is nobody's symbol: ``AAPL:OPT:12345``.
        """
        known = self._names.get(contract.conId)
        if known is not None:
            return known
        symbol = ours(contract.symbol)
        stock = contract.secType in (KIND, "") and contract.currency in (CURRENCY, "")
        another = contract.conId > 0 and symbol in self._known
        return symbol if stock and not another else f"{symbol}:{contract.secType}:{contract.conId}"

    def _write(self) -> None:
        if self._path is not None:
            rows = {symbol: asdict(replace(one)) | {"checked": one.checked.isoformat()} for symbol, one in sorted(self._known.items())}
            durable.write_text(self._path, json.dumps(rows, indent=1) + "\n")


def _fits(contract: ib_async.Contract, symbol: str) -> bool:
    return (contract.secType, contract.currency, contract.symbol) == (KIND, CURRENCY, theirs(symbol)) and contract.conId > 0


def _read(path: Path) -> dict[str, Instrument]:
    try:
        rows: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"))
        return {symbol: Instrument(**(row | {"checked": date.fromisoformat(row["checked"])})) for symbol, row in rows.items()}
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise BrokerError(
            f"the list of instruments must be as it was written; {path} is not ({type(error).__name__})",
            remedy="move it away: it is made anew by asking the broker, and compare held symbols in TWS once",
        ) from None
