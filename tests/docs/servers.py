"""Commands that do not end: begun, seen to work, ended as a service manager ends them (SIGTERM: a shell may have its children ignore Ctrl-C)."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.docs.stage import Ended, Stage

PATIENCE = 120.0
ENDING = ("--once", "--check", "--set-password", "--help")
"""Options with which they end by themselves."""


def is_server(text: str) -> bool:
    """Whether ``text`` is the dashboard or the delivery of alerts."""
    words = shlex.split(text)
    return (words[:2] == ["exo", "dash"] or words[:3] == ["exo", "alert", "run"]) and not set(words) & set(ENDING)


def served(stage: Stage, said: str) -> Ended:
    """Begin it, wait until it serves, end it; how it ended."""
    words = shlex.split(said)[1:]
    return _dashboard(stage, words) if "dash" in words else _deliverer(stage, words)


def _dashboard(stage: Stage, words: list[str]) -> Ended:
    """In this process: a thread asks for the first page, keeps the status, then ends it. Without a port of its own on a free one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    words = [port if before == "--port" else word for before, word in zip(["", *words], words, strict=False)]
    words = words if "--port" in words else [*words, "--port", port]
    got: list[int] = []

    def look() -> None:
        began = time.monotonic()
        while not got and time.monotonic() - began < PATIENCE:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    got.append(answer.status)
            except urllib.error.HTTPError as refused:
                got.append(refused.code)
            except OSError:
                time.sleep(0.05)
            if ended.is_set():
                return
        os.kill(os.getpid(), signal.SIGTERM)

    ended = threading.Event()
    stage.patch.setattr("webbrowser.open", lambda *_: True)
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the server has set its own
    try:
        ran = stage.exo(*words)
    finally:
        signal.signal(signal.SIGTERM, before)
        ended.set()
        looking.join()
    return stage.ended(0 if got == [200] and ran.code in (0, 130) else ran.code or 1, ran.out, f"{ran.err}\nthe first page: {got}")


def _deliverer(stage: Stage, words: list[str]) -> Ended:
    """A process, for its threads; ended when it has said that it delivers."""
    process = subprocess.Popen([sys.executable, "-m", "mech_exo.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    watch = threading.Timer(PATIENCE, process.kill)
    watch.start()
    first = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    rest = process.communicate()[0]
    watch.cancel()
    return stage.ended(0 if first and process.returncode in (0, 130) else process.returncode or 1, first + rest, "")
