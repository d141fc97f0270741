"""Traces and prompts in memory and in MLflow as SQLite under a home; for those on a server see ``test_mlflow.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conformance.traces import PROMPTS, Make, Seen, TraceSuite, trace
from tests.stories import Story, space, task

from tunewright.domain import event as ev
from tunewright.tracking.memory import MemoryStore, MemoryTraces
from tunewright.tracking.mlflow import MlflowStore
from tunewright.tracking.mlflow_traces import MlflowTraces
from tunewright.tracking.traces import TraceLog, TraceStore


class TestMemory(TraceSuite):
    @pytest.fixture
    def make(self) -> Make:
        store = MemoryTraces(MemoryStore())
        return lambda: store

    def run(self, store: TraceStore, name: str) -> str:
        return self._of(store)._store.create(name, {}, None)

    def seen(self, store: TraceStore, run_id: str) -> dict[str, Seen]:
        found, of = {}, self._of(store)
        for id in of.trace_digests(run_id):
            one = of.traces[id]
            spans = tuple((span.name, span.kind, bool(span.error)) for span in one.trace.spans)
            tokens = sum(span.usage.tokens for span in one.trace.spans if span.usage is not None)
            found[id] = Seen(one.trace.name, dict(one.tags), spans, tokens, bool(one.trace.root.error))
        return found

    def tags(self, store: TraceStore, run_id: str) -> dict[str, str]:
        return self._of(store)._store.runs[run_id].tags

    def _of(self, store: TraceStore) -> MemoryTraces:
        assert isinstance(store, MemoryTraces)
        return store


class _MlflowSuite(TraceSuite):
    def run(self, store: TraceStore, name: str) -> str:
        return self._of(store)._store.create(name, {}, None)

    def seen(self, store: TraceStore, run_id: str) -> dict[str, Seen]:
        with self._of(store)._store.asking("look") as (client, experiment):
            found = {}
            for one in client.search_traces(locations=[experiment], run_id=run_id):
                spans = sorted(one.data.spans, key=lambda span: (span.start_time_ns, span.parent_id or ""))
                tree = tuple((s.name, s.span_type, s.status.status_code.name == "ERROR") for s in spans)
                (root,) = [span for span in spans if span.parent_id is None]
                assert {span.parent_id for span in spans} <= {None, root.span_id}
                usage, tags = one.info.token_usage or {}, dict(one.info.tags)
                found[one.info.trace_id.removeprefix("tr-")] = Seen(
                    tags["mlflow.traceName"], tags, tree, usage.get("total_tokens", 0), one.info.state.name == "ERROR"
                )
            return found

    def tags(self, store: TraceStore, run_id: str) -> dict[str, str]:
        record = self._of(store)._store.get(run_id)
        assert record is not None
        return record.tags

    def _of(self, store: TraceStore) -> MlflowTraces:
        assert isinstance(store, MlflowTraces)
        return store


class TestSqlite(_MlflowSuite):
    @pytest.fixture
    def make(self, home: Path) -> Make:
        return lambda: MlflowTraces(MlflowStore(f"sqlite:///{home / 'mlflow.db'}", home))

    def test_mlflow_finds_it_by_trial_and_has_its_times_cost_and_prompt(self, make: Make, home: Path) -> None:
        store, story = make(), Story(space=space(), task=task())
        story.tell(ev.Tracked(at=story.tick(), job="study", run_id=self.run(store, "study")))
        TraceLog(store, PROMPTS).log(story.study, [trace(), trace(jobs=("t2",)).model_copy(update={"id": "piece 2"})])
        with self._of(store)._store.asking("look") as (client, experiment):
            (one,) = client.search_traces(locations=[experiment], filter_string="tag.`tunewright.trial` = 't1'")
            assert (one.info.request_time, one.info.execution_duration) == (100_000, 10_000)
            call = next(span for span in one.data.spans if span.span_type == "CHAT_MODEL")
            assert (call.start_time_ns, call.end_time_ns) == (101_000_000_000, 101_500_000_000)
            assert call.llm_cost is not None and call.llm_cost["total_cost"] == 0.002
            usage = {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30}
            assert call.get_attribute("mlflow.chat.tokenUsage") == usage == one.info.token_usage
            assert one.info.tags["mlflow.linkedPrompts"] == '[{"name": "tunewright-explain", "version": "1"}]'
            kept = client.load_prompt("prompts:/tunewright-judge/1")
            assert kept.template == PROMPTS["judge@bbbb"]
