"""Counting trials: once each, thousands in one commit, and one figure of each without reading the rest."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import LedgerError
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.trial_rows import Metric, Promotion, Trial
from tests.execution.ledger_rows import promotion


def trial(number: int, kind: str = "sweep", **metrics: float | None) -> Trial:
    return Trial(f"run-{number}", kind, "c0ffee", tuple(Metric(name, value) for name, value in metrics.items()))


def test_thousands_are_one_commit_and_count_once(tmp_path: Path) -> None:
    rows = [trial(number, sharpe=number / 7, sessions=2520.0) for number in range(3000)]
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.record_trials(rows[:1000]) == 1000
        assert ledger.record_trials(rows) == 2000
        assert ledger.record_trials(iter(rows)) == 0
        assert not ledger.record_trial(rows[5])
        figures = ledger.trial_figures()
        assert [(one.run_id, one.kind, one.value) for one in figures] == [(row.run_id, "sweep", row.metrics[0].value) for row in rows]
        assert ledger.verify().faults == ()


def test_a_run_found_twice_keeps_its_first_kind(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.record_trials([trial(1, "sweep", sharpe=1.0), trial(1, "backtest", sharpe=1.0)]) == 1
        assert [one.kind for one in ledger.trial_figures()] == ["sweep"]


def test_a_failure_counts_none_of_them(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        with pytest.raises(LedgerError, match="finite or unknown; got inf"):
            ledger.record_trials([trial(1, sharpe=1.0), trial(2, sharpe=math.inf)])
        assert ledger.trial_figures() == ()
        assert ledger.verify().rows == 0


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["sharpe", "sharpe_12m", "a", 'sharpe","value":9', "}", "ü"]),
            st.none() | st.floats(allow_nan=True, allow_infinity=False),
            max_size=5,
        ),
        max_size=5,
    ),
    st.sampled_from(["sharpe", "a", "}"]),
)
def test_the_figure_is_what_decoding_everything_gives(
    tmp_path_factory: pytest.TempPathFactory, metrics: list[dict[str, float | None]], name: str
) -> None:
    with Ledger.open(tmp_path_factory.mktemp("trials") / "ledger.sqlite") as ledger:
        ledger.record_trials(trial(number, **one) for number, one in enumerate(metrics))
        expected = []
        for row in ledger.trials():
            value = {metric.name: metric.value for metric in row.metrics}.get(name)
            expected.append((row.run_id, math.nan if value is None else value))
        found = [(one.run_id, one.value) for one in ledger.trial_figures(name)]
        assert repr(found) == repr(expected)


def test_promotions_are_journaled_in_order(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert [ledger.once(promotion()), ledger.once(promotion())] == [True, False]
    with Ledger.open(tmp_path / "ledger.sqlite", read_only=True) as ledger:
        (found,) = ledger.rows(Promotion)
        assert (found.who, found.files, found.at, found.undoes) == ("someone", promotion().files, promotion().at, None)
        assert ledger.verify().sound
