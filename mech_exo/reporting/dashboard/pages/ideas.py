"""Ideas: the ranking of a decision, and of one name in it how its score is made, how it came there, and what was said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc
import numpy as np
from dash import dcc, html

from mech_exo.domain.errors import MechExoError
from mech_exo.performance import figures
from mech_exo.reporting.dashboard.account_data import Booked, booked
from mech_exo.reporting.dashboard.address import search_of
from mech_exo.reporting.dashboard.choosing import ONE, drawer, plain_table, session_bar, steer_choice, steer_row, steer_session, told
from mech_exo.reporting.dashboard.later import Answer, ask, steer_waiting, waiting
from mech_exo.reporting.dashboard.pages import Page, Query
from mech_exo.reporting.dashboard.parts import badge, card, chart, column, command, empty, endless, serve_rows, stack, tile, tiles
from mech_exo.reporting.dashboard.ranking import Headline, Named, Outcome, Part, Ranking, named, ranking
from mech_exo.reporting.dashboard.score_history import Decisions, ScoreHistory
from mech_exo.reporting.text import UNKNOWN, ratio, whole, words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from dash import Dash

    from mech_exo.execution.rows import BookId
    from mech_exo.reporting.dashboard.reader import Reader

PATH, TABLE = "/ideas", "ideas-rows"
COLUMNS = [
    column("rank", "Rank", "whole", pinned="left", width=64, flex=0, filter=False),
    column("symbol", "Symbol", pinned="left", width=96, flex=0),
    column("outcome", "What became of it", minWidth=134),
    column("bound", "Bound by", minWidth=160),
    column("score", "Score", "ratio", filter=False),
    column("percentile", "Percentile", "percent", filter=False),
    column("coverage", "Coverage", "percent", filter=False),
    column("sector", "Sector", minWidth=192),
    column("held", "Held", "whole", filter=False),
    column("ordered", "Ordered", "whole", filter=False),
]
TONES = {"positive": "good", "negative": "bad", "neutral": ""}
JUDGED = 0.05
"""Sentiment nearer to 0 is neither good nor bad."""
READING = (
    "A row opens how its score is made. Percentile: share of the scored names that are not better. Coverage: share of the weights that it "
    "has values for."
)
LEFT_OUT = "left out of the score"
"""How the warning begins that says in one line what the card says in many."""
PARTS = "Contributions sum to the score. A factor without a value adds nothing and says unknown."
HISTORY = "Of each journaled decision of the last half year, from the journal alone; a gap: it was not scored."
_DECISIONS = Decisions()


def layout(reader: Reader, query: Query) -> Any:
    """The page for ``session``, ``book``, ``outcome``, ``sector`` and ``symbol`` of the address."""
    known = booked(reader, query)
    session, symbol = known.session(query), query.get("symbol", "")
    bar = session_bar("ideas", PATH, known, session, query)
    history = scores(reader, known.book) if symbol else None
    try:
        made = ranked(reader, known.book, session)
    except MechExoError as error:
        return stack(bar, told(error), waiting("ideas", fresh=True))
    rows = chosen(made, query)
    return stack(
        html.Div([bar, *_filters(made, query)], className="choosing"),
        _summary(made),
        card("Ranking", endless(TABLE, COLUMNS, getRowId="params.data.symbol", dashGridOptions=ONE) if rows else _none(made), READING),
        _left_out(made),
        drawer(TABLE, symbol, _one(reader, known, symbol, session, history) if symbol else None, opened=bool(symbol)),
        waiting("ideas", fresh=history is None or history.fresh),
    )


def ranked(reader: Reader, book: BookId, session: date) -> Ranking:
    """The ranking, read once."""
    return reader.once(("ranking", book, session), lambda house, ledger: ranking(house, ledger, book, session))


def scores(reader: Reader, book: BookId) -> Answer[ScoreHistory]:
    """Every name's scores over the last decisions: in the first minute perhaps not yet."""
    return ask(reader, ("scores", book), lambda _, ledger: _DECISIONS.history(ledger, book), stamp=reader.stamp().ledger)


