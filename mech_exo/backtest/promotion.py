"""From a backtest to what trades: the thresholds a run must pass, and the change of the configuration, journaled and taken back.

A promotion is decided when :func:`mech_exo.utils.config_swap.begin` returns; a process that dies after that leaves a note, and whoever
opens the ledger to write next journals it (:func:`recover`). The former files are kept in ``data/promotions/<id>``.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mech_exo.domain.errors import StoreError, UserError
from mech_exo.execution import codec
from mech_exo.execution.trial_rows import Metric, Promotion, Replaced, Sweep
from mech_exo.utils import config as configuration
from mech_exo.utils import config_swap
from mech_exo.utils.durable import new_folder

if TYPE_CHECKING:
    from mech_exo.backtest.result import BacktestResult
    from mech_exo.execution.ledger import Ledger
    from mech_exo.performance.overfitting import OverfittingReport
    from mech_exo.utils.research_settings import PromotionRules
    from mech_exo.utils.settings import Config

PARTS = ("strategy", "risk", "factors")
"""What a promotion brings; ``data.yml``, ``research.yml`` and ``broker.yml`` are the workspace's own."""
WALK_FORWARD, SWEEP = "walk_forward", "sweep"
OF_SWEEP = ("pbo", "reality_check", "spa")
"""Figures that a sweep has and a single run has not."""


@dataclass(frozen=True, slots=True)
class Check:
    """One threshold: what was measured (NaN = unknown, which fails), the bound, and both in words."""

    threshold: str
    value: float
    bound: float
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger knows of a run: the sweeps it was compared in, and whether its configuration was walked forward."""

    from_sweep: bool
    walked_forward: bool
    sweeps: tuple[Sweep, ...]

    @classmethod
    def of(cls, ledger: Ledger, result: BacktestResult) -> Standing:
        """The standing of ``result``."""
        trials = ledger.trial_figures()
        sweeps = tuple(row for row in ledger.rows(Sweep) if result.run_id in row.run_ids)
        return cls(
            bool(sweeps) or any(one.run_id == result.run_id and one.kind == SWEEP for one in trials),
            any(one.config_hash == result.config_hash and one.kind == WALK_FORWARD for one in trials),
            sweeps,
        )

    def completed(self, report: OverfittingReport) -> OverfittingReport:
        """``report`` with the worst PBO and p-values among the sweeps; unknown stays unknown."""
        if not self.from_sweep:
            return report
        notes = tuple(note for note in report.notes if not note.startswith("No sweep"))
        pbo, check, spa = (self._worst(name) for name in OF_SWEEP)
        return replace(report, pbo=pbo, reality_check=check, spa=spa, notes=notes)

    def _worst(self, name: str) -> float:
        values = [one.value for row in self.sweeps for one in row.figures if one.name == name]
        return max((value for value in values if value is not None), default=math.nan)


def compared(id_: str, run_ids: Sequence[str], report: OverfittingReport) -> Sweep:
    """The ledger's row of a sweep, from the report of its best."""
    return Sweep(id_, tuple(run_ids), _metrics(report, OF_SWEEP))


def judge(result: BacktestResult, report: OverfittingReport, rules: PromotionRules, standing: Standing) -> tuple[Check, ...]:
    """Every threshold of ``research.yml`` that is not switched off, in its order."""
    metrics = result.metrics
    checks = [
        _check("min_sessions", "sessions", len(result.sessions), rules.min_sessions, ",.0f", least=True),
        _check("min_trades", "closed round trips", metrics["trades"], rules.min_trades, ",.0f", least=True),
        _check("min_deflated_sharpe", "deflated Sharpe ratio", report.deflated_sharpe, rules.min_deflated_sharpe, ".3f", least=True),
    ]
    if standing.from_sweep:
        checks.append(_check("max_pbo", "probability of backtest overfitting", report.pbo, rules.max_pbo, ".3f", least=False))
    checks += [
        _check("max_drawdown", "drawdown", metrics["max_drawdown"], rules.max_drawdown, ".1%", least=False),
        _check("max_cost_share", "costs of gross P/L", metrics["cost_share"], rules.max_cost_share, ".1%", least=False),
    ]
    if rules.require_walk_forward:
        walked = standing.walked_forward
        text = "walk-forward evaluation of this configuration: " + ("counted" if walked else "none in the ledger, one is required")
        checks.append(Check("require_walk_forward", float(walked), 1.0, walked, text))
    return tuple(check for check in checks if check is not None)


def _check(threshold: str, label: str, value: float | None, bound: float | None, form: str, *, least: bool) -> Check | None:
    if bound is None:
        return None
    known = math.nan if value is None else float(value)
    passed = known >= bound if least else known <= bound
    shown = "unknown" if math.isnan(known) else format(known, form)
    return Check(threshold, known, bound, passed, f"{label} {shown}, at {'least' if least else 'most'} {format(bound, form)} is asked")


