"""Repairs: what the evidence makes certain is proposed as new rows, the rest is left to a person. Nothing is changed in place.

Unlike the checks a repair looks at what came afterwards: it is proposed now, and is known from now on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mech_exo.datasource.quality import steps
from mech_exo.datasource.quality.findings import Evidence
from mech_exo.datasource.quality.steps import NAMES, RATIOS, Steps
from mech_exo.domain.panel import BAR_FIELDS, PRICE_FIELDS
from mech_exo.utils import calendar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.datasource.storage import DataStorage
    from mech_exo.utils.settings import Config

EXACT = 0.02  # log distance from a simple ratio at which it is that ratio
ORDINARY = (1.0 / 3.0, 1.25)  # dollar volume, in medians of the month before, of a session that only a split distinguishes
AFTER = 10  # sessions a new level must have lasted
LASTING = 0.15  # log distance within which it has
FACTORS = np.concatenate([RATIOS, steps.UNITS, -steps.UNITS])
BARS = {"symbol": pl.String, "session": pl.Date, **dict.fromkeys(BAR_FIELDS, pl.Float64)}
ACTIONS = {"symbol": pl.String, "session": pl.Date, "kind": pl.String, "value": pl.Float64}


@dataclass(frozen=True, eq=False)
class Repair:
    """One proposal: rows to be added, or none where a person must judge.

    ``kind``: rescale (bars of a wrong footing), split (one that was missed), withdraw (one that was invented), move (one on a wrong day),
    swap (high and low), widen (rounding of adjusted prices). ``bars`` and ``actions`` are the rows to add.
    """

    number: int
    symbol: str
    kind: str
    first: date
    last: date
    proposal: str
    evidence: str
    certain: bool
    bars: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=BARS))
    actions: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ACTIONS))


def proposals(storage: DataStorage, config: Config) -> tuple[Repair, ...]:
    """Everything that could be repaired in the store as it is now, numbered by symbol and session; the uncertain ones too."""
    tables, panel = storage.quality(), storage.view().panel()
    evidence = Evidence(panel, config.data.quality, config.data.max_jump, refused=tables.refused())
    told = tables.notes().select("symbol", "session").unique()
    done = set(told.iter_rows())
    found = [*_of_steps(evidence), *_of_refused(evidence)]
    open_ones = sorted((r for r in found if (r.symbol, r.first) not in done), key=lambda r: (r.symbol, r.first, r.kind))
    return tuple(replace(repair, number=number) for number, repair in enumerate(open_ones, 1))


def chosen(every: Collection[Repair], symbols: Collection[str] = (), numbers: Collection[int] = ()) -> tuple[Repair, ...]:
    """Those of ``symbols`` and ``numbers``; empty means all."""
    return tuple(r for r in every if (not symbols or r.symbol in symbols) and (not numbers or r.number in numbers))


def apply(
    storage: DataStorage, config: Config, repairs: Collection[Repair], *, now: datetime, progress: Callable[[str], None] = lambda _: None
) -> int:
    """Store the rows of the certain ones among ``repairs``, known from the last close on, and assess anew; how many rows changed.

    Applied twice changes nothing. The caller publishes.
    """
    from mech_exo.datasource.quality.gate import assess

    certain = [repair for repair in repairs if repair.certain]
    if not certain:
        return 0
    known_at = calendar.session_close(calendar.latest_session(now))
    changed = storage.quality().repair(pl.concat([r.bars for r in certain]), pl.concat([r.actions for r in certain]), known_at, now)
    assess(storage, config, now=now, progress=progress)
    return changed


def _of_steps(evidence: Evidence) -> list[Repair]:
    large = Steps.of(evidence)
    overnight, told, pairs = steps.judged(evidence, large)
    repairs = []
    news = large.dollars >= evidence.rules.news_volume
    in_pairs = {k for pair in pairs for k in pair}
    for a, b in pairs:
        if any(which[a] for which in told.values()):
            repairs.append(_footing(evidence, large, a, b))
    for k in range(len(large)):
        if k in in_pairs:
            continue
        if told[steps.INVENTED][k]:
            repairs.append(_withdrawn(evidence, large, k))
        elif told[steps.MISSED][k] or told[steps.UNIT][k] or (told[steps.JUMP][k] and overnight[k] and not news[k]):
            repairs.append(_missed(evidence, large, k))
    return repairs


def _day(evidence: Evidence, row: int) -> date:
    session: date = evidence.panel.sessions[row].item()
    return session


def _footing(evidence: Evidence, large: Steps, a: int, b: int) -> Repair:
    """Steps that undo each other: the bars between them on their neighbours' footing, or a stored split on its day."""
    panel, column = evidence.panel, int(large.column[a])
    first, last, symbol = int(large.row[a]), int(large.before[b]), panel.symbols[int(large.column[a])]
    factor, name = _simple(np.array([large.move[a], large.opened[a], -large.move[b], -large.opened[b]]))
    back = _day(evidence, int(large.row[b]))
    seen = f"{math.expm1(large.move[a]):+.1%} at {_day(evidence, first)}, {math.expm1(large.move[b]):+.1%} at {back}"
    stored = [k for k in (a, b) if large.stored[k] != 1.0]
    if len(stored) == 1:
        here, there = (a, b) if stored[0] == a else (b, a)
        start, end, ratio = _day(evidence, int(large.row[here])), _day(evidence, int(large.row[there])), float(large.stored[here])
        actions = pl.DataFrame([(symbol, start, "split", 1.0), (symbol, end, "split", ratio)], schema=ACTIONS, orient="row")
        text = f"the {ratio:g}:1 split of {start} takes effect on {end}"
        return Repair(0, symbol, "move", min(start, end), max(start, end), text, seen, True, actions=actions)
    whole = panel.close[first : last + 1, column]
    if factor is None or len(stored) == 2:
        text = "bars on another footing, by a factor that is no simple ratio"
        return Repair(0, symbol, "rescale", _day(evidence, first), _day(evidence, last), text, seen, False)
    rows = first + np.flatnonzero(~np.isnan(whole))
    bars = pl.DataFrame(
        {
            "symbol": [symbol] * len(rows), "session": [_day(evidence, row) for row in rows.tolist()],
            **{name: getattr(panel, name)[rows, column] / factor for name in PRICE_FIELDS}, "volume": panel.volume[rows, column] * factor,
        },
        schema=BARS,
    )  # fmt: skip
    count = "a bar" if len(rows) == 1 else f"{len(rows)} bars"
    text = f"prices × {1.0 / factor:.6g}, volume × {factor:.6g}: {count} on the footing of the neighbours ({name})"
    return Repair(0, symbol, "rescale", _day(evidence, first), _day(evidence, last), text, seen, True, bars=bars)


