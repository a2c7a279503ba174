"""The log: to stderr, masked, tracebacks included."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from mech_exo.utils import log

SECRET = "s3cret-of-the-log-test"


@pytest.fixture(autouse=True)
def _no_secrets_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_secrets", {})


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


def test_a_secret_of_digits_hides_no_figure() -> None:
    log.redact("24680246")
    kept = "1246802469 24680246.50 1.24680246 24,680,246 x24680246 24680246_0"
    assert log.mask(f"{kept} 24680246, (24680246). key=24680246") == f"{kept} {log.MASK}, ({log.MASK}). key={log.MASK}"


@pytest.mark.parametrize(
    ("account", "shown"),
    [("U1234567", "U…567"), ("DU1234567", "DU…567"), ("U12345", "U…345"), ("DUK123456", "DUK…456"), ("F7654321", "F…321"), ("DF123456", "DF…456")],
)
def test_an_account_is_shown_by_its_last_three_digits(account: str, shown: str) -> None:
    assert log.mask_accounts(f"<<< 15,1,{account},") == f"<<< 15,1,{shown},"
    log.redact_account(account)
    assert log.mask(f"of {account}.") == f"of {shown}."
    assert log.mask(log.mask(account)) == shown


@pytest.mark.parametrize("text", ["paper", "US0378331005", "du1234567", "U123", "FX12345678901", "2024-01-02", "mx1-0123456789abcdef01234567"])
def test_what_is_no_account_is_left_alone(text: str) -> None:
    log.redact_account(text)
    assert log.mask(log.mask_accounts(text)) == text


def test_libraries_log_masked_too_and_talk_only_in_debug(capsys: pytest.CaptureFixture[str]) -> None:
    library, other = logging.getLogger("ib_async.wrapper"), logging.getLogger("some.library")
    log.setup()
    library.info("<<< 15,1,DU7654321,")
    library.warning("Error 321, account DU7654321")
    other.warning("look at DU7654321")
    log.setup(debug=True)
    library.debug("<<< 15,1,DU7654321,")
    other.debug("chatty")
    log.setup()
    assert capsys.readouterr().err.splitlines() == [
        "WARNING ib_async.wrapper: Error 321, account DU…321",
        "WARNING some.library: look at DU…321",
        "DEBUG ib_async.wrapper: <<< 15,1,DU…321,",
    ]


def test_what_is_printed_is_masked_and_the_streams_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    log.redact(SECRET)
    out = sys.stdout
    with log.masked_output():
        print(f"account U7654321, key {SECRET}")
        print(f"account U7654321, key {SECRET}", file=sys.stderr)
        sys.stdout.writelines(["U7654321\n"])
        assert sys.stdout.encoding == out.encoding
    assert sys.stdout is out
    printed = capsys.readouterr()
    assert printed.out == f"account U…321, key {log.MASK}\nU…321\n" and printed.err == f"account U…321, key {log.MASK}\n"
