"""The table of a campaign of kills, for docs/reliability.md: ``python tests/faults/kill_table.py TABLE.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def markdown(told: dict[str, Any]) -> str:
    """Faults in rows, kill points in numbered columns; each cell says on how many days both happened."""
    points, cells = list(told["cells"]), told["cells"]
    faults = list(cells[points[0]])
    lines = ["| Fault | " + " | ".join(map(str, range(1, len(points) + 1))) + " | days | sent twice | fills lost |"]
    lines.append("|---" * (len(points) + 4) + "|")
    for fault in faults:
        row = [cells[point][fault] for point in points]
        lines.append(f"| {fault} | " + " | ".join(map(str, row)) + f" | {sum(row)} | {told['twice'].get(fault, 0)} | {told['lost'].get(fault, 0)} |")
    sums = [sum(cells[point].values()) for point in points]
    lines.append("| **sum** | " + " | ".join(map(str, sums)) + f" | {sum(sums)} | {sum(told['twice'].values())} | {sum(told['lost'].values())} |")
    legend = ", ".join(f"{number} {point}" for number, point in enumerate(points, 1))
    least = min(min(row.values()) for row in cells.values())
    counted = f"{sum(told['kills'].values()):,} kills on {told['days']:,} days, {told['runs']:,} processes, {told['orders']:,} orders that arrived, "
    counted += f"{told['fills']:,} fills; the cell met least was met {least} times"
    ends = ", ".join(f"{count:,} {end}" for end, count in sorted(told["ends"].items()))
    return "\n".join([counted, f"orders ended: {ends}", f"columns: {legend}", "", *lines])


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text())))
