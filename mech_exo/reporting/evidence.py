"""How much a result is to be believed: the out-of-sample panel and the overfitting panel of a tear sheet, in a reader's words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.performance import figures, metrics
from mech_exo.performance.ratios import YEAR, Floats
from mech_exo.performance.trading import account_returns
from mech_exo.reporting import page
from mech_exo.reporting.text import percent, ratio, whole, words
from mech_exo.reporting.view import Block, OutOfSample, Result, Section, Table, Words

if TYPE_CHECKING:
    from mech_exo.execution.ledger import Ledger
    from mech_exo.performance.overfitting import OverfittingReport

FRACTIONS = ("total_return", "cagr", "volatility_ann", "max_drawdown")
LABELS = {
    "cagr": "CAGR", "volatility_ann": "annual volatility", "sharpe": "Sharpe ratio", "max_drawdown": "maximum drawdown",
    "sortino": "Sortino ratio", "calmar": "Calmar ratio",
}  # fmt: skip
COMPARED = ("cagr", "volatility_ann", "sharpe", "max_drawdown")
IN_SAMPLE = (
    "No walk-forward belongs to this run: every figure below is in sample, from the same history its rules were made on. "
    "The command “exo backtest walk-forward” chooses on the past alone and judges on what followed."
)
LIVED = "This record was lived forward, session by session, after its rules were fixed: all of it is out of sample."
UNCOUNTED = (
    "This record was not compared with other trials. For a backtest run from the command line, the ledger counts every look at history, "
    "and the deflated Sharpe ratio, the probability of overfitting and the track record needed stand here."
)
CURVE = "Of 100: only sessions no choice had seen, stitched; each window begins in cash and pays for building its positions."
WINDOWS = "Bars far apart: what was chosen looked better than it was."
LUCK_ALONE = "what the best of as many worthless strategies would show (Bailey and López de Prado 2014)"
PROBABILISTIC = "probability that the true Sharpe ratio is above 0, had this been the only trial (Bailey and López de Prado 2012)"
DEFLATED = "probability that the true Sharpe ratio is above luck alone (Bailey and López de Prado 2014); below 95 % is no evidence"
PBO = "how often the best trial in sample fell below the median out of sample (Bailey et al. 2015); pure noise has 50 %"
LUCK = "The point with its 95 % interval (Lo 2002); luck: what the best of as many worthless strategies would show."


def out_of_sample(result: Result, walked: OutOfSample | None, terms: str, *, lived: bool) -> Section:
    """The stitched test parts first, then each window, then how steady the choices were."""
    title = "Out of sample"
    if walked is None:
        return Section("out-of-sample", title, (Words(LIVED if lived else IN_SAMPLE),))
    sessions, returns = walked.returns
    table = walked.table
    starts = [str(day) for day in table["test_start"]]
    inside, outside = (table[f"{walked.objective}_{where}"].cast(float).to_numpy() for where in ("in_sample", "out_of_sample"))
    index = {session: row for row, session in enumerate(result.sessions)}
    rows = np.array([index.get(session, -1) for session in sessions])
    theirs = None if result.benchmark is None else np.where(rows >= 0, result.benchmark[rows], math.nan)
    own = np.where(rows >= 0, account_returns(result.days)[rows], math.nan)
    blocks: tuple[Block, ...] = (
        Words(_walked(walked, inside, outside, sessions)),
        page.chart("Growth, out of sample", CURVE, figures.out_of_sample_figure(sessions, returns, starts[1:], theirs)),
        _compared(walked, own),
        _stability(walked),
        page.chart("Window by window", WINDOWS, figures.windows_figure(starts, inside, outside, _label(walked.objective))),
        _windows(table),
    )
    return Section("out-of-sample", title, blocks, terms)


def overfitting(report: OverfittingReport | None, sessions: int, terms: str) -> Section:
    """What luck alone would have shown, and how sure one may be of more than luck."""
    anchor, title = "overfitting", "Luck and overfitting"
    if report is None:
        return Section(anchor, title, (Words(UNCOUNTED),))
    drawn = figures.luck_figure(report.sharpe, report.sharpe_low, report.sharpe_high, report.expected_best)
    blocks: tuple[Block, ...] = (
        Words(luck_alone(report)),
        page.chart("Sharpe ratio against luck", LUCK, drawn),
        Table("What the statistics say", ("Figure", "Value", "In words"), statistics(report, sessions), (0, 2), prose=True),
        *((Words("What could not be measured, and remarks:", report.notes),) if report.notes else ()),
    )
    return Section(anchor, title, blocks, terms)


def _walked(walked: OutOfSample, inside: Floats, outside: Floats, sessions: np.ndarray) -> str:
    count = len(inside)
    objective = _label(walked.objective)
    tried = "one candidate was" if walked.candidates == 1 else f"{walked.candidates} candidates were"
    return (
        f"From {sessions[0]} to {sessions[-1]}, in {count} {'window' if count == 1 else 'windows'}: in each {tried} tried on the training "
        f"part, and the one with the best {objective} was judged on the sessions that followed. On average the {objective} was "
        f"{_metric(walked.objective, _mean(inside))} in training and {_metric(walked.objective, _mean(outside))} afterwards."
    )


def _compared(walked: OutOfSample, own: Floats) -> Table:
    """The stitched record beside this run's over the same sessions."""
    growth = metrics.growth(own)
    mine = {
        "cagr": metrics.cagr(own), "volatility_ann": metrics.volatility_ann(own), "sharpe": metrics.sharpe(own),
        "max_drawdown": float(metrics.drawdown_series(growth).max()),
    }  # fmt: skip
    rows = tuple((_capital(_label(name)), _metric(name, walked.metrics.get(name)), _metric(name, mine[name])) for name in COMPARED)
    note = "This run: the same sessions of the record this page is about; unknown where it does not have them all."
    return Table("The same sessions", ("Figure", "Out of sample", "This run"), rows, note=note, wide=False)


