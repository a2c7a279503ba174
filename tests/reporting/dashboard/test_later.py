"""Answers made beside the pages: once, told when they are there, errors as errors, the one before while a newer one is made."""

from __future__ import annotations

import threading

import pytest

from mech_exo.domain.errors import InputError
from mech_exo.reporting.dashboard.later import KEPT, ask


class Still:
    """A reader whose house never changes."""

    def once(self, key, make):
        return make(None, None)

    def stamp(self):
        return "one"

    def rest(self):
        """Nothing is open."""


def until_fresh(reader, key, make, **more):
    answer = ask(reader, key, make, patience=30.0, **more)
    assert answer.fresh
    return answer.value


def test_it_is_made_once_and_not_yet_there_while_it_is_made():
    reader, gate, made = Still(), threading.Event(), []

    def make(house, ledger):
        made.append(1)
        gate.wait(30.0)
        return 42

    first = ask(reader, "key", make, patience=0.0)
    assert (first.value, first.fresh) == (None, False)
    again = ask(reader, "key", make, patience=0.0)
    assert (again.value, again.fresh) == (None, False)
    gate.set()
    assert until_fresh(reader, "key", make) == 42
    assert until_fresh(reader, "key", make) == 42
    assert made == [1]


def test_the_one_before_is_shown_while_a_newer_one_is_made():
    reader, gate = Still(), threading.Event()
    assert until_fresh(reader, "key", lambda *_: "old", stamp=1) == "old"

    def newer(house, ledger):
        gate.wait(30.0)
        return "new"

    waiting = ask(reader, "key", newer, stamp=2, patience=0.0)
    assert (waiting.value, waiting.fresh) == ("old", False)
    gate.set()
    assert until_fresh(reader, "key", newer, stamp=2) == "new"


def test_an_answer_of_an_older_stamp_is_not_told_to_be_fresh():
    reader, gate = Still(), threading.Event()

    def slow(house, ledger):
        gate.wait(30.0)
        return "of one"

    ask(reader, "key", slow, stamp=1, patience=0.0)
    gate.set()
    met = ask(reader, "key", lambda *_: "of two", stamp=2, patience=30.0)
    assert (met.value, met.fresh) in (("of one", False), ("of two", True))
    assert until_fresh(reader, "key", lambda *_: "of two", stamp=2) == "of two"


def test_an_error_is_raised_for_whoever_asks_until_something_changed():
    reader, tries = Still(), []

    def fails(house, ledger):
        tries.append(1)
        raise InputError("no")

    for _ in range(3):
        with pytest.raises(InputError):
            ask(reader, "key", fails, stamp=1, patience=30.0)
    assert tries == [1]
    assert until_fresh(reader, "key", lambda *_: 1, stamp=2) == 1


def test_what_is_kept_is_bounded():
    from mech_exo.reporting.dashboard import later

    reader = Still()
    for number in range(3 * KEPT):
        until_fresh(reader, number, lambda *_, n=number: n)
    assert len(later._by_reader[reader].made) <= KEPT
