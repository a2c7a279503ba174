"""Who hands out arrays counts references: a lean function does not, and its caller would drop one too many with every call.

The heap is then corrupted some calls later, wherever that strikes: so the rule is kept in the source.
"""

from __future__ import annotations

import ast
import re

from mech_exo.kernels import compiled_sources

SCALARS = r"(int|float|bool|None|Falls|tuple\[(int|float|bool)(, (int|float|bool))*\])"
"""What a lean function may return; ``Falls`` is three floats."""


def test_no_lean_function_hands_out_an_array() -> None:
    found, looked_at = [], 0
    for path in compiled_sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            marks = {one.id for one in getattr(node, "decorator_list", []) if isinstance(one, ast.Name)}
            if isinstance(node, ast.FunctionDef) and marks & {"lean", "inlined"}:
                looked_at += 1
                if node.returns is None or not re.fullmatch(SCALARS, ast.unparse(node.returns)):
                    found.append(f"{path.name}: {node.name}")
    assert found == []
    assert looked_at > 50
