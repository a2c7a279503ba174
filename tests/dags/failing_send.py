"""One flow run whose broker fails at the send: `python failing_send.py COUNT_FILE HOME`. A line in the file for every try."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from mech_exo.domain.errors import BrokerError
from mech_exo.execution.router import OrderRouter

ROOT = Path(__file__).resolve().parents[2]


def failing(_self: OrderRouter, _session: object) -> tuple[()]:
    with Path(sys.argv[1]).open("a") as file:
        file.write("sent\n")
    raise BrokerError("the line is cut")


if __name__ == "__main__":
    OrderRouter.submit = failing
    spec = importlib.util.spec_from_file_location("nightly", ROOT / "dags" / "nightly.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.nightly(sys.argv[2], None)
