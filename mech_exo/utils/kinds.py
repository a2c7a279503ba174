"""Words of data sources that the command line needs before anything heavy is imported."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a source hands over."""

    BARS = "bars"
    FUNDAMENTALS = "fundamentals"
    NEWS = "news"


class Adjusted(StrEnum):
    """What a source of files has already done to its prices."""

    NONE = "none"
    SPLIT = "split"
