"""What the agents did, as MLflow's traces and prompts: a view that can be written again without doubling anything.

A trace's id is made of its study's and its own, and it carries a digest of its content: what a store already has as it
is is not sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tunewright.domain.frozen import content_hash
from tunewright.domain.study import Study
from tunewright.domain.trace import Trace
from tunewright.tracking.entry import PREFIX, STUDY, study_key

DIGEST = f"{PREFIX}digest"
PROMPT = "tunewright-"
"""How the names of registered prompts begin."""
_AT_ONCE = 20
"""Traces that are sent in one request: of the longest ones some megabytes."""


class PromptVersion(NamedTuple):
    """A prompt as a registry has it."""

    name: str
    number: int


class Kept(NamedTuple):
    """A trace as it is sent."""

    id: str
    """32 hexadecimal characters."""
    trace: Trace
    tags: Mapping[str, str]
    session: str
    """Shared by all traces of a study."""
    prompt: PromptVersion | None


class TraceStore(Protocol):
    """Keeps traces and prompts. Every method raises ``TrackingError`` if it gets no answer, and may be called again
    with the same facts without doubling them."""

    def trace_digests(self, run_id: str) -> dict[str, str]:
        """Id -> ``DIGEST`` tag of the traces that are linked to the run."""

    def keep_traces(self, run_id: str, traces: Sequence[Kept]) -> None:
        """Adds traces, or what is new of them, and links them to the study's run."""

    def link_traces(self, run_id: str, ids: Sequence[str]) -> None:
        """Links traces to a further run."""

    def prompt_versions(self) -> dict[str, PromptVersion]:
        """``NAME@VERSION`` of a prompt's file -> what the registry has of it."""

    def register_prompt(self, name: str, text: str, source: str) -> PromptVersion:
        """A new version of a prompt.

        Args:
            source: ``NAME@VERSION`` of its file.
        """

    def use_prompts(self, run_id: str, used: Sequence[PromptVersion], tags: Mapping[str, str]) -> None:
        """Says of a run which prompts it uses, in the store's own way and with tags."""


class TraceLog:
    """Writes one study's traces. Used by one thread at a time.

    Args:
        prompts: ``NAME@VERSION`` -> text of the prompts' files as they are now.
    """

    def __init__(self, store: TraceStore, prompts: Mapping[str, str]) -> None:
        self._store, self._prompts = store, prompts
        self._digests: dict[str, str] | None = None
        self._versions: dict[str, PromptVersion] | None = None
        self._used: set[str] = set()
        self._linked: set[tuple[str, str]] = set()

    def log(self, study: Study, traces: Sequence[Trace]) -> None:
        """Brings the store up to these traces; those it has as they are cost nothing.

        Raises:
            TrackingError: the store does not answer. What it has got stays, and the rest may be sent again.
        """
        run_id = study.runs.get(STUDY)
        if run_id is None or not traces:
            return
        if self._digests is None:
            self._digests = self._store.trace_digests(run_id)
        asked = sorted({trace.prompt for trace in traces if trace.prompt})
        if asked:
            self._use(run_id, asked)
        due = [one for one in (self._kept(study, trace) for trace in traces) if self._is_new(one)]
        for at in range(0, len(due), _AT_ONCE):
            batch = due[at : at + _AT_ONCE]
            self._store.keep_traces(run_id, batch)
            self._digests |= {one.id: one.tags[DIGEST] for one in batch}
        self._link(study, traces)

    def _is_new(self, one: Kept) -> bool:
        assert self._digests is not None
        return self._digests.get(one.id) != one.tags[DIGEST]

    def _kept(self, study: Study, trace: Trace) -> Kept:
        key = study_key(study)
        prompt = (self._versions or {}).get(trace.prompt)
        facts = {
            "study": study.name,
            "key": key,
            "trial": ", ".join(trace.jobs),
            "role": trace.role,
            "prompt": trace.prompt,
            "prompt.version": f"{prompt.name}/{prompt.number}" if prompt is not None else "",
        }
        tags = {f"{PREFIX}{name}": value[:1000] for name, value in facts.items() if value}
        digest = content_hash([trace.model_dump(mode="json"), tags])[:16]
        return Kept(trace_id(study, trace.id), trace, tags | {DIGEST: digest}, f"{study.name} {key[:6]}", prompt)

    def _use(self, run_id: str, asked: Sequence[str]) -> None:
        """Registers every prompt whose text is new, and says of the run which it uses."""
        if self._versions is None:
            self._versions = self._store.prompt_versions()
        for source, text in self._prompts.items():
            if source not in self._versions:
                name = f"{PROMPT}{source.partition('@')[0]}"
                self._versions[source] = self._store.register_prompt(name, text, source)
        new = [one for one in asked if one in self._versions and one not in self._used]
        if new:
            tags = {f"{PREFIX}prompt.{one.partition('@')[0]}": f"{self._versions[one].number} ({one})" for one in new}
            self._used |= set(new)
            self._store.use_prompts(run_id, [self._versions[one] for one in sorted(self._used)], tags)

    def _link(self, study: Study, traces: Sequence[Trace]) -> None:
        """Links traces to the runs of the jobs that they are about."""
        due: dict[str, list[str]] = {}
        for trace in traces:
            for job in trace.jobs:
                run_id, id = study.runs.get(job), trace_id(study, trace.id)
                if run_id is not None and (run_id, id) not in self._linked:
                    due.setdefault(run_id, []).append(id)
        for run_id, ids in due.items():
            self._store.link_traces(run_id, ids)
            self._linked |= {(run_id, id) for id in ids}


def trace_id(study: Study, id: str) -> str:
    """The id in a store, of all studies: 32 hexadecimal characters."""
    return content_hash([study_key(study), study.name, id])[:32]
