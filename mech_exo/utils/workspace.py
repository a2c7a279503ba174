"""A workspace: a folder with ``config/``, ``data/`` and ``reports/``. The templates of its configuration ship with the package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.domain.errors import UserError

if TYPE_CHECKING:
    from mech_exo.utils.templates import Overlay

TEMPLATES = (
    "strategy.yml", "risk_limits.yml", "factors.yml", "data.yml", "research.yml", "broker.yml", "alerts.yml", "dashboard.yml",
    "api_keys.yml",
)  # fmt: skip
FOLDERS = ("config", "data", "reports")
PACKAGE = Path(__file__).resolve().parents[1]


def home_folder(option: Path | None = None) -> Path:
    """The workspace: ``option`` (``--home``), else ``$EXO_HOME``, else the current folder; absolute."""
    chosen = option if option is not None else Path(os.environ.get("EXO_HOME") or ".")
    return chosen.expanduser().absolute()


def templates_folder() -> Path:
    """Where the template files are: inside an installed package, else ``config/`` of the source tree."""
    installed = PACKAGE / "templates"
    return installed if installed.is_dir() else PACKAGE.parent / "config"


def create(home: Path, *, only_missing: bool = False, overlay: Overlay | None = None) -> tuple[Path, ...]:
    """Make ``home`` a workspace and return the files written; ``only_missing`` leaves the files that exist as they are.

    ``overlay`` is the way to begin, None the defaults.

    Raises
    ------
    UserError
        A configuration file exists already (without ``only_missing``: nothing is written then), or the folder cannot be written.
    """
    targets = [home / "config" / name for name in TEMPLATES]
    present = [path for path in targets if path.exists()]
    if present and not only_missing:
        raise UserError(
            f"a new workspace must not overwrite a configuration; {present[0]} exists",
            remedy=f"choose another folder, or add only what is missing: exo init --missing {home}",
        )
    try:
        for folder in FOLDERS:
            (home / folder).mkdir(parents=True, exist_ok=True)
        written = tuple(path for path in targets if path not in present)
        for path in written:
            template = (templates_folder() / path.name).read_text("utf-8")
            path.write_text(template if overlay is None else overlay.over(path.name, template), "utf-8")
    except OSError as error:
        raise UserError(f"a workspace must be a folder that can be written; {error.filename}: {error.strerror}") from None
    return written
