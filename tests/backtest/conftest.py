from __future__ import annotations

import pytest

from tests.backtest.driving import sample


@pytest.fixture(scope="session")
def small_market():
    """40 invented companies over 3 years: (panel, universe)."""
    return sample()