def _stability(walked: OutOfSample) -> Table:
    rows = tuple((key, percent(share, 0)) for key, share in walked.stability.items())
    note = "How often the windows agreed on the most frequent value: 100 % is always the same, little is chance."
    return Table("Steadiness of the choices", ("Parameter", "Agreement"), rows, note=note, wide=False, nothing="Nothing was to choose.")


def _windows(table: Any) -> Table:
    names = tuple(table.columns)
    rows = tuple(tuple(_cell(name, value) for name, value in zip(names, row, strict=True)) for row in table.iter_rows())
    return Table("Every window", tuple(_head(name) for name in names), rows, left=(0, 1))


def _cell(name: str, value: object) -> str:
    if isinstance(value, float):
        return _metric(name.removesuffix("_in_sample").removesuffix("_out_of_sample"), value)
    return "unknown" if value is None else str(value)


def _head(column: str) -> str:
    """A column of the walk-forward's table as its heading; the key of a parameter stays what it is."""
    for end in ("_in_sample", "_out_of_sample"):
        if column.endswith(end):
            return f"{_capital(_label(column.removesuffix(end)))}{words(end)}"
    return column if "." in column else _capital(words(column))


def _label(metric: str) -> str:
    return LABELS.get(metric, words(metric))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _metric(name: str, value: float | None) -> str:
    return percent(value) if name in FRACTIONS else ratio(value)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def luck(ledger: Ledger, result: Result) -> OverfittingReport:
    """How much of a backtest is luck, this run counted among the ledger's trials whether or not it is there already."""
    from mech_exo.performance.overfitting import overfitting_report

    figures = {trial.run_id: trial.value for trial in ledger.trial_figures("sharpe")}
    mine = result.metrics["sharpe"]
    figures[result.run_id] = math.nan if mine is None else mine
    return overfitting_report(account_returns(result.days), list(figures.values()), risk_free=result.metrics["risk_free"] or 0.0)


def luck_alone(report: OverfittingReport) -> str:
    """What luck alone would have shown among so many trials, beside what was found, in a sentence or two."""
    shown = f"this one shows {ratio(report.sharpe)} (95 %: {ratio(report.sharpe_low)} to {ratio(report.sharpe_high)})"
    if report.trials == 1:
        return f"One run was looked at: nothing was chosen among others. Its Sharpe ratio: {shown}."
    count = whole(report.trials)
    if not math.isfinite(report.expected_best):
        return f"{count} runs were looked at; what luck alone would show among them is unknown; {shown}."
    beaten = "" if not math.isfinite(report.deflated_sharpe) else (
        f" That its true Sharpe ratio is above such luck is {percent(report.deflated_sharpe, 0)} probable; less than 95 % is no evidence."
    )
    return (
        f"{count} runs were looked at; the best of {count} worthless strategies that differ as much as these would show a Sharpe ratio of "
        f"about {ratio(report.expected_best)}; {shown}.{beaten}"
    )


def statistics(report: OverfittingReport, sessions: int) -> tuple[tuple[str, ...], ...]:
    """Figure, value, in words and with its source."""
    need = report.minimum_track_record
    record = f"{whole(math.ceil(need))} sessions" if math.isfinite(need) else "never"
    years = f" ({ratio(need / YEAR, 1)} years)" if math.isfinite(need) else ""
    interval = f"95 % interval {ratio(report.sharpe_low)} to {ratio(report.sharpe_high)} (Lo 2002)"
    return (
        ("Sharpe ratio", ratio(report.sharpe), interval),
        ("Trials", whole(report.trials), "looks at this history that the ledger counted, this one among them"),
        ("Luck alone", ratio(report.expected_best), LUCK_ALONE),
        ("Probabilistic Sharpe", percent(report.probabilistic_sharpe, 1), PROBABILISTIC),
        ("Deflated Sharpe", percent(report.deflated_sharpe, 1), DEFLATED),
        ("Track record needed", record, f"to be 95 % sure that the true Sharpe ratio is above 0{years}; this record has {whole(sessions)}"),
        ("PBO", percent(report.pbo, 0), PBO),
        ("Reality check", _p(report.reality_check), "p-value: how often worthless trials would have so good a best one (White 2000)"),
        ("SPA", _p(report.spa), "p-value of the same question, not misled by hopeless trials (Hansen 2005)"),
    )


def _p(value: float) -> str:
    return "< 0.001" if math.isfinite(value) and value < 0.001 else ratio(value, 3)
