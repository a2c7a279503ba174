"""Why a run bought, sold, held or left a name at one close: derived again from the recorded run, not remembered."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from mech_exo.backtest.replay import Stood, stand
from mech_exo.decision.explanation import HEAD, Body, about, score_table, story, verdict
from mech_exo.decision.kelly import method_words
from mech_exo.decision.market import market_of
from mech_exo.decision.night import config_json
from mech_exo.decision.record import Decision, known, levels_of, share_count, verdict_of, with_headroom
from mech_exo.decision.rows import chosen
from mech_exo.decision.sizing_rows import exposure_scale, in_force, raw_sizes
from mech_exo.decision.strategy import Strategy
from mech_exo.decision.tickets import Shares, Ticket
from mech_exo.domain import markup
from mech_exo.domain.errors import InputError, UserError
from mech_exo.domain.scores import Scores
from mech_exo.kernels.records import Bars, EventKind, Outcome, Reason, RiskState
from mech_exo.risk.model import Market

if TYPE_CHECKING:
    from mech_exo.backtest.result import BacktestResult

NOT_AGAIN = "the strategy does not answer the same way twice (it depends on more than the view and the portfolio)"
NO_CODE = "the strategy's code is not saved with a run (BacktestResult.load(..., strategy=function) asks it again)"


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One name at one close of a run: factors → score → rank → size → limits → target → order → what became of it.

    ``found`` holds, under the keys of ``exo why --json``: ``score`` (by factor: raw, normalised, contribution; the contributions sum to
    the score), ``weights``, ``excluded``, ``selected`` (long, short or None), ``target`` (raw, scaled, asked, wanted, approved shares, and
    what bound), ``breaches``, ``held`` with its levels, ``orders`` with their outcome, ``fills`` and all ``events`` of the session after,
    ``asked`` (a callable's own words) and ``notes``.
    """

    run_id: str
    symbol: str
    as_of: date
    verdict: str
    found: Body

    @property
    def contributions(self) -> dict[str, float]:
        """What each factor added to the score; empty without one."""
        score = self.found["score"]
        return {} if score is None else {name: line["contribution"] for name, line in score["factors"].items()}

    @property
    def score(self) -> float:
        """The composite score, NaN = no opinion."""
        return float("nan") if self.found["score"] is None else float(self.found["score"]["score"])

    def text(self) -> str:
        """The whole way in plain words."""
        lines = [self._title(), self.verdict]
        scored = score_table(self.found)
        if scored is not None:
            rows = (HEAD, *scored[1])
            width = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
            lines.append(scored[0])
            lines += ["  ".join((row[0].ljust(width[0]), *(c.rjust(w) for c, w in zip(row[1:], width[1:], strict=True)))) for row in rows]
        return "\n".join((*lines, *story(self.found)))

    def as_dict(self) -> dict[str, Any]:
        """What ``exo backtest explain --json`` prints."""
        return {"run_id": self.run_id, **self.found}

    def _title(self) -> str:
        return f"{self.symbol} at the close of {self.as_of} · risk {self.found['state'].upper()} · run {self.run_id}"

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        scored = score_table(self.found)
        table = "" if scored is None else markup.title(scored[0]) + markup.table(HEAD, scored[1], len(scored[1]))
        return markup.page(markup.title(self.verdict, self._title()), table, markup.notes(map(str.strip, story(self.found)), 40))


def explain(result: BacktestResult, session: date | str, symbol: str) -> Explanation:
    """See :meth:`mech_exo.backtest.result.BacktestResult.explain`."""
    row, column = _row(result, session), result.panel.column_of(symbol)
    stood = stand(result, row)
    if stood is None and result.configured:
        from mech_exo.kernels import code_version

        raise UserError(
            f"a run is explained by deriving it again, which must give what was recorded; {result.run_id} comes out otherwise "
            f"(recorded with code {result.code_version}, this is {code_version()})",
            remedy="run the backtest again with this version, and explain that run",
        )
    if stood is None:
        found, body = _recorded(result, row, column)
    else:
        decision = _decision(result, stood, row)
        body = json.loads(decision.body())
        found = about(symbol, body, _held(stood, column))
        found |= {"selected": None, "asked": _answer(stood, symbol), "notes": _nights(result, row)}
        if result.configured and stood.decided:
            _add_sizes(result, stood, row, column, found)
    found |= _outcome(result, stood, row, column)
    universe = result.universe
    sectors = {name: universe.sector_name(row, place) for place, name in enumerate(result.symbols)}
    found["verdict"] = verdict(found, body, lambda: sectors)
    as_of: date = result.sessions[row].astype(object)
    return Explanation(result.run_id, symbol, as_of, found["verdict"], found)


