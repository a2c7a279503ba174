"""``/metrics`` in Prometheus' text format (version 0.0.4). What is unknown is NaN, never 0."""

from __future__ import annotations

import math
import resource
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.domain.errors import MechExoError
from mech_exo.domain.orders import OrderState
from mech_exo.reporting.dashboard import account_data
from mech_exo.reporting.dashboard.account_data import booked
from mech_exo.reporting.dashboard.condition import Condition, condition
from mech_exo.reporting.dashboard.overview_data import delivery, undelivered

if TYPE_CHECKING:
    from mech_exo.reporting.dashboard.reader import Reader
    from mech_exo.reporting.night import NightReport

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
    found: list[Metric] = [*_of_condition(condition(reader)), *_of_process()]
    for measure in (_of_book, _of_alerts):
        with suppress(MechExoError):  # the condition says why
            found += reader.together(lambda measure=measure: tuple(measure(reader)))  # type: ignore[misc]
    return written(found)


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
    last = None if now.booked is None else datetime.combine(now.booked, time(), UTC).timestamp()
    yield Metric("mechexo_ledger_readable", "1 where the ledger can be read.", [({}, float(now.readable))])
    yield Metric("mechexo_halted", "1 while nothing that adds risk is sent.", [({}, float(now.halt.halted))])
    yield Metric("mechexo_booked_session_timestamp_seconds", "The last booked session, as midnight UTC of its date.", [({}, last)])
    yield Metric("mechexo_sessions_behind", "Sessions that should be booked by now and are not.", [({}, _float(now.behind))])
    bars = None if now.bars is None else datetime.combine(now.bars, time(), UTC).timestamp()
    yield Metric("mechexo_bars_session_timestamp_seconds", "The last session with bars in the published snapshot.", [({}, bars)])


def _of_book(reader: Reader) -> Iterator[Metric]:
    known = booked(reader, {})
    session = known.sessions[-1]
    night = account_data.night(reader, known.book, session)
    name = {"book": night.book}
    planned = reader.once(
        ("metrics", "orders", known.book, session),
        lambda _, ledger: Counter(row.state for row in ledger.orders(known.book, decided=session)),
    )
    yield Metric("mechexo_nav_usd", "Net asset value at the last booked close.", [(name, night.money.nav)])
    yield Metric("mechexo_pnl_usd", "Profit and loss of the last booked session.", [(name, night.money.pnl)])
    yield Metric("mechexo_drawdown_ratio", "Fall from the highest NAV so far, as a fraction.", [(name, night.drawdown)])
    yield Metric("mechexo_positions", "Positions held.", [(name, float(len(night.holdings)))])
    limits = [(name | {"limit": one.name, "who": one.who or ""}, one) for one in night.limits]
    yield Metric("mechexo_limit_use", "What a limit measures at its most used instance.", [(labels, one.value) for labels, one in limits])
    yield Metric("mechexo_limit_bound", "What that may be at most.", [(labels, one.limit) for labels, one in limits])
    orders = [(name | {"state": state.value}, float(planned[state])) for state in OrderState]
    yield Metric("mechexo_orders", "Orders decided at the last booked session, by state.", orders)
    yield Metric("mechexo_kpi", "A demand of the KPI contract and its verdict: 1 is the verdict it has.", list(_kpi(name, night)))


def _kpi(name: Labels, night: NightReport) -> Iterator[tuple[Labels, float]]:
    for demand in night.kpi.demands:
        for period, figure in (("trailing", demand.trailing), ("whole", demand.whole)):
            yield {**name, "demand": demand.name, "period": period, "verdict": figure.verdict}, 1.0


def _of_alerts(reader: Reader) -> Iterator[Metric]:
    sent = delivery(reader)
    waiting = None if isinstance(sent, MechExoError) else float(undelivered(sent))
    yield Metric("mechexo_alerts_undelivered", "Deliveries of alerts that wait, over all channels.", [({}, waiting)])


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
