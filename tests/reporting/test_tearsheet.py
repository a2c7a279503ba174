"""The tear sheet: true numbers, warnings first, nothing fetched, nothing unescaped, whole or not at all."""

from __future__ import annotations

import itertools
import json
import os
import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mech_exo.performance.trading import exposure
from mech_exo.reporting import page
from mech_exo.reporting.caveats import caveats
from mech_exo.reporting.sections import sector_weights
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
    assert written.count('class="plot"') == written.count('type="application/json"') == 13


def test_warnings_stand_before_every_number_and_the_contract_before_the_charts(written):
    body = written[written.index("<body>") :]
    told = ("synthetic sample", "sectors are backfilled", 'id="kpi"', 'id="out-of-sample"', 'id="overfitting"', 'id="returns"', 'id="figures"')
    order = [body.index(text) for text in told]
    assert order == sorted(order)


def test_the_contents_name_every_section_in_its_order(written):
    nav = written[written.index("<nav") : written.index("</nav>")]
    body = written[written.index("</nav>") :]
    anchors = re.findall(r'href="#([a-z-]+)"', nav)
    assert anchors == re.findall(r'<section id="([a-z-]+)"', body) and len(anchors) == 12
    assert anchors[:3] == ["kpi", "out-of-sample", "overfitting"]


def test_headings_go_down_one_step_at_a_time_and_there_is_one_first(written):
    levels = [int(tag[1]) for tag in parsed(written).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_every_heading_of_a_table_says_what_it_heads(written):
    own = written[written.index("<body>") :]
    assert "<th>" not in own and own.count("<th ") == own.count('scope="col"') + own.count('scope="row"')


def test_warnings_say_what_they_mean(written):
    assert "The prices are invented." in written and "What is known today was used for the past" in written
    lines = caveats(("no risk limits: the strategy ran without them", "survivors only", "synthetic sample", "synthetic sample", "x"))
    assert [line.name for line in lines] == ["synthetic sample.", "survivors only.", "no risk limits: the strategy ran without them.", "x."]
    assert lines[-1].note == "" and "missing" in lines[1].note
    (left_out,) = caveats(("left out of the score: pe_ratio (the prices are split-adjusted by the source, so that nobody knows)",))
    assert left_out.note == "The strategy was judged without these factors; with them it would have chosen otherwise."


def test_numbers_are_those_of_the_metrics(written):
    m = Sample().metrics
    for text in (percent(m["cagr"]), percent(m["max_drawdown"]), money(m["final_equity"]), money(m["total_costs"])):
        assert text in written
    assert "252 sessions a year" in written and "risk-free rate 0.00" in written


def test_identity_and_configuration_are_there(written):
    for text in ("5f0c1e9f9f00aa11", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc", "max_single_trade_risk: 0.02"):
        assert text in written


def test_markup_in_a_symbol_a_name_or_a_warning_is_escaped(tmp_path):
    sample = Sample(length=80, names=3, symbols=(f"A{EVIL}", "B", "C"), warnings=(f"careful {EVIL}",), name=f"n{EVIL}", factors={EVIL: 1.0})
    shown = [row[0] for section in sheet(sample).sections for block in section.blocks if block.kind == "table" for row in block.rows]
    assert any(EVIL in name for name in shown)
    html = write_tearsheet(sample, tmp_path / "x.html").read_text()
    assert EVIL not in html
    assert "careful &lt;script&gt;" in html and "A&lt;script&gt;" in html
    plain = parsed(write_tearsheet(Sample(length=80, names=3, factors={"market": 1.0}), tmp_path / "y.html").read_text())
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


def charts(of):
    return {block.title: block for section in of.sections for block in section.blocks if block.kind == "chart"}


def test_what_cannot_be_drawn_yet_is_said_instead(written, tmp_path):
    drawn = charts(sheet(Sample(length=1, names=1, symbols=("S",))))
    assert drawn["Distribution"].nothing == drawn["P&L by reason of the exit"].nothing == "No closed trade yet."
    assert drawn["Trailing twelve months"].nothing == "Not yet 252 sessions; 1 so far." and not drawn["Distribution"].figure
    assert drawn["Growth"].figure and not drawn["Growth"].nothing
    html = write_tearsheet(Sample(length=1, names=1, symbols=("S",)), tmp_path / "short.html").read_text()
    assert html.count("No closed trade yet.") == 3 and "1 session, 1 symbol<" in html
    assert "No closed trade yet." not in written


def test_a_part_that_was_not_handed_in_says_what_would_fill_it(written):
    for said in ("No walk-forward belongs to this run", "This record was not compared with other trials", "has no factors to attribute to"):
        assert said in written
    lived = write_text_of(Sample(length=80, names=3), kind="Account paper")
    assert "all of it is out of sample" in lived and "No walk-forward belongs" not in lived


def write_text_of(sample, **more):
    with tempfile.TemporaryDirectory() as folder:
        return write_tearsheet(sample, Path(folder) / "x.html", **more).read_text()


def test_the_button_of_a_chart_is_one_of_the_page():
    growth = charts(sheet(Sample(length=300, names=3)))["Growth"]
    assert [name for name, _ in growth.buttons] == ["Linear", "Log"]
    assert json.loads(growth.buttons[1][1])["yaxis.type"] == "log" and "updatemenus" not in json.loads(growth.figure)["layout"]


def test_sector_weights_add_up_to_the_exposure():
    sample = Sample(length=300, names=6)
    weights = sector_weights(sample.holdings, sample.sessions)
    assert set(weights) == {"Energy", "Health Care", "Utilities", "unknown"}
    gross, _ = exposure(sample.days)
    assert sum(weights.values()) == pytest.approx(gross)


def test_sectors_that_are_all_unknown_are_not_drawn():
    sample = Sample(length=80, names=3)
    sample.holdings = sample.holdings.with_columns(pl.lit(None, pl.String).alias("sector"))
    assert charts(sheet(sample))["Exposure by sector"].nothing == "No sector of what was held is known."


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_text(tmp_path / "a.html", "old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_risk_of_the_last_book_is_what_the_model_measures():
    """The section's figures against the model on the sample's own market; the components sum to the volatility."""
    from mech_exo.reporting.risk import risk as section_of

    one = Sample()
    section = section_of(one)
    book, parts, bad = (block for block in section.blocks if block.kind == "table")
    held = one.holdings.filter(one.holdings["date"] == one.sessions[-1].astype(object))
    values = dict(zip(held["symbol"].to_list(), (held["weight"] * one.days["nav"][-1]).to_list(), strict=True))
    close = one.market.panel.close[-253:, [one.market.panel.column_of(symbol) for symbol in values]]
    pnl = (close[1:] / close[:-1] - 1.0) @ np.array(list(values.values()))
    volatility = float(np.std(pnl, ddof=1) * np.sqrt(252.0))
    figures = {row[0]: row for row in book.rows}
    assert figures["Volatility, a year"][1] == f"{volatility:,.0f}"
    assert abs(sum(float(row[1].replace(",", "").replace("\u2212", "-")) for row in parts.rows) - volatility) <= len(parts.rows)
    assert [row[0] for row in parts.rows] and {row[0] for row in parts.rows} == set(values)
    assert len(bad.rows) == 7 and "No stop is counted" in bad.note
