"""The tables of docs/sizing.md as numbers: what was worked out by hand there is what the tests of sizing expect."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sizing.md"


def table(heading: str) -> list[dict[str, float | list[float]]]:
    """The rows of the first table under ``### heading``: numbers by column, a list where a cell holds several; without "by hand"."""
    text = PAGE.read_text("utf-8").split(f"\n### {heading}\n")[1].split("\n### ")[0].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in text.splitlines() if line.startswith("|")]
    head, rows = lines[0], lines[2:]
    assert len(rows) > 1 and head[-1] == "by hand", heading
    return [{name: _number(cell) for name, cell in zip(head[:-1], row[:-1], strict=True)} for row in rows]


def _number(cell: str) -> float | list[float]:
    return [float(part) for part in cell.split(",")] if "," in cell else float(cell)
