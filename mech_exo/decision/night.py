"""One decision, for one night: :func:`decide`. Paper, live, plan and replay call it; history calls the same rows compiled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np

from mech_exo.decision import weighing
from mech_exo.decision.asked import Asked, own_warnings
from mech_exo.decision.kelly import kelly_warnings, method_words
from mech_exo.decision.market import market_of
from mech_exo.decision.record import Decision, levels_of, orders_of, verdict_of, with_headroom
from mech_exo.decision.strategy import Strategy, missing_warnings, night_buffers, sector_warnings, unscored_warnings, withheld_warnings
from mech_exo.domain.panel import BarPanel, Universe
from mech_exo.execution.books import Desk
from mech_exo.kernels import code_version
from mech_exo.kernels.records import Bars
from mech_exo.risk.governor import share_before
from mech_exo.risk.rules import falls_of, risk_state
from mech_exo.utils.config import deciding


@dataclass(frozen=True, eq=False)
class Known:
    """What was known at the close of the panel's last session: its bars, members and sectors, and what must be said of them.

    ``doubts`` tells of each symbol whose data are blocked tonight why, in words.
    ``stored_until`` is when the latest fact in the store was recorded (UTC), None when that does not matter: a replay cuts there.
    """

    panel: BarPanel
    universe: Universe
    warnings: tuple[str, ...] = ()
    stored_until: datetime | None = None
    doubts: Mapping[str, str] = field(default_factory=dict)

    @property
    def row(self) -> int:
        """The last row: tonight."""
        return len(self.panel.sessions) - 1

    @property
    def as_of(self) -> date:
        """Tonight's session."""
        session: date = self.panel.sessions[-1].astype(object)
        return session

    def data_hash(self) -> str:
        """Hash of everything a decision may have read."""
        return hashlib.sha256((self.panel.data_hash() + self.universe.data_hash()).encode()).hexdigest()[:16]


def decide(known: Known, desk: Desk, strategy: Strategy, account: str, next_session: date, *, halted: bool = False) -> Decision:
    """Decide at the close of ``known.as_of`` for the open of ``next_session``, on the ``desk`` of ``account``.

    The desk lies on the panel's columns as ``step`` left it, tonight's figures included; its book gets the new levels and
    the orders. The result is a pure function of the arguments and of the code.
    """
    row, panel, book = known.row, known.panel, desk.book
    features, table = strategy.features(panel, known.universe, np.array([row], np.int64))
    began = int(np.flatnonzero(~np.isnan(desk.days["nav"]))[0])
    scheduled = row in strategy.decision_rows(panel, began, row, row + 1)
    asked = Asked.of(strategy, panel.symbols, known.universe)
    own_limits = strategy.own_limit_names
    night = night_buffers(len(book), strategy.rules.limits, len(own_limits))
    breaches = weighing.decide(
        row, 0 if scheduled else -1, halted, Bars.of(panel), features, book, desk.live, desk.account, desk.days, night, strategy.rules,
        asked,
    )
    nav, state = float(desk.account["nav"][0]), int(desk.days["state"][row])
    method = method_words(strategy.settings.sizing, desk.days, row)
    verdict = verdict_of(night, breaches, state, nav, panel.close[row], panel, known.universe, method, own_limits)
    share = float(desk.days["scale"][row])
    verdict = with_headroom(verdict, night, market_of(panel, features), known.universe, nav, share, strategy.limits)
    return Decision(
        as_of=known.as_of,
        session=next_session,
        scheduled=scheduled,
        config=config_json(strategy),
        config_hash=strategy.config_hash,
        code_version=code_version(),
        data_hash=known.data_hash(),
        nav=nav,
        scores=table.scores(0),
        verdict=verdict,
        orders=orders_of(book, panel, strategy, account, next_session),
        levels=levels_of(book, panel),
        warnings=(
            *known.warnings,
            *own_warnings(strategy),
            *sector_warnings(strategy, known.universe),
            *missing_warnings(table.missing_at(0)),
            *(unscored_warnings(table) if scheduled else ()),
            *(kelly_warnings(strategy.settings.sizing, desk.days, np.array([row], np.int64)) if scheduled else ()),
            *withheld_warnings(verdict, known.doubts),
        ),
        scale=share,
    )


def config_json(strategy: Strategy) -> str:
    """What decides of the configuration, canonical."""
    return json.dumps(deciding(strategy.config), sort_keys=True, separators=(",", ":"))


def watch(known: Known, desk: Desk, strategy: Strategy, *, halted: bool = False) -> None:
    """Only write tonight's risk state to the desk, for a session at which nobody decided: the governor's share stays what it was.

    Nothing is ordered for such a session; the next night that is run makes good what the governor would have reduced.
    """
    row, days, limits = known.row, desk.days, strategy.rules.limits
    days["state"][row] = risk_state(falls_of(days["index"], row, limits), halted, limits)
    days["scale"][row] = share_before(row, days["scale"])
