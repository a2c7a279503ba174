"""The gate reads nothing after the session it judges, and what it blocks gets no new risk, whoever decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mech_exo.backtest.engine import EventBacktester
from mech_exo.datasource.quality.findings import Evidence
from mech_exo.datasource.quality.gate import CHECKS, dated, found_in
from mech_exo.datasource.storage.verdicts import verdicts
from mech_exo.domain.panel import BAR_FIELDS
from mech_exo.kernels.records import EventKind, Outcome
from mech_exo.utils.settings import StopRules
from tests.backtest.driving import busy_config, default_config, played, sample
from tests.datasource.faults import RULES, SESSIONS, clean, spoilt

NO_LATE = pl.DataFrame(schema={"symbol": pl.String, "session": pl.Date, "known_at": pl.Datetime("us", "UTC")})


@pytest.fixture(scope="module")
def faulty():
    panel = spoilt()
    refused = pl.DataFrame(
        {"symbol": ["N08"] * 10, "session": panel.sessions[330:340].astype("datetime64[D]"), "open": [0.0] * 10, "high": [1.0] * 10,
         "low": [1.0] * 10, "close": [1.0] * 10}
    ).with_columns(pl.col("session").cast(pl.Date))  # fmt: skip
    disputes = pl.DataFrame({"symbol": ["N11"], "session": [panel.sessions[210].item()], "value": [0.1], "evidence": ["a says 1, b said 2"]})
    foreign = pl.DataFrame({"symbol": ["N12"], "session": [panel.sessions[90].item()], "unit": ["EUR"]})
    return Evidence(panel, RULES, 0.4, refused, disputes, foreign)


def corrupted(panel, t, seed):
    rng = np.random.default_rng(seed)
    cells = {name: getattr(panel, name).copy() for name in (*BAR_FIELDS, "split_ratio")}
    for name in BAR_FIELDS:
        future = cells[name][t + 1 :]
        future[:] = np.where(rng.random(future.shape) < 0.3, np.nan, rng.uniform(0.1, 1e4, future.shape).round(1))
    cells["split_ratio"][t + 1 :] = rng.choice([1.0, 1.0, 0.1, 3.0], cells["split_ratio"][t + 1 :].shape)
    return replace(panel, **cells)


def upto(findings, t):
    return findings.filter(pl.col("row") <= t).sort("check", "row", "column", "verdict")


@settings(max_examples=12)
@given(t=st.integers(0, SESSIONS - 2), seed=st.integers(0, 2**32))
def test_no_verdict_reads_what_came_after_it(faulty, t, seed):
    whole = found_in(faulty)
    names = {check for check, *_ in whole.select("check").iter_rows()}
    assert names == {name for check in CHECKS for name in check.names}, "every check must have something to find here"
    later = replace(faulty, panel=corrupted(faulty.panel, t, seed))
    cut = replace(faulty, panel=faulty.panel.upto(t))
    assert upto(found_in(later), t).equals(upto(whole, t))
    assert upto(found_in(cut), t).equals(upto(whole, t))


@settings(max_examples=20)
@given(t=st.integers(1, SESSIONS - 2))
def test_a_session_shows_the_verdicts_of_its_own_close(faulty, t):
    rows = dated(faulty.panel, found_in(faulty), NO_LATE).sort("symbol", "check", "session")
    whole = verdicts(faulty.panel, rows)
    cut = faulty.panel.upto(t)
    known = rows.filter(pl.col("session") <= cut.sessions[-1].item())
    tonight = verdicts(cut, known)
    assert np.array_equal(np.zeros(cut.shape, np.int8) if tonight is None else tonight, whole[: t + 1])
    late = cut.rows(t // 2, t + 1)  # a panel that begins later counts the sessions before it all the same
    part = verdicts(late, known)
    assert np.array_equal(np.zeros(late.shape, np.int8) if part is None else part, whole[t // 2 : t + 1])


@pytest.mark.parametrize("seed", range(6))
def test_a_clean_market_is_clean(seed):
    found = found_in(Evidence(clean(seed), RULES, 0.4))
    assert found.is_empty(), found


def test_the_sample_market_is_clean():
    """Splits, dividends, delistings and new listings are nobody's fault."""
    panel, _ = sample(seed=7, symbols=60, years=6)
    found = found_in(Evidence(panel, RULES, 0.4)).filter(pl.col("verdict") == "block")
    assert found.is_empty(), found


def test_a_crash_blocks_nobody():
    """Everybody loses 40 % in a night, with or without more trade: that is a market, not a fault."""
    panel = clean()
    cells = {name: getattr(panel, name).copy() for name in BAR_FIELDS}
    beta = np.random.default_rng(1).uniform(0.7, 1.3, panel.shape[1])
    for name in BAR_FIELDS[:4]:
        cells[name][300:] *= np.exp(-0.5 * beta)
    assert found_in(Evidence(replace(panel, **cells), RULES, 0.4)).is_empty()


