"""Numbers and warnings as words."""

from __future__ import annotations

import math

import pytest

from mech_exo.reporting.page import said
from mech_exo.reporting.text import UNKNOWN, day, honest, money, once, percent, ratio, shares, whole


@pytest.mark.parametrize("shown", [percent, money, ratio, whole, shares])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_unknown_is_a_word(shown, value):
    assert shown(value) == UNKNOWN and day(None) == UNKNOWN


def test_shares_show_the_fraction_that_is_there():
    assert [shares(value) for value in (1200, -66.0, 0.5, 66.12345, 0)] == ["1,200", "−66", "0.5", "66.1235", "0"]


def test_numbers_read_well():
    assert percent(0.12346) == "12.35\u00a0%"
    assert (percent(-0.1, 0), money(-1234.5), whole(1_000_000), ratio(0.0)) == ("−10\u00a0%", "−1,234.50", "1,000,000", "0.00")
    assert money(-0.0001) == "0.00"


def test_a_warning_is_said_once_and_the_longer_one_stays():
    said = ("synthetic sample", "sectors are backfilled", "synthetic sample: not real", "synthetic sample: not real")
    assert once(said) == ("sectors are backfilled", "synthetic sample: not real")
    assert once(()) == ()


def test_text_in_a_digest_has_no_markup_and_reads_as_it_was():
    assert said("momentum_12_1 of A & B (x)\nis 5 % #1") == "momentum_12_1 of A & B (x) is 5 % #1"
    assert said("a|b <i>*x*") == "a\\|b \\<i\\>\\*x\\*" and said("__x__") == "\\_\\_x\\_\\_"
    assert "://" not in said("see https://evil.example") and said("&amp; &") == "\\&amp; &"


def test_what_hides_in_a_text_is_not_shown():
    assert honest("A\u202eB\x1b[31m\x00C\n") == "AB[31mC\n"
