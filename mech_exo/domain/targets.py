"""What to hold: a target position says the end, orders are the difference to what is held."""

from __future__ import annotations

from dataclasses import dataclass

LIMIT_NAMES = {
    "max_single_trade_risk": "the risk per trade",
    "max_position": "the position limit",
    "max_sector_exposure": "the sector limit",
    "max_gross_exposure": "gross exposure",
    "max_net_exposure": "net exposure",
    "max_leverage": "leverage",
    "max_top_five": "the five largest",
    "unknown_sector": "the unknown sector",
    "unknown_price": "the unknown price",
    "unknown_nav": "the unknown NAV",
    "data_quality": "the doubt about its data",
    "max_drawdown": "the drawdown",
    "halted": "the HALT",
    "unknown_risk": "a risk that is unknown",
    "stale_price": "the stale price",
    "governor": "the drawdown governor",
}


@dataclass(frozen=True, slots=True)
class Room:
    """The limit that a target meets next: ``usd`` more until ``code`` binds, 0 where it binds now. ``who`` is the sector it is about."""

    code: str
    who: str | None
    usd: float

    def __str__(self) -> str:
        name = self.who or LIMIT_NAMES.get(self.code, self.code.removeprefix("max_").replace("_", " "))
        return f"${self.usd:,.0f} more before {name} binds" if self.usd > 0.0 else f"{name} binds"


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
    ``room`` says how much more the limits would allow, None where that is unknown.
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
    room: Room | None = None

    @property
    def bound(self) -> str:
        """What kept it from the size asked for: the limit that cut it, else the rule of sizing; "" when nothing did."""
        return self.binding or (self.filtered.code if self.filtered else "")