@pytest.fixture(scope="module")
def market():
    panel, universe = sample(seed=11, symbols=40, years=3)
    return panel, universe


def doubted(universe, seed, share=0.3):
    """The universe with names blocked for spells of twenty sessions."""
    rng = np.random.default_rng(seed)
    spells = rng.choice([0, 1, 2], (universe.member.shape[0] // 20 + 1, universe.member.shape[1]), p=[0.6 - share / 2, 0.4 - share / 2, share])
    return replace(universe, verdict=np.repeat(spells, 20, axis=0)[: len(universe.member)].astype(np.int8))


def enlarged_while_blocked(panel, verdict, events):
    """Fills that made a position larger or turned it, though its data were blocked at the close before."""
    wrong, held = [], {}
    for event in events[(events["kind"] != EventKind.DIVIDEND) & (events["outcome"] == Outcome.FILLED)]:
        s, row, before = int(event["symbol"]), int(event["row"]), held.get(int(event["symbol"]), 0.0)
        held[s] = before + float(event["shares"])
        doubted = event["kind"] == EventKind.ORDER and row > 0 and verdict[row - 1, s] == 2
        if doubted and (abs(held[s]) > abs(before) + 1e-9 or held[s] * before < 0):
            wrong.append((row, panel.symbols[s], before, held[s]))
    return wrong


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32), busy=st.booleans())
def test_a_blocked_name_is_not_bought_enlarged_or_turned(market, seed, busy):
    panel, universe = market
    watched = doubted(universe, seed)
    config = busy_config() if busy else default_config()
    last = len(panel.sessions)
    compiled = played(panel, watched, config, last)
    assert enlarged_while_blocked(panel, watched.verdict, compiled.happened) == []
    assert enlarged_while_blocked(panel, watched.verdict, played(panel, universe, config, last).happened), "without verdicts it is"
    by_hand = played(panel, watched, config, last, compiled=False)
    assert compiled.bits(last) == by_hand.bits(last)


def test_warnings_and_good_verdicts_change_nothing(market):
    panel, universe = market
    warned = replace(universe, verdict=np.ones(panel.shape, np.int8))
    plain = EventBacktester(panel, busy_config(), universe=universe).run()
    assert plain.days.tobytes() == EventBacktester(panel, busy_config(), universe=warned).run().days.tobytes()
    assert replace(universe, verdict=np.zeros(panel.shape, np.int8)).verdict is None


def test_a_market_without_trust_only_sells(market):
    """Everything is blocked from row 400 on: positions shrink and end, exits pass, nothing new comes."""
    panel, universe = market
    verdict = np.zeros(panel.shape, np.int8)
    verdict[400:] = 2
    result = EventBacktester(panel, busy_config(), universe=replace(universe, verdict=verdict)).run()
    late = result.events[(result.events["row"] > 400) & (result.events["kind"] == EventKind.ORDER)]
    assert len(late) > 5 and enlarged_while_blocked(panel, verdict, result.events) == []
    assert result.days["long_value"][-1] == 0.0 and result.days["short_value"][-1] == 0.0
    assert any("data in doubt denied new risk" in text for text in result.warnings)


def test_a_callable_does_not_get_what_is_blocked(market):
    panel, universe = market
    watched = doubted(universe, 3)

    def greedy(view, portfolio):
        known = np.flatnonzero(~np.isnan(view.price) & (view.panel.delisted > view.row))
        return {view.symbols[s]: 0.02 for s in known} if view.row % 5 == 0 else None

    result = EventBacktester(panel, greedy, universe=watched, stops=StopRules.none(), initial_cash=1e6).run()
    assert enlarged_while_blocked(panel, watched.verdict, result.events) == []
    bought = result.events[result.events["kind"] == EventKind.ORDER]
    assert len(bought) > 50


def test_verdicts_are_part_of_the_data(market):
    _, universe = market
    one, other = doubted(universe, 1), doubted(universe, 2)
    assert len({universe.data_hash(), one.data_hash(), other.data_hash()}) == 3
    assert one.rows(0, 100).data_hash() == doubted(universe, 1).rows(0, 100).data_hash()


def test_a_lesser_finding_does_not_lift_a_block():
    """A day after two sources differed by 8 % they differ by 0.6 %: that warns, and the block goes on for its own time."""
    panel = clean()
    disputes = pl.DataFrame(
        {"symbol": ["N11"] * 2, "session": [panel.sessions[t].item() for t in (210, 211)], "value": [0.08, 0.006], "evidence": ["", ""]}
    )
    rows = dated(panel, found_in(Evidence(panel, RULES, 0.4, disputes=disputes)), NO_LATE).sort("symbol", "check", "session")
    assert rows.select("verdict", "lasts").rows() == [("block", 21), ("warn", 21)]
    assert verdicts(panel, rows)[209:233, panel.column_of("N11")].tolist() == [0, *[2] * 21, 1, 0]
