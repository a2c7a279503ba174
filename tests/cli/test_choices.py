"""``--set KEY=V1,V2`` as a person types it."""

from __future__ import annotations

import pytest

from mech_exo.cli.choices import grid
from mech_exo.domain.errors import ConfigError, InputError


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("a.b=20,30", [20, 30]), ("a.b=0.1, 5e-2", [0.1, 0.05]), ("a.b=null,0.25", [None, 0.25]), ("a.b=true", [True]), ("a.b=x,y", ["x", "y"]),
        ("a.b=10..40", (10, 40)), ("a.b=0.5..1", (0.5, 1)), ("a.b=-1..1.5", (-1, 1.5)), ("a.b=.1...9", (0.1, 0.9)), ("a.b=[1,2],[3]", [[1, 2], [3]]),
    ],
)  # fmt: skip
def test_values_are_yaml_and_a_range_is_a_tuple(word, values) -> None:
    (found,) = grid([word]).values()
    assert found == values and type(found) is type(values)
    assert [type(value) for value in found] == [type(value) for value in values]


def test_keys_keep_their_order() -> None:
    assert list(grid(["z=1", " a = 2", "m=3"])) == ["z", "a", "m"]


@pytest.mark.parametrize("word", ["a", "a=", "=1", "a= "])
def test_other_words_are_refused(word) -> None:
    with pytest.raises(InputError, match="--set takes KEY=V1,V2"):
        grid([word])


def test_doubled_keys_backward_ranges_and_broken_yaml_are_refused() -> None:
    with pytest.raises(InputError, match="is set twice"):
        grid(["a=1", "a=2"])
    with pytest.raises(InputError, match="lower to its higher end"):
        grid(["a=40..10"])
    for text in ("[1", "!!python/name:os.system", "&x 1"):
        with pytest.raises(ConfigError, match="values must be plain YAML"):
            grid([f"a={text}"])
