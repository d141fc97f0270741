"""Traces and prompts in MLflow.

Spans are sent as they are, with ids and times of their own and no global tracer: many traces in one request. Tags go
along as attributes of the root span, which MLflow takes them from, and links to runs in a second request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tunewright.domain.frozen import Json, content_hash
from tunewright.domain.trace import Span
from tunewright.tracking.entry import PREFIX
from tunewright.tracking.mlflow import MlflowStore
from tunewright.tracking.traces import DIGEST, PROMPT, Kept, PromptVersion

if TYPE_CHECKING:
    from mlflow.entities import Span as MlflowSpan

_LINKS_AT_ONCE = 100  # MLflow's limit
_A_PAGE = 500
_SOURCE = f"{PREFIX}prompt"
_IS_PROMPT = "mlflow.prompt.is_prompt"
_LINKED = "mlflow.linkedPrompts"
_EXPERIMENTS = "_mlflow_experiment_ids"
"""The tag by which an experiment's page finds its prompts."""


class MlflowTraces:
    """A ``TraceStore`` in MLflow, beside the runs of ``store``."""

    def __init__(self, store: MlflowStore) -> None:
        self._store = store

    def trace_digests(self, run_id: str) -> dict[str, str]:
        found: dict[str, str] = {}
        with self._store.asking("search traces") as (client, experiment):
            token = None
            while True:
                page = client.search_traces(
                    locations=[experiment], run_id=run_id, include_spans=False, max_results=_A_PAGE, page_token=token
                )
                found |= {one.info.trace_id.removeprefix("tr-"): one.info.tags.get(DIGEST, "") for one in page}
                token = page.token
                if not token:
                    return found

    def keep_traces(self, run_id: str, traces: Sequence[Kept]) -> None:
        from mlflow.tracing.client import TracingClient

        with self._store.asking("keep traces") as (_, experiment):
            sent = [span for one in traces for span in _spans(one)]
            TracingClient(self._store.uri).log_spans(experiment, sent)
        self.link_traces(run_id, [one.id for one in traces])

    def link_traces(self, run_id: str, ids: Sequence[str]) -> None:
        with self._store.asking("link traces to a run") as (client, _):
            for at in range(0, len(ids), _LINKS_AT_ONCE):
                client.link_traces_to_run([f"tr-{id}" for id in ids[at : at + _LINKS_AT_ONCE]], run_id)

    def prompt_versions(self) -> dict[str, PromptVersion]:
        wanted = f"tags.`{_IS_PROMPT}` = 'true' AND name LIKE '{PROMPT}%'"
        found: dict[str, PromptVersion] = {}
        with self._store.asking("search prompts") as (client, _):
            token = None
            while True:
                page = client.search_model_versions(wanted, max_results=1000, page_token=token)
                for one in page:
                    found.setdefault(one.tags.get(_SOURCE, ""), PromptVersion(one.name, int(one.version)))
                token = page.token
                if not token:
                    return found

    def register_prompt(self, name: str, text: str, source: str) -> PromptVersion:
        from mlflow.exceptions import MlflowException

        with self._store.asking(f"register the prompt '{name}'") as (client, experiment):
            try:
                client.create_prompt(name, tags={_EXPERIMENTS: f",{experiment},"})
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            made = client.create_prompt_version(name, text, description=source, tags={_SOURCE: source})
            return PromptVersion(name, int(made.version))

    def use_prompts(self, run_id: str, used: Sequence[PromptVersion], tags: Mapping[str, str]) -> None:
        self._store.log(run_id, tags={**tags, _LINKED: _linked(used)})


def _linked(used: Sequence[PromptVersion]) -> str:
    """As MLflow spells which prompts a run or a trace uses."""
    return json.dumps([{"name": one.name, "version": str(one.number)} for one in used])


def _spans(kept: Kept) -> list[MlflowSpan]:
    from mlflow.entities import Span as MlflowSpan
    from mlflow.tracing.utils import build_otel_context, dump_span_attribute_value
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Status, StatusCode

    trace, trace_id = kept.trace, int(kept.id, 16)
    contexts = {one.id: build_otel_context(trace_id, _span_id(one.id)) for one in trace.spans}
    found = []
    for one in trace.spans:
        attributes = _attributes(one) | {"mlflow.traceRequestId": f"tr-{kept.id}"}
        if one is trace.root:
            attributes |= _of_the_trace(kept)
        code = StatusCode.ERROR if one.error else StatusCode.OK
        span = ReadableSpan(
            name=one.name,
            context=contexts[one.id],
            parent=contexts[one.parent] if one.parent is not None else None,
            start_time=int(one.start * 1e9),
            end_time=int(one.end * 1e9),
            attributes={name: dump_span_attribute_value(value) for name, value in attributes.items()},
            resource=Resource.get_empty(),
            status=Status(code, one.error or None),
        )
        found.append(MlflowSpan(span))
    return found


def _of_the_trace(kept: Kept) -> dict[str, Json]:
    tags = {**kept.tags, "mlflow.traceName": kept.trace.name}
    if kept.prompt is not None:
        tags[_LINKED] = _linked([kept.prompt])
    return {"session.id": kept.session} | {f"mlflow.traceTag.{name}": value for name, value in tags.items()}


def _attributes(span: Span) -> dict[str, Json]:
    found: dict[str, Any] = {"mlflow.spanType": span.kind, **span.facts}
    if span.inputs is not None:
        found["mlflow.spanInputs"] = span.inputs
    if span.outputs is not None:
        found["mlflow.spanOutputs"] = span.outputs
    if span.model:
        provider, _, name = span.model.rpartition("/")
        found["mlflow.llm.model"] = name
        found |= {"mlflow.llm.provider": provider.partition("/")[0]} if provider else {}
    if span.usage is not None:
        answered = span.usage.answered or 0
        found["mlflow.chat.tokenUsage"] = {
            "input_tokens": span.usage.tokens - answered,
            "output_tokens": answered,
            "total_tokens": span.usage.tokens,
        }
        found["mlflow.llm.cost"] = {"input_cost": 0.0, "output_cost": 0.0, "total_cost": span.usage.usd}
    return found


def _span_id(id: str) -> int:
    """64 bits, never 0, which OpenTelemetry takes for none."""
    return int(content_hash(id)[:16], 16) or 1