def _missed(evidence: Evidence, large: Steps, k: int) -> Repair:
    """A step that lasts, at a simple ratio, with ordinary trade in dollars: a split that was not stored; else a person must say."""
    panel, row, column = evidence.panel, int(large.row[k]), int(large.column[k])
    symbol, day = panel.symbols[column], _day(evidence, row)
    factor, name = _simple(np.array([large.move[k], large.opened[k]]))
    after = panel.close[row : row + AFTER + 1, column]
    after = after[~np.isnan(after)]
    lasted = len(after) > AFTER // 2 and abs(math.log(float(np.median(after)) / after[0])) <= LASTING
    held = "it has lasted" if lasted else "it has not lasted"
    seen = (
        f"{math.expm1(large.move[k]):+.1%} net of the market, {math.expm1(large.opened[k]):+.1%} at the open; "
        f"volume {large.shares[k]:.1f} ×, in dollars {large.dollars[k]:.1f} × the month's median; {held} {len(after) - 1} sessions"
    )
    doubts = []
    if factor is None or abs(math.log(factor)) < steps.SMALL or factor not in np.exp(RATIOS):
        doubts.append("the ratio is no split of 3:2 or more: a spin-off, a special dividend or a real move")
    if not ORDINARY[0] <= large.dollars[k] <= ORDINARY[1]:
        doubts.append("not as much was traded as before")
    if not lasted:
        doubts.append("the new level has not lasted")
    if doubts or factor is None:
        return Repair(0, symbol, "split", day, day, f"what happened? {'; '.join(doubts)}", seen, False)
    actions = pl.DataFrame([(symbol, day, "split", round(1.0 / factor, 10))], schema=ACTIONS, orient="row")
    return Repair(0, symbol, "split", day, day, f"a {name} split takes effect", seen, True, actions=actions)


