"""Pictures of every page of the dashboard into build/screenshots: both workspaces and an empty one, both widths, light and dark.

    python scripts/screenshots.py [sample] [real] [empty]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.browser.conftest import FLAGS  # noqa: E402
from tests.browser.surfing import PAGES, PICTURES, Served, served, surfing  # noqa: E402
from tests.browser.workspaces import kept, real_workspace, sample_workspace  # noqa: E402

SHARED = REPOSITORY.parent / "shared"


@contextmanager
def shown(name: str) -> Iterator[Served]:
    """``exo dash`` over one of the workspaces."""
    from mech_exo.utils.workspace import create

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "w"
        if name == "empty":
            create(home)
        elif name == "sample":
            home = kept("sample", sample_workspace).home
        else:
            home = kept("real", lambda place: real_workspace(place, lambda path: SHARED / path)).home
        with served(home, said=Path(folder) / "said.log") as server:
            yield server


def main(names: list[str]) -> None:
    """Take them."""
    from playwright.sync_api import sync_playwright

    from mech_exo.reporting.pdf import browser

    with ExitStack() as keep:
        play = keep.enter_context(sync_playwright())
        chromium = play.chromium.launch(executable_path=browser(), args=list(FLAGS))
        keep.callback(chromium.close)
        for name in names:
            with shown(name) as server:
                for width, theme in ((1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")):
                    with surfing(chromium, server, width, theme) as surfer:
                        for path in PAGES:
                            surfer.go(path)
                            surfer.picture(f"{name}-{path.strip('/') or 'overview'}-{width}-{theme}")
                        for wrong in surfer.wrong:
                            print(f"{name} {width} {theme}: {wrong}", file=sys.stderr)
    print(PICTURES)


if __name__ == "__main__":
    main(sys.argv[1:] or ["sample", "real", "empty"])
