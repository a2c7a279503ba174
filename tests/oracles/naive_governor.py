"""The drawdown governor once more, from docs/governor.md: lists of index values and of shares, one number out. No NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass
class Governor:
    """Drawdown up to which exposure is full, from which it is nothing, the smallest step worth selling for, and when it may rise."""

    soft: float
    hard: float
    step: float
    wait: int = 0
    recovered: bool = False

    def fall(self, indexes):
        """Below the peak of the last 252 sessions and the close before them; before the first session the index is 1."""
        return 1 - indexes[-1] / max([1.0, *indexes][-253:])

    def allowed(self, indexes):
        """The share of full exposure: what is above the floor, as a fraction of wealth, against the same at the soft limit."""
        fall, floor = self.fall(indexes), 1 - self.hard  # of a peak of 1
        if fall <= self.soft:
            return 1.0
        if fall >= self.hard:
            return 0.0
        return (1 - fall - floor) / (1 - fall) / ((1 - self.soft - floor) / (1 - self.soft))

    def tonight(self, indexes, before):
        """Every close: it falls, if by a step worth selling for, or to nothing."""
        allowed = self.allowed(indexes)
        return allowed if allowed <= before - self.step or (allowed == 0 < before) else before

    def decided(self, indexes, shares):
        """At a decision; ``shares`` of every close so far, tonight's last. Up only as the rule says."""
        allowed = self.allowed(indexes)
        fell = self.wait > 0 and any(later < earlier for earlier, later in pairwise(shares[-self.wait - 1 :]))
        if allowed > shares[-1] and (fell or (self.recovered and self.fall(indexes) > self.soft)):
            return shares[-1]
        return allowed


def taken(before, now):
    """The share of every position that leaves when the governor's share falls from ``before`` to ``now``; all of it at 0."""
    return 1.0 if now == 0 else max(0.0, 1 - now / before)
