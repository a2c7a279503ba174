"""Every command that README, docs/ and ``--help`` print is typed: the blocks of a page from top to bottom, sentences and help one by one."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mech_exo.cli import COMMANDS, examples, loaded
from tests.docs.pages import PROGRAMS, REPOSITORY, Command, Page, pages
from tests.docs.situations import gateway, nothing, situation_of
from tests.docs.stage import READER_FACTS, Ended, Stage, bring, sample_copy
from tests.docs.values import CODES, ELSEWHERE, READER, Ends

Exo = Callable[..., Any]
PAGES = {page.name: page for page in pages()}


def elsewhere(command: Command) -> bool:
    """Whether the allow-list names it."""
    return any(re.fullmatch(pattern, command.plain) for pattern in ELSEWHERE)


@functools.cache
def of_help() -> tuple[Command, ...]:
    """The examples under every command's ``--help``, and the commands its text names."""
    tree = [("exo", None), *(pair for entry in COMMANDS for pair in examples.walk(loaded(entry.name), f"exo {entry.name}"))]
    lines = [Command(f"{path} --help", 0, line, inline=False) for path, _ in tree for line in examples.EXAMPLES.get(path, ())]
    said = [(path, option.help) for path, command in tree if command for option in command.params if getattr(option, "help", None)]
    said += [(path, command.help) for path, command in tree if command and command.help]
    named = [Command(f"{path} --help", 0, code, inline=True) for path, text in said for code in re.findall(r"`(exo [^`]+)`", str(text))]
    return (*lines, *named)


SESSIONS = [page for page in PAGES.values() if any(not elsewhere(command) for command in page.session())]


@functools.cache
def single() -> dict[str, list[Command]]:
    """Every distinct command outside of sessions with the places that print it; those that a session types are typed there."""
    in_sessions = {command.text for page in SESSIONS for command in page.session()}
    found: dict[str, list[Command]] = defaultdict(list)
    for command in [*(one for page in PAGES.values() for one in page.commands() if one.inline), *of_help()]:
        if command.text not in in_sessions and not elsewhere(command):
            found[command.text].append(command)
    return dict(found)


READS = [text for text, (command, *_) in single().items() if situation_of(command.plain) is nothing]
CHANGES = [text for text in single() if text not in READS]


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """One copy of the sample workspace for all that only looks."""
    folder = tmp_path_factory.mktemp("shared") / "w"
    return folder, sample_copy(folder)


@pytest.fixture
def fresh(tmp_path: Path, exo: Exo, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A copy of its own."""
    return Stage(tmp_path / "w", exo, monkeypatch, sample_copy(tmp_path / "w"), tmp_path / "w")


def a_stage(page: Page, folder: Path, exo: Exo, patch: pytest.MonkeyPatch) -> Stage:
    """A copy of the sample workspace; for a page whose reader brings his own bars the folder that holds them, and ``demo`` if it is used."""
    yours = READER.get(page.name)
    if yours is None:
        return Stage(folder / "w", exo, patch, sample_copy(folder / "w"), folder / "w")
    bring(folder)
    demo = any("--home demo" in command.text for command in page.session())
    facts = READER_FACTS | (sample_copy(folder / "demo") if demo else {})
    return Stage(folder, exo, patch, facts, folder / yours, yours)


def judge(command: Command, ended: Ended) -> None:
    """0, or the code that the table and the page name, with what is said then; an incomplete command in a sentence only names one."""
    expected = CODES.get(command.plain)
    if (
        command.inline
        and ended.code == 2
        and re.search(r"Missing (argument|option|parameter)|requires an argument|needs at least one file|two states are compared", ended.err)
    ):
        return
    if (
        command.inline
        and ended.code == 2
        and re.fullmatch(r"(exo|python -m mech_exo\.cli)( [a-z-]+)*", command.text)
        and "Usage: exo" in ended.out + ended.err
        and "No such" not in ended.out + ended.err
    ):
        return
    if expected is None or ended.code == 0:
        assert ended.code == 0, f"{command}\nexit code {ended.code}\n{ended.out[-3000:]}\n{ended.err[-3000:]}"
        return
    assert ended.code == expected.code and re.search(expected.says, ended.out + ended.err), f"{command}\n{ended}"


def told_code(expected: Ends, command: Command, exo: Exo) -> bool:
    """Whether page or help say when it ends so."""
    words = [word for word in command.plain.split() if re.fullmatch(r"[a-z][a-z-]*", word)]
    text = exo(*words[1:3], "--help").out + exo(*words[1:2], "--help").out
    if command.page in PAGES:
        text += (REPOSITORY / command.page).read_text()
    return re.search(expected.told or rf"[Ee]xit code(?: [^.]*[ ;:(])?\s*{expected.code}\b", " ".join(text.split())) is not None


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.name)
def test_a_page_read_from_top_to_bottom_works_as_written(page: Page, tmp_path: Path, exo: Exo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What must have happened is prepared before each command; the broker's gateway runs as long as the page is read."""
    stage = a_stage(page, tmp_path, exo, monkeypatch)
    typed = [command for command in page.session() if not elsewhere(command)]
    with ExitStack() as keep:
        if any(situation_of(command.plain) is gateway for command in typed):
            keep.enter_context(gateway(stage))
        for command in typed:
            situation = situation_of(command.plain)
            with nothing(stage) if situation is gateway else situation(stage.at(command.text)):
                judge(command, stage.type(command.text))


@pytest.mark.parametrize("text", READS)
def test_a_command_that_looks_does_what_it_says(
    text: str, looked_at: tuple[Path, dict[str, str]], exo: Exo, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(single()[text][0], Stage(looked_at[0], exo, monkeypatch, looked_at[1], looked_at[0]).type(text))


@pytest.mark.parametrize("text", CHANGES)
def test_a_command_that_changes_something_works_where_it_makes_sense(text: str, fresh: Stage) -> None:
    command = single()[text][0]
    with situation_of(command.plain)(fresh):
        judge(command, fresh.type(text))


@pytest.mark.parametrize("text", sorted(CODES))
def test_a_code_that_is_not_0_is_told_to_the_reader(text: str, exo: Exo) -> None:
    printed = [command for page in PAGES.values() for command in page.commands() if command.plain == text]
    printed += [command for command in of_help() if command.plain == text]
    assert printed, f"no page prints {text!r} any more: take it off CODES"
    assert any(told_code(CODES[text], command, exo) for command in printed), (
        f"neither page nor --help says when {text!r} ends with {CODES[text].code}"
    )


@pytest.mark.parametrize("pattern", sorted(ELSEWHERE))
def test_the_allow_list_is_short_and_true(pattern: str, repository: Path) -> None:
    """Each entry has a command that is printed, a reason, and the test that executes it, or says that nobody can."""
    printed = [command.plain for page in PAGES.values() for command in page.commands()] + [command.plain for command in of_help()]
    assert any(re.fullmatch(pattern, text) for text in printed), f"no page prints {pattern!r} any more: take it off ELSEWHERE"
    entry = ELSEWHERE[pattern]
    assert len(entry.reason) > 10
    if entry.test is not None:
        file, _, name = entry.test.partition("::")
        text = (repository / file).read_text()
        assert not name or f"def {name}(" in text or f"{name}:" in text, entry.test


def test_everything_that_is_typed_is_known() -> None:
    """No program that the extractor would pass over, and nothing executed that the allow-list names."""
    programs = {command.program for page in PAGES.values() for command in page.commands()}
    assert programs <= {*PROGRAMS}
    assert len(ELSEWHERE) <= 25, "the allow-list must stay short"
