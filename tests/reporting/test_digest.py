"""What a phone shows first; and that nothing foreign in a night becomes markup, in the page, the digest or the mail."""

from __future__ import annotations

import dataclasses
import html
import re
from datetime import timedelta

import pytest
from markdown_it import MarkdownIt

from mech_exo.assembly import Workspace
from mech_exo.decision.strategy import Strategy, sector_warnings
from mech_exo.domain.orders import OrderState
from mech_exo.domain.panel import Universe
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.rows import BookId, SessionRow
from mech_exo.reporting import DailySnapshot
from mech_exo.reporting.alerts.wording import written
from mech_exo.reporting.needs import needs
from mech_exo.reporting.night_parts import Earnings
from mech_exo.reporting.query import night_report
from mech_exo.reporting.text import honest
from mech_exo.utils.alert_settings import Kind, Severity
from mech_exo.utils.settings import Config
from tests.execution.ledger_rows import BOOK, day
from tests.reporting import xss
from tests.reporting.nights import THREE, TWO, fill_ledger
from tests.reporting.test_tearsheet import parsed
from tests.scoring.markets import random_panel


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "data" / "ledger.sqlite") as ledger:
        fill_ledger(ledger)
        yield ledger


def report_of(ledger, session=None, book=BOOK):
    return night_report(ledger, book, session, Workspace(ledger.path.parent.parent, Config()))


def poisoned(value, evil):
    """Every text in a report replaced by ``evil``; dates and figures stay."""
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(value, **{field.name: poisoned(getattr(value, field.name), evil) for field in dataclasses.fields(value)})
    if isinstance(value, tuple):
        return tuple(poisoned(item, evil) for item in value)
    return evil if isinstance(value, str) else value


def whole(report):
    """With something in every part that could hold foreign text."""
    coming = dataclasses.replace(report.upcoming, earnings=(Earnings("AAA", THREE, "x"),))
    return dataclasses.replace(report, upcoming=coming)


def test_the_verdict_and_what_needs_me_come_first(ledger):
    lines = [line for line in DailySnapshot(report_of(ledger)).markdown().splitlines() if line]
    assert lines[0] == "# 2024-01-03: paper/default"
    assert lines[1].startswith("Active: day 1.00") and "the prices are invented" in lines[1]
    assert lines[2] == "Needs you:" and lines[3].startswith("- warning: planned and not handed over: AAA +10 → exo run")
    assert len(lines) < 60, "a digest is short"


def test_a_quiet_night_needs_nobody(ledger):
    report = report_of(ledger)
    quiet = dataclasses.replace(report, planned=(), limits=(), warnings=())
    unread, quiet = quiet, dataclasses.replace(quiet, quality=dataclasses.replace(quiet.quality, why=""))
    quiet, unread = (dataclasses.replace(one, upcoming=dataclasses.replace(one.upcoming, exits=())) for one in (quiet, unread))
    assert [need.text[:39] for need in needs(unread)] == ["the market data could not be read, what"], "a store nobody can read is no quiet night"
    barred = dataclasses.replace(quiet, warnings=sector_warnings(Strategy(Config()), Universe.everyone(random_panel(1, 3, 2))))
    (need,) = needs(barred)
    assert need.command == "exo data import --sectors FILE", "an account that can buy nothing is no quiet one"
    assert need.text.startswith("no sector is known, so the sector limit denies every purchase (or set position_sizing")
    assert needs(quiet) == () and "Nothing needs you." in DailySnapshot(quiet).markdown()


def test_a_digest_names_the_causes_nobody_knows(ledger):
    report = report_of(ledger)
    lost = tuple(dataclasses.replace(part, pnl=None) if part.name in ("market", "specific") else part for part in report.causes.parts)
    report = dataclasses.replace(report, causes=dataclasses.replace(report.causes, parts=lost))
    assert "- unknown: Market, Specific to the names" in DailySnapshot(report).markdown()


def test_what_is_grave_stands_before_what_is_not(ledger):
    ledger.halt("a test")
    report = report_of(ledger)
    order = report.planned[0]
    doubt = dataclasses.replace(report, planned=(order, dataclasses.replace(order, state=OrderState.UNKNOWN.value)))
    found = needs(doubt)
    assert [need.severity for need in found] == sorted((need.severity for need in found), key=["critical", "warning", "info"].index)
    assert "halted" in found[0].text and found[0].command.startswith("exo resume") and "in doubt" in found[1].text
    assert DailySnapshot(doubt).markdown().splitlines()[2].startswith("Halted:")
    assert '<p class="verdict fail">' in DailySnapshot(doubt).html()


def test_a_past_night_is_halted_only_if_it_was(ledger):
    ledger.book_session(SessionRow(BOOK, THREE, day(101_000.0, cash=101_000.0, index=1.01), ()))
    ledger.halt("today")
    assert report_of(ledger).halted and not report_of(ledger, TWO).halted


def test_accounts_are_masked_everywhere(ledger):
    book = BookId("DU1234567", "default")
    ledger.book_session(SessionRow(book, TWO, day(100.0, cash=100.0, index=1.0), ()))
    snapshot = DailySnapshot(report_of(ledger, book=book))
    for text in (snapshot.html(), snapshot.json(), snapshot.markdown()):
        assert "DU1234567" not in text and "…567/default" in text


def test_another_book_has_a_folder_of_its_own(ledger, tmp_path):
    snapshot = DailySnapshot(report_of(ledger))
    assert snapshot.write(tmp_path / "reports", aside=True).html == tmp_path / "reports" / "daily" / "paper-default" / "2024-01-03.html"
    sly = DailySnapshot(dataclasses.replace(snapshot.report, book="../../etc/x"))
    assert sly.write(tmp_path / "reports", aside=True).html.resolve().is_relative_to(tmp_path / "reports" / "daily")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    with Ledger.open(tmp_path_factory.mktemp("clean") / "data" / "ledger.sqlite") as ledger:
        fill_ledger(ledger)
        return whole(report_of(ledger))


@pytest.mark.parametrize("evil", xss.ALL, ids=range(len(xss.ALL)))
def test_foreign_text_stays_text(clean, evil):
    snapshot = DailySnapshot(poisoned(clean, evil))
    page, plain = snapshot.html(), DailySnapshot(poisoned(clean, "x")).html()
    assert parsed(page).tags == parsed(plain).tags and parsed(page).addresses == []
    assert not re.search(r"<[^>]*\son\w+\s*=", page)
    shown = html.escape(honest(evil), quote=False).strip()
    assert honest(page) == page, "nothing hides in it"
    assert shown.split("\n")[0].replace('"', "&#34;").replace("'", "&#39;").split("\r")[0] in page
    made = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(snapshot.markdown())
    assert set(parsed(made).tags) <= {"h1", "p", "ul", "li", "br"}, made[:2000]
    mail = written(Kind.EMAIL, f"digest of {TWO}", snapshot.markdown(), Severity.INFO)
    assert set(parsed(mail.page).tags) <= {"p", "b", "pre", "br"} and "\n" not in mail.title


def test_days_are_counted_from_the_night_and_not_from_today(ledger):
    report = report_of(ledger)
    assert all(age.sessions in (None, 0) for age in report.ages)
    assert report.upcoming.session.session == THREE and report.upcoming.session.closes - report.upcoming.session.opens == timedelta(hours=6.5)