def candidate(now: Config, run: Config) -> Config:
    """The workspace's configuration with the run's strategy, risk limits and factors.

    Raises UserError when the run read its data by another ``data.yml``: the same three files would then decide something else.
    """
    differing = differences({"data": now.data.model_dump(mode="json")}, {"data": run.data.model_dump(mode="json")})
    if differing:
        said = "; ".join(f"{key} is {old} and was {new}" for key, old, new in differing)
        raise UserError(f"a run must have read its data by the data.yml of now; {said}", remedy="set it back, or run the backtest again")
    return now.model_copy(update={part: getattr(run, part) for part in PARTS})


def differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, Any, Any], ...]:
    """``(dotted key, before, after)`` of every value that differs, at every depth; None where a side has none."""
    found: list[tuple[str, Any, Any]] = []
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append((prefix + key, old, new))
    return tuple(found)


def written(now: Config, wanted: Config, run_id: str, id_: str, who: str, at: datetime) -> dict[str, bytes]:
    """The files that make ``now`` ``wanted``, by name: a file that says the same already is not among them."""
    files = {}
    for part in PARTS:
        values = getattr(wanted, part).model_dump(mode="json")
        if values != getattr(now, part).model_dump(mode="json"):
            name = configuration.FILES[part][0]
            head = f"# Promoted from the backtest {run_id} by {who}, {at:%Y-%m-%d %H:%M} UTC. Every value is spelt out;\n"
            head += f"# the file before, with its comments, is data/promotions/{id_}/{name}.\n\n"
            files[name] = (head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)).encode()
    return files


def change(home: Path, ledger: Ledger, row: Promotion, files: Mapping[str, bytes]) -> None:
    """Keep the former files, replace them, journal it. ``ledger`` is open to write, so that nobody else changes anything meanwhile.

    Raises UserError when a file is no longer what ``row`` says it was.
    """
    config = home / "config"
    for file in row.files:
        if digest((config / file.name).read_bytes()) != file.former:
            raise UserError(f"the configuration must not change meanwhile; {config / file.name} did", remedy="look at it and try again")
    with new_folder(kept(home, row.id)) as folder:
        for file in row.files:
            (folder / file.name).write_bytes((config / file.name).read_bytes())
    config_swap.begin(config, files, codec.encode(row))
    recover(home, ledger)


def recover(home: Path, ledger: Ledger) -> None:
    """Journal a change that was decided and whose process died before it could say so."""
    text = config_swap.note(home / "config")
    if text is None:
        return
    config_swap.settle(home / "config")
    row = codec.decode(Promotion, text)
    ledger.once(row)
    config_swap.clear(home / "config")


def last_promotion(rows: tuple[Promotion, ...]) -> Promotion:
    """The one in force: the last that nothing undid. Raises UserError when there is none."""
    undone = {row.undoes for row in rows}
    standing = [row for row in rows if row.undoes is None and row.id not in undone]
    if not standing:
        raise UserError("a rollback takes a promotion back; none is in force", remedy="exo backtest promotions shows what was done")
    return standing[-1]


def former_files(home: Path, row: Promotion) -> dict[str, bytes]:
    """The files that ``row`` replaced, byte for byte. Raises StoreError when they are not there as they were."""
    files = {}
    for file in row.files:
        path = kept(home, row.id) / file.name
        files[file.name] = path.read_bytes() if path.is_file() else b""
        if digest(files[file.name]) != file.former:
            raise StoreError(f"the former files must be as they were kept; {path} is not", remedy="restore it, or edit config/ by hand")
    return files


def replaced(home: Path, files: Mapping[str, bytes]) -> tuple[Replaced, ...]:
    """Before and after of each file."""
    config = home / "config"
    return tuple(Replaced(name, digest((config / name).read_bytes()), digest(contents)) for name, contents in files.items())


def figures(report: OverfittingReport) -> tuple[Metric, ...]:
    """What goes into the journal beside a promotion."""
    return _metrics(report, ("trials", "sharpe", "probabilistic_sharpe", "expected_best", "deflated_sharpe", *OF_SWEEP))


def _metrics(report: OverfittingReport, names: Iterable[str]) -> tuple[Metric, ...]:
    values = {name: float(getattr(report, name)) for name in names}
    return tuple(Metric(name, value if math.isfinite(value) else None) for name, value in values.items())


def kept(home: Path, id_: str) -> Path:
    """Where a promotion or rollback keeps the files it replaced."""
    return home / "data" / "promotions" / id_


def digest(contents: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(contents).hexdigest()


def user() -> str:
    """Who runs this process, by the operating system and not by what the environment claims."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
