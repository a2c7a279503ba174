"""A run on disk: ``run.json`` for people, Parquet for everything else, in one folder that is there whole or not at all.

Codes are written as words and columns by name, so that a later version reads what an earlier one wrote. ``run.json`` holds the
digest of every other file: a damaged run says so instead of showing other figures.
"""

from __future__ import annotations

import json
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.backtest.result import BacktestResult, Saved
from mech_exo.backtest.tables import names_of, words
from mech_exo.decision.night import Known
from mech_exo.domain.errors import InputError, StoreError, UserError, cut
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.kernels.records import DAY, EVENT, EventKind, Outcome, Reason, RiskState
from mech_exo.utils.durable import digest, new_folder, remove_folder
from mech_exo.utils.settings import Config

if TYPE_CHECKING:
    import polars as pl

    from mech_exo.decision.tickets import StrategyFunction

FORMAT = 1
RUN = "run.json"
TABLES = ("days", "events", "trades", "holdings", "symbols")
CODES: dict[str, type[IntEnum]] = {"kind": EventKind, "outcome": Outcome, "reason": Reason, "state": RiskState}
"""Fields that are numbers in a record and words in a file."""
AGAIN = "run the backtest again"


def save(result: BacktestResult, folder: Path) -> Path:
    """Write ``result`` into ``folder`` of its own and return it; the same run there already is left, a damaged copy of it replaced.

    Raises
    ------
    UserError
        ``folder`` holds anything else, or cannot be written.
    """
    try:
        if folder.exists():
            if _holds(folder, result.run_id):
                (folder / RUN).touch()
                return folder
            remove_folder(folder)
        with new_folder(folder) as place:
            _write(result, place)
    except OSError as error:
        raise UserError(f"a run must be saved where it can be written; {folder}: {error.strerror or error}") from error
    return folder


def _holds(folder: Path, run_id: str) -> bool:
    """Whether the run is saved there soundly; False for a damaged copy of it. Raises UserError for anything else."""
    try:
        known = describe(folder)
    except StoreError:
        known = {}
        if not (folder / RUN).is_file() or folder.name != run_id:
            raise UserError(f"a run is saved into a folder of its own; {folder} holds other things", remedy="name a new folder") from None
    if known and known["run_id"] != run_id:
        raise UserError(f"a run is saved into a folder of its own; {folder} holds the run {known['run_id']}", remedy="name a new folder")
    return bool(known) and not _damage(folder, known)


def _write(result: BacktestResult, place: Path) -> None:
    import polars as pl

    benchmark = np.full(len(result.days), np.nan) if result.benchmark is None else result.benchmark
    days = _frame(result.days).insert_column(0, pl.Series("date", result.sessions)).with_columns(pl.Series("benchmark", benchmark))
    symbol = words(result.symbols, result.events["symbol"])
    events = _frame(result.events, skip=("row", "symbol"))
    events = events.insert_column(0, symbol.alias("symbol")).insert_column(0, pl.Series("date", result.sessions[result.events["row"]]))
    frames = {"days": days, "events": events, "trades": result.trades, "holdings": result.holdings}
    frames["symbols"] = pl.DataFrame({"symbol": pl.Series(result.symbols, dtype=pl.String)})
    for name, frame in frames.items():
        frame.write_parquet(_file(place, name))
    written = {f"{name}.parquet": digest(_file(place, name)) for name in TABLES}
    text = json.dumps(_run(result) | {"files": written}, indent=2, allow_nan=False, ensure_ascii=False)
    (place / RUN).write_text(text + "\n", encoding="utf-8")


def _run(result: BacktestResult) -> dict[str, Any]:
    return {
        "format": FORMAT,
        **result.as_dict(),
        "strategy": "configured" if result.configured else "callable",
        "universe": result.config.strategy.universe.name,
        "benchmark": result.benchmark is not None,
        "config": result.config.model_dump(mode="json", exclude={"keys"}),
    }


