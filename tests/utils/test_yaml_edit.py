"""Editing YAML: only the named values change, for every layout a person writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.domain.errors import ConfigError
from mech_exo.utils.yaml_edit import with_values

KEYS = st.lists(st.sampled_from(["slippage_bps", "impact", "commission", "spread_usd"]), unique=True, min_size=1)


def test_a_value_is_replaced_and_the_comments_stay_in_their_column(repository: Path) -> None:
    before = (repository / "config" / "strategy.yml").read_text("utf-8")
    after = with_values(before, "costs", {"slippage_bps": "7.25", "impact": "0.8123456789012", "commission": "ib_tiered"})
    changed = [(old, new) for old, new in zip(before.splitlines(), after.splitlines(), strict=True) if old != new]
    assert len(changed) == 3
    for old, new in changed:
        assert old.partition("#")[2] == new.partition("#")[2]
        assert old.index("#") == new.index("#") or "0.8123456789012" in new
    assert yaml.safe_load(after)["costs"]["slippage_bps"] == 7.25
    assert with_values(after, "costs", {"slippage_bps": "5.0", "impact": "0.0", "commission": "ib_fixed"}).split() == before.split()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "\ncosts:\n  impact: 1\n"),
        ("a: 1", "a: 1\n\ncosts:\n  impact: 1\n"),
        ("costs:\nb: 2\n", "costs:\n  impact: 1\nb: 2\n"),
        ("costs:   # what it costs\n    x: 1\n\n# of b\nb: 2\n", "costs:   # what it costs\n    x: 1\n    impact: 1\n\n# of b\nb: 2\n"),
        ("costs:\n  impact: 22 # of it\n", "costs:\n  impact: 1  # of it\n"),
        ("costs:\n  impact:\n", "costs:\n  impact: 1\n"),
        ("costs:\n  # impact: 5\n  x: 1", "costs:\n  # impact: 5\n  x: 1\n  impact: 1\n"),
        ("other:\n  impact: 5\ncosts:\n  impact: 6\n", "other:\n  impact: 5\ncosts:\n  impact: 1\n"),
    ],
)
def test_layouts(before: str, after: str) -> None:
    assert with_values(before, "costs", {"impact": "1"}) == after


def test_a_mapping_in_braces_is_left_to_a_person() -> None:
    with pytest.raises(ConfigError, match="one key a line"):
        with_values("costs: {impact: 1}\n", "costs", {"impact": "2"})


@given(KEYS, KEYS, st.floats(0, 1e6), st.sampled_from(["", "# a comment: with 'colons'", "#"]), st.integers(1, 6))
def test_what_is_read_back_is_what_was_there_with_the_new_values(there: list[str], new: list[str], value: float, comment: str, indent: int) -> None:
    lines = "".join(f"{' ' * indent}{key}: 1.5 {comment}\n" for key in there)
    text = f"name: x\ncosts:\n{lines}after: [1, 2]\n"
    edited = with_values(text, "costs", dict.fromkeys(new, repr(value)))
    wanted = yaml.safe_load(text)
    wanted["costs"] |= dict.fromkeys(new, yaml.safe_load(repr(value)))
    assert yaml.safe_load(edited) == wanted
    assert edited.count("#") == text.count("#")
