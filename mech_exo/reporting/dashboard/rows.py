"""Sorting and filtering on the server, as AG Grid asks for it, and CSV whose cells begin no formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from mech_exo.reporting.formulas import guarded

Row = Mapping[str, Any]
CONDITIONS = 10


def asked_for(rows: Sequence[Row], request: Mapping[str, Any]) -> Sequence[Row]:
    """``rows`` as ``request`` (``filterModel``, ``sortModel``) wants them. Unknown and empty sort last either way; nonsense is ignored."""
    found = rows
    filters = request.get("filterModel")
    for field, wanted in (filters if isinstance(filters, Mapping) else {}).items():
        test = _test(wanted)
        if test is not None:
            found = [row for row in found if test(row.get(field))]
    order = request.get("sortModel")
    for each in reversed(order if isinstance(order, list) else []):
        if isinstance(each, Mapping) and isinstance(each.get("colId"), str):
            found = _sorted(found, each["colId"], descending=each.get("sort") == "desc")
    return found


def csv_lines(columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> str:
    """``rows`` as CSV with a head; ``columns`` are (field, title). Unknown is an empty cell, text begins no formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows(zip(*(_cells([title, *(row.get(field) for row in rows)]) for field, title in columns), strict=True))
    return out.getvalue()


def _cells(values: Sequence[object]) -> list[object]:
    """A column as it is written. Numbers are numbers, NaN and None empty."""
    numbers = [isinstance(value, (int, float)) for value in values]
    texts = ["" if value is None or number else str(value) for value, number in zip(values, numbers, strict=True)]
    safe = guarded(pl.DataFrame({"cell": texts}))["cell"]
    return ["" if value != value else value if number else text for value, number, text in zip(values, numbers, safe, strict=True)]


def _sorted(rows: Sequence[Row], field: str, *, descending: bool) -> list[Row]:
    known = [row for row in rows if row.get(field) not in (None, "")]
    try:
        known.sort(key=lambda row: row[field], reverse=descending)
    except TypeError:  # of several kinds
        known.sort(key=lambda row: str(row[field]), reverse=descending)
    return [*known, *(row for row in rows if row.get(field) in (None, ""))]


def _test(wanted: object) -> Callable[[Any], bool] | None:
    """What a cell must pass; None where the filter says nothing that is understood."""
    if not isinstance(wanted, Mapping):
        return None
    conditions = wanted.get("conditions")
    if isinstance(conditions, list):
        tests = [test for each in conditions[:CONDITIONS] if (test := _test(each)) is not None]
        every = any if wanted.get("operator") == "OR" else all
        return (lambda cell: every(test(cell) for test in tests)) if tests else None
    kind, how = wanted.get("filterType"), str(wanted.get("type"))
    if how in ("blank", "notBlank"):
        return lambda cell: (cell is None or cell == "") is (how == "blank")
    if kind == "number":
        return _number(how, wanted.get("filter"), wanted.get("filterTo"))
    if kind == "date":
        return _compared(how, _day(wanted.get("dateFrom")), _day(wanted.get("dateTo")), _day)
    return _text(how, wanted.get("filter"))


def _number(how: str, first: object, last: object) -> Callable[[Any], bool] | None:
    return _compared(how, first, last, lambda cell: cell if isinstance(cell, (int, float)) and not isinstance(cell, bool) else None)


def _compared(how: str, first: Any, last: Any, of: Callable[[Any], Any]) -> Callable[[Any], bool] | None:
    """A comparison of what ``of`` makes of a cell; unknown passes none but "not equal"."""
    if of(first) is None or (how == "inRange" and of(last) is None):
        return None
    tests: dict[str, Callable[[Any], bool]] = {
        "equals": lambda x: x == first,
        "notEqual": lambda x: x != first,
        "lessThan": lambda x: x < first,
        "lessThanOrEqual": lambda x: x <= first,
        "greaterThan": lambda x: x > first,
        "greaterThanOrEqual": lambda x: x >= first,
        "inRange": lambda x: first <= x <= last,
    }
    test = tests.get(how)
    if test is None:
        return None

    def passes(cell: Any) -> bool:
        value = of(cell)
        return how == "notEqual" if value is None else test(value)

    return passes


def _text(how: str, wanted: object) -> Callable[[Any], bool] | None:
    if not isinstance(wanted, str):
        return None
    part = wanted.casefold()
    tests: dict[str, Callable[[str], bool]] = {
        "contains": lambda text: part in text,
        "notContains": lambda text: part not in text,
        "equals": lambda text: text == part,
        "notEqual": lambda text: text != part,
        "startsWith": lambda text: text.startswith(part),
        "endsWith": lambda text: text.endswith(part),
    }
    test = tests.get(how)
    return None if test is None else lambda cell: test("" if cell is None else str(cell).casefold())


def _day(value: object) -> str | None:
    """A date as 2024-05-31; None for what is none."""
    text = value.isoformat() if isinstance(value, date) else value
    return text[:10] if isinstance(text, str) and len(text) >= 10 else None
