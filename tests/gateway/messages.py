"""What the gateway says, field for field: one function a message, each with the cuts between server versions 157 and 178.

Empty fields are those a stock order does not use. A first field is the message's number; a second that looks like another number
is the message's own version, which some have and some lost.
"""

from __future__ import annotations

from datetime import datetime
from itertools import chain

from tests.gateway.account import Execution, Instrument, Ticket
from tests.gateway.wire import UNSET

Message = list[object]


def _blank(count: int) -> Message:
    return [""] * count


def _contract(one: Instrument, exchange: str = "SMART") -> Message:
    """The eleven fields most messages share: no expiry, strike, right or multiplier for a stock."""
    return [one.con_id, one.symbol, "STK", "", "0.0", "", "", exchange, one.currency, one.symbol, one.trading_class]


def error(version: int, request: int, code: int, words: str) -> Message:
    return [4, 2, request, code, words, *([""] if version >= 166 else [])]


def next_valid_id(number: int) -> Message:
    return [9, 1, number]


def managed_accounts(accounts: str) -> Message:
    return [15, 1, accounts]


def current_time(epoch: int) -> Message:
    return [49, 1, epoch]


def position(account: str, one: Instrument, shares: float, average: float) -> Message:
    return [61, 3, account, *_contract(one, one.exchange), shares, average]


def position_end() -> Message:
    return [62, 1]


def account_value(key: str, value: str, currency: str, account: str) -> Message:
    return [6, 2, key, value, currency, account]


def portfolio_value(account: str, one: Instrument, shares: float, mark: float, average: float) -> Message:
    contract = [one.con_id, one.symbol, "STK", "", "0.0", "", "0", one.exchange, one.currency, one.symbol, one.trading_class]
    return [7, 8, *contract, shares, mark, shares * mark, average, shares * (mark - average), "0.0", account]


def account_time(now: datetime) -> Message:
    return [8, 1, f"{now:%H:%M}"]


def account_end(account: str) -> Message:
    return [54, 1, account]


def account_value_multi(request: int, account: str, key: str, value: str, currency: str) -> Message:
    return [73, 1, request, account, "", key, value, currency]


def account_multi_end(request: int) -> Message:
    return [74, 1, request]


def account_summary(request: int, account: str, key: str, value: str, currency: str) -> Message:
    return [63, 1, request, account, key, value, currency]


def account_summary_end(request: int) -> Message:
    return [64, 1, request]


def order_status(ticket: Ticket) -> Message:
    return [
        3, ticket.order_id, ticket.status, ticket.filled, ticket.remaining, ticket.average, ticket.perm_id, ticket.parent_id,
        ticket.last_price, ticket.client_id, ticket.why_held, "0",
    ]  # fmt: skip


def _terms(ticket: Ticket) -> Message:
    """Action to orderRef, shared by open and completed orders."""
    return [
        ticket.action, ticket.quantity, ticket.type, ticket.limit or "0.0", ticket.aux or "0.0", ticket.tif, ticket.oca_group,
        ticket.account, "", "0", ticket.ref,
    ]  # fmt: skip


def open_order(version: int, one: Instrument, ticket: Ticket) -> Message:
    """114-odd fields; "skip" and margins are empty, counts of legs and conditions are 0."""
    return list(chain(
        [5, ticket.order_id], _contract(one), _terms(ticket), [ticket.client_id, ticket.perm_id],
        [ticket.outside_hours, "0", "0", ticket.good_after, "", "", "", ""],  # outsideRth, hidden, discretionary, goodAfter, skip, FA ×3
        [""] if version < 177 else [],  # faProfile
        ["", "", "", "", "", "0", "", "-1", "0", "", "", "", "", "", "", "0", "0", "0", ""],  # model ... minQty
        [ticket.oca_type, "0", "0", "", ticket.parent_id, "0", "", "0", "", ""],  # ocaType, eTrade, firmQuote, cap, parent ... dnAux
        ["0", "0", "", "", "", "", ""],  # continuousUpdate ... comboDescription
        ["0", "0", "0"],  # legs, order legs, routing parameters
        ["", "", "", "", "0", "", "", "0", "0"],  # scale ×3, hedge, optOut, clearing ×2, notHeld, delta neutral contract
        ["", "0", "0", ticket.status],  # algorithm, solicited, whatIf, status
        [UNSET] * 9, ["", "", "", "", ticket.warning, "0", "0"],  # margins, commission ×4, warning, randomise ×2
        ["0"], ["None", *[UNSET] * 6, "0"],  # conditions, adjusted order
        ["", "", "", "", "0", "0", "0", "0"],  # tier ×3, cashQty, noAutoHedge, isOms, discretionaryUpTo, priceMgmt
        [UNSET_INT] if version >= 159 else [], [UNSET_INT] if version >= 160 else [], ["0"] if version >= 162 else [],  # duration, ATS
        _blank(5) if version >= 170 else [],
    ))  # fmt: skip


