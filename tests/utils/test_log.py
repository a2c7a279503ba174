"""The log: to stderr, masked, tracebacks included."""

from __future__ import annotations

from pathlib import Path

import pytest

from mech_exo.utils import log

SECRET = "s3cret-of-the-log-test"


def test_warnings_go_to_stderr_and_debug_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup()
    log.get("x").info("quiet")
    log.get("x").warning("loud")
    log.setup(debug=True)
    log.get("mech_exo.y").debug("chatty")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == ["WARNING mech_exo.x: loud", "DEBUG mech_exo.y: chatty"]


def test_the_file_gets_everything_from_info_masked_even_in_a_traceback(tmp_path: Path) -> None:
    log.redact(SECRET)
    path = tmp_path / "logs" / "exo.log"
    log.setup(file=path)
    try:
        raise RuntimeError(f"https://host/?token={SECRET}")
    except RuntimeError:
        log.get("x").exception("failed with %s", {"key": SECRET})
    log.get("x").info("done")
    log.setup()
    text = path.read_text()
    assert SECRET not in text
    assert text.count(log.MASK) >= 2
    assert "done" in text


def test_a_secret_inside_another_leaves_nothing_visible() -> None:
    log.redact("abcdef")
    log.redact("abcdef-and-more")
    assert log.mask("x abcdef-and-more y") == f"x {log.MASK} y"


def test_short_words_are_not_secrets() -> None:
    log.redact("")
    log.redact("the")
    assert log.mask("the end") == "the end"
