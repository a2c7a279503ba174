"""What Interactive Brokers' messages mean, and an order in its words. Pure: no socket, no state, no clock.

The sorting of error codes is the heart of it. A code proves that an order was refused, or that it ended, or it proves nothing;
a code that is not in :data:`CODES` proves nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import Order, OrderType
from mech_exo.execution.broker import BrokerOrderState
from mech_exo.utils.calendar import NEW_YORK
from mech_exo.utils.log import mask_accounts

if TYPE_CHECKING:
    import ib_async

SYMBOL = re.compile(r"[A-Z0-9.\- ]{1,12}")
REFERENCE = re.compile(r"[\x21-\x7e]{1,40}")
REDUCE_WITH_BLOCK = 2
"""What a fill does to the rest of its group: it is cut by what filled, and one order at a time is at an exchange. A target that fills
in part leaves the stop for what is still held; cancelling (1) would leave nothing.
"""
NO_SECURITY = 200
UNSET = 1e300  # what the program sends for "not known" is the largest double
_ZONES = {"EST": "America/New_York", "EDT": "America/New_York", "CST": "America/Chicago", "CDT": "America/Chicago", "MST": "America/Denver",
          "MDT": "America/Denver", "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "GMT": "UTC", "BST": "Europe/London",
          "CET": "Europe/Berlin", "CEST": "Europe/Berlin", "JST": "Asia/Tokyo", "HKT": "Asia/Hong_Kong"}  # fmt: skip


class Meaning(StrEnum):
    """What a code says of the order or of the connection it is about."""

    REFUSED = "refused"  # the order was not taken
    ENDED = "ended"  # the order was taken and is over
    WARNING = "warning"  # the order is as alive as before
    NOT_AN_END = "not_an_end"  # about a wish concerning the order: it may well be alive
    SEVERED = "severed"  # the program lost Interactive Brokers' servers
    RESTORED = "restored"
    NO_ANSWER = "no_answer"  # a question was not answered
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Code:
    """A code's meaning, in plain words, and what to do about it."""

    meaning: Meaning
    words: str
    remedy: str | None = None


