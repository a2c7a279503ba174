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
class TargetPosition:
    """``shares`` (signed; whole unless fractions of a share are traded) of ``symbol``: ``weight`` of NAV, how it was sized and where its
    stop rests. ``wanted`` is the size before risk; ``binding`` names the limit that cut it, "" when none did.
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
    room: Room | None = None
