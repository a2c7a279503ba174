"""A headline as tokens: words in small letters, numbers with what they count, the marks that end a clause."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

TOKEN = re.compile(r"https?://\S+|[@#$]?[a-z][a-z'&-]*[a-z]|[@#$]?[a-z]|[-+]?(?:\d[\d,]*\.?\d*|\.\d+)%?|[%?!;:.,]")
POSSESSIVE = re.compile(r"(?<=\w)\s?'s\b|'(?=\s|$)")
# "EUR 13.1 mn ( $ 17.2 mn )": the same figure again in another currency would be taken for what it is compared with.
IN_BRACKETS = re.compile(r"(?<=[\w%])\s*\(\s*[^()]*\d[^()]*\)")
QUOTES = str.maketrans({"’": "'", "–": "-", "—": " ; ", "“": " ", "”": " ", "€": " eur ", "£": " gbp "})
LONGEST_PHRASE = 4
LONGEST_TEXT = 2_000
UNITS = {
    "mn": 1e6,
    "m": 1e6,
    "mln": 1e6,
    "million": 1e6,
    "bn": 1e9,
    "b": 1e9,
    "billion": 1e9,
    "cr": 1e7,
    "crore": 1e7,
    "lakh": 1e5,
    "k": 1e3,
}
UNITS |= {"thousand": 1e3, "percent": 0.0, "%": 0.0, "pct": 0.0, "per": 0.0, "percentage": 0.0}
CURRENCIES = frozenset(
    ("eur", "euro", "euros", "usd", "rs", "inr", "gbp", "sek", "nok", "dkk", "$", "lvl", "ltl", "eek", "rub", "us$", "cents", "pence")
)
NUMBER = "<n>"


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of a headline at token ``place``: its ``value`` and what it is: ``share`` of something (percent), else an amount."""

    place: int
    value: float
    share: bool
    bare: bool


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The sections of ``lexicon.txt``: the class of each word or phrase, and the first words of the phrases."""

    sections: tuple[str, ...]
    classes: dict[str, frozenset[str]]
    openers: frozenset[str]


@cache
def lexicon() -> Lexicon:
    """The lexicon that ships with the program."""
    classes: dict[str, set[str]] = {}
    names: list[str] = []
    for line in files(__package__).joinpath("lexicon.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            names.append(line.strip("[]"))
        elif line and not line.startswith("#"):
            for word in line.split():
                classes.setdefault(word, set()).add(names[-1])
    openers = frozenset(word.split("_")[0] for word in classes if "_" in word)
    return Lexicon(tuple(names), {word: frozenset(found) for word, found in classes.items()}, openers)


def tokens(text: str) -> list[str]:
    """``text`` as tokens, phrases of the lexicon joined by underscores; numbers stay as they stand. What is no headline any more is cut."""
    text = text[:LONGEST_TEXT]
    plain = text.lower() if text.isascii() else text.translate(QUOTES).lower()
    if "(" in plain:
        plain = IN_BRACKETS.sub("", plain)
    if "'" in plain:
        plain = POSSESSIVE.sub("", plain)
    words = TOKEN.findall(plain)
    known = lexicon()
    if known.openers.isdisjoint(words):
        return words
    joined, at = [], 0
    while at < len(words):
        size = 1
        if words[at] in known.openers:
            for size in range(min(LONGEST_PHRASE, len(words) - at), 0, -1):
                if size == 1 or "_".join(words[at : at + size]) in known.classes:
                    break
        joined.append("_".join(words[at : at + size]))
        at += size
    return joined


@lru_cache(1 << 16)
def is_number(token: str) -> bool:
    """True for a number."""
    return token[-1].isdigit() or (token[-1] in "%." and len(token) > 1 and token[-2].isdigit())


def amounts(words: list[str]) -> list[Amount]:
    """The numbers among ``words`` that measure something: years and the like are left out."""
    found = []
    last = len(words) - 1
    for place, word in enumerate(words):
        if not is_number(word):
            continue
        share = word.endswith("%")
        try:
            value = float(word.rstrip("%.").replace(",", ""))
        except ValueError:
            continue
        after = words[place + 1] if place < last else ""
        bare = not share and after not in UNITS and (place == 0 or words[place - 1] not in CURRENCIES) and after not in CURRENCIES
        if after in UNITS:
            scale = UNITS[after]
            share, value = share or scale == 0.0, value * (scale or 1.0)
        if bare and 1900 <= value <= 2100 and value == int(value):
            continue
        found.append(Amount(place, value, share, bare))
    return found
