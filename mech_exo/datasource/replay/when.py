"""Moments as the vendors write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta


def opening(day: date, hour: float = 14.5) -> int:
    """Seconds since 1970 at ``hour`` UTC of ``day``; the default is New York's opening bell in winter."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + hour * 3600)


def day_of(seconds: int) -> date:
    """The UTC day of ``seconds`` since 1970, before 1970 too."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).date()
