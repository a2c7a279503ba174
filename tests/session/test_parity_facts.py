"""One decision path with company figures and headlines: paper nights that see each filing as it comes decide as the backtest does."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from mech_exo.assembly import Workspace
from mech_exo.decision.strategy import Strategy
from tests.session.stage import decide_every
from tests.session.test_parity import paper_equals_backtest


def test_nights_with_filings_and_headlines_decide_as_the_backtest_and_are_told_again(sample: Path) -> None:
    decide_every(sample, 3)
    start, end = date(2020, 7, 1), date(2020, 9, 15)
    result = paper_equals_backtest(sample, start, end)
    assert len(result.fills) > 20
    workspace = Workspace.open(sample)
    with workspace.ledger(read_only=True) as ledger:
        for night in result.sessions[::12]:
            assert workspace.replay(ledger, night.astype(object)).identical
    known = workspace.known()
    rows = np.arange(known.panel.row_of(start), known.panel.row_of(end), 3)
    strategy = Strategy(workspace.config)
    _, table = strategy.features(known.panel, known.universe, rows)
    counted = {name for f, name in enumerate(table.factors) if (table.weights[:, f] > 0.0).any()}
    assert {"pe_ratio", "earnings_growth", "news_sentiment", "balance_sheet_strength"} <= counted
    pe = table.raw[table.factors.index("pe_ratio")]
    stepped = np.asarray(known.universe.facts.known["f_points"])[rows[0] : rows[-1]]
    assert np.isfinite(pe).mean() > 0.5 and (np.abs(np.diff(stepped, axis=0)) > 0).any()  # reports came in between
