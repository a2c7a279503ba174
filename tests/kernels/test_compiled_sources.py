"""The compile cache is keyed by the compiled sources alone; that is sound only while they read constants from nowhere else."""

from __future__ import annotations

import ast

from mech_exo.kernels import PACKAGE, compiled_sources

NAMES_ONLY = ("mech_exo.utils.settings", "mech_exo.utils.plugin_", "mech_exo.sizing.own", "mech_exo.domain")
"""Types, settings models, plug-ins and errors: used by the faces beside the rules, never inside compiled code."""


def test_compiled_files_import_constants_from_compiled_files_only() -> None:
    compiled = {
        "mech_exo." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__") for path in compiled_sources()
    }
    for path in compiled_sources():
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mech_exo"):
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                sound = node.module in compiled or node.module.startswith(NAMES_ONLY) or names <= compiled
                assert sound, f"{path} imports {node.module}: add @njit sources there or move the constant"


def test_every_decorated_file_is_in_the_key() -> None:
    keyed = set(compiled_sources())
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if any(mark in text for mark in ("@inlined", "@lean", "@njit")):
            assert path in keyed, path
