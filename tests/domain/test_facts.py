"""Facts that are kept as changes act as the arrays they stand for, and their hash tells what was known, not how it is kept."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import InputError
from mech_exo.domain.facts import BLOCK, Facts, Formula, Steps, rows_of
from mech_exo.domain.panel import Universe
from tests.scoring.markets import same_bits

ROWS, NAMES = 9, 4
INDICES = [np.s_[3], np.s_[-1], np.s_[:], np.s_[2:7], np.s_[4, 1], np.s_[:, [2, 0]], np.array([0, 4, 8])]


def steps(seed: int, rows: int = ROWS) -> Steps:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=6)
    values[2] = np.nan
    return Steps.of(values, np.sort(rng.integers(-1, 6, (rows, NAMES)).astype(np.int32), axis=0))


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_steps_and_formulas_are_indexed_as_the_arrays_they_stand_for(index: object) -> None:
    one, other = steps(1), steps(2)
    price = np.random.default_rng(3).uniform(1.0, 9.0, (ROWS, NAMES))
    whole = price * (np.array(one) + np.array(other))
    lazy = Formula(np.multiply, (price, Formula(np.add, (one, other))))
    assert one.shape == lazy.shape == whole.shape
    assert same_bits(np.asarray(lazy[index]), whole[index])
    if np.ndim(whole[index]) == 2:
        assert same_bits(np.asarray(lazy.part(index)), whole[index]) and same_bits(np.asarray(one.part(index)), np.array(one)[index])
        assert same_bits(np.asarray(Facts({"x": lazy}).at(index).known["x"]), whole[index])
    assert same_bits(np.asarray(pickle.loads(pickle.dumps(lazy))), whole)


def test_rows_are_the_same_in_blocks_and_at_once() -> None:
    many = steps(4, 3 * BLOCK + 5)
    rows = np.arange(1, many.shape[0], 2)
    assert same_bits(rows_of(many, rows), np.array(many)[rows])
    assert rows_of(many, rows[:0]).shape == (0, NAMES)


@given(seed=st.integers(0, 1000), t=st.integers(0, ROWS - 1))
def test_the_hash_of_the_first_rows_does_not_depend_on_what_comes_after(seed: int, t: int) -> None:
    whole = steps(seed)
    later = Steps(whole.values.copy(), whole.at.copy())
    later.at[t + 1 :] = np.random.default_rng(seed).integers(-1, 6, later.at[t + 1 :].shape)
    upto = np.s_[: t + 1]
    # the same numbers under other names of the states, and with a second source that knows nothing yet
    renamed = Steps.of(np.append(0.5, whole.values[:-1]), np.where(whole.at < 0, whole.at, whole.at + 1).astype(np.int32))
    silent = Steps.of(np.array([1.0]), np.full(whole.shape, -1, np.int32))
    others = (later, renamed, Formula(np.fmax, (whole, silent)))
    assert {Facts({"x": cells}).at(upto).data_hash() for cells in others} == {Facts({"x": whole}).at(upto).data_hash()}


def test_the_hash_tells_values_names_and_moments_apart_and_the_unknown_from_nothing() -> None:
    one = steps(5)
    moved = Steps(one.values, np.roll(one.at, 1, axis=0))
    louder = Steps(one.values * 2.0, one.at)
    facts = [Facts({"x": one}), Facts({"y": one}), Facts({"x": moved}), Facts({"x": louder}), Facts({"x": one, "y": one}), Facts()]
    assert len({told.data_hash() for told in facts}) == len(facts)
    unknown = Steps.of(np.array([np.nan]), np.zeros((ROWS, NAMES), np.int32))
    assert Facts({"x": unknown}).data_hash() == Facts(absent={"x": "nobody tells"}).data_hash() == Facts().data_hash()
    assert Facts({"x": np.array(unknown)}).data_hash() == Facts().data_hash()  # an array handed in by a program


def test_a_fact_of_another_shape_is_refused_by_name() -> None:
    member = np.ones((ROWS, NAMES), np.bool_)
    with pytest.raises(InputError, match=r"member and pe_ratio must have one shape; got \(9, 4\) and \(8, 4\)"):
        Universe(member, np.zeros(member.shape, np.int16), facts=Facts({"pe_ratio": np.zeros((8, 4))}))


def test_only_names_what_is_asked_for() -> None:
    facts = Facts({"x": steps(1), "y": steps(2)}, {"z": "because"})
    assert set(facts.only(["y", "z", "w"]).known) == {"y"} and facts.only(["y", "z"]).absent == {"z": "because"}
    assert facts.why_absent("z") == "because" and facts.why_absent("x") is None and facts.why_absent("w") == "nothing here tells it"
