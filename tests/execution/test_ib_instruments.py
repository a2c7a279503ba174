"""Symbols and instruments: one meaning each, remembered, and never another one silently."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from ib_async.contract import Contract, ContractDetails

from mech_exo.domain.errors import BrokerError
from mech_exo.execution.ib_instruments import NO_STOCK, TRUSTED_DAYS, Instrument, Instruments, ours, question, theirs
from tests.execution.ib_desk import a_broker, an_order
from tests.gateway import FakeGateway

TODAY = date(2024, 1, 2)


def details(symbol: str = "AAPL", con_id: int = 265598, **terms: Any) -> ContractDetails:
    contract = Contract(**({"secType": "STK", "symbol": symbol, "conId": con_id, "currency": "USD", "primaryExchange": "NASDAQ"} | terms))
    return ContractDetails(contract=contract, minTick=0.01)


@pytest.mark.parametrize(("here", "there"), [("BRK.B", "BRK B"), ("BF.B", "BF B"), ("AAPL", "AAPL")])
def test_share_classes_are_written_after_a_blank_there(here: str, there: str) -> None:
    assert (theirs(here), ours(there)) == (there, here)
    assert theirs(here.replace(".", "-")) == there
    asked = question(here)
    assert (asked.symbol, asked.secType, asked.exchange, asked.currency) == (there, "STK", "SMART", "USD")


def test_one_answer_is_remembered_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data" / "instruments.json"
    learned = Instruments(path).learn("AAPL", [details()], TODAY)
    assert learned == Instrument("AAPL", 265598, "NASDAQ", 0.01, TODAY)
    assert Instruments(path).get("AAPL", TODAY) == learned
    assert Instruments(path).get("AAPL", TODAY + timedelta(TRUSTED_DAYS)) == learned
    assert Instruments(path).get("AAPL", TODAY + timedelta(TRUSTED_DAYS + 1)) is None, "asked again after a while"
    assert Instruments(path).get("AAPL", TODAY - timedelta(TRUSTED_DAYS + 1)) is None, "nor trusted when the clock stepped back"


@pytest.mark.parametrize("answers", [
    [], [details(), details(con_id=2)], [details(currency="MXN")], [details(secType="OPT")], [details(symbol="AAPL1")], [details(con_id=0)],
])  # fmt: skip
def test_none_or_more_than_one_is_refused(answers: list[ContractDetails]) -> None:
    known = Instruments()
    said = known.learn("AAPL", answers, TODAY)
    assert isinstance(said, str) and ("AAPL" in said and "TWS" in said) == (len(answers) == 2)
    assert (said == NO_STOCK) == (len(answers) != 2)
    assert known.get("AAPL", TODAY) is None


def test_the_same_instrument_of_several_exchanges_is_one() -> None:
    assert isinstance(Instruments().learn("AAPL", [details(), details(exchange="SMART"), details(currency="MXN", con_id=9)], TODAY), Instrument)


def test_a_ticker_given_to_another_company_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "instruments.json"
    Instruments(path).learn("META", [details("META", 1)], TODAY)
    said = Instruments(path).learn("META", [details("META", 2)], TODAY)
    assert isinstance(said, str) and "conId 2, was 1" in said and str(path) in said
    kept = Instruments(path).get("META", TODAY)
    assert kept is not None and kept.con_id == 1


def test_names_of_what_the_broker_speaks_of() -> None:
    known = Instruments()
    known.learn("FB", [details("FB", 7)], TODAY)
    assert known.name(details("META", 7).contract) == "FB", "renamed: the ledger knows it as before"
    assert known.name(details("BRK B", 8).contract) == "BRK.B"
    assert known.name(details("FB", 9).contract) == "FB:STK:9", "another company under a known symbol is nobody's"
    assert known.name(details("AAPL", 10, secType="OPT").contract) == "AAPL:OPT:10"
    assert known.name(details("SAP", 11, currency="EUR").contract) == "SAP:STK:11"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"AAPL": 1}', '{"AAPL": {"symbol": "AAPL"}}', json.dumps({"A": {"checked": "no"}})])
def test_a_damaged_file_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "instruments.json"
    path.write_text(text)
    with pytest.raises(BrokerError, match="move it away"):
        Instruments(path)


def test_each_symbol_is_asked_once(tmp_path: Path) -> None:
    path = tmp_path / "instruments.json"
    with FakeGateway() as gateway:
        for leg in range(2):
            broker = a_broker(gateway, instruments=path)
            broker.connect()
            assert broker.place(an_order("AAPL", leg=leg)).accepted and broker.place(an_order("IBM", leg=leg)).accepted
            broker.close()
        assert gateway.received[9] == 2 and [fields[2] for fields in gateway.placed[:2]] == ["265598", "8314"]


def test_at_the_broker_an_unknown_or_reused_symbol_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "instruments.json"
    Instruments(path).learn("AAPL", [details(con_id=1)], date(2000, 1, 1))
    with FakeGateway() as gateway:
        broker = a_broker(gateway, instruments=path)
        broker.connect()
        unknown, reused = broker.place(an_order("NOPE")), broker.place(an_order("AAPL"))
        broker.close()
        assert not unknown.accepted and unknown.reason.startswith("Interactive Brokers knows no US stock of that symbol: ")
        assert not reused.accepted and "another instrument" in reused.reason
        assert gateway.placed == []
