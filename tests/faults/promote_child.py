"""A process that replaces a workspace's configuration and dies at a named step: `python promote_child.py HOME STEP ID`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mech_exo.backtest import promotion
from mech_exo.execution.ledger import Ledger, default_path, utc_now
from mech_exo.execution.trial_rows import Promotion
from mech_exo.utils import config_swap, durable

NEW = {
    "strategy.yml": b"initial_cash: 50000\n",
    "risk_limits.yml": b"stops: {hard: 0.05}\n",
    "factors.yml": b"technical: {rsi_14: {weight: 8, direction: mean_revert}}\n",
}


def count_down(target: object, name: str, calls: int) -> None:
    """Die instead of the ``calls``-th call of ``target.name`` from now on (0 = the first)."""
    known = getattr(target, name)
    left = [calls]

    def dying(*words: object, **named: object) -> object:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return known(*words, **named)

    setattr(target, name, dying)


STEPS = {
    "keeping": (Path, "write_bytes", 1),
    "kept": (config_swap, "begin", 0),
    "preparing": (Path, "write_text", 0),
    "prepared": (Path, "rename", 1),
    "decided": (config_swap, "settle", 0),
    "one moved": (Path, "replace", 1),
    "two moved": (Path, "replace", 2),
    "all moved": (promotion, "recover", 0),
    "journaling": (Ledger, "once", 0),
    "journaled": (config_swap, "clear", 0),
    "note gone": (Path, "rmdir", 0),
    "never": (durable, "remove_folder", 0),
}


def main() -> None:
    home, step, id_ = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    with Ledger.open(default_path(home)) as ledger:
        row = Promotion(id_, "run-1", "someone", utc_now(), "better", "old", "new", promotion.replaced(home, NEW))
        count_down(*STEPS[step])
        promotion.change(home, ledger, row, NEW)


if __name__ == "__main__":
    main()
