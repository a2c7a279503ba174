"""Draws the house from the code each time the documentation is built: which room imports which, as a picture and as a table.

The layers are those of import-linter's contract in ``pyproject.toml``, the imports those of grimp, the graph import-linter itself works
with. The picture is an SVG in the page: nothing is fetched, and it is light or dark as the page is.
"""

from __future__ import annotations

import html
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import grimp

ROOT = Path(__file__).resolve().parents[1]
DIAGRAM, MATRIX = "<!-- the import diagram -->", "<!-- who imports whom -->"
WIDTH, HIGH, GAP, EDGE = 760, 34, 40, 14
"""Of the drawing, a box, the space between two layers, and the margin, in units of the picture."""


class House(NamedTuple):
    """``layers`` of rooms, the upper first; ``imports[a, b]`` is how many modules of b's those of a import."""

    layers: tuple[tuple[str, ...], ...]
    imports: dict[tuple[str, str], int]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put picture and table where ``architecture.md`` asks for them."""
    if page.file.src_uri != "architecture.md":
        return markdown
    built = house()
    return markdown.replace(DIAGRAM, picture(built)).replace(MATRIX, matrix(built))


def house() -> House:
    """Layers from the contract, imports from the code."""
    layers = contract()
    rooms = {room for layer in layers for room in layer}
    graph = grimp.build_graph("mech_exo", cache_dir=None)
    imports: dict[tuple[str, str], int] = {}
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            pair = _room(module), _room(other)
            if pair[0] != pair[1] and set(pair) <= rooms:
                imports[pair] = imports.get(pair, 0) + 1
    return House(layers, imports)


def contract() -> tuple[tuple[str, ...], ...]:
    """The layers that ``lint-imports`` enforces, the upper first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lines = next(c["layers"] for c in contracts if c["type"] == "layers")
    return tuple(tuple(part.strip(" ()").removeprefix("mech_exo.") for part in line.split("|")) for line in lines)


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def picture(built: House) -> str:
    """An inline SVG: a row of boxes per layer, an arrow per import that no chain of other arrows says already."""
    place = {room: box for number, layer in enumerate(built.layers) for room, box in zip(layer, _row(layer, number), strict=True)}
    height = len(built.layers) * (HIGH + GAP) - GAP + 2 * EDGE
    said = "Layers of rooms, the upper import the lower: " + "; ".join(", ".join(layer) for layer in built.layers)
    lines = [
        f'<svg class="house" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(said)}" xmlns="http://www.w3.org/2000/svg">'
    ]
    lines.append('<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
                 '<path d="M0 0 8 4 0 8z"/></marker></defs>')  # fmt: skip
    down = {(a, b) for a, b in built.imports if place[a][1] < place[b][1]}
    lines += [_arrow(place[a], place[b]) for a, b in sorted(essential(down))]
    for room, (left, top, wide) in place.items():
        lines.append(f'<rect x="{left:.0f}" y="{top:.0f}" width="{wide:.0f}" height="{HIGH}" rx="5"/>')
        lines.append(f'<text x="{left + wide / 2:.0f}" y="{top + HIGH / 2 + 5:.0f}">{room}</text>')
    return "".join([*lines, "</svg>"])


def essential(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges of a graph without a circle that a longer way does not say already."""
    below: dict[str, set[str]] = {}
    for upper, lower in edges:
        below.setdefault(upper, set()).add(lower)

    def reached(room: str) -> set[str]:
        return below.get(room, set()).union(*map(reached, below.get(room, set())))

    return {(a, b) for a, b in edges if not any(b in reached(c) for c in below[a] - {b})}


def _row(layer: tuple[str, ...], number: int) -> list[tuple[float, float, float]]:
    """Left, top and width of each box of a layer."""
    wide = min(150.0, (WIDTH - 2 * EDGE - (len(layer) - 1) * 12) / len(layer))
    left = (WIDTH - len(layer) * wide - (len(layer) - 1) * 12) / 2
    top = EDGE + number * (HIGH + GAP)
    return [(left + i * (wide + 12), top, wide) for i in range(len(layer))]


def _arrow(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    x1, y1 = start[0] + start[2] / 2, start[1] + HIGH
    x2, y2 = end[0] + end[2] / 2, end[1] - 2
    middle = (y1 + y2) / 2
    way = f"M{x1:.0f} {y1:.0f}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2:.0f}"
    return f'<path class="import" marker-end="url(#tip)" d="{way}"/>'


def matrix(built: House) -> str:
    """Rooms by rooms: how many imports there are. All stands right of the diagonal, but the named exceptions, which are set in bold."""
    rooms = [room for layer in built.layers for room in layer]
    level = {room: number for number, layer in enumerate(built.layers) for room in layer}
    short = [f'<abbr title="{room}">{room[:4]}</abbr>' for room in rooms]
    lines = [f"| imports → | {' | '.join(short)} |", "|---|" + "--:|" * len(rooms)]
    for upper in rooms:
        cells = []
        for lower in rooms:
            count = built.imports.get((upper, lower), 0)
            odd = level[upper] >= level[lower] and level[lower] < len(built.layers) - 1
            cells.append("·" if upper == lower else "" if not count else f"**{count}**" if odd else str(count))
        lines.append(f"| **{upper}** | {' | '.join(cells)} |")
    return "\n".join(lines)
