"""What the gateway told, as the messages of the broker seam; and what to say when it told nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import ID_PREFIX, Fill, Order, OrderReason
from mech_exo.execution import ib_messages as words
from mech_exo.execution.broker import BrokerOrder, BrokerOrderState, BrokerPosition
from mech_exo.execution.ib_instruments import Instruments
from mech_exo.execution.ib_records import Ask, Told, Traded
from mech_exo.utils.calendar import NEW_YORK
from mech_exo.utils.log import mask_accounts


class RefusedError(BrokerError):
    """The gateway refused a question, for the reason ``code`` stands for."""

    code = 0


class ReadOnlyError(BrokerError):
    """The program lets its clients read only: no order passes."""


def figure(text: str | None) -> float:
    """An account's figure in USD; NaN when it was not told or is no number."""
    try:
        return math.nan if text is None else words.known(float(text))
    except ValueError:
        return math.nan


def position(instruments: Instruments, contract: Any, shares: float, average: float) -> BrokerPosition:
    """A holding. Raises BrokerError for a fraction of a share."""
    symbol, cost = instruments.name(contract), words.known(average)
    return BrokerPosition(symbol, words.whole(shares, symbol), cost if cost > 0.0 else math.nan, str(contract.conId))


def order(instruments: Instruments, told: Told, state: BrokerOrderState) -> BrokerOrder:
    """An order that this connection was told of."""
    symbol = instruments.name(told.contract) if told.contract is not None else ""
    filled = 0.0 if math.isnan(told.filled) else math.copysign(told.filled, told.shares)
    number = str(told.perm_id) if told.perm_id else f"{told.client_id}/{told.order_id}"
    shares, done, works = words.whole(told.shares, symbol), words.whole(filled, symbol), told.status != words.INACTIVE
    return BrokerOrder(_ours(told.ref), number, symbol, shares, state, told.note, done, told.level, works)


def completed(instruments: Instruments, contract: Any, done: Any, state: Any) -> BrokerOrder:
    """An order from the broker's list of completed ones, where a filled one may have a total of 0."""
    symbol, sign = instruments.name(contract), 1 if done.action == "BUY" else -1
    told = words.known(done.filledQuantity)
    filled = sign * words.whole(0.0 if math.isnan(told) else told, symbol)
    shares = sign * words.whole(done.totalQuantity, symbol) or filled
    ended = words.ended_state(state.status, state.completedStatus)
    return BrokerOrder(_ours(done.orderRef), str(done.permId), symbol, shares, ended, mask_accounts(state.completedStatus), filled)


def fill(instruments: Instruments, one: Traded, commission: float) -> Fill:
    """An execution. Raises BrokerError when it lacks what a fill must have."""
    symbol = instruments.name(one.contract)
    if one.time is None:
        raise BrokerError(
            f"a fill has a time with a zone; that of {symbol} has none, nor did the gateway name its own",
            remedy="update Gateway or TWS, or set its time zone to America/New_York and restart it",
        )
    if not (0.0 < one.price < math.inf and one.shares):
        raise BrokerError(f"a fill has shares and a price; {one.id} of {symbol} has {one.shares:g} at {one.price}")
    session = one.time.astimezone(NEW_YORK).date()
    shares, when = words.whole(one.shares, symbol), one.time.astimezone(UTC)
    return Fill(
        f"ib-{one.stem}", _ours(one.ref), symbol, shares, one.price, commission, session, when, OrderReason.NONE, math.nan, one.revision
    )


def _ours(ref: str) -> str:
    return ref if ref.startswith(ID_PREFIX) else ""


def doubt(placed: Order, refs: Iterable[str], why: str) -> BrokerError:
    """That an order may be at the broker or not."""
    return BrokerError(
        f"an order is certain once the broker acknowledges it; {placed.symbol} {', '.join(sorted(refs))} is in doubt: {why}",
        remedy="do not send it again: exo reconcile looks for it",
    )


def missing(ask: Ask, seconds: float, *, closed: bool, trouble: Sequence[tuple[int, str]]) -> BrokerError:
    """Why a question has no answer, and what to do."""
    if ask.failure is not None:
        return _failed(ask.kind, *ask.failure)
    if closed:
        return BrokerError(f"the connection ended while {ask.kind} was asked for", remedy="run it again: it connects anew")
    last = f"; it said {words.said(*trouble[-1])}" if trouble else ""
    return BrokerError(
        f"an answer comes within {seconds:g} seconds and with its end; {ask.kind} did not{last}",
        remedy="is Gateway or TWS frozen, or restarting? Look at it, then run it again",
    )


def _failed(kind: str, code: int, text: str) -> BrokerError:
    if words.read_only(code, text):
        remedy = "Global Configuration > API > Settings: untick Read-Only API"
        return ReadOnlyError("the program's interface must not be read-only; it is (321)", remedy=remedy)
    if code == 0:
        remedy = "run it again; if it stays, look at the orders in TWS"
        return BrokerError(f"an answer is whole or none; {kind}: {text}", remedy=remedy)
    message = f"the broker did not tell {kind}: {words.said(code, text)}"
    if words.meaning(code) is not words.Meaning.REFUSED:
        return BrokerError(message, remedy=words.remedy(code))
    refused = RefusedError(message, remedy=words.remedy(code))
    refused.code = code
    return refused
