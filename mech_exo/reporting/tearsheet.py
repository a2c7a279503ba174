"""The tear sheet: one HTML file that explains a backtest or an account, opens without a network and prints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.performance.ratios import YEAR
from mech_exo.reporting import deals, evidence, page, risk, sections
from mech_exo.reporting.caveats import caveats
from mech_exo.reporting.text import percent
from mech_exo.reporting.view import Line, OutOfSample, Result, Section, Sheet
from mech_exo.reporting.wording import basis, headline, kpi_lines, span, verdict_line
from mech_exo.utils.config import effective
from mech_exo.utils.durable import write_text

if TYPE_CHECKING:
    from mech_exo.performance.kpi import KpiPeriod
    from mech_exo.performance.metrics import Summary
    from mech_exo.performance.overfitting import OverfittingReport

BACKTEST = "Backtest"


def write_tearsheet(
    result: Result,
    path: Path | str,
    *,
    kind: str = BACKTEST,
    overfitting: OverfittingReport | None = None,
    walk_forward: OutOfSample | None = None,
) -> Path:
    """Write the tear sheet of ``result`` to ``path`` (one self-contained HTML file, 5 to 6 MB) and return the path.

    Parameters
    ----------
    result
        A backtest's result, or an account's record.
    path
        Where it goes; folders are made. The file appears whole or not at all.
    kind
        What the record is, e.g. "Account paper". Anything but "Backtest" was lived forward and is out of sample by itself.
    overfitting
        How much of the result is luck, at the number of trials the ledger counted.
    walk_forward
        The same strategy chosen on the past and judged on what followed: a :class:`mech_exo.backtest.walk_forward.WalkForwardResult`.

    Plotly is inlined once; a content security policy in the page forbids every request. A part that was not handed in is not left out:
    its section says what would fill it.
    """
    return write_text(Path(path), page.render("tearsheet.html", sheet(result, kind, overfitting, walk_forward)))


def sheet(
    result: Result, kind: str = BACKTEST, overfitting: OverfittingReport | None = None, walk_forward: OutOfSample | None = None
) -> Sheet:
    """The tear sheet's contents: the contract first, then how far to believe it, then what happened."""
    terms = _terms(result.metrics)
    told: tuple[Section, ...] = (
        evidence.out_of_sample(result, walk_forward, terms, lived=kind != BACKTEST),
        evidence.overfitting(overfitting, len(result.sessions), terms),
        sections.returns(result, terms),
        sections.falls(result),
        sections.holdings(result),
        risk.risk(result),
        sections.costs(result),
        deals.trades(result),
        deals.attribution(result),
        sections.all_figures(result, basis(result.metrics)),
    )
    return Sheet(
        title=result.name,
        subtitle=_subtitle(result, kind),
        verdict=verdict_line(result.kpi.whole),
        passed=result.kpi.whole.verdict.value,
        caveats=caveats(result.warnings),
        periods=tuple(span(period) for period in (result.kpi.trailing, result.kpi.whole)),
        kpis=kpi_lines(result.kpi),
        intervals=_intervals(result.kpi.whole),
        headline=headline(result.metrics),
        terms=terms,
        sections=told,
        identity=_identity(result),
        configuration=effective(result.config),
        plotly=page.plotly_source(),
    )


def _terms(m: Summary) -> str:
    """What stands beside every group of annual figures."""
    return f"Annual figures: {YEAR} sessions a year, risk-free rate {percent(m['risk_free'])} a year."


def _intervals(period: KpiPeriod) -> str:
    """How each interval of the contract was found."""
    known = (kpi for kpi in period.kpis if kpi.interval is not None and math.isfinite(kpi.interval.low))
    said = [f"{kpi.label}: {kpi.interval.method}" for kpi in known if kpi.interval is not None]
    return f"Intervals are 95 %. {'; '.join(said)}." if said else ""


def _subtitle(result: Result, kind: str) -> str:
    span = f"{result.sessions[0]} to {result.sessions[-1]}" if len(result.sessions) else "no session yet"
    return f"{kind}, {span}: {_counted(len(result.sessions), 'session')}, {_counted(len(result.symbols), 'symbol')}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _identity(result: Result) -> tuple[Line, ...]:
    hashes = {"Run": result.run_id, "Configuration": result.config_hash, "Code": result.code_version, "Data": result.data_hash}
    return tuple(Line(name, value) for name, value in hashes.items())
