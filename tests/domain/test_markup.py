"""What values show in a notebook: little, escaped, unknown as "unknown", and without a colour that would not be seen in the other theme."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from mech_exo.backtest import EventBacktester, compare
from mech_exo.decision.record import Decision
from mech_exo.domain import markup
from mech_exo.domain.orders import Order, OrderReason
from mech_exo.domain.panel import BarPanel
from mech_exo.domain.portfolio import Portfolio, Position
from mech_exo.domain.scores import Scores
from mech_exo.domain.targets import Room, TargetPosition
from mech_exo.domain.verdict import Breach, BreachCode, RiskDecision, RiskState
from mech_exo.risk import RiskChecker
from mech_exo.utils import calendar

HOSTILE = "<img src=x onerror=alert(1)>\"'&</td><script>"
NAN = float("nan")
TAGS = {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}


class Reader(HTMLParser):
    """Tags and text as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: set[tuple[str, str | None]] = set()
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes |= set(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def scores(symbols: tuple[str, ...] = (HOSTILE, "B"), factor: str = HOSTILE) -> Scores:
    one = np.array([[0.5], [NAN]])
    return Scores(
        as_of=date(2024, 12, 31), symbols=symbols, value=np.array([0.5, NAN]), rank=np.array([1, 0]), percentile=np.array([1.0, NAN]),
        factors=(factor,), raw=one, normalised=one, contribution=one, coverage=np.array([NAN, 0.0]), exclusion=("", HOSTILE),
        missing=((HOSTILE, HOSTILE),),
    )  # fmt: skip


def verdict() -> RiskDecision:
    cut = TargetPosition(HOSTILE, 3, NAN, "equal_weight", 5.0, "max_position", None)
    free = TargetPosition("B", 3, 0.1, "equal_weight", 3.0, "", 12.5, room=Room("max_sector_exposure", HOSTILE, 10.0))
    unknown = TargetPosition("C", 3, 0.1, "equal_weight", 3.0)
    return RiskDecision((cut, free, unknown), (Breach(BreachCode.POSITION, HOSTILE, 0.1, NAN),), RiskState.REDUCING)


def decision(orders: int = 1) -> Decision:
    asked = [Order(f"mx1-{i}", HOSTILE, -2, date(2025, 1, 2), OrderReason.HARD_STOP) for i in range(orders)]
    return Decision(
        as_of=date(2024, 12, 31), session=date(2025, 1, 2), scheduled=True, config="{}", config_hash="", code_version="", data_hash="",
        nav=NAN, scores=scores(), verdict=verdict(), orders=tuple(asked), levels=(), warnings=(HOSTILE,),
    )  # fmt: skip


def result(symbol: str = HOSTILE, price: float = 10.0):
    days = calendar.sessions(date(2023, 1, 3), date(2023, 3, 31))
    close = np.full((len(days), 2), price)
    panel = BarPanel.from_arrays(
        days, sorted(("A", symbol)), dict.fromkeys(("open", "high", "low", "close", "volume"), close), label=HOSTILE
    )

    def half(view, portfolio):
        return {symbol: 0.5}

    half.__name__ = HOSTILE
    return EventBacktester(panel, half).run()


def status():
    held = Portfolio(90_000.0, {HOSTILE: Position(HOSTILE, 66, 150.0, 155.0, datetime(2024, 1, 2, tzinfo=UTC), HOSTILE)})
    return RiskChecker(held).check()


SHOWN = {
    "scores": scores, "verdict": verdict, "decision": decision, "backtest": result, "explanation": lambda: result().explain("2023-02-01", HOSTILE),
    "comparison": lambda: compare(result(), result(price=11.0)), "status": status,
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_a_hostile_symbol_stays_text_and_nothing_has_a_colour_of_its_own(name: str) -> None:
    page = SHOWN[name]()._repr_html_()
    read = Reader(page)
    assert set(read.tags) <= TAGS and read.open == []
    assert read.attributes == {("class", "tex2jax_ignore mathjax_ignore")}, "no style, no handler, no address"
    assert HOSTILE in "".join(read.text)
    assert len(page) < 12_000


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_unknown_is_said_and_never_a_nan_or_none(name: str) -> None:
    text = " ".join(Reader(SHOWN[name]()._repr_html_()).text)
    assert not re.search(r"\b(nan|NaN|None|inf)\b", text), text
    assert "unknown" in text or name in ("explanation", "comparison")


def test_scores_tell_who_leads_and_why() -> None:
    text = Reader(scores(("A", "B"), "momentum")._repr_html_()).text
    assert text[:2] == ["Scores at the close of 2024-12-31:", " 1 of 2 names have a score"]
    assert text[8:14] == ["1", "A", "0.500", "1.000", "unknown", "momentum +0.500"]


def test_a_verdict_tells_what_was_cut_by_what_and_what_room_is_left() -> None:
    text = Reader(verdict()._repr_html_()).text
    assert text[:2] == ["Risk is reducing:", " 3 targets, 1 limits met"]
    assert text[8:14] == [HOSTILE, "5", "3", "unknown", "unknown", "max position"]
    assert text[19] == f"$10 more before {HOSTILE} binds" and text[25] == "unknown"


def test_a_decision_is_short_however_many_orders_it_has() -> None:
    page = decision(5_000)._repr_html_()
    assert page.count("<tr>") == 1 + markup.SHOWN
    assert "5,000 orders for 2025-01-02" in page and "… and 4,990 more" in page
    assert Reader(page).text[8:14] == ["sell", "2", HOSTILE, "hard stop", "none", "none"]


def test_a_backtest_shows_the_contract_as_it_is_judged() -> None:
    made = result("B")
    text = Reader(made._repr_html_()).text
    assert made.run_id in text[1]
    shown = [text[6 + 7 * i : 13 + 7 * i] for i in range(6)]
    pairs = zip(made.kpi.whole.kpis, made.kpi.trailing.kpis, strict=True)
    assert shown == [
        [k.label, f"{k.bound} {k.text(k.threshold)}", k.text(), k.text_of_interval, str(k.verdict), recent.text(), str(recent.verdict)]
        for k, recent in pairs
    ]
    assert shown[0][1] == "at most 10.0%" and "not enough data" in [row[4] for row in shown]


def test_a_figure_is_as_unknown_on_the_page_as_in_json() -> None:
    kpi = next(k for k in result("B").kpi.whole.kpis if np.isnan(k.value))
    assert kpi.as_dict()["value"] is None and kpi.text() == "unknown"
    assert replace(kpi, value=0.25, name="cagr").text() == "25.0%"
