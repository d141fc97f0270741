"""Every reward there is, those of other packages included, against the conformance class."""

from __future__ import annotations

import pytest
from tests.conformance.reward import RewardConformance

from tunewright.tools.training.registry import rewards


class TestEveryReward(RewardConformance):
    @pytest.fixture(params=rewards())
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)
