"""The documentation as it is built: whole, without a dead link or a request to anybody, readable on a phone and in the dark, and
complete about the commands, the keys, the figures and the layers that the code has."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import numpy as np
import pytest

from tests.browser.conftest import Heard, chromium, program, until  # noqa: F401 fixtures

HERE = "http://here.invalid/"
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src", "object": "data"}
FETCHING_LINKS = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch", "manifest"}
SILENT_RELATIONS = {"canonical", "next", "prev", "alternate", "author"}
HOUSE = (  # upper rooms see lower ones: the design, written once more
    {"cli"},
    {"nightly"},
    {"assembly", "reporting"},
    {"backtest", "session"},
    {"decision"},
    {"datasource", "scoring", "sizing", "risk", "execution", "performance"},
    {"domain", "kernels", "utils"},
)
YOUNGER = {"plugins", "sample"}
"""Rooms that came after the design: what users add, and the sample market as a workspace."""
PHONE = ("index.html", *(f"{name}/index.html" for name in ("quick-start", "architecture", "statistics", "cli", "configuration", "reliability", "risk",
         "factors", "ib", "reference")))  # fmt: skip
DESK = ("index.html", "architecture/index.html", "statistics/index.html")
"""Where tables, code and pictures are widest; EXO_TEST_PAGES=all looks at every page."""
EVERY_PAGE = os.environ.get("EXO_TEST_PAGES") == "all"


@dataclass
class Built:
    """One page: what it fetches, where it links to, and the places in it that can be linked to."""

    fetched: list[str]
    links: list[str]
    anchors: set[str]
    text: str


class Reader(HTMLParser):
    """Fills a :class:`Built`."""

    def __init__(self) -> None:
        super().__init__()
        self.built = Built([], [], set(), "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.built.anchors |= {found[name] for name in ("id", "name") if name in found}
        relations = set(found.get("rel", "").split())
        if tag == "a" and "href" in found:
            self.built.links.append(found["href"])
        elif tag == "link" and relations & FETCHING_LINKS:
            self.built.fetched.append(found.get("href", ""))
        elif tag == "link":
            assert relations <= SILENT_RELATIONS, f"a relation nobody has judged: {found}"
        if tag in FETCHED and found.get(FETCHED[tag]):
            self.built.fetched.append(found[FETCHED[tag]])
        self.built.fetched += re.findall(r"url\(['\"]?([^'\")]+)", found.get("style", ""))

    def handle_data(self, data: str) -> None:
        self.built.text += data


@pytest.fixture(scope="session")
def site(tmp_path_factory, repository) -> Path:
    """The documentation: what `make docs` built of these very files, else built here by the same command."""
    built = repository / "site"
    if (built / "sitemap.xml").exists() and (built / "sitemap.xml").stat().st_mtime > newest(repository):
        return built
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    ran = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    assert ran.returncode == 0, ran.stderr[-3000:]
    return folder


def newest(repository: Path) -> float:
    """When what the documentation is made of was changed last."""
    made_of = [repository / "mkdocs.yml", repository / "pyproject.toml", *(repository / "docs").rglob("*"), *(repository / "mech_exo").rglob("*.py")]
    return max(file.stat().st_mtime for file in made_of)


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Built]:
    """Every page by its address below the site."""
    found = {}
    for file in sorted(site.rglob("*.html")):
        reader = Reader()
        reader.feed(file.read_text(encoding="utf-8"))
        found[file.relative_to(site).as_posix()] = reader.built
    return found


@pytest.fixture(scope="session")
def hooks(repository: Path) -> dict[str, ModuleType]:
    """The modules that write pages, by name."""
    loaded = {}
    for file in sorted((repository / "docs").glob("hooks*.py")):
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        loaded[file.stem] = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded[file.stem])
    return loaded


def address(page: str) -> str:
    return HERE + page.removesuffix("index.html")


def test_no_page_fetches_anything_from_elsewhere(site, pages):
    assert len(pages) > 30
    for page, built in pages.items():
        for one in built.fetched:
            if one.startswith("data:"):
                continue
            target = urljoin(address(page), one)
            assert target.startswith(HERE), f"{page} fetches {one}"
            if page != "404.html":
                assert (site / urlsplit(target).path.lstrip("/")).exists(), f"{page} fetches {one}, which is not there"
    for sheet in site.rglob("*.css"):
        for one in re.findall(r"(?:url\(|@import )\s*['\"]?([^'\")\s]+)", sheet.read_text(encoding="utf-8")):
            assert one.startswith(("data:", "#")) or not urlsplit(one).netloc, f"{sheet.name} fetches {one}"


def test_every_link_inside_leads_to_a_page_and_a_place_in_it(site, pages):
    dead, checked = [], 0
    for page, built in pages.items():
        if page == "404.html":  # served at any address, so its links begin at the root
            continue
        for link in built.links:
            target, fragment = urldefrag(urljoin(address(page), link))
            if not target.startswith(HERE):
                continue
            path = urlsplit(target).path.lstrip("/")
            file = unquote(path + "index.html" if not path or path.endswith("/") else path)
            checked += 1
            if not (site / file).is_file():
                dead.append(f"{page}: {link}")
            elif fragment and file in pages and unquote(fragment) not in pages[file].anchors | {"__codelineno-0-1"}:
                dead.append(f"{page}: {link} has no such place")
    assert checked > 1000
    assert not dead, "\n".join(dead)


def test_every_page_of_the_folder_is_in_the_navigation(repository, site):
    import yaml

    class Loader(yaml.SafeLoader):
        """MkDocs' own tags are of no interest here."""

    Loader.add_multi_constructor("", lambda loader, suffix, node: None)
    navigation = yaml.load((repository / "mkdocs.yml").read_text(), Loader)["nav"]

    def files(node) -> Iterator[str]:
        for child in node if isinstance(node, list) else node.values():
            if isinstance(child, str):
                yield child
            else:
                yield from files(child)

    shown = list(files(navigation))
    written = {file.relative_to(repository / "docs").as_posix() for file in (repository / "docs").rglob("*.md")}
    assert written <= set(shown), "a page that nothing leads to"
    assert len(shown) == len(set(shown))