_SETTINGS = "Global Configuration > API > Settings"
_M = Meaning
CODES: dict[int, Code] = {
    100: Code(_M.NO_ANSWER, "more than 50 messages a second", "lower messages_per_second in broker.yml"),
    103: Code(_M.REFUSED, "the order number was used before", "run it again: a new connection asks for fresh numbers"),
    104: Code(_M.NOT_AN_END, "an order that is done cannot be changed"),
    105: Code(_M.WARNING, "a change does not fit the order as it was"),
    106: Code(_M.REFUSED, "the order cannot be transmitted"),
    107: Code(_M.REFUSED, "the order is incomplete"),
    109: Code(_M.REFUSED, "the price is beyond the allowed range"),
    110: Code(_M.REFUSED, "the price is finer than the exchange's smallest step"),
    111: Code(_M.REFUSED, "this time in force does not go with this type"),
    113: Code(_M.REFUSED, "an order for the close is for the day"),
    116: Code(_M.REFUSED, "the exchange does not answer"),
    133: Code(_M.REFUSED, "the new order failed"),
    134: Code(_M.NOT_AN_END, "the change failed"),
    135: Code(_M.NOT_AN_END, "no order of this number is known here"),
    136: Code(_M.NOT_AN_END, "the order cannot be cancelled"),
    145: Code(_M.REFUSED, "an entry could not be checked"),
    154: Code(_M.REFUSED, "trading in it is halted"),
    161: Code(_M.NOT_AN_END, "it is not in a state to be cancelled"),
    162: Code(_M.NOT_AN_END, "the historical data service said so"),
    163: Code(_M.REFUSED, "the price is too far from the market"),
    165: Code(_M.WARNING, "the historical data service said so"),
    200: Code(_M.REFUSED, "no such security, or more than one", "look the symbol up in TWS"),
    201: Code(_M.REFUSED, "rejected by the broker"),
    202: Code(_M.ENDED, "cancelled"),
    203: Code(_M.REFUSED, "the account may not trade this security"),
    300: Code(_M.NOT_AN_END, "no subscription of this number is known here"),
    320: Code(_M.NO_ANSWER, "the request could not be read"),
    321: Code(_M.REFUSED, "the request is not valid", f"if it says read-only: {_SETTINGS}, untick Read-Only API"),
    322: Code(_M.NO_ANSWER, "the request could not be processed"),
    323: Code(_M.NO_ANSWER, "the server failed"),
    326: Code(_M.NO_ANSWER, "another program uses the same client id", "close it, or choose another gateway.client_id in broker.yml"),
    329: Code(_M.WARNING, "the change was not made"),
    334: Code(_M.REFUSED, "good after time is not a time"),
    335: Code(_M.REFUSED, "good till date is not a time"),
    336: Code(_M.REFUSED, "a time or its zone is not valid"),
    354: Code(_M.WARNING, "no subscription to this market data; orders do not need it"),
    355: Code(_M.REFUSED, "the size does not fit the market's rule"),
    382: Code(_M.REFUSED, "the price is finer than the exchange's smallest step"),
    383: Code(_M.REFUSED, "the size is above the program's size limit", "raise it in the program's presets"),
    387: Code(_M.REFUSED, "the exchange does not take this type"),
    388: Code(_M.REFUSED, "the size is below the least"),
    399: Code(_M.WARNING, "a remark about the order, which lives"),
    404: Code(_M.WARNING, "held until shares to sell short are found"),
    412: Code(_M.REFUSED, "the security is not available for trading"),
    434: Code(_M.REFUSED, "a size of 0"),
    435: Code(_M.REFUSED, "the account is missing"),
    460: Code(_M.REFUSED, "no permission to trade this", "ask for it under Settings > Trading Permissions of Client Portal"),
    461: Code(_M.REFUSED, "no permission to trade this"),
    492: Code(_M.WARNING, "no permission for some of the market data"),
    502: Code(_M.NO_ANSWER, "the program does not answer", "start Gateway or TWS and log in"),
    504: Code(_M.NO_ANSWER, "not connected", "start Gateway or TWS and log in"),
    507: Code(_M.NO_ANSWER, "the connection broke while reading"),
    1100: Code(_M.SEVERED, "the program has lost Interactive Brokers' servers", "wait until it is back (1101 or 1102)"),
    1101: Code(_M.RESTORED, "the servers are back, subscriptions are lost"),
    1102: Code(_M.RESTORED, "the servers are back"),
    1300: Code(_M.SEVERED, "the program's port was reset", "connect again, on the port it now has"),
    2110: Code(_M.SEVERED, "the program has lost Interactive Brokers' servers", "wait until it is back (1101 or 1102)"),
    10147: Code(_M.NOT_AN_END, "no order of this number is known here"),
    10148: Code(_M.NOT_AN_END, "it is not in a state to be cancelled"),
    10167: Code(_M.WARNING, "market data are delayed; orders do not need them"),
    10349: Code(_M.WARNING, "a preset of the program changed the time in force"),
}
WARNINGS = range(2100, 2200)
CONNECTION = 501, 502, 503, 504, 507, 320, 321, 322, 323
"""Codes without a number of their own that end an unnumbered question."""


def meaning(code: int) -> Meaning:
    """What ``code`` proves; UNKNOWN for one that is not listed."""
    if code in CODES:
        return CODES[code].meaning
    return Meaning.WARNING if code in WARNINGS else Meaning.UNKNOWN


def said(code: int, text: str) -> str:
    """A code and its text as one line in plain words, without an account's number."""
    words = f" ({CODES[code].words})" if code in CODES else ""
    return f"{code}{words}: {mask_accounts(text.strip())}" if text.strip() else f"{code}{words}"


def remedy(code: int) -> str | None:
    """What to do about a code, None when there is nothing to say."""
    return CODES[code].remedy if code in CODES else None


def read_only(code: int, text: str) -> bool:
    """Whether the program says that its interface only reads."""
    return code == 321 and "read-only" in text.lower()


def known(value: float) -> float:
    """A figure of the wire; NaN for what the program sends when it does not know."""
    return value if abs(value) < UNSET else math.nan


def whole(value: float, of: str) -> int:
    """Shares as a whole number. Raises BrokerError for a fraction: this program trades and counts whole shares."""
    if not (math.isfinite(value) and value == int(value)):
        raise BrokerError(f"shares are whole; the broker reports {value} of {of}", remedy="sell the fraction in TWS, then run it again")
    return int(value)


def split_execution_id(text: str) -> tuple[str, int]:
    """The lasting part of an execution's id and its correction number: ``0001f4e8.5a.01.02`` is the second word on ``0001f4e8.5a.01``."""
    stem, _, last = text.rpartition(".")
    return (stem, int(last)) if stem and last.isascii() and last.isdigit() else (text, 0)


