"""``exo`` and ``python -m mech_exo.cli``: the outermost edge, the only place that catches everything and prints errors."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from typer import Abort
from typer.exceptions import TyperException
from typer.main import get_command

from mech_exo.domain.errors import MechExoError

INTERRUPTED = 130
UNEXPECTED = 70
COMPLETION = "_EXO_COMPLETE"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 done · 1 failed · 2 correct the command or a file · 3 fetch or repair data · 4 ledger · 5 broker · 70 a bug · 130 interrupted.
    Messages go to stderr; a user's mistake never shows a traceback, a bug only with ``--debug`` or ``EXO_DEBUG=1``.
    """
    from mech_exo.utils.log import masked_output

    with masked_output(), _silence_of_completion():
        return _run(list(sys.argv[1:] if argv is None else argv))


@contextlib.contextmanager
def _silence_of_completion() -> Iterator[None]:
    """A shell that asks what may follow TAB gets answers on stdout and nothing on stderr, which would end up in the line being typed."""
    if not os.environ.get(COMPLETION):
        yield
        return
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def _run(words: list[str]) -> int:
    from mech_exo.cli import app

    try:
        result = get_command(app).main(args=words, prog_name="exo", standalone_mode=False)
    except MechExoError as error:
        return _say(str(error), error.exit_code)
    except TyperException as error:
        error.message = _plainly(error.message)
        show = getattr(error, "show", None)
        code = _say(error.format_message(), error.exit_code) if show is None else (show(), error.exit_code)[1]
        if not words:
            _hint()
        return code
    except (KeyboardInterrupt, Abort):
        return _say("interrupted", INTERRUPTED)
    except SystemExit as ended:  # how Typer ends completion
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Exception as error:  # noqa: BLE001 - the outermost edge
        return _unexpected(error, debug="--debug" in words or os.environ.get("EXO_DEBUG") == "1")
    if result == INTERRUPTED:  # how Typer reports Ctrl-C
        return _say("interrupted", INTERRUPTED)
    return result if isinstance(result, int) else 0


def _hint() -> None:
    """What ``exo`` alone may be followed by, here."""
    from mech_exo.cli import hints
    from mech_exo.utils.workspace import home_folder

    hints.say(hints.bare(home_folder()))


def _plainly(message: str) -> str:
    """Typer's words for a wrong date as a rule: they show strptime's codes."""
    asked = r"Value error, ('.*') does not match the formats '%Y-%m-%d'"
    return re.sub(asked, r"must be a date of the calendar like 2015-06-30; got \1", message)


def _say(message: str, code: int) -> int:
    print(f"exo: {message}", file=sys.stderr)
    return code


def _unexpected(error: Exception, *, debug: bool) -> int:
    if debug:
        _say("".join(traceback.format_exception(error)).rstrip(), UNEXPECTED)
    line = " ".join(str(error).split())[:200]
    advice = "" if debug else " (run it again with --debug for the traceback)"
    return _say(f"unexpected {type(error).__name__}: {line}; this is a bug, please report it{advice}", UNEXPECTED)


if __name__ == "__main__":
    sys.exit(main())
