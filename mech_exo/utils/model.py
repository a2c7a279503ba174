"""What every part of the configuration is made of: the base of the models and the common kinds of numbers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date
from types import UnionType
from typing import Annotated, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
PositiveFraction = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Exposure = Annotated[float, Field(gt=0.0, le=4.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Sessions = Annotated[int, Field(ge=1, le=5000)]


class Model(BaseModel):
    """Frozen, strict about names, no silent coercion of text into numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_text_for_numbers(cls, value: object, info: ValidationInfo) -> object:
        """``"5"`` or ``true`` where a number is meant is a slip of the pen, not a value."""
        wants = _wants(cls, info.field_name or "")
        if wants.number and isinstance(value, (str, bool)):
            raise PydanticCustomError("number_wanted", "a number is wanted")
        if wants.date and isinstance(value, (int, float)):
            raise PydanticCustomError("date_wanted", "a date is wanted")  # else 86400 would be 1970-01-02
        if wants.numbers and isinstance(value, Mapping):
            for key, item in value.items():
                if isinstance(item, (str, bool)):
                    raise PydanticCustomError("number_wanted", "a number is wanted for {key}", {"key": str(key)})
        return value


class _Wants(NamedTuple):
    """What a field is for: a number, a date, numbers by name."""

    number: bool
    date: bool
    numbers: bool


@functools.cache
def _wants(model: type[Model], field: str) -> _Wants:
    """Looked up once a field: a sweep makes thousands of models."""
    known = model.model_fields.get(field)
    annotation = None if known is None else known.annotation
    numbers = get_origin(annotation) is dict and _wants_number(get_args(annotation)[1])
    return _Wants(_wants_number(annotation), date in (annotation, *get_args(annotation)), numbers)


def _wants_number(annotation: object) -> bool:
    """Whether ``annotation`` is float or int, perhaps annotated, perhaps with None."""
    if get_origin(annotation) is Annotated:
        return _wants_number(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return all(_wants_number(branch) for branch in get_args(annotation) if branch is not type(None))
    return annotation in (float, int)
