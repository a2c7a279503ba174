"""What research says of every configured factor, computed once and kept as a file, to be shown by whoever has no half minute to wait."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mech_exo.domain.errors import StoreError
from mech_exo.scoring.research.comparison import compare
from mech_exo.scoring.research.health import HORIZON, WINDOW, State, factor_health
from mech_exo.scoring.research.sample import Sample
from mech_exo.utils.durable import write_text

if TYPE_CHECKING:
    import polars as pl

    from mech_exo.scoring.research.factor_study import FactorStudy
    from mech_exo.scoring.research.health import FactorHealth
    from mech_exo.utils.settings import FactorsConfig, UniverseRules

FORMAT = 1
FILE = "factor_health.json"
AGAIN = "exo factors health"
Number = float | None


@dataclass(frozen=True, slots=True)
class Rolling:
    """Mean rank IC of the window whose last return was complete at ``date``, and its 95 % band."""

    date: date
    ic: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Aged:
    """Mean rank IC of a signal ``lag`` sessions old; ``standard_error`` Newey-West. None = unknown."""

    lag: int
    mean: Number
    standard_error: Number


@dataclass(frozen=True, slots=True)
class Quantile:
    """Mean return of a quantile (1 = worst) in excess of all names over the horizon, and its error; fractions, None = unknown."""

    quantile: int
    excess: Number
    standard_error: Number


@dataclass(frozen=True, slots=True)
class FactorLine:
    """One factor; None = unknown.

    ``state`` to ``since`` are those of :class:`mech_exo.scoring.research.health.FactorHealth`, ``mean_ic`` to ``half_life_text`` those of
    the whole history in :attr:`mech_exo.scoring.research.comparison.Comparison.table`.
    """

    factor: str
    state: State
    reason: str
    as_of: date | None
    ic: Number
    low: Number
    high: Number
    before: Number
    trend_ann: Number
    trend_t: Number
    half_life: Number
    since: date | None
    weight: Number
    coverage: Number
    mean_ic: Number
    ir: Number
    t_stat: Number
    spread: Number
    spread_t: Number
    turnover: Number
    autocorrelation: Number
    half_life_text: str
    rolling: tuple[Rolling, ...]
    decay: tuple[Aged, ...]
    quantiles: tuple[Quantile, ...]


@dataclass(frozen=True, slots=True)
class Bulletin:
    """Every factor with a weight, as of ``as_of``.

    ``snapshot`` and ``recipe`` name the data and the configuration it was made of (:func:`recipe_of`); ``made_at`` UTC. ``correlation``
    are the rows of the mean rank correlation of ``correlated``; ``window`` and ``horizon`` in sessions.
    """

    as_of: date
    snapshot: str
    recipe: str
    made_at: datetime
    window: int
    horizon: int
    factors: tuple[FactorLine, ...]
    correlated: tuple[str, ...]
    correlation: tuple[tuple[Number, ...], ...]
    warnings: tuple[str, ...]

    @property
    def alarms(self) -> tuple[str, ...]:
        """The factors in alarm."""
        return tuple(line.factor for line in self.factors if line.state is State.ALARM)


def recipe_of(factors: FactorsConfig, rules: UniverseRules) -> str:
    """Hash of everything in the configuration that a bulletin depends on."""
    said = {"factors": factors.model_dump(mode="json"), "universe": rules.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def sample_for(panel: Any, universe: Any, rules: UniverseRules) -> Sample:
    """The history as a bulletin studies it: every session, returns over :data:`HORIZON` sessions."""
    return Sample.of(panel, universe, rules, horizons=(HORIZON,))


def bulletin(
    sample: Sample, config: FactorsConfig, *, snapshot: str, made_at: datetime, warnings: tuple[str, ...] = (),
    health: tuple[FactorHealth, ...] | None = None,
) -> Bulletin:  # fmt: skip
    """Study every factor of ``config`` on ``sample`` (:func:`sample_for`); ``health`` where it was measured already.

    Raises InputError where no factor can be studied.
    """
    health = factor_health(sample, config) if health is None else health
    compared = compare(sample, config)
    table = {row["factor"]: row for row in compared.table.iter_rows(named=True)}
    studies = {one.name: one for one in compared.studies}
    names = tuple(compared.correlation["factor"])
    return Bulletin(
        as_of=sample.panel.sessions[-1].item(),
        snapshot=snapshot,
        recipe=recipe_of(config, sample.rules),
        made_at=made_at,
        window=WINDOW,
        horizon=HORIZON,
        factors=tuple(_line(one, table.get(one.factor), studies.get(one.factor), config) for one in health),
        correlated=names,
        correlation=tuple(tuple(row[1:]) for row in compared.correlation.iter_rows()),
        warnings=warnings,
    )


def _line(one: FactorHealth, row: Mapping[str, Any] | None, study: FactorStudy | None, config: FactorsConfig) -> FactorLine:
    told = row or {}
    figures = {name: _known(getattr(one, name)) for name in ("ic", "low", "high", "before", "trend_ann", "trend_t", "half_life")}
    whole = {name: _known(told.get(name)) for name in ("coverage", "ir", "t_stat", "spread", "spread_t", "turnover", "autocorrelation")}
    return FactorLine(
        factor=one.factor, state=one.state, reason=one.reason, as_of=one.as_of, since=one.since, **figures,
        weight=config.weights()[one.factor].weight, mean_ic=_known(told.get("ic")), **whole, half_life_text=told.get("half_life") or "",
        rolling=tuple(Rolling(*line) for line in one.history.select("date", "ic", "low", "high").iter_rows()),
        decay=() if study is None else tuple(Aged(*line) for line in study.decay.select("lag", "mean", "standard_error").iter_rows()),
        quantiles=() if study is None else _quantiles(study),
    )  # fmt: skip


def _quantiles(study: FactorStudy) -> tuple[Quantile, ...]:
    rows: pl.DataFrame = study.quantile_returns.filter(horizon=study.horizon)
    return tuple(Quantile(*line) for line in rows.select("quantile", "excess", "standard_error").iter_rows())


def _known(value: float | None) -> Number:
    return None if value is None or not math.isfinite(value) else float(value)


def write(found: Bulletin, data: Path) -> Path:
    """Keep ``found`` in the folder ``data``, wholly or not at all; its path."""
    return write_text(data / FILE, json.dumps({"format": FORMAT, **asdict(found)}, default=_plain, allow_nan=False) + "\n")


def read(data: Path) -> Bulletin | None:
    """What was kept in the folder ``data``, None where nothing was. Raises StoreError where it cannot be read."""
    path = data / FILE
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        body = json.loads(text)
        if body.pop("format") != FORMAT:
            raise ValueError("another version wrote it")
        return _bulletin(body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{FILE} must be as this version writes it; {path}: {error}", remedy=AGAIN) from error


def _bulletin(body: dict[str, Any]) -> Bulletin:
    lines = tuple(_from(FactorLine, line) for line in body.pop("factors"))
    correlation = tuple(tuple(row) for row in body.pop("correlation"))
    return Bulletin(
        factors=lines, correlation=correlation, correlated=tuple(body.pop("correlated")), warnings=tuple(body.pop("warnings")),
        as_of=date.fromisoformat(body.pop("as_of")), made_at=datetime.fromisoformat(body.pop("made_at")), **body,
    )  # fmt: skip


def _from(kind: type[FactorLine], line: dict[str, Any]) -> FactorLine:
    parts: dict[str, Any] = {
        "rolling": tuple(Rolling(**row | {"date": date.fromisoformat(row["date"])}) for row in line["rolling"]),
        "decay": tuple(Aged(**row) for row in line["decay"]),
        "quantiles": tuple(Quantile(**row) for row in line["quantiles"]),
        "state": State(line["state"]),
        **{name: None if line[name] is None else date.fromisoformat(line[name]) for name in ("as_of", "since")},
    }
    return kind(**{field.name: parts.get(field.name, line[field.name]) for field in fields(kind)})


def _plain(value: object) -> str:
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no part of a bulletin")
