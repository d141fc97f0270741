"""What the conformance class's models are known by before they are loaded."""

from __future__ import annotations

import pytest
from tests.conformance.adapter import MODELS

from tunewright.tools.models.facts import ModelFacts, facts


@pytest.fixture(scope="session")
def family_facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFacts]:
    found = {}
    for family, make in MODELS.items():
        folder = tmp_path_factory.mktemp(family)
        make().save_pretrained(folder)
        found[family] = facts(folder)
    return found
