"""What to hold: a target position says the end, orders are the difference to what is held."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Filtered:
    """Why sizing made something else of what the method asked for: ``code`` of the rule, and what it compared.

    ``min_position_value`` compares USD of the position, ``cost_filter`` USD of cost and expected gain, ``no_trade_buffer`` the change
    as a fraction of the size asked for. None where the value is unknown.
    """

    code: str
    limit: float | None
    value: float | None


@dataclass(frozen=True, slots=True)
class TargetPosition:
    """``shares`` (signed; whole unless fractions of a share are traded) of ``symbol``: ``weight`` of NAV, how it was sized and where its
    stop rests. ``asked`` is what the method asked for, ``filtered`` says why sizing wanted something else, ``wanted`` is the size before
    risk; ``binding`` names the limit that cut it, "" when none did.
    """

    symbol: str
    shares: float
    weight: float
    method: str
    wanted: float
    binding: str = ""
    stop_level: float | None = None
    target_level: float | None = None
    asked: float | None = None
    filtered: Filtered | None = None

    @property
    def bound(self) -> str:
        """What kept it from the size asked for: the limit that cut it, else the rule of sizing; "" when nothing did."""
        return self.binding or (self.filtered.code if self.filtered else "")
