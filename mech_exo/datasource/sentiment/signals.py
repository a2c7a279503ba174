"""What a headline says by the rules of the lexicon: which quantity went which way, and which words judge."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mech_exo.datasource.sentiment.text import Amount, amounts, is_number, lexicon

STOPS = frozenset((";", ".", "?", "!", ":", "but", "while", "although", "despite", "whereas", "though"))
PREPOSITIONS = frozenset(("of", "on", "in", "from", "for"))
LEADING = frozenset(("in", "of", "its", "the", "their"))
BEFORE, AFTER = 9, 4
CAP = 3.0
Kinds = frozenset[str]
NOTHING: Kinds = frozenset()
JUDGED: Kinds = frozenset(("up", "down", "positive", "negative"))
COUNTED: Kinds = frozenset(("bullish", "bearish", "fact", "flat", "hedge", "loss", "profit", "will", "question", "period"))


@dataclass(slots=True)
class Signals:
    """Counts of what the rules find in one headline, each capped at 3; ``names()`` gives their order as features."""

    good_move: float = 0.0
    bad_move: float = 0.0
    up_alone: float = 0.0
    down_alone: float = 0.0
    compared_better: float = 0.0
    compared_worse: float = 0.0
    compared_same: float = 0.0
    praise: float = 0.0
    blame: float = 0.0
    praise_denied: float = 0.0
    blame_denied: float = 0.0
    loss: float = 0.0
    profit: float = 0.0
    bullish: float = 0.0
    bearish: float = 0.0
    fact: float = 0.0
    flat: float = 0.0
    hedge: float = 0.0
    question: float = 0.0
    numbers: float = 0.0
    cashtag: float = 0.0
    quiet: float = 0.0
    quiet_long: float = 0.0
    length: float = 0.0
    net_good: float = 0.0
    net_bad: float = 0.0
    first_good: float = 0.0
    first_bad: float = 0.0
    period: float = 0.0
    will: float = 0.0


NAMES = tuple(item.name for item in fields(Signals))


def signals(words: list[str]) -> Signals:
    """The signals of one tokenised headline."""
    known = lexicon().classes
    found = Signals()
    classes = [known.get(word, NOTHING) for word in words]
    spoken = [(place, kinds) for place, kinds in enumerate(classes) if kinds]
    quantities = [place for place, kinds in spoken if "good" in kinds or "bad" in kinds]
    moves: list[tuple[int, float]] = []
    for place, kinds in spoken:
        if not kinds.isdisjoint(JUDGED):
            sign = -1.0 if any("negation" in kind for kind in classes[max(0, place - 3) : place]) else 1.0
            if "up" in kinds or "down" in kinds:
                _direction(found, words, classes, quantities, place, sign, moves)
            if "positive" in kinds:
                _judge(found, "praise", sign, moves, place)
            if "negative" in kinds:
                _judge(found, "blame", sign, moves, place)
        for name in kinds & COUNTED:
            setattr(found, name, getattr(found, name) + 1.0)
    found.numbers = float(sum(map(is_number, words)))
    found.cashtag = float(any(word[0] == "$" and len(word) > 1 for word in words))
    _compare(found, words, classes, [place for place, kinds in spoken if "connector" in kinds], moves)
    _summary(found, words, moves)
    return found


def _judge(found: Signals, name: str, sign: float, moves: list[tuple[int, float]], place: int) -> None:
    """A word that speaks alone, or its denial: "not satisfactory" is no praise."""
    told = name if sign > 0 else f"{name}_denied"
    setattr(found, told, getattr(found, told) + 1.0)
    moves.append((place, sign if name == "praise" else -sign))


def _direction(
    found: Signals, words: list[str], classes: list[Kinds], quantities: list[int], place: int, sign: float, moves: list[tuple[int, float]]
) -> None:
    direction = sign if "up" in classes[place] else -sign
    quantity = _quantity_of(words, quantities, place)
    if quantity is None:
        if direction > 0:
            found.up_alone += 1.0
        else:
            found.down_alone += 1.0
        moves.append((place, 0.5 * direction))
        return
    value = direction if "good" in classes[quantity] else -direction
    if value > 0:
        found.good_move += 1.0
    else:
        found.bad_move += 1.0
    moves.append((place, value))


def _quantity_of(words: list[str], quantities: list[int], place: int) -> int | None:
    """The quantity that moves at ``place``: one just after ("higher sales", "a rise in costs"), else the last one before in the clause."""
    for after in quantities:
        near = place < after <= place + AFTER and not any(_ends(word) for word in words[place + 1 : after])
        if near and (after - place <= 2 or words[place + 1] in LEADING):
            return after
    earlier = [at for at in quantities if place - BEFORE <= at < place and not any(word in STOPS for word in words[at + 1 : place])]
    return _head(earlier, words)


def _head(quantities: list[int], words: list[str]) -> int | None:
    """The last of the quantities, or the one it belongs to: "losses on loans" are losses."""
    last = len(quantities) - 1
    while last > 0 and quantities[last] - quantities[last - 1] <= 3 and words[quantities[last] - 1] in PREPOSITIONS:
        last -= 1
    return quantities[last] if quantities else None


def _ends(word: str) -> bool:
    return word in STOPS or word == "," or is_number(word)


def _compare(found: Signals, words: list[str], classes: list[Kinds], connectors: list[int], moves: list[tuple[int, float]]) -> None:
    """The two figures of "X was A, compared to B": is A better than B for what is measured?"""
    if not connectors:
        return
    figures = [item for item in amounts(words) if not item.bare]
    for place in connectors:
        now = [item for item in figures if place - 8 <= item.place < place]
        then = [item for item in figures if place < item.place <= place + 14]
        if not now or not then or now[-1].share != then[0].share:
            continue
        verdict = _better(words, classes, now[-1], then[0], place)
        if math.isnan(verdict):
            continue
        name = "compared_better" if verdict > 0 else "compared_worse" if verdict < 0 else "compared_same"
        setattr(found, name, getattr(found, name) + 1.0)
        moves.append((place, verdict))


def _better(words: list[str], classes: list[Kinds], now: Amount, then: Amount, place: int) -> float:
    """1, -1 or 0; NaN when what is measured is not known."""
    quantity = _head([at for at in range(now.place) if "good" in classes[at] or "bad" in classes[at]], words)
    if quantity is None:
        return float("nan")
    lost_now = "loss" in words[quantity] or "losses" in words[quantity]
    between = words[place + 1 : then.place]
    later = words[then.place : then.place + 6]
    lost_then = lost_now if not _names_result(between + later) else any("loss" in word for word in between + later)
    if lost_now or lost_then:
        first, second = (-now.value if lost_now else now.value), (-then.value if lost_then else then.value)
        return float(np.sign(first - second))
    return float(np.sign(now.value - then.value)) * (1.0 if "good" in classes[quantity] else -1.0)


def _names_result(words: list[str]) -> bool:
    return any("profit" in word or "loss" in word for word in words)


def _summary(found: Signals, words: list[str], moves: list[tuple[int, float]]) -> None:
    total = sum(value for _, value in moves)
    found.net_good, found.net_bad = float(max(total, 0.0)), float(max(-total, 0.0))
    if moves:
        first = min(moves)[1]
        found.first_good, found.first_bad = float(first > 0), float(first < 0)
    judged = bool(moves) or found.bullish + found.bearish + found.loss > 0
    found.quiet = float(not judged)
    found.quiet_long = found.quiet * float(len(words) > 12)
    found.length = min(len(words), 40) / 20.0


def features(texts: list[list[str]]) -> NDArray[np.float32]:
    """The signals of tokenised headlines as ``(len, K)``, counts capped."""
    rows = [[getattr(item, name) for name in NAMES] for item in map(signals, texts)]
    return np.minimum(np.array(rows, np.float32).reshape(len(texts), len(NAMES)), CAP)
