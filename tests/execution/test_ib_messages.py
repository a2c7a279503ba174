"""What messages mean, and orders in Interactive Brokers' words."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import BrokerError
from mech_exo.domain.orders import OrderType
from mech_exo.execution import ib_messages as words
from mech_exo.execution.broker import BrokerOrderState
from mech_exo.execution.ib_messages import Meaning
from tests.execution.ib_desk import ACCOUNT, a_stop, an_order, utc

REFUSED = {103, 110, 200, 201, 203, 321, 460}
LIVES = {104, 135, 161, 162, 300, 10147, 10148}


def test_each_code_of_the_catalogue_is_sorted_as_the_protocol_has_it() -> None:
    assert {words.meaning(code) for code in REFUSED} == {Meaning.REFUSED}
    assert {words.meaning(code) for code in LIVES} == {Meaning.NOT_AN_END}, "ib_async takes each for the end of the order"
    assert {words.meaning(code) for code in (399, 404, 2104, 2106, 2158, 354)} == {Meaning.WARNING}
    assert words.meaning(202) is Meaning.ENDED
    assert {words.meaning(code) for code in (1100, 2110, 1300)} == {Meaning.SEVERED}
    assert {words.meaning(code) for code in (1101, 1102)} == {Meaning.RESTORED}


@given(st.integers(0, 20_000))
def test_a_code_nobody_knows_proves_nothing(code: int) -> None:
    if code not in words.CODES and code not in words.WARNINGS:
        assert words.meaning(code) is Meaning.UNKNOWN
    assert words.said(code, "").startswith(str(code))


@pytest.mark.parametrize("code", [502, 504, 103, 110, 200, 201, 202, 354, 399, 460, 1100, 1300, 2110, 326, 321])
def test_codes_are_named_in_plain_words(code: int) -> None:
    assert words.CODES[code].words and words.CODES[code].words in words.said(code, "text")


def test_accounts_are_masked_in_what_the_broker_says() -> None:
    assert ACCOUNT not in words.said(201, f"account {ACCOUNT} has no funds") and "DU…567" in words.said(201, f"account {ACCOUNT} has no funds")


@pytest.mark.parametrize(("text", "stem", "revision"), [
    ("0001f4e8.63a1b2c3.01.01", "0001f4e8.63a1b2c3.01", 1),
    ("0001f4e8.63a1b2c3.01.02", "0001f4e8.63a1b2c3.01", 2),
    ("0001f4e8.63a1b2c3.01.11", "0001f4e8.63a1b2c3.01", 11),
    ("plain", "plain", 0), ("a.b", "a.b", 0), (".01", ".01", 0), ("a.", "a.", 0), ("a.²", "a.²", 0),
])  # fmt: skip
def test_an_execution_id_is_a_stem_and_a_correction(text: str, stem: str, revision: int) -> None:
    assert words.split_execution_id(text) == (stem, revision)


@pytest.mark.parametrize(("told", "zone"), [
    ("20261122 09:30:00 EST", "America/New_York"), ("20260722 09:30:00 EDT", "America/New_York"),
    ("20261122 09:30:00 US/Eastern", "US/Eastern"), ("20261122 14:30:00 GMT", "UTC"), ("20261122 15:30:00 Europe/Berlin", "Europe/Berlin"),
])  # fmt: skip
def test_the_zone_of_the_gateway_s_clock(told: str, zone: str) -> None:
    assert words.zone_of(told) == ZoneInfo(zone)


@pytest.mark.parametrize("told", ["20261122 09:30:00", "", "20261122 09:30:00 Narnia", "20261122 09:30:00 ../../etc/passwd", "1 2 \0"])
def test_a_zone_nobody_knows_is_none(told: str) -> None:
    assert words.zone_of(told) is None


@pytest.mark.parametrize(("status", "text", "state"), [
    ("Filled", "Filled Size: 10", BrokerOrderState.FILLED),
    ("Cancelled", "Cancelled by Trader", BrokerOrderState.CANCELLED),
    ("Cancelled", "Order expired", BrokerOrderState.EXPIRED),
    ("Inactive", "Rejected by System", BrokerOrderState.REJECTED),
    ("Inactive", "", BrokerOrderState.REJECTED),
    ("ApiCancelled", "", BrokerOrderState.CANCELLED),
])  # fmt: skip
def test_how_an_order_ended(status: str, text: str, state: BrokerOrderState) -> None:
    assert words.ended_state(status, text) is state


@given(st.floats(0.01, 1e5), st.sampled_from([10, -10]), st.sampled_from([0.01, 0.05, 0.0001]))
def test_a_price_is_put_on_the_grid_and_never_to_its_owner_s_harm(level: float, shares: int, step: float) -> None:
    """A buy not above, a sell not below what was wanted; by less than a step; and once there it stays."""
    order = a_stop(shares=shares)
    told = words.on_tick(level, order, step)
    grid = 0.0001 if level < 1.0 else max(step, 0.01)
    assert told > 0.0 and (Decimal(repr(told)) % Decimal(repr(grid))) == 0
    wanted = round(level, 8)
    if shares < 0:
        assert wanted <= told < wanted + grid + 1e-9
    else:
        assert wanted - grid - 1e-9 < told <= wanted or told == grid
    if (told < 1.0) is (level < 1.0):
        assert words.on_tick(told, order, step) == told


@pytest.mark.parametrize("value", [0.5, math.nan, math.inf, -math.inf, 10.0000001])
def test_a_fraction_of_a_share_is_no_answer(value: float) -> None:
    with pytest.raises(BrokerError, match="whole"):
        words.whole(value, "AAPL")
    assert words.whole(-10.0, "AAPL") == -10


def test_what_the_program_does_not_know_is_nan() -> None:
    assert math.isnan(words.known(1.7976931348623157e308)) and words.known(1.5) == 1.5


@pytest.mark.parametrize(("kind", "level", "rests", "told"), [
    (OrderType.MARKET_ON_OPEN, None, False, ("MKT", "OPG")),
    (OrderType.LIMIT_ON_OPEN, 10.0, False, ("LMT", "OPG")),
    (OrderType.MARKET_ON_CLOSE, None, False, ("MOC", "DAY")),
    (OrderType.MARKET, None, False, ("MKT", "DAY")),
    (OrderType.STOP, 10.0, False, ("STP", "DAY")),
    (OrderType.STOP, 10.0, True, ("STP", "GTC")),
    (OrderType.LIMIT, 10.0, True, ("LMT", "GTC")),
])  # fmt: skip
def test_types_and_times_in_force(kind: OrderType, level: float | None, rests: bool, told: tuple[str, str]) -> None:
    wire = words.wire_order(an_order(shares=-10, type=kind, level=level, rests=rests), ACCOUNT, 0.01)
    assert (wire.orderType, wire.tif) == told and (wire.action, wire.totalQuantity) == ("SELL", 10)
    assert wire.account == ACCOUNT and wire.orderRef == an_order(shares=-10).id and not wire.outsideRth
    assert (wire.auxPrice if told[0] == "STP" else wire.lmtPrice) == (10.0 if level else words.wire_order(an_order(), ACCOUNT, 0.01).lmtPrice)


def test_a_group_reduces_with_block_and_an_instant_is_told_in_new_york() -> None:
    wire = words.wire_order(a_stop(group="mx1-g", after=utc("2024-07-03T14:15")), ACCOUNT, 0.01)
    assert (wire.ocaGroup, wire.ocaType) == ("mx1-g", 2)
    assert wire.goodAfterTime == "20240703 10:15:00 US/Eastern"
    winter = words.wire_order(a_stop(after=datetime(2024, 1, 3, 15, 15, tzinfo=UTC)), ACCOUNT, 0.01)
    assert winter.goodAfterTime == "20240103 10:15:00 US/Eastern"


def test_an_instant_without_a_zone_is_refused() -> None:
    assert "zone" in words.refusal(an_order(after=datetime(2024, 1, 3, 15, 15)), ())  # noqa: DTZ001