def _row(result: BacktestResult, session: date | str) -> int:
    try:
        day = date.fromisoformat(session) if isinstance(session, str) else session
    except ValueError:
        raise InputError(f"a session is a date like 2015-06-30; got {session!r}") from None
    row = int(np.searchsorted(result.sessions, np.datetime64(day, "D")))
    if row >= len(result.sessions) or result.sessions[row] != np.datetime64(day, "D"):
        first, last = result.sessions[0], result.sessions[-1]
        near = result.sessions[min(max(row - 1, 0), len(result.sessions) - 1)]
        raise InputError(
            f"the date must be a session of the run, {first} to {last}; {day} is none", remedy=f"the nearest one before it is {near}"
        )
    return row


def _decision(result: BacktestResult, stood: Stood, row: int) -> Decision:
    """The night as the journal would hold it."""
    read, here, stage = result.known, result.first + row, stood.stage
    strategy = Strategy(result.config)
    as_of: date = result.sessions[row].astype(object)
    nav, state, share = float(stage.account["nav"][0]), int(stage.days["state"][here]), float(stage.days["scale"][here])
    method = method_words(strategy.settings.sizing, stage.days, here) if result.configured else "the strategy itself"
    night, breaches = stage.night, stage.breaches
    if not stood.decided:  # the buffers still hold an earlier night
        night, breaches = night._replace(plan=np.zeros_like(night.plan)), 0
    if result.configured:
        features, table = strategy.features(read.panel, read.universe, np.array([here], np.int64))
        scores, market = table.scores(0), market_of(read.panel, features)
    else:
        scores, market = _no_scores(as_of, result.symbols), Market(read.panel)
    market = replace(market, panel=read.panel.upto(here))
    verdict = verdict_of(night, breaches, state, nav, read.panel.close[here], read.panel, read.universe, method, strategy.own_limit_names)
    return Decision(
        as_of=as_of,
        session=_next(result, row) or as_of,
        scheduled=stood.decided,
        config=config_json(strategy),
        config_hash=result.config_hash,
        code_version=result.code_version,
        data_hash=result.data_hash,
        nav=nav,
        scores=scores,
        verdict=with_headroom(verdict, night, market, read.universe, nav, share, strategy.limits),
        orders=(),
        levels=levels_of(stage.book, read.panel),
        warnings=(),
        scale=share,
    )


def _nights(result: BacktestResult, row: int) -> list[str]:
    """On a night without a decision of the configured strategy, when it decided before and when it decides next."""
    if not result.configured:
        return []
    first = result.first
    rows = Strategy(result.config).decision_rows(result.known.panel, first, first, first + len(result.sessions)) - first
    place = int(np.searchsorted(rows, row))
    if place < len(rows) and rows[place] == row:
        return []
    before = f"last on {result.sessions[rows[place - 1]]}" if place else "not yet"
    after = f"next on {result.sessions[rows[place]]}" if place < len(rows) else "not again in this run"
    return [f"The book is decided {before}, {after}; levels and time exits are kept every night."]


def _no_scores(as_of: date, symbols: tuple[str, ...]) -> Scores:
    """A callable has no opinion in numbers."""
    count = len(symbols)
    unknown, none = np.full(count, np.nan), np.empty((count, 0))
    return Scores(as_of, symbols, unknown, np.zeros(count, np.int64), unknown, (), none, none, none, unknown, ("",) * count)


def _add_sizes(result: BacktestResult, stood: Stood, row: int, column: int, found: Body) -> None:
    """Whether the name was selected, and its size before it was scaled and rounded."""
    read, here, stage = result.known, result.first + row, stood.stage
    strategy, bars = Strategy(result.config), Bars.of(read.panel)
    features, _ = strategy.features(read.panel, read.universe, np.array([here], np.int64))
    nav, rules = float(stage.account["nav"][0]), strategy.rules
    names, longs = chosen(0, features, stage.book, rules.sizing)
    method, bet = in_force(here, stage.days, rules.sizing)
    shares = raw_sizes(here, 0, names, longs, nav, method, bet, bars, features, stage.night.weights, rules)
    place = np.flatnonzero(names == column)
    if not len(place):
        return
    found["selected"] = "long" if place[0] < longs else "short"
    target = found["target"]
    if target is not None:
        raw = float(shares[place[0]])
        scaled = raw * float(stage.days["scale"][here]) * exposure_scale(here, names, shares, bars, nav, method, rules.sizing)
        target |= {"raw": raw, "scaled": scaled}


