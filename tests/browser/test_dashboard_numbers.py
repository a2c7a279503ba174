"""What the pages show is what the ledger holds, added up the plain way; and what is chosen stands in the address."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from tests.browser import plain_ledger
from tests.browser.conftest import until
from tests.browser.surfing import PATIENCE, Surfer, surfing

WORKSPACES = ("sample", "real")


def tiles(surfer: Surfer) -> dict[str, str]:
    """Value by title of every tile of the page."""
    pairs = surfer.page.evaluate(
        "[...document.querySelectorAll('#page .tile')].map(one => [one.querySelector('.tile-title').innerText, one.querySelector('.tile-value').innerText])"
    )
    return {title: value.strip() for title, value in pairs}


def number(text: str) -> float:
    """A figure as it is written: thin or hard spaces, a true minus, a percent sign."""
    plain = re.sub(r"[\s\u00a0\u202f,]", "", text).replace("−", "-").removeprefix("+")
    return float(plain.removesuffix("%")) / 100.0 if plain.endswith("%") else float(plain)


def told(surfer: Surfer, title: str, value: float) -> None:
    """Wait until a tile says so: an answer takes as long as it takes."""
    end = time.monotonic() + PATIENCE
    while (shown := tiles(surfer).get(title)) is None or number(shown) != value:
        assert time.monotonic() < end, (title, shown, value)
        surfer.page.wait_for_timeout(60)


def query(surfer: Surfer) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(surfer.address()).query))


@pytest.fixture(params=WORKSPACES)
def place(request: pytest.FixtureRequest, dashes: Any) -> Any:
    return dashes(request.param)


def test_the_overview_shows_nav_profit_and_fall_of_the_journal(chromium: Any, place: Any) -> None:
    account = plain_ledger.Account.of(place.home)
    with surfing(chromium, place) as surfer:
        surfer.go("/")
        shown = tiles(surfer)
        assert number(shown["NAV, USD"]) == pytest.approx(account.nav, abs=0.5)
        assert number(shown["Day's P&L, USD"]) == pytest.approx(account.pnl, abs=0.51)
        assert number(shown["Drawdown"]) == pytest.approx(account.fall, abs=0.000051)
        assert shown["Last night"] == account.last["session"]
        assert shown["State"] == account.last["day"]["state"].upper()
        causes = surfer.page.locator("section", has=surfer.page.get_by_role("heading", name="by cause")).locator("tbody tr").all_inner_texts()
        amounts = [number(row.split("\t")[-1]) for row in causes if "All together" not in row]
        assert sum(amounts) == pytest.approx(account.pnl, abs=0.006 * len(amounts))
        assert surfer.wrong == []


def test_positions_and_cash_add_up_to_nav(chromium: Any, place: Any) -> None:
    account = plain_ledger.Account.of(place.home)
    with surfing(chromium, place) as surfer:
        answers: list[Any] = []
        surfer.page.on("response", lambda answer: answers.append(answer) if "_dash-update-component" in answer.url else None)
        surfer.go("/positions")
        bodies = [one.text() for one in answers if one.status == 200]
        (grid,) = [found for body in bodies for found in _grids(json.loads(body)) if found.get("id") == "positions-held"][:1]
        rows = {row["key"]: (row["shares"], row["price"]) for row in grid["rowData"]}
        assert rows == {symbol: (shares, price) for symbol, (shares, price) in account.held.items()}
        assert tiles(surfer)["Positions"] == str(len(account.held))
        cash = account.last["day"]["cash"]
        assert cash + sum(shares * price for shares, price in rows.values()) == pytest.approx(account.last["day"]["nav"], abs=0.01)
        for symbol in list(account.held)[:3]:
            assert surfer.page.get_by_role("gridcell", name=symbol, exact=True).count() >= 1


def _grids(value: Any) -> list[dict[str, Any]]:
    """The properties of every table in an answer."""
    if isinstance(value, dict):
        own = [value["props"]] if value.get("type") == "AgGrid" else []
        return own + [found for part in value.values() for found in _grids(part)]
    return [found for part in value for found in _grids(part)] if isinstance(value, list) else []


def test_orders_count_what_the_journal_has_and_filters_stand_in_the_address(chromium: Any, place: Any) -> None:
    filled = plain_ledger.fills(place.home)
    with plain_ledger.journal(place.home) as connection:
        planned = [row[0] for row in connection.execute("SELECT symbol FROM orders")]
        ids = {row[0] for row in connection.execute("SELECT id FROM orders")}
    resting = [fill for fill in filled if fill["order_id"] not in ids]
    symbol = max(set(planned), key=planned.count)
    count = planned.count(symbol) + sum(fill["symbol"] == symbol for fill in resting)
    with surfing(chromium, place) as surfer:
        surfer.go("/orders")
        assert number(tiles(surfer)["Orders"]) == len(planned) + len(resting)
        said = surfer.page.locator("section", has=surfer.page.get_by_role("heading", name="What execution cost")).inner_text()
        commission = float(re.search(r"commission ([\d,.]+) USD", said)[1].replace(",", ""))  # type: ignore[index]
        assert commission == pytest.approx(sum(fill["commission"] for fill in filled), abs=0.006)
        surfer.page.locator("#orders-symbol").fill(symbol)
        until(surfer.page, f"new URLSearchParams(location.search).get('symbol') === '{symbol}'")
        surfer.settle()
        told(surfer, "Orders", count)
        surfer.page.reload()
        surfer.settle()
        told(surfer, "Orders", count)
        assert query(surfer)["symbol"] == symbol
        assert surfer.page.locator("#orders-symbol").input_value() == symbol
        surfer.page.go_back()
        until(surfer.page, "!new URLSearchParams(location.search).get('symbol')")
        told(surfer, "Orders", len(planned) + len(resting))
        surfer.page.go_forward()
        until(surfer.page, f"new URLSearchParams(location.search).get('symbol') === '{symbol}'")
        told(surfer, "Orders", count)
        assert surfer.wrong == []


def test_the_drawer_of_an_order_explains_it_and_its_parts_sum_to_the_score(chromium: Any, place: Any) -> None:
    with plain_ledger.journal(place.home) as connection:
        id_, symbol, decided = connection.execute(
            "SELECT id, symbol, decided FROM orders WHERE reason = 'rebalance' AND shares > 0 AND state = 'filled' ORDER BY decided DESC, symbol LIMIT 1"
        ).fetchone()
    line = plain_ledger.score_of(place.home, decided, symbol)
    with surfing(chromium, place) as surfer:
        surfer.go(f"/orders?symbol={quote(symbol)}")
        surfer.page.locator(".ag-center-cols-container .ag-row, .ag-pinned-left-cols-container .ag-row").first.wait_for()
        surfer.go(f"/orders?explain={id_}")
        drawer = surfer.page.get_by_role("dialog")
        drawer.wait_for()
        rows = [row.split("\t") for row in drawer.locator("table").first.locator("tbody tr").all_inner_texts()]
        parts = {row[0]: row[-1] for row in rows}
        whole = number(parts.pop("Sum = score"))
        known = [number(value) for value in parts.values() if value.strip() != "unknown"]
        assert len(known) >= 3
        assert sum(known) == pytest.approx(whole, abs=0.00006 * len(known))
        assert whole == pytest.approx(line["score"], abs=0.00006)
        assert len(parts) == len(line["factors"])
        for factor, told in line["factors"].items():
            shown = parts[factor.replace("_", " ")]
            assert (shown.strip() == "unknown") if told["contribution"] is None else number(shown) == pytest.approx(told["contribution"], abs=0.00006)
        assert surfer.page.locator("[role=dialog] .story li").count() >= 3
        surfer.page.keyboard.press("Escape")
        until(surfer.page, "!new URLSearchParams(location.search).get('explain')")
        assert surfer.wrong == []


def test_old_figures_say_so_and_the_mark_of_up_to_date_is_for_new_ones(chromium: Any, dashes: Any) -> None:
    for workspace, old in (("sample", False), ("real", True)):
        with surfing(chromium, dashes(workspace)) as surfer:
            surfer.go("/")
            until(surfer.page, "document.querySelector('#status').textContent.includes('booked')")
            banner, status = surfer.page.locator("#banner").inner_text(), surfer.page.locator("#status").inner_text()
            assert ("Old figures" in banner and "exo run" in banner) is old, banner
            assert ("up to date" in status) is not old, status


def test_a_session_is_chosen_by_the_address(chromium: Any, dashes: Any) -> None:
    place = dashes("sample")
    account = plain_ledger.Account.of(place.home)
    row = account.sessions[-8]
    with surfing(chromium, place) as surfer:
        surfer.go(f"/?session={row['session']}")
        assert number(tiles(surfer)["NAV, USD"]) == pytest.approx(row["day"]["nav"], abs=0.5)
        surfer.go("/?session=never&book=<b>nobody</b>&symbol=%00&tab=../../etc/passwd")
        assert number(tiles(surfer)["NAV, USD"]) == pytest.approx(account.nav, abs=0.5)
        assert surfer.wrong == []