def load(
    folder: Path, panel: BarPanel | None = None, universe: Universe | None = None, strategy: StrategyFunction | None = None
) -> BacktestResult:
    """The run in ``folder``.

    Parameters
    ----------
    panel, universe
        What it was run on (later sessions and further symbols do not matter): needed by ``explain`` and ``by_factor`` alone.
    strategy
        The callable it ran, where ``explain`` is to ask it again; code is not saved.

    Raises
    ------
    StoreError
        There is no run, it is damaged, or another version wrote it.
    InputError
        ``panel`` and ``universe`` are not what it was run on.
    """
    from mech_exo.decision.strategy import Strategy

    run = describe(folder)
    damage = _damage(folder, run)
    if damage:
        raise StoreError(f"a saved run must be as it was written; {folder}: {damage}", remedy=AGAIN)
    try:
        config = Config.model_validate(run["config"])
    except ValueError as error:
        raise StoreError(f"a saved run must have a configuration this version knows; {folder}: {error}", remedy=AGAIN) from None
    frames = {name: _read(folder, name) for name in TABLES}
    sessions = frames["days"]["date"].to_numpy().astype("datetime64[D]")
    symbols = tuple(frames["symbols"]["symbol"])
    days, events = _records(folder, frames["days"], DAY), _events(folder, frames["events"], sessions, symbols)
    members = None if panel is None else universe or Universe.everyone(panel)
    if members is not None and run["strategy"] == "configured":
        members = members.telling(Strategy(config).facts)
    read = None if panel is None or members is None else _known(run, panel, members, sessions, symbols)
    result = BacktestResult(
        name=run["name"],
        config=config,
        config_hash=run["config_hash"],
        code_version=run["code_version"],
        sessions=sessions,
        symbols=symbols,
        days=days,
        events=events,
        benchmark=frames["days"]["benchmark"].to_numpy().copy() if run["benchmark"] else None,
        warnings=tuple(run["warnings"]),
        read=read,
        strategy=Strategy(config) if run["strategy"] == "configured" else strategy,
        saved=Saved(run["data_hash"], run["metrics"].get("capacity_usd"), frames["trades"], frames["holdings"]),
    )
    if result.run_id != run["run_id"]:
        said = f"{folder} calls itself {run['run_id']} and is {result.run_id}"
        raise StoreError(f"a saved run must be as it was written; {said}", remedy=AGAIN)
    return result


def describe(folder: Path) -> dict[str, Any]:
    """The ``run.json`` of a saved run: figures, configuration, warnings. Raises StoreError where there is none that can be read."""
    path = folder / RUN
    if not path.is_file():
        raise StoreError(f"a saved run is a folder with a {RUN}; {folder} has none", remedy="exo backtest list shows the saved runs")
    try:
        run: dict[str, Any] = json.loads(path.read_text("utf-8"))
        version = run["format"]
        complete = {"run_id", "name", "start", "end", "config", "config_hash", "code_version", "data_hash", "metrics", "kpi", "warnings"}
        missing = sorted((complete | {"strategy", "benchmark", "files"}) - run.keys())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"a saved run must have a {RUN} that can be read; {path}: {cut(error)}", remedy=AGAIN) from None
    if version != FORMAT or missing:
        said = f"lacks {', '.join(missing)}" if version == FORMAT else f"is of format {version}, this version reads {FORMAT}"
        raise StoreError(f"a saved run must be of this version; {path} {said}", remedy=AGAIN)
    return run


def saved(folder: Path) -> list[Path]:
    """The saved runs of the folder of runs, each a folder, the latest first."""
    if not folder.is_dir():
        return []
    found = [place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(".")]
    return sorted(found, key=lambda place: ((place / RUN) if (place / RUN).exists() else place).stat().st_mtime_ns, reverse=True)