def _held(stood: Stood, column: int) -> Body | None:
    line = stood.stage.book[column]
    if line["shares"] == 0.0:
        return None
    return {
        "shares": share_count(line["shares"]),
        "entry": known(line["entry"]),
        "mark": known(line["mark"]),
        "sessions": int(line["age"]),
        "stop": known(line["stop"]),
        "target": known(line["target"]),
        "stop_reason": Reason(int(line["stop_reason"])).name.lower(),
    }


def _answer(stood: Stood, symbol: str) -> Body | None:
    """What a callable asked for ``symbol``; None for a configured strategy or where it left everything as it was."""
    if stood.answer is None:
        return None
    asked = stood.answer.get(symbol)
    ticket = asked if isinstance(asked, Ticket) else None if asked is None else Ticket(float(asked))
    unit = "shares" if isinstance(stood.answer, Shares) else "weight"
    if ticket is None:
        return {"value": None, "unit": unit}
    return {"value": float(ticket.target), "unit": unit, "order": ticket.type.value, "order_price": ticket.price}


def _outcome(result: BacktestResult, stood: Stood | None, row: int, column: int) -> Body:
    """The order decided at the close, if any, and everything that happened to the name in the session after."""
    session = _next(result, row)
    mine = result.events[(result.events["row"] == row + 1) & (result.events["symbol"] == column)]
    events = [_event(event, session) for event in mine]
    traded = [event for event in events if event["kind"] == "order"]
    ordered = 0.0 if stood is None else float(stood.stage.book["order"][column])
    if ordered:
        reason = Reason(int(stood.stage.book["order_reason"][column])).name.lower() if stood is not None else ""
        orders = [{"shares": share_count(ordered), "session": session, "reason": reason}]
    else:
        orders = [{"shares": event["shares"], "session": session, "reason": event["reason"]} for event in traded[:1]]
    for order in orders:
        order["state"] = traded[0]["outcome"] if traded else "open" if session is None else "not recorded"
        order["note"] = "the run ended at this close" if session is None else ""
        if traded and traded[0]["shares"] != order["shares"]:
            order["note"] = f"as {traded[0]['shares']:+,} shares"
        order["session"] = session or "the open after the run's end"
    fills = [e for e in events if e["outcome"] == "filled" and e["kind"] not in ("split", "dividend")]
    return {"orders": orders, "fills": fills, "events": events}


def _event(event: np.void, session: date | None) -> Body:
    return {
        "session": session,
        "kind": EventKind(int(event["kind"])).name.lower(),
        "outcome": Outcome(int(event["outcome"])).name.lower(),
        "reason": Reason(int(event["reason"])).name.lower(),
        "shares": share_count(event["shares"]),
        "price": known(event["price"]),
        "reference": known(event["reference"]),
        "commission": float(event["commission"]),
        "cash": float(event["cash"]),
    }


def _recorded(result: BacktestResult, row: int, column: int) -> tuple[Body, Body]:
    """What the record alone tells of a callable that cannot be asked again."""
    symbol, as_of = result.symbols[column], result.sessions[row].astype(object)
    lines = result.holdings.filter((result.holdings["date"] == as_of) & (result.holdings["symbol"] == symbol)).to_dicts()
    held: Body | None = None
    if lines:
        held = dict.fromkeys(("entry", "stop", "target")) | {"stop_reason": "unknown", "sessions": _age(result, row, symbol)}
        held |= {"shares": lines[0]["shares"], "mark": lines[0]["price"]}
    state = RiskState(int(result.days["state"][row])).name.lower()
    body: Body = {"as_of": str(as_of), "scheduled": True, "state": state, "config": json.loads(config_json(Strategy(result.config)))}
    body |= {"scores": [], "excluded": {}, "targets": [], "breaches": [], "missing_factors": []}
    note = NO_CODE if result.strategy is None else NOT_AGAIN
    return about(symbol, body, held) | {"selected": None, "asked": None, "notes": [f"What it asked for is unknown: {note}."]}, body


def _age(result: BacktestResult, row: int, symbol: str) -> int:
    """Sessions since the position was opened: how long the name has been among the holdings without a gap."""
    dates = result.holdings.filter(result.holdings["symbol"] == symbol)["date"].to_numpy().astype("datetime64[D]")
    rows = set(np.searchsorted(result.sessions, dates).tolist())
    age = 0
    while row - age - 1 in rows:
        age += 1
    return age


def _next(result: BacktestResult, row: int) -> date | None:
    if row + 1 >= len(result.sessions):
        return None
    session: date = result.sessions[row + 1].astype(object)
    return session
