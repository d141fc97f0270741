"""The in-memory tracker keeps the contract."""

from __future__ import annotations

import pytest
from tests.conformance.tracker import Make, TrackerSuite

from tunewright.tracking.memory import MemoryStore
from tunewright.tracking.tracker import StudyTracker


class TestMemoryTracker(TrackerSuite):
    @pytest.fixture
    def make(self) -> Make:
        store = MemoryStore()
        return lambda: StudyTracker(store)

    def curve(self, tracker: StudyTracker, run_id: str, key: str) -> list[tuple[int, float]]:
        assert isinstance(tracker.store, MemoryStore)
        return sorted((p.step, p.value) for p in tracker.store.runs[run_id].points if p.key == key)

    def versions(self, tracker: StudyTracker, model: str) -> dict[str, str]:
        assert isinstance(tracker.store, MemoryStore)
        known = tracker.store.models.get(model, {})
        return {version: run for version, run in known.items() if version.isdigit()}
