"""``exo alert run`` killed at any instant of sending: nothing is lost, nothing goes again once its acknowledgement is on disk.

What may come twice, when the kill falls between the server's taking and our note, is marked "(repeated)". ``EXO_TEST_KILLS=200`` makes the
long campaign (``make faults``).
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from mech_exo.reporting.alerts.store import DeliveryStore, default_path
from tests.reporting.alerts.homes import alerts, home, post
from tests.reporting.alerts.servers import World

KILLS = int(os.environ.get("EXO_TEST_KILLS", "4"))
ALERT = re.compile(r"(\(repeated\) )?(?:CRITICAL: )?Alert (a\d+-\d+)\.")
MORE = re.compile(r"… and (\d+) more\. All of them")
CHANNELS = ("slack", "telegram", "mail")
PATIENCE = 180.0


class Campaign:
    """One workspace, killed again and again."""

    def __init__(self, servers: World, place: Path) -> None:
        self.servers, self.place = servers, place
        self.sources = {"slack": servers.slack, "telegram": servers.telegram, "mail": servers.mail}

    def texts(self, channel: str) -> list[str]:
        return list(self.sources[channel].texts)

    def start(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "mech_exo.cli", "alert", "run", "--home", str(self.place)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def acknowledged(self) -> set[tuple[str, str]]:
        with DeliveryStore(default_path(self.place)) as store:
            return {(row.channel, row.id) for row in store.listed(100_000) if row.state == "delivered"}

    def waiting(self) -> int:
        with DeliveryStore(default_path(self.place)) as store:
            return sum(sum(counts.values()) for counts in store.waiting().values())

    def killed(self, chance: random.Random) -> str:
        """One process that dies: when a server has a message in hand, or some milliseconds after it said yes; every third time a digest."""
        singly = chance.choice([3, 100, 100])
        file = self.place / "config" / "alerts.yml"
        file.write_text(re.sub(r"single_messages: \d+", f"single_messages: {singly}", file.read_text()))
        channel, number, later = chance.choice(CHANNELS), chance.randint(1, 4), chance.choice([None, 0.0, 0.001, 0.003, 0.01, 0.03])
        number = number if singly == 100 else 1
        armed, dead = threading.Event(), threading.Event()
        left = [number]
        process: list[subprocess.Popen[str]] = []

        def die() -> None:
            process[0].send_signal(signal.SIGKILL)
            process[0].wait()
            dead.set()

        def taken(_: object) -> None:
            armed.wait()
            left[0] -= 1
            if left[0] == 0:
                if later is None:
                    die()
                else:
                    threading.Timer(later, die).start()

        self.sources[channel].after = taken
        process.append(self.start())
        armed.set()
        if not dead.wait(PATIENCE):
            die()
            raise AssertionError(f"{channel} was never told {number} messages: {process[0].communicate()}")
        process[0].communicate()
        self.sources[channel].after = lambda _: None
        return f"{channel} {'in hand' if later is None else 'after'}"

    def until_told(self) -> None:
        process = self.start()
        end = time.monotonic() + PATIENCE
        while self.waiting() and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, self.waiting()) == (0, 0), err


def test_killed_while_sending_nothing_is_lost_and_nothing_told_again(servers: World, tmp_path: Path) -> None:
    place = home(tmp_path / "w", servers.mail.port, flood={"single_messages": 100})
    campaign, posted = Campaign(servers, place), set()
    known: list[tuple[set[tuple[str, str]], dict[str, int]]] = []
    met: Counter[str] = Counter()
    for kill in range(KILLS):
        chance = random.Random(kill)
        rows = alerts(chance.randint(4, 14), chance.choice(["info", "critical"]), f"a{kill}")
        post(place, rows)
        posted |= {row.id for row in rows}
        met[campaign.killed(chance)] += 1
        known.append((campaign.acknowledged(), {channel: len(campaign.texts(channel)) for channel in CHANNELS}))
    campaign.until_told()
    for channel in CHANNELS:
        texts = campaign.texts(channel)
        seen: Counter[str] = Counter()
        for text in texts:
            for again, name in set(ALERT.findall(text)):  # a mail says its subject again
                assert not seen[name] or again, f"{name} came a second time to {channel} without a word"
                seen[name] += 1
        counted = sum(int(more) for text in texts for more in MORE.findall(text))  # a digest names what has room and counts the rest
        assert set(seen) <= posted and len(posted - set(seen)) <= counted, f"{channel} was not told {sorted(posted - set(seen))[:5]}"
        for acknowledged, so_far in known:
            later = {name for text in texts[so_far[channel] :] for _, name in ALERT.findall(text)}
            assert not {name for where, name in acknowledged if where == channel} & later
    assert sum(met.values()) == KILLS
