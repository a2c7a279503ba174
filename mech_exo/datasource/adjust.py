"""Splits and dividends: from a vendor's split-adjusted prices to prices as traded.

Every array has sessions on axis 0: ``(T,)`` for one symbol, ``(T, N)`` for many. A split ratio is new shares per old share,
effective before that session's open, 1 where nothing happens; a dividend is USD per share *after* any split of the same
session, 0 where nothing happens.

What factors read goes forward instead, so that a later split never touches an earlier row: ``mech_exo.scoring.inputs.reinvested``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PRICE_DECIMALS = 4
"""A US share is quoted in cents, below one dollar in hundredths of a cent (Regulation NMS, rule 612)."""


def later_splits(split_ratio: Floats) -> Floats:
    """Product of the ratios strictly after each row: what a split-adjusting vendor has divided that row's prices by."""
    _check(split_ratio)
    upto = np.flip(np.cumprod(np.flip(split_ratio, axis=0), axis=0), axis=0)
    return np.concatenate([upto[1:], np.ones_like(upto[:1])])


def split_adjusted(price: Floats, split_ratio: Floats) -> Floats:
    """Prices or dividends as a split-adjusting vendor shows them after the last row."""
    return np.asarray(price / later_splits(split_ratio))


def as_traded(adjusted: Floats, split_ratio: Floats) -> Floats:
    """Prices or dividends as printed that day, from split-adjusted ones; NaN stays NaN.

    ``split_ratio`` must reach to the day the vendor adjusted for, or later splits are not undone. Rounded to the
    finest increment a US share is quoted in, which also undoes the vendor's single precision.
    """
    return np.round(adjusted * later_splits(split_ratio), PRICE_DECIMALS)


def traded_volume(adjusted: Floats, split_ratio: Floats) -> Floats:
    """Whole shares that changed hands that day, from a split-adjusted volume; NaN stays NaN."""
    return np.asarray(np.rint(adjusted / later_splits(split_ratio)))


def _check(split_ratio: Floats) -> None:
    bad = ~(np.isfinite(split_ratio) & (split_ratio > 0.0))
    if bad.any():
        raise InputError(f"a split ratio must be above 0 and finite (1 = no split); got {split_ratio[bad].flat[0]}")
