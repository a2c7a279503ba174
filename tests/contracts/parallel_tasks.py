"""What the contract of parallel backends runs in workers: it must be importable there."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from mech_exo.domain.errors import MissingDataError


class Odd(Exception):
    """Takes two arguments and hands one to its base, so that it can be pickled and not unpickled."""

    def __init__(self, what, why):
        super().__init__(what)


def facts(shared, item):
    """The item's part of the sum, who worked, and where the shared array lies."""
    array = shared["array"]
    time.sleep(0.002 * (7 - item % 8))  # later items are done sooner
    return {
        "item": item,
        "sum": float(array[item].sum()),
        "text": shared["text"],
        "pid": os.getpid(),
        "writeable": array.flags.writeable,
        "owns": array.flags.owndata,
        "address": array.ctypes.data,
        "mapping": mapping_of(array.ctypes.data),
        "threads": os.environ.get("OPENBLAS_NUM_THREADS"),
    }


def mapping_of(address):
    """Permissions of the memory mapping that holds ``address``: the last letter is s for shared, p for private."""
    with open("/proc/self/maps") as lines:
        for line in lines:
            low, high = (int(part, 16) for part in line.split()[0].split("-"))
            if low <= address < high:
                return line.split()[1]
    return "none"


def failing(shared, item):
    """Item 3 at once, item 2 a little later: the first in order is 2."""
    if item == 3:
        raise ValueError("three")
    if item == 2:
        time.sleep(0.3)
        raise MissingDataError(f"a store must hold item {item}", remedy="fetch it")
    return item


def odd(shared, item):
    raise Odd("no", "why")


def dying(shared, item):
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return item


def sleeping(shared, item):
    time.sleep(30)


def doubled(shared, item):
    return 2 * item


def summed(shared, item):
    return np.add.reduce(shared[item])
