"""``exo plan`` shows what was decided, or would be, and says it where there was nothing to decide with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.session.stage import body, days, market, play

Exo = Callable[..., Any]
NIGHTS = days("2022-01-03", 1)


def test_a_past_night_is_shown_as_journaled_even_where_today_would_differ(exo: Exo, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(sample, NIGHTS)
    shown = exo("plan", "--date", NIGHTS[0], "--home", sample)
    assert shown.code == 0 and "journal differs" not in shown.out
    monkeypatch.setattr("mech_exo.decision.night.code_version", lambda: "another")
    assert json.loads(exo("plan", "--date", NIGHTS[0], "--home", sample, "--json").out) == body(sample, NIGHTS[0])
    shown = exo("plan", "--date", NIGHTS[0], "--home", sample)
    assert shown.code == 0 and "the journal differs in 1 places" in shown.out


def test_a_night_at_which_nobody_has_a_score_says_so(exo: Exo, sample: Path) -> None:
    early = market().panel.sessions[5].astype(object)
    for command in ("plan", "run"):
        shown = exo(command, "--date", early, "--home", sample)
        assert shown.code == 0 and f"nobody had a score at {early}" in shown.out and "nothing was decided" in shown.out
