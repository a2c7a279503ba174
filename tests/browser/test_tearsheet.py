"""The tear sheet in a real browser, without a network: it draws, it fits, it can be read by everybody, it prints."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from mech_exo.performance.overfitting import overfitting_report
from mech_exo.performance.trading import account_returns
from mech_exo.reporting.pdf import write_pdf
from mech_exo.reporting.tearsheet import write_tearsheet
from mech_exo.reporting.text import money, percent, ratio, whole
from mech_exo.reporting.wording import verdict_line
from tests.browser.conftest import until
from tests.conftest import IN_CI
from tests.reporting.sample import Sample
from tests.reporting.walked import Walked

EVIL = '"><img src=x onerror="document.title=1">'
FACTORS = {"market": 900.0, "momentum_12_1": 300.0, "costs": -120.5}


@pytest.fixture(scope="module")
def sample():
    return Sample(factors=FACTORS, name=EVIL)


@pytest.fixture(scope="module")
def path(sample, tmp_path_factory):
    report = overfitting_report(account_returns(sample.days), [0.1, 0.5, 0.9, -0.2])
    return write_tearsheet(sample, tmp_path_factory.mktemp("sheet") / "sheet.html", overfitting=report, walk_forward=Walked(sample))


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A young account: hardly anything is known yet."""
    return write_tearsheet(Sample(length=2, names=2), tmp_path_factory.mktemp("bare") / "bare.html", kind="Account paper")


@pytest.mark.parametrize("width", [1440, 768, 390])
def test_it_opens_offline_without_a_word_and_every_chart_is_drawn_inside_the_page(opened, path, width):
    with opened(path, width) as (page, heard):
        assert heard.errors == [] and heard.asked == []
        drawn = page.evaluate(
            "[...document.querySelectorAll('.plot')].map((plot) => [plot.id, plot.querySelectorAll('.main-svg path, .main-svg rect').length,"
            " plot.querySelector('.main-svg').getBoundingClientRect().right, plot.getBoundingClientRect().right])"
        )
        assert len(drawn) == 17
        for name, marks, right, edge in drawn:
            assert marks > 3, name
            assert right <= edge + 1 <= width, name
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1440, 390])
def test_a_young_account_fits_too(opened, bare, width):
    with opened(bare, width) as (page, heard):
        assert heard.errors == [] and page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_by_text("No closed trade yet.").count() == 3


def test_the_sections_stand_in_their_order_and_the_evidence_first(opened, path):
    with opened(path, 1440, charts=False) as (page, _):
        tops = page.evaluate("[...document.querySelectorAll('main > section[id]')].map((one) => [one.id, one.getBoundingClientRect().top])")
        assert [name for name, _ in tops] == ["kpi", "out-of-sample", "overfitting", "returns", "drawdowns", "exposure", "risk", "costs", "trades",
                                              "attribution", "figures", "run"]  # fmt: skip
        assert [top for _, top in tops] == sorted(top for _, top in tops)
        assert page.locator(".warnings").bounding_box()["y"] < page.locator("#kpi").bounding_box()["y"]
        first = page.locator("main figure").first
        assert first.locator("h3").inner_text() == "Growth, out of sample"


def test_the_numbers_seen_are_those_of_the_metrics(opened, path, sample):
    m = sample.metrics
    with opened(path, 1440, charts=False) as (page, _):
        tiles = dict(zip(page.locator(".tile span").all_inner_texts(), page.locator(".tile b").all_inner_texts(), strict=True))
        assert tiles["CAGR"].split("\n")[0].strip() == percent(m["cagr"]) and tiles["Max. drawdown"].strip() == percent(m["max_drawdown"])
        assert tiles["Sharpe"].startswith(ratio(m["sharpe"])) and tiles["Trades"].strip() == whole(m["trades"])
        figures = page.locator("#figures").inner_text()
        for shown in (money(m["final_equity"]), money(m["total_costs"]), percent(m["total_return"]), ratio(m["sortino"])):
            assert shown in figures
        assert page.locator(".verdict").inner_text() == verdict_line(sample.kpi.whole)
        said = page.locator("#out-of-sample .note, #overfitting .note, #kpi .note").all_inner_texts()
        assert sum("252 sessions a year, risk-free rate" in text for text in said) == 3


def test_markup_in_the_name_is_text(opened, path):
    with opened(path, 1440, charts=False) as (page, _):
        assert page.locator("h1").inner_text() == EVIL and page.title().startswith(EVIL) and page.locator("img").count() == 0


def test_the_keyboard_reaches_the_report_the_contents_and_the_axis(opened, path):
    with opened(path, 1440) as (page, _):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
        page.get_by_role("link", name="Returns").focus()
        page.keyboard.press("Enter")
        until(page, "Math.abs(document.getElementById('returns').getBoundingClientRect().top) < 60")
        until(page, "document.querySelector('.toc [aria-current]')?.textContent === 'Returns'")
        log = page.locator("#returns button", has_text="Log")
        log.focus()
        page.keyboard.press("Enter")
        assert log.get_attribute("aria-pressed") == "true"
        assert page.evaluate("document.getElementById('returns-1').layout.yaxis.type") == "log"


@pytest.mark.parametrize("width", [1440, 390])
def test_it_breaks_no_serious_rule_of_accessibility(opened, path, width):
    from axe_playwright_python.sync_playwright import Axe

    with opened(path, width) as (page, _):
        found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found] == []


def test_motion_and_letters_follow_the_reader(chromium, path):
    context = chromium.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert page.evaluate("document.documentElement.lang") == "en"
    context.close()


def test_after_printing_the_charts_are_as_wide_as_before(opened, path):
    with opened(path, 1440) as (page, _):
        widths = "[...document.querySelectorAll('.plot .main-svg:first-child')].map((one) => Math.round(one.getBoundingClientRect().width))"
        before = page.evaluate(widths)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert set(page.evaluate(widths)) == {664, 312}
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        until(page, f"JSON.stringify({widths}) === '{str(before).replace(' ', '')}'")


@pytest.fixture(scope="module")
def printed(program, path):
    return write_pdf(path, path.with_name("sheet.pdf"))


def test_the_pdf_is_a4_numbered_and_holds_the_verdict(printed, sample):
    text = of_pdf("pdftotext", "-layout", printed, "-")
    pages = text.rstrip("\f").split("\f")
    facts = of_pdf("pdfinfo", printed)
    assert len(pages) > 2 and "A4" in facts and f"1 / {len(pages)}" in pages[0] and f"{len(pages)} / {len(pages)}" in pages[-1]
    together = " ".join(pages[0].split())
    assert " ".join(verdict_line(sample.kpi.whole).split()) in together
    for heading in ("Out of sample", "Luck and overfitting", "Turnover and costs", "Attribution", "What was run"):
        assert heading in text
    assert "Skip to the report" not in text


def test_no_heading_stands_alone_at_the_foot_of_a_page(printed):
    headings = {"Out of sample", "Luck and overfitting", "Returns", "Drawdowns and crises", "Exposure and sectors", "Risk and limits",
                "Turnover and costs", "Trades", "Attribution", "All figures", "What was run"}  # fmt: skip
    for page in of_pdf("pdftotext", "-layout", printed, "-").rstrip("\f").split("\f"):
        lines = [line.strip() for line in page.splitlines() if line.strip()]
        assert not headings & set(lines[-3:-1]), lines[-3:]


def of_pdf(tool, *words):
    if shutil.which(tool) is None:
        reason = f"{tool} reads the PDF: apt install poppler-utils"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    return subprocess.run([tool, *map(str, words)], capture_output=True, text=True, check=True).stdout
