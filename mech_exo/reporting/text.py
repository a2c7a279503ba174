"""Numbers as words. Unknown (None, NaN, infinite) is the word "unknown", never a 0."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import date

UNKNOWN = "unknown"
Number = float | int | None


def known(value: Number) -> float | None:
    """``value`` as a float, None where it is unknown."""
    return float(value) if value is not None and math.isfinite(value) else None


def percent(value: Number, places: int = 2) -> str:
    """0.1234 → "12.34 %" with a space that does not break; the minus sign is typographic."""
    return _shown(value, lambda x: f"{x * 100:,.{places}f}\u00a0%")


def money(value: Number, places: int = 2) -> str:
    """1234.5 → "1,234.50"; USD is said in the heading."""
    return _shown(value, lambda x: f"{x:,.{places}f}")


def ratio(value: Number, places: int = 2) -> str:
    """A plain number with ``places`` decimals."""
    return _shown(value, lambda x: f"{x:,.{places}f}")


def whole(value: Number) -> str:
    """A count."""
    return _shown(value, lambda x: f"{x:,.0f}")


def shares(value: Number) -> str:
    """Whole shares as a count, fractions of one with the decimals it takes, at most four."""
    return _shown(value, lambda x: f"{x:,.4f}".rstrip("0").removesuffix("."))


def day(value: date | None) -> str:
    """2024-05-31, or unknown."""
    return UNKNOWN if value is None else value.isoformat()


def words(name: str) -> str:
    """``hard_stop`` → "hard stop"."""
    return name.replace("_", " ")


def once(warnings: Iterable[str]) -> tuple[str, ...]:
    """Warnings in their order, each said once; "x" gives way to "x: more"."""
    said = tuple(dict.fromkeys(warnings))
    return tuple(warning for warning in said if not any(other.startswith(f"{warning}:") for other in said))


HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control characters, and what turns the direction of writing round: never part of an honest text."""


def honest(text: str) -> str:
    """``text`` without what a reader would not see."""
    return HIDDEN.sub("", text)


def _shown(value: Number, text: Callable[[float], str]) -> str:
    if value is None or not math.isfinite(value):
        return UNKNOWN
    shown = text(value)
    if shown.startswith("-"):
        return shown[1:] if not any(digit in shown for digit in "123456789") else "−" + shown[1:]
    return shown
