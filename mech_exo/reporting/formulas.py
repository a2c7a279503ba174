"""Text that a spreadsheet would take for a formula, and how it is written so that it does not. Numbers are not text and stay as they are.

A cell begins a formula with = + - @ or a tab or line break; spreadsheets also look past blanks and quotes and read the full-width forms
alike. Such a text gets an apostrophe in front, which a spreadsheet takes as "this is text". Of the text there is afterwards the same is
true again, so that taking one apostrophe away gives back exactly what was written.
"""

from __future__ import annotations

import polars as pl

IGNORED = r"""\s\p{Cf}\p{Cc}'"`´‘’‚“”„«»＇＂"""
"""Blanks, marks that are not seen, quotes: whatever may stand before the character that begins a formula."""
STARTS = r"=+\-@＝＋－﹣−＠﹦﹢﹫"
DANGEROUS = rf"^[{IGNORED}]*[{STARTS}\t\r\n]"


def guarded(frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with an apostrophe before every text that would begin a formula."""
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(DANGEROUS)).then("'" + pl.col(name)).otherwise(pl.col(name)).alias(name) for name in _texts(frame)
    )


def unguarded(frame: pl.DataFrame) -> pl.DataFrame:
    """What was handed to :func:`guarded`."""
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(DANGEROUS) & pl.col(name).str.starts_with("'"))
        .then(pl.col(name).str.strip_prefix("'"))
        .otherwise(pl.col(name))
        .alias(name)
        for name in _texts(frame)
    )


def _texts(frame: pl.DataFrame) -> list[str]:
    return [name for name, kind in frame.schema.items() if kind == pl.String]