def summary(folder: Path) -> dict[str, Any]:
    """A run's line in a list: identity, headline figures (None unknown), verdict on the KPI contract; ``damaged`` says why it has none."""
    try:
        run = describe(folder)
    except StoreError as error:
        return {"run_id": folder.name, "damaged": error.message}
    figures = ("cagr", "sharpe", "max_drawdown", "cost_share", "trades", "final_equity")
    return {
        **{name: run[name] for name in ("run_id", "name", "start", "end", "config_hash", "code_version", "data_hash")},
        **{name: run["metrics"].get(name) for name in figures},
        "kpi": run["kpi"]["whole_period"]["verdict"],
        "saved_at": datetime.fromtimestamp((folder / RUN).stat().st_mtime).astimezone().isoformat(timespec="seconds"),
        "damaged": None,
    }


def _damage(folder: Path, run: dict[str, Any]) -> str:
    """What is wrong with the files beside ``run.json``; empty when nothing is."""
    for name in TABLES:
        path = _file(folder, name)
        if not path.is_file():
            return f"{path.name} is missing"
        if run["files"].get(path.name) != digest(path):
            return f"{path.name} is not what was written"
    return ""


def _known(run: dict[str, Any], panel: BarPanel, universe: Universe, sessions: np.ndarray, symbols: tuple[str, ...]) -> Known:
    """``panel`` and ``universe`` cut to what the run read. Raises InputError where they are not the same data."""
    known: Known | None = None
    last = int(np.searchsorted(panel.sessions, sessions[-1], "right"))
    if set(symbols) <= set(panel.symbols) and universe.member.shape == panel.shape:
        if panel.symbols != symbols:
            columns = [panel.column_of(symbol) for symbol in symbols]
            universe = universe.at(np.s_[:, columns])
            panel = panel.select(symbols)
        known = Known(panel.rows(0, last), universe.rows(0, last))
    if known is None or known.data_hash() != run["data_hash"]:
        raise InputError(
            f"the bars, members and sectors must be those of the run {run['run_id']} (data {run['data_hash']}); "
            f"these are {'of other symbols' if known is None else known.data_hash()}",
            remedy=f"the data changed since it was saved: {AGAIN}, or hand in the panel and universe it was run on",
        )
    return known


def _frame(records: np.ndarray, skip: tuple[str, ...] = ()) -> pl.DataFrame:
    """Records as columns of their fields' names, codes as words."""
    import polars as pl

    names = [name for name in records.dtype.names or () if name not in skip]
    columns = {n: words(names_of(CODES[n]), records[n]) if n in CODES else np.ascontiguousarray(records[n]) for n in names}
    return pl.DataFrame(columns)


def _records(folder: Path, frame: pl.DataFrame, dtype: np.dtype[Any], **given: np.ndarray) -> np.ndarray:
    """The way back. Raises StoreError for a field or a word this version does not find."""
    from polars.exceptions import PolarsError

    out = np.zeros(frame.height, dtype)
    for name in dtype.names or ():
        try:
            if name in given:
                out[name] = given[name]
            elif name in CODES:
                code = {word: number for number, word in enumerate(names_of(CODES[name]))}
                out[name] = [code[word] for word in frame[name]]
            else:
                out[name] = frame[name].to_numpy()
        except (PolarsError, KeyError, ValueError, TypeError) as error:
            raise _foreign(folder, name) from error
    return out


def _events(folder: Path, frame: pl.DataFrame, sessions: np.ndarray, symbols: tuple[str, ...]) -> np.ndarray:
    column = {symbol: number for number, symbol in enumerate(symbols)}
    rows = np.searchsorted(sessions, frame["date"].to_numpy().astype("datetime64[D]"))
    return _records(folder, frame, EVENT, row=rows, symbol=np.array([column[symbol] for symbol in frame["symbol"]], np.int64))


def _foreign(folder: Path, field: str) -> StoreError:
    return StoreError(f"a saved run must be of this version; {folder} has no {field!r} this one understands", remedy=AGAIN)


def _read(folder: Path, name: str) -> pl.DataFrame:
    import polars as pl

    return pl.read_parquet(_file(folder, name))


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.parquet"
