"""What to hold: a target position says the end, orders are the difference to what is held."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TargetPosition:
    """``shares`` (signed; whole unless fractions of a share are traded) of ``symbol``: ``weight`` of NAV, how it was sized and where its
    stop rests. ``wanted`` is the size before risk; ``binding`` names the limit that cut it, "" when none did.
    """

    symbol: str
    shares: float
    weight: float
    method: str
    wanted: float
    binding: str = ""
    stop_level: float | None = None
    target_level: float | None = None
