"""What a merge takes from the store, and the card that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.domain.errors import TrackingError, UsageError
from tunewright.domain.frozen import Frozen
from tunewright.tracking.bundle import Bundle, fetch
from tunewright.tracking.export import ADAPTER_CODE, write_card
from tunewright.tracking.store import RunStore


@dataclass(frozen=True)
class Part:
    """A finished trial that is merged."""

    bundle: Bundle
    adapter: Path
    """The folder of its weights."""

    @property
    def kind(self) -> str:
        """Of the last stage's adapter."""
        return self.bundle.spec.recipe.stages[-1].adapter.kind


class MergedRun(Frozen):
    """A run that went into a merge."""

    run_id: str
    study: str
    trial: str
    adapter: str
    weight: float
    """What its part was multiplied by, before any was taken out."""
    score: float
    """Its own, on its study's validation rows."""


class MergedScore(Frozen):
    """The merged adapter on one study's validation rows."""

    study: str
    metric: str
    value: float
    low: float | None
    high: float | None
    rows: int


class Merged(Frozen):
    """What a merge made."""

    path: Path
    base: str
    method: str
    scope: str | None
    runs: tuple[MergedRun, ...]
    unmerged: str | None
    """The run that was taken out again."""
    exact: bool
    """Whether it was, as if it had never been there."""
    rank: int
    """The largest of a module."""
    parameters: int
    bytes: int
    measured: tuple[MergedScore, ...] = ()


def fetch_parts(run_ids: Sequence[str], folder: Path, store: RunStore) -> list[Part]:
    """The trials of these runs, with their weights.

    Args:
        folder: where the files go.

    Raises:
        UsageError: fewer than two, the same twice, other base models, or a run that is no completed trial.
        TrackingError: the store does not answer, or lacks a file.
    """
    if len(run_ids) < 2:
        raise UsageError("a merge takes at least two runs", "give the run ids of two completed trials")
    parts: list[Part] = []
    for number, run_id in enumerate(run_ids):
        bundle = fetch(run_id, folder / str(number), store)
        first = parts[0].bundle if parts else bundle
        if any(part.bundle.run_id == bundle.run_id for part in parts):
            raise UsageError(f"run {bundle.run_id} is given twice", "give each run once")
        if bundle.spec.model.digest != first.spec.model.digest:
            raise UsageError(
                f"run {bundle.run_id} was trained on {bundle.spec.model.ref} ({bundle.spec.model.digest[:12]}), run "
                f"{first.run_id} on {first.spec.model.ref} ({first.spec.model.digest[:12]})",
                "merge trials of one base model",
            )
        adapter = store.download(bundle.run_id, "adapter", folder / str(number))
        if adapter is None:
            raise TrackingError(f"run {bundle.run_id} has no trained weights", "give another completed trial's run")
        parts.append(Part(bundle, adapter))
    return parts


def merge_card(merged: Merged, *, base: str, model_digest: str, command: str) -> str:
    """The model card of a merge. ``base``: what ``transformers`` loads the base model by."""
    import yaml

    front = {
        "base_model": merged.base,
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["tunewright", "merge", merged.method],
    }
    code = ADAPTER_CODE.format(base=base, folder=merged.path.name)
    more = {"front": yaml.safe_dump(front, sort_keys=False).strip(), "code": code}
    return write_card("merge_card", dict(merged) | more | {"model_digest": model_digest, "command": command})
