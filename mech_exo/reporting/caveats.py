"""What a warning means for the reader of a number: the data's faults in plain words, the gravest first."""

from __future__ import annotations

from collections.abc import Iterable

from mech_exo.reporting.text import once
from mech_exo.reporting.view import Line

SYNTHETIC = "synthetic"
MEANINGS = (
    (SYNTHETIC, "The prices are invented. Nothing here says anything about a real market."),
    ("surviv", "Names that failed or left are missing: the past looks better than it was for anyone who lived it."),
    ("backfilled", "What is known today was used for the past: choices look better informed than they could have been."),
    ("split-adjusted", "Price levels, share counts and commissions per share before a split are not those of the day."),
    ("bars ended without a delisting", "Their true end may have been far worse than the last close."),
    ("no risk limits", "The risk rules that guard the live account did not act here."),
    ("left out of the score", "The strategy was judged without these factors; with them it would have chosen otherwise."),
    ("only reductions were allowed", "In that time the account could not buy: its return says little about the strategy then."),
)
"""A word of the warning, and what follows from it; of several the one that stands first."""


def caveats(warnings: Iterable[str]) -> tuple[Line, ...]:
    """Each warning once, with what it means where that is known; faults of the data stand before remarks."""
    lines = [Line(_sentence(warning), "", _meaning(warning)) for warning in sorted(once(warnings), key=_gravity)]
    return tuple(lines)


def is_synthetic(warnings: Iterable[str]) -> bool:
    """Whether the prices were invented."""
    return any(SYNTHETIC in warning.lower() for warning in warnings)


def _gravity(warning: str) -> int:
    """The place in MEANINGS of the word that the warning begins with: what it says later may be a reason, or a name."""
    said = warning.lower()
    found = [(said.index(word), place) for place, (word, _) in enumerate(MEANINGS) if word in said]
    return min(found, default=(0, len(MEANINGS)))[1]


def _meaning(warning: str) -> str:
    place = _gravity(warning)
    return MEANINGS[place][1] if place < len(MEANINGS) else ""


def _sentence(warning: str) -> str:
    """With a full stop; else as it was said everywhere."""
    return warning if warning.endswith((".", "!", "?")) else f"{warning}."
