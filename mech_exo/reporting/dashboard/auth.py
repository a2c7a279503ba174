"""Who may look: a password kept as its scrypt hash, sessions that live in this process alone, and growing waits after wrong guesses."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mech_exo.domain.errors import ConfigError, InputError

N, R, P = 1 << 15, 8, 1
"""scrypt's cost: 32 MB and about 0.1 s a guess."""
SALT, KEY = 16, 32
SHORTEST, LONGEST = 10, 200
STORED = re.compile(r"scrypt\$n=(\d{1,7}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/=]{16,})\$([A-Za-z0-9+/=]{32,})")
ROOM = 128 * 1024 * 1024
FREE, LONGEST_WAIT, GLOBAL_FREE, GLOBAL_WAIT, FORGET = 3, 900.0, 20, 30.0, 3600.0
ADDRESSES, SESSIONS = 4096, 64


def hashed(password: str) -> str:
    """``password`` as it is kept: ``scrypt$n=32768,r=8,p=1$salt$key``. Raises InputError for one too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        said = f"a password has {SHORTEST} to {LONGEST} characters; got {len(password)}"
        raise InputError(said, remedy="a few words are easy to remember")
    salt = secrets.token_bytes(SALT)
    key = hashlib.scrypt(password.encode(), salt=salt, n=N, r=R, p=P, maxmem=ROOM, dklen=KEY)
    return f"scrypt$n={N},r={R},p={P}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


@dataclass(frozen=True, slots=True)
class Password:
    """A password that can be compared with."""

    n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    @classmethod
    def read(cls, stored: str) -> Password:
        """``stored`` as :func:`hashed` wrote it. Raises ConfigError for what is no such hash, or cheaper than this program makes."""
        found = STORED.fullmatch(stored)
        try:
            if found is None:
                raise ValueError
            n, r, p = (int(found[place]) for place in (1, 2, 3))
            salt, key = (base64.b64decode(found[place], validate=True) for place in (4, 5))
            if n < N or n & (n - 1) or r < R or p < P or 128 * n * r * p > ROOM // 2 or len(salt) < SALT or len(key) < KEY:
                raise ValueError
        except (ValueError, binascii.Error):
            raise ConfigError(
                "dashboard_password must be a scrypt hash as this program writes it; it is something else",
                remedy="exo dash --set-password",
            ) from None
        return cls(n, r, p, salt, key)

    def matches(self, guess: str) -> bool:
        """Whether ``guess`` is the password; takes the same time wherever it differs."""
        text = guess[:LONGEST].encode("utf-8", "surrogatepass")
        key = hashlib.scrypt(text, salt=self.salt, n=self.n, r=self.r, p=self.p, maxmem=ROOM, dklen=len(self.key))
        return hmac.compare_digest(key, self.key)


class Throttle:
    """How long the next guess must wait: after three wrong ones from an address 2, 4, 8 … seconds, at most a quarter of an hour.

    After many from everywhere the whole world waits, at most half a minute, except addresses that knew the password. ``clock`` counts
    seconds and never runs backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._everywhere = (0, clock() - FORGET)
        self._known: set[str] = set()

    def wait(self, address: str) -> float:
        """Seconds until ``address`` may guess again; 0: now."""
        with self._lock:
            now, place = self._clock(), prefix(address)
            waits = [_left(self._wrong.get(place), now, FREE, LONGEST_WAIT)]
            if place not in self._known:
                waits.append(_left(self._everywhere, now, GLOBAL_FREE, GLOBAL_WAIT))
            return max(waits)

    def failed(self, address: str) -> None:
        """A wrong guess."""
        with self._lock:
            now, place = self._clock(), prefix(address)
            self._wrong[place] = _more(self._wrong.pop(place, None), now)
            self._everywhere = _more(self._everywhere, now)
            while len(self._wrong) > ADDRESSES:
                self._wrong.popitem(last=False)

    def passed(self, address: str) -> None:
        """The right one."""
        with self._lock:
            place = prefix(address)
            self._wrong.pop(place, None)
            if len(self._known) < ADDRESSES:
                self._known.add(place)


class Sessions:
    """Who is logged in: random tokens, of which only hashes are kept, each for ``seconds``. They end with the process.

    A token is 256 random bits and its hash is what is looked up, so neither a forged nor a guessed one is worth a signature.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def begin(self) -> str:
        """A new session's token. Of too many sessions the oldest ends."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._ends[_digest(token)] = self._clock() + self._seconds
            while len(self._ends) > SESSIONS:
                self._ends.popitem(last=False)
        return token

    def holds(self, token: str | None) -> bool:
        """Whether ``token`` is one of a session that has not ended."""
        with self._lock:
            ends = None if not token else self._ends.get(_digest(token))
            return ends is not None and self._clock() < ends

    def end(self, token: str | None) -> None:
        """Log out."""
        with self._lock:
            self._ends.pop(_digest(token or ""), None)


class Access:
    """What a request must show. ``password`` None: nothing; ``token`` ("" none) lets a program read ``/metrics``."""

    def __init__(self, password: Password | None, token: str, hours: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._password, self._token = password, token
        self._one_at_a_time = threading.Lock()
        self.throttle, self.sessions = Throttle(clock), Sessions(hours * 3600.0, clock)

    @property
    def locked(self) -> bool:
        """Whether a password is asked."""
        return self._password is not None

    @property
    def wants_token(self) -> bool:
        """Whether ``/metrics`` has a token of its own."""
        return bool(self._token)

    def enter(self, guess: str, address: str) -> tuple[str | None, float]:
        """The token of a new session, or None and the seconds to wait: guesses are checked one at a time, none while it must wait."""
        with self._one_at_a_time:
            wait = self.throttle.wait(address)
            if wait > 0.0:
                return None, wait
            if self._password is not None and self._password.matches(guess):
                self.throttle.passed(address)
                return self.sessions.begin(), 0.0
            self.throttle.failed(address)
            return None, self.throttle.wait(address)

    def bearer(self, header: str, address: str) -> bool:
        """Whether ``Authorization: Bearer …`` carries the token of ``/metrics``; wrong ones count as wrong guesses."""
        kind, _, given = header.partition(" ")
        if not self._token or kind.lower() != "bearer" or self.throttle.wait(address) > 0.0:
            return False
        if hmac.compare_digest(given.strip().encode("utf-8", "surrogatepass"), self._token.encode()):
            return True
        self.throttle.failed(address)
        return False


def prefix(address: str) -> str:
    """What of an address one person has: all of IPv4, the first 64 bits of IPv6."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if known.version == 6 and known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(known) if known.version == 4 else str(ipaddress.ip_network((known, 64), strict=False))


def _left(wrong: tuple[int, float] | None, now: float, free: int, longest: float) -> float:
    if wrong is None or wrong[0] < free or now - wrong[1] >= FORGET:
        return 0.0
    return max(0.0, wrong[1] + min(longest, 2.0 ** min(30, wrong[0] - free + 1)) - now)


def _more(wrong: tuple[int, float] | None, now: float) -> tuple[int, float]:
    return (1, now) if wrong is None or now - wrong[1] >= FORGET else (wrong[0] + 1, now)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
