"""Who hands out arrays counts references: a lean function does not, and its caller would drop one too many with every call.

The heap is then corrupted some calls later, wherever that strikes: so the rule is kept in the source.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys

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


RARE = """
from mech_exo.backtest import EventBacktester
from mech_exo.datasource.demo import sample_market
from mech_exo.utils.settings import Config

config = Config.model_validate({"risk": {"portfolio": {"shorts": "never"}}})
panel = sample_market(seed=3, symbols=40, years=4).panel
for _ in range(4):
    assert EventBacktester(panel, config).run().sessions[0] == panel.sessions[0]
"""


def test_a_compiled_backtest_under_a_limit_that_reads_the_past_leaves_the_heap_whole() -> None:
    """In a process of its own, for a corrupted heap ends the process."""
    ran = subprocess.run([sys.executable, "-c", RARE], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
