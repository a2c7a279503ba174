"""The tear sheet: true numbers, warnings first, nothing fetched, nothing unescaped, whole or not at all."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser

import pytest

from mech_exo.reporting import page
from mech_exo.reporting.tearsheet import sheet, write_tearsheet
from mech_exo.reporting.text import money, percent
from mech_exo.reporting.wording import verdict_line
from mech_exo.utils.durable import write_text
from tests.reporting.sample import Sample

EVIL = "<script>alert(1)</script>"


class Fetches(HTMLParser):
    """Collects every address a browser would fetch, and the tags in order."""

    def __init__(self):
        super().__init__()
        self.addresses, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "action", "data", "poster") and not (value or "").startswith(("data:", "#")):
                self.addresses.append(value)


def parsed(html):
    parser = Fetches()
    parser.feed(html)
    return parser


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("reports") / "new" / "sheet.html"
    assert write_tearsheet(Sample(), path) == path
    return path.read_text(encoding="utf-8")


def test_nothing_is_fetched_and_the_policy_forbids_it(written):
    assert parsed(written).addresses == []
    assert "default-src 'none'" in written
    own = written.replace(page.plotly_source(), "")
    assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org)", own)


def test_plotly_is_inlined_once(written):
    assert written.count("plotly.js v") == page.plotly_source().count("plotly.js v") >= 1
    assert written.count("Plotly.newPlot(") - page.plotly_source().count("Plotly.newPlot(") == 7


def test_warnings_stand_before_every_number_and_the_contract_before_the_charts(written):
    body = written[written.index("<body>") :]
    order = [body.index(text) for text in ("synthetic sample", "sectors are backfilled", "The KPI contract", "Charts", "All figures", "What was run")]
    assert order == sorted(order)


def test_numbers_are_those_of_the_metrics(written):
    m = Sample().metrics
    for text in (percent(m["cagr"]), percent(m["max_drawdown"]), money(m["final_equity"]), money(m["total_costs"])):
        assert text in written
    assert "252 sessions a year" in written and "risk-free rate 0.00" in written


def test_identity_and_configuration_are_there(written):
    for text in ("5f0c1e9f9f00aa11", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc", "max_single_trade_risk: 0.02"):
        assert text in written


def test_markup_in_a_symbol_a_name_or_a_warning_is_escaped(tmp_path):
    sample = Sample(length=80, names=3, symbols=(f"A{EVIL}", "B", "C"), warnings=(f"careful {EVIL}",), name=f"n{EVIL}")
    assert any(EVIL in row[0] for row in sheet(sample).winners + sheet(sample).losers)
    html = write_tearsheet(sample, tmp_path / "x.html").read_text()
    assert EVIL not in html
    assert "careful &lt;script&gt;" in html and "A&lt;script&gt;" in html
    plain = parsed(write_tearsheet(Sample(length=80, names=3), tmp_path / "y.html").read_text())
    assert parsed(html).tags.count("script") == plain.tags.count("script")


def test_unfilled_orders_are_listed_with_their_reason(written):
    assert written.count("the symbol had no bar in that session") == 8


def test_verdict_names_what_failed_and_what_is_undecided():
    line = verdict_line(Sample(length=100).kpi.whole)
    assert "demands of the KPI contract met" in line and "not enough data" in line
    assert "unknown" not in line


def test_an_account_without_trades_or_sessions_still_gets_a_page(tmp_path):
    html = write_tearsheet(Sample(length=1, names=1, symbols=("S",)), tmp_path / "one.html").read_text()
    assert "not enough data" in html and "unknown" in html
    empty = write_tearsheet(Sample(length=0, names=1), tmp_path / "none.html").read_text()
    assert "no session yet" in empty and "NaN" not in empty.replace(page.plotly_source(), "")


def test_what_cannot_be_drawn_yet_is_said_instead(written, tmp_path):
    charts = {chart.title: chart for chart in sheet(Sample(length=1, names=1, symbols=("S",))).charts}
    assert charts["Trade results"].nothing == charts["Exits"].nothing == "No closed trade yet."
    assert charts["Trailing twelve months"].nothing == "Not yet 252 sessions; 1 so far." and not charts["Exits"].html
    assert charts["Growth"].html and not charts["Growth"].nothing
    html = write_tearsheet(Sample(length=1, names=1, symbols=("S",)), tmp_path / "short.html").read_text()
    assert html.count("No closed trade yet.") == 2 and "1 session, 1 symbol<" in html
    assert "No closed trade yet." not in written


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_text(tmp_path / "a.html", "old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
