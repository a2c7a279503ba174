"""The README tells the truth: its Python runs, its commands and options exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mech_exo.utils import calendar


def blocks(repository: Path, language: str) -> list[str]:
    """Fenced blocks of the README in ``language`` ("" = none named)."""
    parts = re.split(r"^```(\w*)\n", (repository / "README.md").read_text(), flags=re.MULTILINE)
    opened = list(zip(parts[1::2], parts[2::2], strict=True))[::2]  # every other fence closes
    return [text for name, text in opened if name == language]


def bars() -> pl.DataFrame:
    days = calendar.sessions(date(2023, 1, 3), date(2023, 12, 29))
    chance = np.random.default_rng(1)
    frames = []
    for symbol in ("AAA", "BBB", "CCC"):
        close = 50 * np.exp(np.cumsum(chance.normal(0, 0.01, len(days))))
        opening = close * np.exp(chance.normal(0, 0.003, len(days)))
        high, low = np.maximum(opening, close) * 1.005, np.minimum(opening, close) * 0.995
        frames.append(pl.DataFrame({"symbol": symbol, "date": days, "open": opening, "high": high, "low": low, "close": close, "volume": 1e6}))
    return pl.concat(frames)


def test_the_python_session_runs(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bars().write_parquet("bars.parquet")
    names: dict[str, Any] = {}
    exec(blocks(repository, "python")[0], names)
    result = names["result"]
    assert len(result.fills) >= 3
    assert result.equity["nav"][-1] > 0


def test_the_sizing_example_gives_what_it_says(repository: Path) -> None:
    block = blocks(repository, "python")[1]
    setup, call = block.split("\n\n")
    names: dict[str, Any] = {}
    exec(setup, names)
    said = re.search(r"^# (\d+):", call, re.MULTILINE)
    assert said is not None
    assert eval(call.splitlines()[0], names) == int(said[1])


def test_every_command_shown_exists_with_its_options(repository: Path, exo: Callable[..., Any]) -> None:
    from mech_exo.cli import COMMANDS

    lines = [shlex.split(line.split("   ")[0]) for block in blocks(repository, "") for line in block.splitlines() if line.startswith("exo ")]
    assert len(lines) >= 8
    for words in lines:
        rest = words[3:] if words[1] == "--home" else words[1:]
        assert rest[0] in {command.name for command in COMMANDS}
        group = len(rest) > 1 and "COMMAND" in exo(rest[0], "--help").out.splitlines()[0]
        told = exo(*rest[: 2 if group else 1], "--help")
        assert told.code == 0, (words, told.err)
        missing = [word for word in rest if word.startswith("--") and word not in told.out]
        assert missing == [], (words, told.out)
