"""``sources:`` of ``data.yml``: where market data are downloaded from."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mech_exo.utils.kinds import Adjusted as Adjusted  # noqa: PLC0414 - read from here, too
from mech_exo.utils.model import Model
from mech_exo.utils.plugin_settings import PluginName, named


class BarsFrom(StrEnum):
    """Where the nightly update takes bars from."""

    YAHOO = "yahoo"
    CSV = "csv"
    STOOQ = "stooq"
    PARQUET = "parquet"
    DUCKDB = "duckdb"


FundamentalsFrom = Literal["edgar", "yahoo", "finnhub"] | PluginName
NewsFrom = Literal["yahoo", "finnhub"] | PluginName


class SourcesConfig(Model):
    """``sources:`` of ``data.yml``: what `exo data update` and the nightly run download. Nothing is, unless it is named here."""

    bars: BarsFrom | PluginName | None = Field(None, description="null: bars come by `exo data import` alone")
    folder: Path | None = Field(None, description="where a source of files finds them, from the workspace on; a file does for duckdb")
    table: str | None = Field(None, description="of a DuckDB file; null: the only one with bars in it")
    adjusted: Adjusted = Field(Adjusted.NONE, description="of csv, parquet and duckdb; Stooq's prices are split-adjusted always")
    fundamentals: tuple[FundamentalsFrom, ...] = Field((), description="in order of trust")
    news: tuple[NewsFrom, ...] = Field((), description="whom headlines are asked of, in order")
    settings: dict[str, str | float | int | bool] = Field(default_factory=dict, description="for sources of plug-ins, their own names")
    history_start: date = Field(date(2003, 1, 2), description="first day asked for of a symbol the store has no bar of")
    workers: Annotated[int, Field(ge=1, le=32)] = Field(4, description="symbols at a time")
    requests_per_second: Annotated[float, Field(gt=0.0, le=100.0)] | None = Field(
        None, description="at most, to one vendor; null: Yahoo 20, the SEC 8, Finnhub 30 at once and then one every two seconds"
    )

    @model_validator(mode="after")
    def _files_have_a_folder(self) -> SourcesConfig:
        if self.bars not in (None, BarsFrom.YAHOO) and named(self.bars) is None and self.folder is None:
            raise ValueError(f"bars from {self.bars} need a folder: where the files are")
        return self
