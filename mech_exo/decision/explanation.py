"""One name's way through a night in words: what ``exo why`` tells of the journal and ``explain`` of a backtest, from one place.

``body`` is a decision as :meth:`mech_exo.decision.record.Decision.body` writes it. ``found`` is what it says about one symbol.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from mech_exo.decision.strategy import missing_warnings
from mech_exo.domain.targets import Room
from mech_exo.domain.verdict import Breach

Body = dict[str, Any]
Sectors = Callable[[], Mapping[str, str | None] | None]
FAMILIES = ("fundamental", "technical", "sentiment", "quality")
HEAD = ("Factor", "Raw", "Normalised", "Weight", "Contribution")


def number(value: float | None, digits: int = 2) -> str:
    """A figure, or "unknown"."""
    return "unknown" if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def about(symbol: str, body: Body, held: Body | None) -> Body:
    """What ``body`` says about ``symbol``, which was ``held`` so: score by factor, exclusion, target, the limits that bound on it."""
    factors = body["config"]["factors"]
    return {
        "symbol": symbol,
        "as_of": body["as_of"],
        "scheduled": body["scheduled"],
        "state": body["state"],
        "scale": body.get("scale", 1.0),
        "scored": len(body["scores"]),
        "held": held,
        "score": line_of(symbol, body["scores"]),
        "weights": {name: line["weight"] for family in FAMILIES for name, line in factors[family].items()},
        "excluded": body["excluded"].get(symbol),
        "target": line_of(symbol, body["targets"]),
        "breaches": [line for line in body["breaches"] if line["symbol"] in (symbol, None)],
        "missing_factors": body["missing_factors"],
        "adjustments": body.get("adjustments", []),
    }


def line_of(symbol: str, lines: list[Body]) -> Body | None:
    """The line of ``symbol``, None where there is none."""
    return next((line for line in lines if line["symbol"] == symbol), None)


def verdict(found: Body, body: Body, sectors: Sectors) -> str:
    """The answer in one sentence. ``sectors`` is asked only where a name was passed over in spite of its rank."""
    symbol, target = found["symbol"], found["target"]
    if found["orders"]:
        order = found["orders"][0]
        side = "bought" if order["shares"] > 0 else "sold"
        tense = "was" if str(order["state"]) == "filled" else "is to be"
        done = f"{symbol} {tense} {side}: {abs(order['shares']):,} shares, {_spoken(order['reason'])}, {_spoken(order['state'])}"
        dropped = target is None and found["held"] is not None and found["scheduled"] and str(order["reason"]) == "rebalance"
        return f"{done}{_dropped(found, body, sectors) if dropped else ''}."
    if target is not None and target["wanted"] and not target["shares"]:
        by = _spoken(target["binding"] or "sizing: " + _filtered(target))
        return f"{symbol} was wanted ({target['wanted']:,} shares) and denied by {by}."
    if found["held"] is None and target is not None and target.get("filtered"):
        return f"{symbol} was asked for ({target['asked']:,} shares) and not bought: {_filtered(target)}."
    if found["held"] is not None:
        return f"{symbol} is held ({found['held']['shares']:,} shares): {_kept(found)}."
    if found["excluded"]:
        return f"{symbol} is not bought: {found['excluded']}."
    if not found["scheduled"]:
        return f"{symbol} is not held, and the book was not decided this night."
    return f"{symbol} is not bought{_outranked(found, body, sectors)}."


def _kept(found: Body) -> str:
    if found["target"] is not None:
        return "its size is as wanted"
    return "it stays as it is" if found["scheduled"] else "the book was not decided this night"


def _dropped(found: Body, body: Body, sectors: Sectors) -> str:
    """Why a name that was held is not wanted any more."""
    return f": {found['excluded']}" if found["excluded"] else _outranked(found, body, sectors)


def _outranked(found: Body, body: Body, sectors: Sectors) -> str:
    symbol, score = found["symbol"], found["score"]
    if score is None:
        return ""
    bought = [line["symbol"] for line in body["targets"] if line["wanted"] > 0]
    worst = max((line["rank"] for line in body["scores"] if line["symbol"] in bought), default=None)
    if worst is not None and score["rank"] < worst:
        return f": rank {score['rank']} would do, but {passed_over(symbol, bought, body, sectors())}"
    last = "nobody was bought" if worst is None else f"the last one bought has rank {worst}"
    return f": rank {score['rank']} of {found['scored']}, {last}"


def passed_over(symbol: str, bought: list[str], body: Body, sectors: Mapping[str, str | None] | None) -> str:
    """Why a name whose rank would do was not among the selected ones."""
    if sectors is None:
        return "its sector is full or unknown, or its size is unknown (the store no longer holds that session)"
    own, limits, chosen = sectors.get(symbol), body["config"]["risk"]["position_sizing"], body["config"]["strategy"]["selection"]
    ruled = limits["max_sector_exposure"] is not None or chosen["max_sector_share"] < 1.0
    if own is None and ruled:
        return "its sector is unknown, and the sector limit denies what it cannot judge (exo data import --sectors FILE)"
    same = sum(sectors.get(name) == own for name in bought)
    most = max(1, math.floor(chosen["max_sector_share"] * max(chosen["top"], chosen["bottom"]) + 1e-9))
    if ruled and same >= most:
        return f"{own} is full: {same} names are chosen, {most} are allowed (selection.max_sector_share)"
    return "no size could be found: its volatility or ATR is unknown, or not one share fits"


def score_table(found: Body) -> tuple[str, tuple[tuple[str, ...], ...]] | None:
    """Title and rows (as :data:`HEAD`) of the score by factor; None without a score."""
    score = found["score"]
    if score is None:
        return None
    rows = tuple(
        (
            name,
            number(line["raw"], 4),
            number(line["normalised"], 4),
            number(found["weights"].get(name), 1),
            number(None if line["normalised"] is None else line["contribution"], 4),
        )
        for name, line in score["factors"].items()
    )
    return f"Score {score['score']:.4f} · rank {score['rank']} of {found['scored']} · coverage {score['coverage']:.0%}", rows


def story(found: Body) -> tuple[str, ...]:
    """What follows the score, a line each: size, limits, holding, orders, fills."""
    target, held = found["target"], found["held"]
    said = [*found.get("notes", ()), *_asked(found.get("asked")), *missing_warnings(found["missing_factors"])]
    said += [f"Weight of {name} × {times:g} in a {_spoken(state)} market" for name, state, times in found.get("adjustments", ())]
    if found.get("scale", 1.0) < 1.0:
        said.append(f"The drawdown governor leaves {found['scale']:.0%} of full exposure")
    said += [] if target is None else _sized(target)
    for line in found["breaches"]:
        limit, value = (math.nan if line[name] is None else line[name] for name in ("limit", "value"))
        said.append(f"  limit: {Breach.of(line['code'], line['symbol'], limit, value)}")
    if held is not None:
        said.append(
            f"Held {held['shares']:,} shares, sessions since entry: {held['sessions']}, entry {number(held['entry'])}, "
            f"mark {number(held['mark'])}, stop {_stop(held)}, target {_level(held['target'])}"
        )
    for order in found["orders"]:
        name = f"Order {order['id']}" if "id" in order else "Order"
        note = "" if order["note"] in ("", str(order["state"])) else f": {order['note']}"
        said.append(f"{name}: {order['shares']:+,} for {order['session']} ({_spoken(order['reason'])}) → {_spoken(order['state'])}{note}")
    for fill in found["fills"]:
        said.append(
            f"Fill {fill['session']}: {fill['shares']:+,} at {fill['price']:,.4f}, "
            f"commission {fill['commission']:.2f} ({_spoken(fill['reason'])})"
        )
    return tuple(said)


def _sized(target: Body) -> list[str]:
    bound = f", cut by {_spoken(target['binding'])}" if target["binding"] else ""
    weight = "unknown" if target["weight"] is None else f"{target['weight']:.1%}"
    raw = f"{target['raw']:,.2f} shares → scaled to {target['scaled']:,.2f} → " if target.get("raw") is not None else ""
    asked = f"{target['asked']:,} asked for → " if target.get("filtered") else ""
    sizes = f"{raw}{asked}{target['wanted']:,} shares wanted → {target['shares']:,} approved{bound}"
    said = [f"Size by {_spoken(target['method'])}: {sizes} ({weight} of NAV)"]
    if target.get("filtered"):
        said.append(f"  {_filtered(target)}")
    if target.get("room"):  # a journal older than it has none
        said.append(f"  {Room(**target['room'])}")
    return [*said, f"  stop {_level(target['stop'])}, profit target {_level(target['target'])}"]


FILTERS = {
    "no_trade_buffer": "what is held is near enough: the change is {value} of the size, less than {limit} (sizing.no_trade_buffer)",
    "min_position_value": "too small a position: {value} USD, less than {limit} USD (sizing.min_position_value)",
    "cost_filter": "not worth its costs: an expected gain of {value} USD against {limit} USD of costs (sizing.cost_filter)",
}


def _filtered(target: Body) -> str:
    """Why sizing wanted something else than the method asked for."""
    line = target["filtered"]
    share = line["code"] == "no_trade_buffer"
    words = (("unknown" if x is None else f"{x:.1%}" if share else f"{x:,.2f}") for x in (line["value"], line["limit"]))
    return FILTERS[line["code"]].format(value=next(words), limit=next(words))


def _asked(asked: Body | None) -> tuple[str, ...]:
    if not asked:
        return ()
    if asked["value"] is None:
        return ("The strategy did not name it, so it wants none of it.",)
    words = f"{asked['value']:,.10g} shares" if asked["unit"] == "shares" else f"a weight of {asked['value']:.4g}"
    return (f"The strategy asked for {words}.",)


def _stop(held: Body) -> str:
    reason = _spoken(held["stop_reason"])
    return reason if held["stop"] is None else f"{_level(held['stop'])} ({reason})"


def _level(value: float | None) -> str:
    """A resting level; without one nothing rests."""
    return "none" if value is None else number(value)


def _spoken(code: object) -> str:
    return str(code).replace("_", " ")
