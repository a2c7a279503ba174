"""docs/factors.md explains every factor of bars, and its table is made from the registry."""

from __future__ import annotations

import importlib.util

from mech_exo.scoring.factors import REGISTRY, Family


def test_every_factor_of_bars_has_its_paragraph(repository):
    text = (repository / "docs/factors.md").read_text()
    technical = [name for name, factor in REGISTRY.items() if factor.family is Family.TECHNICAL]
    assert len(technical) >= 12
    assert [name for name in technical if f"(`{name}`)" not in text] == []


def test_the_table_lists_the_registry(repository):
    spec = importlib.util.spec_from_file_location("hooks", repository / "docs/hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    assert "<!-- every registered factor -->" in (repository / "docs/factors.md").read_text()
    lines = hooks.factor_table().splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == list(REGISTRY)
    assert all(line.count("|") == 9 for line in lines)


def test_every_factor_names_its_source_and_says_when_it_is_unknown():
    for factor in REGISTRY.values():
        assert any(character.isdigit() for character in factor.source), factor.name  # a year
        if factor.family is Family.TECHNICAL:
            assert "(K, N)" in (factor.compute.__doc__ or ""), factor.name
