"""Bars out of a DuckDB file of another program: opened for reading, unable to reach anything else."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from mech_exo.datasource.base import BAR_EXTRAS, BARS
from mech_exo.datasource.columns import renamed
from mech_exo.datasource.storage.connection import SETTINGS, Connection, run, table
from mech_exo.domain.errors import DataError, InputError, cut

TABLES = "select table_schema, table_name from information_schema.tables where table_catalog = current_database() order by all"


def read_duckdb(path: Path, name: str | None) -> pl.DataFrame:
    """The rows of the table or view ``name`` (``schema.name`` where it is not in main; None: the only one with bars) under our names.

    Raises
    ------
    InputError
        The file is no database, there is no such table, it has no bars, or several have.
    DataError
        Another program holds the file.
    """
    try:
        con = duckdb.connect(str(path), read_only=True, config=SETTINGS)
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise DataError(f"{path} is held by another program", remedy="close that program, or import a copy of the file") from error
        raise InputError(f"{path} cannot be read as a DuckDB file: {str(error).splitlines()[0]}") from error
    except duckdb.Error as error:
        raise InputError(f"{path} cannot be read as a DuckDB file: {str(error).splitlines()[0]}") from error
    try:
        return _bars(con, path, name)
    except duckdb.Error as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    finally:
        con.close()


def _bars(con: Connection, path: Path, name: str | None) -> pl.DataFrame:
    there = {f"{schema}.{table_}" if schema != "main" else table_: (schema, table_) for schema, table_ in run(con, TABLES)}
    if name is None:
        fitting = [one for one, place in there.items() if _has_bars(con, place)]
        if len(fitting) != 1:
            raise InputError(
                f"one table must hold bars ({', '.join(BARS)}); in {path.name} {len(fitting)} do, of {', '.join(there) or 'none'}",
                remedy="say which: --table NAME (data.yml: sources.table)",
            )
        name = fitting[0]
    if name not in there:
        raise InputError(f"the table must be in the file; {path.name} has {', '.join(there) or 'none'}, not {cut(name)!r}")
    return renamed(table(con, f"select * from {_quoted(there[name])}"), BARS, BAR_EXTRAS, what=f"bars in {name}")


def _has_bars(con: Connection, place: tuple[str, str]) -> bool:
    empty = table(con, f"select * from {_quoted(place)} limit 0")
    try:
        renamed(empty, BARS, what="bars")
    except InputError:
        return False
    return True


def _quoted(place: tuple[str, str]) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in place)