def _withdrawn(evidence: Evidence, large: Steps, k: int) -> Repair:
    """A stored split that no step follows, then or in the sessions around it."""
    panel, row, column = evidence.panel, int(large.row[k]), int(large.column[k])
    symbol, day, ratio = panel.symbols[column], _day(evidence, row), float(large.stored[k])
    around = evidence.moves[max(0, row - AFTER) : row + AFTER + 1, column].copy()
    around[min(row, AFTER)] = np.nan
    size = abs(math.log(ratio))
    still = abs(math.log(large.raw[k])) < 0.25 * size and not np.nanmax(np.abs(around), initial=0.0) > 0.5 * size
    enough = row + AFTER < len(panel.sessions)
    seen = f"the price as it stands moved by {large.raw[k] - 1.0:+.1%}, a {ratio:g}:1 split asks for {1.0 / ratio - 1.0:+.1%}"
    if not (still and enough):
        why = "a step stands near it" if enough else "too few sessions have passed"
        return Repair(0, symbol, "withdraw", day, day, f"does the {ratio:g}:1 split take effect? {why}", seen, False)
    actions = pl.DataFrame([(symbol, day, "split", 1.0)], schema=ACTIONS, orient="row")
    return Repair(0, symbol, "withdraw", day, day, f"the {ratio:g}:1 split is taken back", seen, True, actions=actions)


def _simple(moves: NDArray[np.float64]) -> tuple[float | None, str]:
    """The simple factor all ``moves`` (log) are near to, and its name; None where they are not."""
    gaps = np.abs(moves[:, None] - FACTORS)
    place = int(np.median(gaps, axis=0).argmin())
    if np.median(gaps[:, place]) > EXACT:
        return None, ""
    name = NAMES[place] if place < len(NAMES) else f"{math.exp(abs(FACTORS[place])):g} times"
    return float(np.exp(FACTORS[place])), name


def _of_refused(evidence: Evidence) -> list[Repair]:
    """Rows refused at the door: swapped high and low are swapped back, contradictions by rounding are widened, the rest is not certain."""
    at, columns, cells = evidence.places(evidence.refused)
    absent = ~evidence.traded[at, columns] if len(at) else np.empty(0, np.bool_)
    cells = cells.filter(pl.Series(absent, dtype=pl.Boolean)).drop("row", "column")
    lone = cells.drop_nulls().filter(pl.all_horizontal(pl.col(name) > 0.0 for name in PRICE_FIELDS) & (pl.col("volume") >= 0.0))
    swapped = lone.filter(pl.col("high") < pl.col("low")).with_columns(high=pl.col("low"), low=pl.col("high"))
    swapped = swapped.filter(_consistent())
    top, bottom = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
    near = (top <= pl.col("high") * (1.0 + evidence.rules.rounding)) & (bottom >= pl.col("low") * (1.0 - evidence.rules.rounding))
    widened = lone.filter(near & (pl.col("high") >= pl.col("low")) & ~_consistent())
    wide = widened.with_columns(high=pl.max_horizontal("high", top), low=pl.min_horizontal("low", bottom))
    worst = widened.select("symbol", worst=pl.max_horizontal(top / pl.col("high"), pl.col("low") / bottom) - 1.0)
    repairs = [
        _rows("swap", rows, "high and low change places", f"refused rows whose high stands below their low: {len(rows)}")
        for rows in swapped.partition_by("symbol")
    ]
    for rows in wide.partition_by("symbol"):
        most = float(worst.filter(pl.col("symbol") == rows["symbol"][0])["worst"].to_numpy().max())
        text = f"high and low are widened to hold open and close, refused rows: {len(rows)}"
        repairs.append(_rows("widen", rows, text, f"they contradict each other by at most {most:.2%}: rounding"))
    settled = pl.concat([swapped, wide]).select("symbol", "session")
    rest = cells.join(settled, on=["symbol", "session"], how="anti").group_by("symbol").agg(
        pl.len(), pl.col("session").min().alias("first"), pl.col("session").max().alias("last"),
        (pl.col("open") == 0.0).sum().alias("opens"), (pl.col("high") == 0.0).sum().alias("highs"),
    )  # fmt: skip
    for symbol, count, first, last, opens, highs in rest.sort("symbol").iter_rows():
        text = f"refused rows without a certain repair: {count}; fetch them from another source"
        repairs.append(Repair(0, symbol, "refused", first, last, text, f"{opens} opens and {highs} highs of 0 among them", False))
    return repairs


def _consistent() -> pl.Expr:
    return (pl.col("high") >= pl.max_horizontal("open", "close", "low")) & (pl.col("low") <= pl.min_horizontal("open", "close"))


def _rows(kind: str, rows: pl.DataFrame, text: str, evidence: str) -> Repair:
    """One repair of all the ``rows`` of a symbol."""
    days = rows["session"].sort()
    return Repair(0, rows["symbol"][0], kind, days[0], days[-1], text, evidence, True, bars=rows.select(BARS.keys()))
