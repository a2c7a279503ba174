"""Values are shown as one writes them in the configuration, and counts without the noise of floating point."""

from __future__ import annotations

import pytest
import yaml

from mech_exo.cli.choices import as_yaml
from mech_exo.decision.record import share_count


@pytest.mark.parametrize("value", [None, True, False, 20, 0.15, "limit"])
def test_what_is_shown_can_be_written_into_the_configuration(value):
    assert yaml.safe_load(as_yaml(value)) == value


@pytest.mark.parametrize(("difference", "shown"), [(92.1778 - 64.4709, "27.7069"), (3.0, "3")])
def test_a_difference_of_fractional_lots_is_a_count_of_lots(difference, shown):
    assert str(share_count(difference)) == shown