def chosen(made: Ranking, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of the table for the filters in the address."""
    outcome, sector = query.get("outcome"), query.get("sector")
    return [
        {
            "key": each.symbol, "rank": each.rank, "symbol": each.symbol, "outcome": each.outcome.value, "bound": words(each.bound),
            "score": each.score, "percentile": each.percentile, "coverage": each.coverage, "sector": each.sector or UNKNOWN,
            "held": each.held or "", "ordered": each.ordered or "",
        }
        for each in made.candidates
        if (not outcome or each.outcome.value == outcome) and (not sector or (each.sector or UNKNOWN) == sector)
    ]  # fmt: skip


def _filters(made: Ranking, query: Query) -> tuple[Any, ...]:
    found = Counter(each.outcome for each in made.candidates)
    outcomes = [one.value for one in Outcome if found[one]]
    sectors = sorted({each.sector or UNKNOWN for each in made.candidates})
    return tuple(
        dmc.Select(
            id=f"ideas-{name}", data=data, value=query.get(name) if query.get(name) in data else None, placeholder=f"any {label}",
            clearable=True, size="xs", w=170, **{"aria-label": label.capitalize()},
        )
        for name, label, data in (("outcome", "outcome", outcomes), ("sector", "sector", sectors))
    )  # fmt: skip


def _summary(made: Ranking) -> Any:
    found, age = Counter(each.outcome for each in made.candidates), f"close of {made.session}"
    what = "decided anew" if made.scheduled else "not due"
    return tiles(
        tile("Scored", whole(len(made.candidates)), f"{len(made.excluded)} others were not considered", age),
        tile("Ordered", whole(found[Outcome.ORDERED]), f"for {made.orders_for}", age),
        tile("Held as they are", whole(found[Outcome.HELD]), "without an order", age),
        tile("Denied by a limit", whole(found[Outcome.DENIED]), "wanted and cut to nothing", age, "warn" if found[Outcome.DENIED] else ""),
        tile("Rebalance", what, f"state {words(made.state)}", age),
    )


def _none(made: Ranking) -> Any:
    if made.candidates:
        return empty("No name is of this kind: widen the filters above.")
    return empty("No name had a score that night: see why below.", "exo data status")


def _left_out(made: Ranking) -> Any:
    reasons = Counter(reason for _, reason in made.excluded)
    names: dict[str, list[str]] = {}
    for symbol, reason in made.excluded:
        names.setdefault(reason, []).append(symbol)
    rows = [(reason, whole(count), ", ".join(names[reason][:12]) + (" …" if count > 12 else "")) for reason, count in reasons.most_common()]
    missing = [html.P([html.B(words(name)), f": {reason}"], className="card-note") for name, reason in made.missing]
    notes = [html.P(said, className="card-note") for said in made.warnings if not said.startswith(LEFT_OUT)]
    return html.Div(
        [
            card("Not considered", plain_table(("Why", "Names", "Which"), rows, (1,)) if rows else empty("Every name was considered.")),
            card("Left out of every score", [*missing, *notes] if missing or notes else empty("Every factor had a source.")),
        ],
        className="columns",
    )


def _one(reader: Reader, known: Booked, symbol: str, session: date, history: Answer[ScoreHistory] | None) -> Any:
    try:
        found = reader.once(("named", known.book, symbol, session), lambda house, ledger: named(house, ledger, known.book, symbol, session))
    except MechExoError as error:
        return told(error)
    way = f"/orders{search_of({}, session=session, book=known.name if len(known.books) > 1 else None, explain=symbol)}"
    return stack(
        html.Div([badge(symbol, "info"), html.Span(f"at the close of {session}", className="tile-age")], className="choosing"),
        html.P(found.verdict, className="verdict"),
        *_score(found),
        card("Score and rank so far", _history(history, symbol), HISTORY),
        card("What was said of it", _headlines(found.headlines)),
        html.P([dcc.Link("Its whole way, from factor to fill", href=way), " · ", command(f"exo why {symbol} --date {session}")]),
    )


def _score(found: Named) -> tuple[Any, ...]:
    if found.score is None:
        return (card("Score", empty("It was not scored that night.")),)
    parts = ordered(found.parts)
    values = np.array([np.nan if part.contribution is None else part.contribution for part in parts])
    drawn = figures.waterfall_figure([words(part.factor) for part in parts], values, "score")
    body = [(words(p.factor), ratio(p.raw, 4), ratio(p.normalised, 3), ratio(p.weight, 1), ratio(p.contribution, 4)) for p in parts]
    body.append(("Sum = score", "", "", "", ratio(found.score, 4)))
    return (
        card(found.head, chart("ideas-waterfall", drawn, PARTS)),
        card("Factor by factor", plain_table(("Factor", "Raw", "Normalised", "Weight", "Contribution"), body, (1, 2, 3, 4))),
    )


def ordered(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The largest contribution first, of either sign; what is unknown last."""
    return tuple(sorted(parts, key=lambda part: -1.0 if part.contribution is None else -1.0 - abs(part.contribution)))


def _history(history: Answer[ScoreHistory] | None, symbol: str) -> Any:
    if history is None or history.value is None:
        return empty("The journal is being read; this appears by itself.")
    line = history.value.of(symbol)
    if not np.isfinite(line.score).any():
        return empty("It was not scored in any of these decisions.")
    drawn = figures.score_history_figure(line.sessions, line.score, line.rank)
    return chart("ideas-history", drawn, f"Last {len(line.sessions)} decisions. Rank 1 is the best of those scored that night.")


def _headlines(told_of: Sequence[Headline]) -> Any:
    if not told_of:
        return empty("No headline about it is stored up to then.", "exo data import --news FILE")
    rows = [(one.published, one.headline, one.source, _sentiment(one.sentiment)) for one in told_of]
    return plain_table(("Published", "Headline", "Source", "Sentiment"), rows)


def _sentiment(value: float | None) -> Any:
    if value is None:
        return UNKNOWN
    word = "neutral" if abs(value) < JUDGED else "positive" if value > 0.0 else "negative"
    return badge(f"{word} {ratio(value)}", TONES[word])


def register(app: Dash, reader: Reader) -> None:
    """Rows of the table, the filters, the session, the drawer."""

    def rows(asked: Reader, query: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        known = booked(asked, query)
        return chosen(ranked(asked, known.book, known.session(query)), query)

    serve_rows(app, reader, TABLE, COLUMNS, rows)
    steer_session(app, reader, "ideas")
    steer_row(app, TABLE, "symbol")
    steer_waiting(app, reader, PAGE)
    for name in ("outcome", "sector"):
        steer_choice(app, "ideas", name)


PAGE = Page(PATH, "Ideas", "ideas", layout, register)
