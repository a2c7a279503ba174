"""The application round the pages: every page answers, errors are told, the condition is told, nothing here can trade."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import grimp
import plotly.graph_objects as go
import pytest

from mech_exo.datasource.demo import sample_market
from mech_exo.datasource.storage import DataStorage
from mech_exo.domain.errors import MissingDataError
from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.safety import HaltSwitch
from mech_exo.performance.figures import style
from mech_exo.reporting.dashboard import app as module
from mech_exo.reporting.dashboard import charts, metrics, server
from mech_exo.reporting.dashboard.app import create_app, shown
from mech_exo.reporting.dashboard.condition import condition
from mech_exo.reporting.dashboard.frame import status
from mech_exo.reporting.dashboard.pages import PAGES, Page, pages
from mech_exo.reporting.dashboard.parts import chart, column, empty, table, tile
from mech_exo.utils.dashboard_settings import DashboardConfig
from mech_exo.utils.workspace import create
from tests.reporting import xss
from tests.reporting.dashboard.serving import EVENING, booked_workspace, reader_of

PLACES = ("/", "/positions", "/ideas", "/orders", "/risk", "/backtests", "/factors", "/quality", "/log")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return booked_workspace(tmp_path_factory.mktemp("app") / "w")


@pytest.fixture(scope="module")
def client(home):
    return create_app(reader_of(home), DashboardConfig()).server.test_client()


def page_of(client, path, search=""):
    names = ("url.pathname", "url.search", "stamp.data", "theme.data")
    values = (path, search, "x", "light")
    inputs = [{"id": n.split(".")[0], "property": n.split(".")[1], "value": v} for n, v in zip(names, values, strict=True)]
    body = {"output": "made.data", "outputs": {"id": "made", "property": "data"}, "inputs": inputs, "changedPropIds": ["url.pathname"], "state": []}
    answer = client.post("/_dash-update-component", json=body, headers={"Origin": "http://localhost"})
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)["response"]["made"]["data"]


def test_the_menu_has_the_nine_pages_in_their_order():
    assert tuple(page.path for page in pages()) == PLACES
    assert len({page.title for page in pages()}) == len({page.icon for page in pages()}) == len(PAGES) == 9


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("search", ["", "?session=2024-01-03&symbol=AAA", "?session=nonsense&symbol=%00&book=x&tab=%3Cscript%3E"])
def test_every_page_answers_whatever_its_address_says(client, path, search):
    made = page_of(client, path, search)
    assert made["path"] == path
    text = json.dumps(made["page"])
    assert module.UNEXPECTED not in text
    assert "Traceback" not in text


def test_every_page_answers_in_an_empty_workspace(tmp_path):
    create(tmp_path / "w")
    empty_client = create_app(reader_of(tmp_path / "w"), DashboardConfig()).server.test_client()
    for path in PLACES:
        text = json.dumps(page_of(empty_client, path)["page"])
        assert module.UNEXPECTED not in text, path


def test_no_page_has_the_id_of_another_component(client):
    for path in PLACES:
        ids = re.findall(r'"id": "([^"]+)"', json.dumps(page_of(client, path)["page"]))
        assert len(ids) == len(set(ids)), path
        assert not {"url", "stamp", "theme", "page", "banner", "status", "made"} & set(ids), path


def test_an_unknown_address_is_said_to_be_none(client):
    assert client.get("/nowhere").status_code == 404
    assert "no page" in json.dumps(page_of(client, "/nowhere")["page"])


def made(error):
    def layout(_reader, _query):
        raise error

    return Page("/", "Overview", "overview", layout)


def test_what_the_operator_can_mend_is_said_with_its_remedy(home):
    said = str(shown(made(MissingDataError("bars must be stored", remedy="exo data import FILE")), reader_of(home), {}))
    assert "bars must be stored" in said and "exo data import FILE" in said


def test_what_nobody_foresaw_is_logged_and_not_shown(home, caplog):
    said = str(shown(made(ZeroDivisionError("the inner secret")), reader_of(home), {}))
    assert module.UNEXPECTED in said and "inner secret" not in said and "Traceback" not in said


# The condition


def test_all_is_well_in_the_evening_and_behind_two_sessions_later(home):
    now = condition(reader_of(home))
    assert (now.well, now.booked, now.expected, now.behind) == (True, date(2024, 1, 3), date(2024, 1, 3), 0)
    late = condition(reader_of(home, EVENING + timedelta(days=2)))
    assert (late.well, late.behind, late.expected) == (False, 2, date(2024, 1, 5))
    assert any("2 sessions are missing up to 2024-01-05" in problem.said for problem in late.problems)


@pytest.mark.parametrize("label", ["", "synthetic sample"])
def test_the_head_says_when_nothing_of_it_is_real(home, tmp_path, label):
    place = tmp_path / "w"
    shutil.copytree(home, place)
    with DataStorage(DataStorage.path_in(place)) as storage:
        storage.store_ohlc_data(sample_market(seed=1, symbols=11, years=3).panel.to_frame().drop_nulls("close"), source="file")
        if label:
            storage.set_label(label)
        storage.publish()
    now = condition(reader_of(place))
    assert now.label == label and ("synthetic" in str(status(now))) is bool(label)


def test_a_night_has_its_time_before_it_is_late(home):
    """The close of 4 January is 21:00 UTC; 60 minutes to the night and 30 for it."""
    assert condition(reader_of(home, datetime(2024, 1, 4, 22, 29, tzinfo=UTC))).behind == 0
    assert condition(reader_of(home, datetime(2024, 1, 4, 22, 30, tzinfo=UTC))).behind == 1


def test_a_halt_is_said_with_its_reason_and_the_way_out(tmp_path):
    home = booked_workspace(tmp_path / "w")
    HaltSwitch(home, clock=lambda: EVENING).halt("<b>a reason</b>")
    now = condition(reader_of(home))
    assert now.halt.halted and "<b>a reason</b>" in now.problems[0].said and now.problems[0].command.startswith("exo resume")


@pytest.mark.parametrize(
    ("breaks", "word"),
    [
        (lambda home: default_path(home).write_bytes(b"x" * 9000), "ledger"),
        (lambda home: default_path(home).unlink(), "ledger"),
        (lambda home: (home / "config" / "strategy.yml").write_text("a: ["), "workspace"),
        (lambda home: shutil.rmtree(home / "config"), "workspace"),
    ],
)
def test_whatever_is_broken_is_a_banner_with_a_command_and_no_blank_page(tmp_path, breaks, word):
    home = booked_workspace(tmp_path / "w")
    breaks(home)
    now = condition(reader_of(home))
    assert not now.readable and not now.well and word in now.problems[0].said.lower() and now.problems[0].command
    broken = create_app(reader_of(home), DashboardConfig()).server.test_client()
    assert broken.get("/healthz").status_code == 503
    assert broken.get("/metrics").status_code == 200 and "mechexo_ledger_readable 0.0" in broken.get("/metrics").text
    for path in PLACES:
        assert page_of(broken, path)["page"]


def test_health_says_what_is_booked(client):
    said = client.get("/healthz")
    assert said.status_code == 200
    assert (said.json["status"], said.json["booked"], said.json["expected"], said.json["sessions_behind"]) == ("ok", "2024-01-03", "2024-01-03", 0)


# Metrics

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (NaN|[+-]Inf|[-+0-9.e]+)')


def read(text):
    """A strict reader of the format: every sample under its own HELP and TYPE."""
    found, current = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split()[2]
        elif line.startswith("# TYPE "):
            assert line.split()[2:] in ([current, "gauge"], [current, "counter"])
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert name == current
            found[name, labels or ""] = float(value)
    return found


def test_metrics_are_the_ledgers_figures(client, home):
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8" and answer.text.endswith("\n")
    found = read(answer.text)
    with Ledger.open(default_path(home), read_only=True) as ledger:
        (book,) = ledger.books()
        nav = ledger.last_session(book).day.nav
        orders = len(ledger.orders(book, decided=date(2024, 1, 3)))
    values = {name: value for (name, _), value in found.items()}
    assert values["mechexo_nav_usd"] == nav == 101_000.0
    assert values["mechexo_sessions_behind"] == 0 and values["mechexo_halted"] == 0
    assert sum(value for (name, _), value in found.items() if name == "mechexo_orders") == orders > 0
    assert 1e7 < values["process_resident_memory_bytes"] < 1e10
    assert values["mechexo_bars_session_timestamp_seconds"] != values["mechexo_bars_session_timestamp_seconds"]  # unknown is NaN, no 0


def test_metrics_quote_whatever_stands_in_a_label():
    hostile = [text for text in xss.ALL if ("\r" not in text and text.isprintable()) or "\n" in text][:60]
    metric = metrics.Metric("m", "help\\ with\nlines", [({"a": text}, None) for text in hostile if "\r" not in text])
    lines = metrics.written([metric]).split("\n")
    assert lines[0] == "# HELP m help\\\\ with\\nlines"
    for line in lines[2:-1]:
        assert SAMPLE.fullmatch(line), line
    assert metrics.written([metrics.Metric("m", "h", [({}, float("inf")), ({}, -0.5)])]).splitlines()[2:] == ["m +Inf", "m -0.5"]


# Parts


def test_unknown_is_a_word_and_never_a_nought():
    for value in (None, "unknown"):
        assert "unknown" in str(tile("NAV", value))
    assert "'0'" not in str(tile("NAV", None))


def test_tables_take_text_as_text():
    made_ = table("t", [column("a", "A"), column("b", "B", "money")], [{"a": xss.HTML[0], "b": None}])
    grid = made_.children[0]
    assert grid.dangerously_allow_code is False
    assert grid.rowData == [{"a": xss.HTML[0], "b": None}]
    assert not any("cellRenderer" in each or "innerHTML" in str(each) for each in grid.columnDefs)


def test_a_chart_wears_the_pages_colours_and_keeps_its_zoom(client):
    figure = style.blank(300)
    figure.add_scatter(x=[1], y=[2], line={"color": style.BLUE})
    app = client.application
    with app.test_request_context(headers={"Cookie": f"{charts.COOKIE}=dark"}):
        dark = charts.dressed(figure, "page-chart")
    with app.test_request_context(headers={"Cookie": f"{charts.COOKIE}=<script>"}):
        light = charts.dressed(figure, "page-chart")
    assert dark["data"][0]["line"]["color"] == charts.DARK[style.BLUE] and light["data"][0]["line"]["color"] == style.BLUE
    assert style.INK not in json.dumps(dark["layout"]) and style.INK in json.dumps(light["layout"])
    assert dark["layout"]["uirevision"] == light["layout"]["uirevision"] == "page-chart"
    assert chart("x", go.Figure(), "what is seen")


def test_an_empty_place_says_what_to_do():
    said = str(empty("Nothing yet", "exo run\n  → exo demo"))
    assert "exo run" in said and "exo demo" in said and "→" not in said


# What it cannot do

SENDING = (
    "execution.router", "execution.ib", "execution.ib_listener", "execution.paper", "execution.broker_books", "execution.flatten",
    "execution.protection", "execution.recovery", "execution.live", "execution.valve", "session", "nightly", "assembly", "cli",
)  # fmt: skip


def test_no_page_reaches_anything_that_sends():
    """Over every import, those inside functions included; only those for type checking are left out."""
    graph = grimp.build_graph("mech_exo", exclude_type_checking_imports=True, cache_dir=None)
    reached = graph.find_upstream_modules("mech_exo.reporting.dashboard", as_package=True)
    assert "mech_exo.execution.ledger" in reached
    assert not {f"mech_exo.{name}" for name in SENDING} & reached


def test_debugging_is_off_whatever_the_environment_says(home, monkeypatch):
    for name in ("DASH_DEBUG", "FLASK_DEBUG", "DASH_UI", "DASH_HOT_RELOAD", "DASH_MCP_ENABLED", "DASH_COMPRESS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("DASH_ASSETS_EXTERNAL_PATH", "https://evil.example/")
    made_ = create_app(reader_of(home), DashboardConfig())
    assert made_.server.debug is False and not made_._dev_tools.ui
    page = made_.server.test_client().get("/").text
    assert "evil.example" not in page and "_mcp" not in " ".join(rule.rule for rule in made_.server.url_map.iter_rules())
    made_.server.debug = True
    with pytest.raises(AssertionError, match="debug"):
        server.bind(made_, "127.0.0.1", 0)


def test_a_condition_can_be_replaced_for_nobody(home):
    with pytest.raises(AttributeError):
        condition(reader_of(home)).booked = None
    assert replace(condition(reader_of(home)), booked=None).booked is None
