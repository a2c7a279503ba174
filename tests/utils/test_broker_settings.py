"""``broker.yml``: the template says the defaults, and a slip is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mech_exo.utils.broker_settings import BrokerConfig


def test_the_template_spells_out_the_defaults(repository: Path) -> None:
    said = yaml.safe_load((repository / "config" / "broker.yml").read_text("utf-8"))
    assert BrokerConfig.model_validate(said) == BrokerConfig()
    assert set(said) == set(BrokerConfig.model_fields)
    for section, values in said.items():
        if isinstance(values, dict) and section != "settings":  # of a broker of a plug-in: names of its own
            assert set(values) == set(type(getattr(BrokerConfig(), section)).model_fields), section


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"times": {"restart": "23:45+01:00"}}, "without a zone"),
        ({"times": {"restart": "25:00"}}, "restart"),
        ({"times": {"quiet_minutes": -1}}, "quiet_minutes"),
        ({"live": {"min_paper_sessions": 20.5}}, "min_paper_sessions"),
        ({"live": {"first_max_notional": 0}}, "first_max_notional"),
        ({"live": {"enabeld": True}}, "enabeld"),
        ({"slicing": {"minutes": 10, "every_minutes": 15}}, "cannot exceed"),
        ({"doubt": {"snapshots": 2}}, "snapshots"),
        ({"gateway": {"messages_per_second": 50}}, "messages_per_second"),
    ],
)
def test_a_slip_is_refused_by_name(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BrokerConfig.model_validate(values)
