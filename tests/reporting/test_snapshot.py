"""The night's report: every figure from the ledger, unknown said as unknown, the three files and their escaping."""

from __future__ import annotations

import json

import pytest

from mech_exo.assembly import Workspace
from mech_exo.domain.errors import InputError, MissingDataError
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId, SessionRow
from mech_exo.reporting import DailySnapshot
from mech_exo.reporting.query import choose_book, night_report
from mech_exo.reporting.snapshot import headline
from mech_exo.utils.settings import Config
from tests.execution.ledger_rows import BOOK, NAN, day, line
from tests.reporting.nights import ONE, THREE, TWO, fill_ledger
from tests.reporting.test_tearsheet import parsed


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def report_of(ledger, session=None):
    """Of a workspace in which nothing but the ledger is left."""
    return night_report(ledger, BOOK, session, Workspace(ledger.path.parent, Config()))


def used(report, name):
    return next(limit for limit in report.limits if limit.name == name)


def test_the_night_says_what_the_ledger_says(ledger):
    fill_ledger(ledger)
    report = report_of(ledger)
    assert (report.session, report.orders_for, report.book) == (TWO, THREE, "paper/default")
    assert report.money.pnl == pytest.approx(1_000.0) and report.money.day_return == pytest.approx(0.01)
    (held,) = report.holdings
    assert held.value == pytest.approx(11_011.0) and held.weight == pytest.approx(11_011 / 101_000)
    assert held.unrealised == pytest.approx(1_001.0) and held.at_risk == pytest.approx(100 * (110.11 - 95) / 101_000)
    assert [idea.symbol for idea in report.ideas] == ["AAA", "BBB"] and report.scored == 2
    assert report.excluded == (("below minimum price", 2),) and report.missing_factors[0][0] == "pe_ratio"
    assert [(order.symbol, order.state, order.decided_at) for order in report.planned] == [("AAA", "new", 110.11)]
    assert [(b.code, b.who) for b in report.withheld] == [("max_position", "AAA"), ("unknown_sector", "BBB")]
    assert (report.cuts[0].wanted, report.cuts[0].shares, report.cuts[0].by) == (500, 66, "max_position")
    assert [(e.what, e.price) for e in report.executed] == [("order", 100.1), ("no_bar", None)]
    assert report.executed[0].slippage == pytest.approx(10.0)
    assert (report.config_hash, report.code_version, report.data_hash) == ("c0ffee", "c0de", "da7a")


def test_headroom_is_the_limit_less_its_use(ledger):
    fill_ledger(ledger)
    report = report_of(ledger)
    weight = 11_011 / 101_000
    for name in ("Gross exposure", "Net exposure", "Leverage", "Single position"):
        assert used(report, name).value == pytest.approx(weight)
    assert used(report, "Single position").left == pytest.approx(0.10 - weight) and used(report, "Single position").left < 0
    assert used(report, "Drawdown").value == pytest.approx(0.0)


def test_an_unknown_sector_stop_or_price_makes_the_use_unknown(ledger):
    fill_ledger(ledger)
    assert used(report_of(ledger), "Sector").value is None
    unpriced, unstopped = line("CCC", 5.0, mark=NAN), line("DDD", 5.0, mark=10.0, stop=NAN)
    ledger.book_session(SessionRow(BOOK, THREE, day(101_000.0, index=1.01), (unpriced, unstopped)))
    report = report_of(ledger)
    assert used(report, "Gross exposure").value is None and used(report, "Gross exposure").left is None
    assert used(report, "Risk per trade").value is None
    html = DailySnapshot(report).html()
    assert html.count("unknown") > 5


def test_drawdown_is_measured_from_the_trailing_peak(ledger):
    ledger.book_session(SessionRow(BOOK, ONE, day(120_000.0, index=1.2), ()))
    ledger.book_session(SessionRow(BOOK, TWO, day(90_000.0, index=0.9), ()))
    assert report_of(ledger).drawdown == pytest.approx(0.25)
    assert report_of(ledger, ONE).drawdown == pytest.approx(0.0)


def test_a_session_without_a_decision_says_so(ledger):
    fill_ledger(ledger)
    report = report_of(ledger, ONE)
    assert not report.decided and report.scored is None and "no decision" in headline(report)
    html = DailySnapshot(report).html()
    assert "Unknown: no decision was journaled." in html and "No orders." not in html


def test_the_first_session_knows_its_opening_nav(ledger):
    figures = day(100_500.0, index=1.005, flow=0.0, price_pnl=502.0, commission=2.0)
    ledger.book_session(SessionRow(BOOK, ONE, figures, ()))
    assert report_of(ledger).money.previous_nav == pytest.approx(100_000.0)


def test_three_files_agree_and_the_same_report_gives_the_same_bytes(ledger, tmp_path):
    fill_ledger(ledger)
    snapshot = DailySnapshot(report_of(ledger))
    paths = snapshot.write(tmp_path / "reports")
    assert {paths.html, paths.json, paths.markdown} == {tmp_path / "reports" / "daily" / f"2024-01-03.{kind}" for kind in ("html", "json", "md")}
    before = [path.read_bytes() for path in (paths.html, paths.json, paths.markdown)]
    snapshot.write(tmp_path / "reports")
    assert [path.read_bytes() for path in (paths.html, paths.json, paths.markdown)] == before
    data = json.loads(before[1])
    assert data["session"] == "2024-01-03" and data["money"]["pnl"] == pytest.approx(1000.0) and data["limits"][-1]["left"] == pytest.approx(0.1)
    page, digest = before[0].decode(), before[2].decode()
    for word in ("101,000.00", "1,000.00", "AAA", "synthetic sample", "max position"):
        assert word in page and word in digest
    assert "c0ffee" in page


def test_the_page_is_small_self_contained_and_has_no_script(ledger):
    fill_ledger(ledger)
    html = DailySnapshot(report_of(ledger)).html()
    assert parsed(html).addresses == [] and "script" not in parsed(html).tags
    assert "polyline" in html and len(html) < 60_000


def test_the_book_is_chosen_or_asked_for(ledger):
    with pytest.raises(MissingDataError, match="none yet"):
        choose_book(ledger, None)
    fill_ledger(ledger)
    assert choose_book(ledger, None) == BOOK == choose_book(ledger, "paper/default")
    with pytest.raises(InputError, match="paper/default"):
        choose_book(ledger, "live/x")
    ledger.book_session(SessionRow(BookId("paper", "other"), ONE, day(), ()))
    with pytest.raises(InputError, match="got none"):
        choose_book(ledger, None)


def test_a_session_that_was_not_booked_is_an_error_with_its_command(ledger):
    with pytest.raises(MissingDataError, match="no session is booked"):
        report_of(ledger)
    fill_ledger(ledger)
    with pytest.raises(MissingDataError, match="exo run --mode paper --date 2024-01-04"):
        report_of(ledger, THREE)