UNSET_INT = str(2**31 - 1)


def open_order_end() -> Message:
    return [53, 1]


def completed_order(version: int, one: Instrument, ticket: Ticket) -> Message:
    """No order id and no client: an order that ended is known by permId and orderRef only."""
    return list(chain(
        [101], _contract(one), _terms(ticket), [ticket.perm_id],
        [ticket.outside_hours, "0", "0", ticket.good_after, "", "", ""],
        [""] if version < 177 else [],
        ["", "", "", "", "", "0", "", "-1", "", "", "", "", "", "", "0", "0", ""],  # model ... minQty
        [ticket.oca_type, "0", "", "0", "", ""],  # ocaType, trigger, volatility ×2, delta neutral ×2
        ["0", "0", "", "", ""], ["0", "0", "0"], ["", "", "", ""],  # continuousUpdate ... combo, counts, scale ×3, hedge
        ["", "", "0", "0"], ["", "0", ticket.status], ["0", "0", "0"],  # clearing, notHeld, dnc; algorithm, solicited; randomise, conditions
        ["", "", "0", "0", "0", "", ticket.filled, UNSET_INT, "0", "", "0", "0", "0"],  # trail ... parentPermId
        [ticket.ended, ticket.ended_as],
        _blank(5) if version >= 170 else [],
    ))  # fmt: skip


def completed_orders_end() -> Message:
    return [102]


def execution(version: int, request: int, one: Instrument, done: Execution) -> Message:
    side = "BOT" if done.shares > 0 else "SLD"
    return [
        11, request, done.order_id, *_contract(one, ""), done.id, done.time, done.account, done.exchange, side, abs(done.shares), done.price,
        done.perm_id, done.client_id, "0", done.cumulative, done.average, done.ref, "", "", "", "2",
        *(["0"] if version >= 178 else []),
    ]  # fmt: skip


def execution_end(request: int) -> Message:
    return [55, 1, request]


def commission(done: Execution) -> Message:
    return [59, 1, done.id, done.commission, "USD", UNSET, UNSET, ""]


def contract_details(version: int, request: int, one: Instrument) -> Message:
    old = version < 164
    return list(chain(
        [10], ["8"] if old else [], [request, one.symbol, "STK", "", "0", "", "SMART", one.currency, one.symbol, one.trading_class],
        [one.trading_class, one.con_id, one.min_tick], ["100"] if old else [],
        ["", "ACTIVETIM,LMT,LOC,LOO,MKT,MOC,MOO,OPG,STP", f"SMART,{one.exchange}", "1", "0", one.name, one.exchange],
        ["", "", "", "", "US/Eastern", "", "", "", "0", "0"],  # month ... trading hours, evRule, evMultiplier, security ids
        ["1", "", "", "26", "", "COMMON"],  # aggGroup ... stockType
        ["100"] if version == 163 else [], ["1", "1", "100"] if version >= 164 else [],
    ))  # fmt: skip


def contract_details_end(request: int) -> Message:
    return [52, 1, request]


def historical_data(request: int, bars: list[tuple[str, float, float, float, float, float]]) -> Message:
    first, last = (bars[0][0], bars[-1][0]) if bars else ("", "")
    rows = [[day, low_high_open[0], *low_high_open[1:], (sum(low_high_open[:4]) / 4), "1"] for day, *low_high_open in bars]
    return [17, request, first, last, len(bars), *chain.from_iterable(rows)]
