"""Passwords, waits and sessions, on a clock of the test's own."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import ConfigError, InputError
from mech_exo.reporting.dashboard import auth
from mech_exo.reporting.dashboard.auth import Access, Password, Sessions, Throttle, hashed, prefix

PASSWORD = "correct horse battery"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def stored() -> str:
    return hashed(PASSWORD)


def test_a_hash_tells_its_cost_and_nothing_of_the_password(stored):
    assert stored.startswith("scrypt$n=32768,r=8,p=1$")
    assert PASSWORD not in stored
    assert hashed(PASSWORD) != stored  # salted
    password = Password.read(stored)
    assert password.matches(PASSWORD)
    assert not password.matches(PASSWORD.upper())
    assert not password.matches("")


@pytest.mark.parametrize("wrong", ["", "hunter2", "scrypt$n=1024,r=8,p=1$", PASSWORD])
def test_what_is_no_hash_is_refused(wrong):
    with pytest.raises(ConfigError, match="scrypt hash"):
        Password.read(wrong)


@pytest.mark.parametrize(("old", "new"), [("n=32768", "n=16384"), ("n=32768", "n=40000"), ("n=32768", "n=4194304"), ("r=8", "r=1"), ("p=1", "p=0")])
def test_a_cheaper_a_broken_and_a_dearer_hash_are_refused(stored, old, new):
    with pytest.raises(ConfigError):
        Password.read(stored.replace(old, new))


@pytest.mark.parametrize("password", ["short", "x" * 201])
def test_a_password_has_a_length(password):
    with pytest.raises(InputError):
        hashed(password)


def test_passwords_and_tokens_are_compared_in_constant_time(stored, monkeypatch):
    compared = []
    monkeypatch.setattr(auth.hmac, "compare_digest", lambda a, b: (compared.append((a, b)), hmac.digest(b"k", a, "sha256") == hmac.digest(b"k", b, "sha256"))[1])
    assert Password.read(stored).matches(PASSWORD)
    access = Access(None, "token", 1.0, Clock())
    assert access.bearer("Bearer token", "10.0.0.1")
    assert not access.bearer("Bearer tokem", "10.0.0.1")
    assert [len(a) == len(b) for a, b in compared] == [True] * 3


def test_three_guesses_are_free_and_each_further_one_doubles_the_wait():
    clock = Clock()
    throttle, waits = Throttle(clock), []
    for _ in range(14):
        throttle.failed("10.0.0.1")
        waits.append(throttle.wait("10.0.0.1"))
        clock.now += throttle.wait("10.0.0.1")
    assert waits == [0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
    assert throttle.wait("10.0.0.2") == 0.0
    clock.now += auth.FORGET
    throttle.failed("10.0.0.1")
    assert throttle.wait("10.0.0.1") == 0.0  # forgotten after an hour


def test_guesses_from_everywhere_slow_everybody_but_who_knew_the_password():
    clock = Clock()
    throttle = Throttle(clock)
    throttle.passed("192.0.2.7")
    for n in range(40):
        throttle.failed(f"10.0.{n}.1")
    assert 0.0 < throttle.wait("203.0.113.1") <= auth.GLOBAL_WAIT
    assert throttle.wait("192.0.2.7") == 0.0


def test_ten_thousand_addresses_take_bounded_room():
    throttle = Throttle(Clock())
    for n in range(10_000):
        throttle.failed(f"10.{n >> 8}.{n & 255}.1")
    assert len(throttle._wrong) == auth.ADDRESSES


@given(st.lists(st.sampled_from(["fail", "pass", "rest"]), max_size=40))
def test_a_wait_is_never_longer_than_promised_and_a_right_guess_ends_it(steps):
    clock = Clock()
    throttle = Throttle(clock)
    for step in steps:
        if step == "rest":
            clock.now += 5.0
        else:
            (throttle.failed if step == "fail" else throttle.passed)("10.0.0.1")
        assert 0.0 <= throttle.wait("10.0.0.1") <= auth.LONGEST_WAIT
        assert step != "pass" or throttle.wait("10.0.0.1") == 0.0


def test_one_person_may_have_all_of_an_ipv6_network():
    assert prefix("2001:db8:1:2:3:4:5:6") == prefix("2001:db8:1:2::9") != prefix("2001:db8:1:3::9")
    assert prefix("::ffff:10.0.0.1") == "10.0.0.1"
    assert prefix("fe80::1%eth0") == prefix("fe80::2")
    assert len(prefix("x" * 500)) <= 64


def test_a_session_ends_by_time_by_logout_and_when_there_are_too_many():
    clock = Clock()
    sessions = Sessions(60.0, clock)
    token = sessions.begin()
    assert sessions.holds(token)
    assert token.encode() not in sessions._ends  # only its hash is kept
    assert not any(sessions.holds(other) for other in (None, "", token[:-1], token + "x", "\udcff"))
    clock.now += 60.0
    assert not sessions.holds(token)
    first = sessions.begin()
    sessions.end(first)
    assert not sessions.holds(first)
    oldest = sessions.begin()
    for _ in range(auth.SESSIONS):
        sessions.begin()
    assert not sessions.holds(oldest)


def test_while_one_must_wait_not_even_the_right_password_is_looked_at(stored):
    clock = Clock()
    access = Access(Password.read(stored), "", 1.0, clock)
    for _ in range(3):
        token, wait = access.enter("wrong", "10.0.0.1")
        assert token is None
    assert wait == 2.0
    assert access.enter(PASSWORD, "10.0.0.1") == (None, 2.0)
    clock.now += 2.0
    token, wait = access.enter(PASSWORD, "10.0.0.1")
    assert token is not None and access.sessions.holds(token)
