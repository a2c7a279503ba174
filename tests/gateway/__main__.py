"""The gateway as a process: ``python -m tests.gateway --port 0 --state FILE``. It prints its two ports and serves until stdin ends.

The second port takes commands, one JSON object a line (:mod:`tests.gateway.control` writes them).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.gateway.control import ControlServer
from tests.gateway.server import FakeGateway


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m tests.gateway", description=__doc__)
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--control", type=int, default=0)
    words.add_argument("--version", type=int, default=178)
    words.add_argument("--account", default="DU1234567")
    words.add_argument("--cash", type=float, default=100_000.0)
    words.add_argument("--state", type=Path)
    asked = words.parse_args()
    with FakeGateway(asked.version, asked.account, asked.cash, asked.port, keep=asked.state) as gateway:
        control = ControlServer(gateway, asked.control)
        print(gateway.port, control.port, flush=True)
        sys.stdin.read()


main()