@pytest.mark.parametrize(("width", "scheme", "shown"), [(390, "dark", PHONE), (1280, "light", DESK)])
def test_pages_fit_the_screen_and_ask_nobody(chromium, site, pages, width, scheme, shown):  # noqa: F811
    """In a real browser with a network: whatever were asked of another server would be heard; no page scrolls sideways."""
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(site)))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{served.server_port}/"
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    page, heard = context.new_page(), Heard()
    context.route(lambda url: not url.startswith((base, "data:", "blob:")), lambda route: (heard.asked.append(route.request.url), route.abort()))
    page.on("console", lambda message: heard.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: heard.errors.append(str(error)))
    dark = []
    try:
        for name in sorted(set(pages) - {"404.html"}) if EVERY_PAGE else shown:
            page.goto(base + name.removesuffix("index.html"), wait_until="load")
            until(page, "document.documentElement.scrollWidth <= innerWidth")  # tables get their own scroll bar once the page's script runs
            dark.append(page.evaluate("document.body.dataset.mdColorScheme") == "slate")
    finally:
        context.close()
        served.shutdown()
        served.server_close()
    assert not heard.asked, heard.asked
    assert not heard.errors, heard.errors
    assert all(dark) if scheme == "dark" else not any(dark)


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves without telling of it."""

    def log_message(self, *_: object) -> None:
        return


def test_every_command_and_option_is_described(hooks, pages):
    from mech_exo.cli import COMMANDS, loaded

    text, names = pages["cli/index.html"], set(hooks["hooks_cli"].commands())
    assert {f"exo {command.name}" for command in COMMANDS} <= names
    assert {"exo backtest walk-forward", "exo ledger settle", "exo reconcile accept"} <= names
    for name in names:
        assert name.replace(" ", "-") in text.anchors, f"{name} has no place on the page of commands"
    run = loaded("backtest").commands["run"]
    for option in run.params:
        assert f"{option.opts[0]}" in text.text
    assert "<path>" in text.text, "a type in angle brackets was taken for HTML"


def test_every_key_has_a_sentence_and_every_number_a_range(hooks):
    """A key without a meaning, or a number without a range or a unit in words, is not documented."""
    lines = [line for line in hooks["hooks"].page().splitlines() if line.startswith("| `")]
    keys = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    described = [cells for cells in keys if len(cells) == 4]
    assert len(described) > 200
    assert not [cells[0] for cells in described if not cells[3]], "keys without a sentence"
    for name, allowed, *_ in described:
        if allowed.startswith(("a number", "a whole number")):
            assert re.search(r"above|at least|at most|below", allowed), f"{name} has no range"


def test_every_figure_of_a_report_stands_on_the_page_of_statistics(repository):
    from mech_exo.kernels.records import DAY, EVENT
    from mech_exo.performance.attribution import TRADE
    from mech_exo.performance.metrics import summary

    names = summary(np.empty(0, "datetime64[D]"), np.empty(0, DAY), np.empty(0, TRADE), events=np.empty(0, EVENT))
    text = (repository / "docs/statistics.md").read_text()
    assert len(names) > 80
    assert not [name for name in names if f"`{name}`" not in text]


def test_every_figure_of_the_contract_is_on_the_page_with_its_demand(repository):
    from mech_exo.performance import kpi

    text = (repository / "docs/statistics.md").read_text()
    table = text[text.index("## The KPI contract") : text.index("## Returns and risk")]
    demands = {kpi.MAX_DRAWDOWN: "at most 10 %", kpi.MIN_SHARPE: "above 0.6", kpi.MIN_CAGR: "above 15 %", kpi.MAX_COST_SHARE: "at most 25 %",
               kpi.MAX_TRADE_LOSS: "at most 2 %", kpi.MIN_WIN_RATE: "above 55 %"}  # fmt: skip
    assert list(demands) == [0.10, 0.6, 0.15, 0.25, 0.02, 0.55]
    for words in demands.values():
        assert words in table
    assert f"{kpi.MIN_TRADES} closed trades" in table


def test_the_picture_shows_the_house_as_it_was_designed_and_as_it_is(repository, hooks, pages):
    """The layers drawn are those of the contract, the contract's those of the design, and the code has no room besides."""
    drawn = hooks["hooks_house"].house()
    older = [set(layer) - YOUNGER for layer in drawn.layers]
    assert [layer for layer in older if layer] == list(HOUSE)
    package = repository / "mech_exo"
    rooms = {p.stem for p in package.iterdir() if (p / "__init__.py").exists() or (p.suffix == ".py" and not p.stem.startswith("_"))}
    assert rooms == {room for layer in drawn.layers for room in layer}
    level = {room: number for number, layer in enumerate(drawn.layers) for room in layer}
    named = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["ignore_imports"]
    excepted = {tuple(side.split(".")[1] for side in line.split(" -> ")) for line in named}
    odd = {(a, b) for a, b in drawn.imports if level[a] >= level[b] and level[b] < len(drawn.layers) - 1}
    assert odd <= excepted
    text = pages["architecture/index.html"].text
    assert "<!--" not in text
    for room in rooms:
        assert room in text
    assert drawn.imports["decision", "risk"] > 5, "the imports are those of the code"


