"""Every adapter there is, those of other packages included, against the conformance class."""

from __future__ import annotations

import pytest
from tests.conformance.adapter import AdapterConformance

from tunewright.tools.training.registry import adapters


class TestEveryAdapter(AdapterConformance):
    @pytest.fixture(params=adapters(), scope="class")
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)
