"""``/metrics`` in Prometheus' text format (version 0.0.4). What is unknown is NaN, never 0."""

from __future__ import annotations

import math
import resource
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.domain.errors import MechExoError
from mech_exo.domain.orders import OrderState
from mech_exo.reporting.dashboard.condition import Condition, condition
from mech_exo.reporting.query import choose_book, night_report
from mech_exo.utils.log import mask_accounts

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.reporting.dashboard.house import House
    from mech_exo.reporting.dashboard.reader import Reader

Labels = Mapping[str, str]
PAGE = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, "gauge" or "counter", what it is, and a sample for each set of labels."""

    name: str
    help: str
    samples: Sequence[tuple[Labels, float | None]]
    kind: str = "gauge"


def exposition(reader: Reader) -> str:
    """Everything that is measured, as text."""
    now = condition(reader)
    try:
        of_book = reader.once(("metrics",), _of_book)
    except MechExoError:  # the condition says why
        of_book = ()
    return written((*_of_condition(now), *of_book, *_of_process()))


def written(metrics: Iterable[Metric]) -> str:
    """``metrics`` in the text format."""
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {_escaped(metric.help)}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for labels, value in metric.samples:
        inside = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
        yield f"{metric.name}{{{inside}}} {_number(value)}" if inside else f"{metric.name} {_number(value)}"


def _of_condition(now: Condition) -> Iterator[Metric]:
    booked = None if now.booked is None else datetime.combine(now.booked, time(), UTC).timestamp()
    yield Metric("mechexo_ledger_readable", "1 where the ledger can be read.", [({}, float(now.readable))])
    yield Metric("mechexo_halted", "1 while nothing that adds risk is sent.", [({}, float(now.halt.halted))])
    yield Metric("mechexo_booked_session_timestamp_seconds", "The last booked session, as midnight UTC of its date.", [({}, booked)])
    yield Metric("mechexo_sessions_behind", "Sessions that should be booked by now and are not.", [({}, _float(now.behind))])
    bars = None if now.bars is None else datetime.combine(now.bars, time(), UTC).timestamp()
    yield Metric("mechexo_bars_session_timestamp_seconds", "The last session with bars in the published snapshot.", [({}, bars)])


def _of_book(house: House, ledger: Ledger) -> tuple[Metric, ...]:
    books = ledger.books()
    if not books:
        return ()
    configured = house.book_id()
    book = configured if configured in books else choose_book(ledger, None)
    night = night_report(ledger, book, None, house)
    name = {"book": mask_accounts(str(book))}
    states = Counter(row.state for row in ledger.orders(book, decided=night.session))
    return (
        Metric("mechexo_nav_usd", "Net asset value at the last booked close.", [(name, night.money.nav)]),
        Metric("mechexo_pnl_usd", "Profit and loss of the last booked session.", [(name, night.money.pnl)]),
        Metric("mechexo_drawdown_ratio", "Fall from the highest NAV so far, as a fraction.", [(name, night.drawdown)]),
        Metric("mechexo_positions", "Positions held.", [(name, float(len(night.holdings)))]),
        Metric("mechexo_limit_use", "What a limit measures.", [(name | {"limit": one.name}, one.value) for one in night.limits]),
        Metric("mechexo_limit_bound", "What that may be at most.", [(name | {"limit": one.name}, one.limit) for one in night.limits]),
        Metric(
            "mechexo_orders", "Orders decided at the last booked session, by state.",
            [(name | {"state": state.value}, float(states[state])) for state in OrderState],
        ),
    )  # fmt: skip


def _of_process() -> Iterator[Metric]:
    yield Metric("process_resident_memory_bytes", "Resident memory of exo dash.", [({}, resident_bytes())])
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield Metric("process_cpu_seconds_total", "Processor time of exo dash.", [({}, used.ru_utime + used.ru_stime)], "counter")


def resident_bytes() -> float | None:
    """This process's resident memory; None where the system does not tell."""
    try:
        return float(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return None


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
