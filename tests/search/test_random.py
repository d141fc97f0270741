"""Random search keeps the contract of a strategy."""

from __future__ import annotations

import pytest
from tests.conformance.strategy import Make, StrategySuite

from tunewright.search.random import RandomStrategy


class TestRandomStrategy(StrategySuite):
    @pytest.fixture
    def make(self) -> Make:
        return lambda: RandomStrategy(seed=0)