def zone_of(said_at_login: str) -> ZoneInfo | None:
    """The zone in ``20261122 09:30:00 EST``; None when there is none or it has no name that is known everywhere."""
    name = said_at_login.split(" ", 2)[-1].strip() if said_at_login.count(" ") >= 2 else ""
    try:
        return ZoneInfo(_ZONES.get(name, name)) if name else None
    except (ValueError, OSError, KeyError):  # not found is a KeyError
        return None


def ended_state(status: str, text: str) -> BrokerOrderState:
    """How a completed order ended, from its status and the words beside it."""
    words = text.lower()
    if status == "Filled":
        return BrokerOrderState.FILLED
    if "reject" in words or (status == "Inactive" and "expire" not in words):
        return BrokerOrderState.REJECTED
    return BrokerOrderState.EXPIRED if "expire" in words else BrokerOrderState.CANCELLED


ENDED = frozenset({"Filled", "Cancelled", "ApiCancelled"})
"""Statuses after which nothing trades any more. Inactive is none: the program may revive it."""
INACTIVE = "Inactive"


def on_tick(level: float, order: Order, step: float) -> float:
    """``level`` on the exchange's grid: a buy below it, a sell above, so that no limit is worse and no stop later than wanted.

    ``step`` is the smallest step the contract names (USD); under a dollar shares trade in hundredths of a cent.
    """
    grid = Decimal("0.0001") if level < 1.0 else Decimal(repr(max(step, 0.01)))
    steps = (Decimal(repr(round(level, 8))) / grid).to_integral_value(ROUND_CEILING if order.shares < 0 else ROUND_FLOOR)
    return float(max(steps, Decimal(1)) * grid)


def refusal(order: Order, legs: Sequence[Order]) -> str:
    """Why these orders may not go on the wire, "" when they may."""
    for one in (order, *legs):
        if type(one.shares) is not int:
            return f"an order is for whole shares; {one.symbol} has {one.shares!r}"
        if not SYMBOL.fullmatch(one.symbol):
            return f"a symbol has up to 12 letters, digits, dots, dashes and blanks; got {one.symbol!r}"
        if not all(REFERENCE.fullmatch(name) for name in (one.id, *([one.group] if one.group else []))):
            return f"a reference has up to 40 ASCII characters; {one.symbol} has {one.id!r} and {one.group!r}"
        if one.level is not None and not 0.0 < one.level < math.inf:
            return f"a price is above 0 and finite; {one.symbol} has {one.level}"
        if one.after is not None and one.after.tzinfo is None:
            return f"an instant has a zone; {one.symbol} has {one.after}"
    if any(leg.parent != order.id or leg.symbol != order.symbol for leg in legs):
        return f"a leg names the order it goes out with and its symbol; {order.symbol} {order.id} has others"
    return ""


_WIRE = {
    OrderType.MARKET_ON_OPEN: ("MKT", "OPG"),
    OrderType.LIMIT_ON_OPEN: ("LMT", "OPG"),
    OrderType.MARKET_ON_CLOSE: ("MOC", "DAY"),
    OrderType.MARKET: ("MKT", ""),
    OrderType.STOP: ("STP", ""),
    OrderType.LIMIT: ("LMT", ""),
}


def wire_order(order: Order, account: str, step: float) -> ib_async.Order:
    """``order`` in the library's words; its number and its parent's are still to be set."""
    import ib_async

    kind, force = _WIRE[order.type]
    wire = ib_async.Order(
        action="BUY" if order.shares > 0 else "SELL",
        totalQuantity=abs(order.shares),
        orderType=kind,
        tif=force or ("GTC" if order.rests else "DAY"),
        account=account,
        orderRef=order.id,
        outsideRth=False,
    )
    if order.level is not None:
        level = on_tick(order.level, order, step)
        wire.auxPrice, wire.lmtPrice = (level, wire.lmtPrice) if kind == "STP" else (wire.auxPrice, level)
    if order.group is not None:
        wire.ocaGroup, wire.ocaType = order.group, REDUCE_WITH_BLOCK
    if order.after is not None:
        wire.goodAfterTime = f"{order.after.astimezone(NEW_YORK):%Y%m%d %H:%M:%S} US/Eastern"
    return wire