def test_an_arrow_is_left_out_only_where_others_say_the_same(hooks):
    essential = hooks["hooks_house"].essential
    assert essential({("a", "b"), ("b", "c"), ("a", "c")}) == {("a", "b"), ("b", "c")}
    assert essential({("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")}) == {("a", "b"), ("b", "c"), ("c", "d")}
    assert essential({("a", "c"), ("b", "c")}) == {("a", "c"), ("b", "c")}


def test_every_file_a_page_names_exists(repository):
    """Tests that prove a line, modules where a rule stands, scripts and benches."""
    named = re.compile(r"`((?:tests|mech_exo|bench|scripts|dags|docs|notebooks)/[\w/.*-]+)`")
    texts = {page.name: page.read_text(encoding="utf-8") for page in (repository / "docs").glob("*.md")}
    found = [(page, name) for page, text in texts.items() for name in named.findall(text)]
    assert len(found) > 40
    assert not [(page, name) for page, name in found if not any(repository.glob(name.rstrip("/")))]


def test_every_test_that_a_page_calls_a_proof_exists(repository):
    text = "".join(page.read_text(encoding="utf-8") for page in (repository / "docs").glob("*.md"))
    tests = [(file.relative_to(repository).as_posix(), file.read_text(encoding="utf-8")) for file in (repository / "tests").rglob("test_*.py")]
    defined = {f"{file}::{name}" for file, source in tests for name in re.findall(r"def (test_\w+)", source)}
    named = set(re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", text))
    alone = set(re.findall(r"`(test_[a-z0-9_]+)`", text))
    assert len(named) >= 13
    assert len(alone) >= 28
    assert named <= defined
    assert alone <= {name.rpartition("::")[2] for name in defined}


def test_references_of_docstrings_are_links(pages):
    raw = [page for page, built in pages.items() if page.startswith("reference") and re.search(r":(?:func|class|data|meth|mod):", built.text)]
    assert not raw, "reStructuredText shows through"
