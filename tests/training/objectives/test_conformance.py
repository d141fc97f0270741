"""Every objective there is, those of other packages included, against the conformance class."""

from __future__ import annotations

import pytest
from tests.conformance.objective import ObjectiveConformance

from tunewright.tools.training.registry import objectives


class TestEveryObjective(ObjectiveConformance):
    @pytest.fixture(params=objectives(), scope="class")
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)
