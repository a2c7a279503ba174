"""Pictures: those of the README into docs/pictures, and every page of the dashboard into build/screenshots.

    python scripts/screenshots.py [readme] [sample] [real] [empty]

``readme`` and ``sample`` show the synthetic sample market, ``real`` the panel beside the repository, ``empty`` a new workspace; all but the
first at both widths, light and dark. Without a name all of them, ``real`` only where its data are.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.browser.conftest import DRAWN, FLAGS, until  # noqa: E402
from tests.browser.surfing import PAGES, PICTURES, Served, served, surfing  # noqa: E402
from tests.browser.workspaces import kept, real_workspace, sample_workspace  # noqa: E402

SHARED = REPOSITORY.parent / "shared"
README = REPOSITORY / "docs" / "pictures"
WIDTH, HEIGHT, SHARP = 1280, 1120, 2
MOST = 250_000
"""Bytes of a picture in the repository."""
LABEL = "synthetic sample"
MARK = """label => {
  const mark = document.body.appendChild(document.createElement("div"))
  mark.textContent = label
  Object.assign(mark.style, {position: "fixed", right: "16px", bottom: "16px", padding: "6px 14px", borderRadius: "6px", zIndex: 9999,
                             background: "#1D2733", color: "#FFFFFF", font: "600 15px system-ui, sans-serif"})
}"""
"""What a picture shows is said on the picture."""


@contextmanager
def shown(name: str) -> Iterator[Served]:
    """``exo dash`` over one of the workspaces."""
    from mech_exo.utils.workspace import create

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "w"
        if name == "empty":
            create(home)
        elif name in ("sample", "readme"):
            home = kept("sample", sample_workspace).home
        else:
            home = kept("real", lambda place: real_workspace(place, lambda path: SHARED / path)).home
        with served(home, said=Path(folder) / "said.log") as server:
            yield server


def every_page(chromium: Any, name: str) -> None:
    """All pages at both widths in both themes; what a page should not have said goes to stderr."""
    with shown(name) as server:
        for width, theme in ((1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")):
            with surfing(chromium, server, width, theme) as surfer:
                for path in PAGES:
                    surfer.go(path)
                    surfer.picture(f"{name}-{path.strip('/') or 'overview'}-{width}-{theme}")
                for wrong in surfer.wrong:
                    print(f"{name} {width} {theme}: {wrong}", file=sys.stderr)


def readme(chromium: Any) -> None:
    """The first page of the dashboard and the top of a tear sheet, as sharp as a good screen shows them."""
    with shown("readme") as server:
        with surfing(chromium, server, WIDTH, device_scale_factor=SHARP) as surfer:
            surfer.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            surfer.go("/")
            _keep(surfer.page, "dashboard")
        newest = max((server.home / "reports" / "backtests").glob("*.html"), key=lambda path: path.stat().st_mtime)
        context = chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SHARP, offline=True)
        page = context.new_page()
        page.goto(newest.as_uri())
        until(page, DRAWN)
        _keep(page, "tear-sheet")
        context.close()


def _keep(page: Any, name: str) -> None:
    """What is in the window, as WebP of the best quality that is small enough."""
    from PIL import Image

    page.evaluate(MARK, LABEL)
    picture = Image.open(io.BytesIO(page.screenshot()))
    for quality in range(90, 30, -5):
        written = io.BytesIO()
        picture.save(written, "WEBP", quality=quality, method=6)
        if written.tell() <= MOST:
            README.mkdir(parents=True, exist_ok=True)
            (README / f"{name}.webp").write_bytes(written.getvalue())
            print(README / f"{name}.webp", f"{written.tell() / 1000:.0f} kB")
            return
    raise SystemExit(f"a picture must fit into {MOST:,} bytes; {name} does not at any quality worth looking at")


def main(names: list[str]) -> None:
    """Take them."""
    from playwright.sync_api import sync_playwright

    from mech_exo.reporting.pdf import browser

    with ExitStack() as keep:
        play = keep.enter_context(sync_playwright())
        chromium = play.chromium.launch(executable_path=browser(), args=list(FLAGS))
        keep.callback(chromium.close)
        for name in names:
            readme(chromium) if name == "readme" else every_page(chromium, name)
    print(PICTURES)


if __name__ == "__main__":
    main(sys.argv[1:] or ["readme", "sample", *(["real"] if SHARED.exists() else []), "empty"])
