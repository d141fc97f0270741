"""Merges the adapters of finished trials into one. Needs MLflow, the base model and the code alone."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunewright import settings as settings_
from tunewright.app.shelf import quiet
from tunewright.app.wiring import find_model, loadable
from tunewright.domain.errors import UsageError, unknown_name
from tunewright.domain.live import Observer, Said
from tunewright.settings import Settings

if TYPE_CHECKING:
    from tunewright.tools.models.factors import Factors
    from tunewright.tools.models.merge import Merge, Scope
    from tunewright.tracking.merging import Merged, MergedScore, Part

Weights = Sequence[float] | Literal["learned"] | None
_ROWS_TO_LEARN = 48
"""Training rows of each study that the weights are learned from."""
_SUMMED = ("mdm-oc", "ties", "dare_ties")
"""Methods that settle overlaps themselves, so that every part has weight one; the others take the mean."""


def merge(
    run_ids: Sequence[str],
    destination: Path,
    *,
    method: str = "mdm-oc",
    weights: Weights = None,
    scope: Scope = "global",
    density: float = 0.5,
    unmerge: str | None = None,
    exact: bool = False,
    measure: bool = False,
    settings: Settings | None = None,
    observer: Observer = quiet,
) -> Merged:
    """Writes the merged adapter as a PEFT folder with a model card.

    Args:
        run_ids: of trials on one base model, whole or their first six characters or more. Their order is that of
            MDM-OC's Gram-Schmidt.
        destination: a folder that is not there yet, or is empty.
        method: ``mdm-oc``, or PEFT's ``linear``, ``cat``, ``ties``, ``dare_linear``, ``dare_ties``.
        weights: one for each run, or ``learned`` from training rows of the runs' studies; by default 1, or equal
            shares where a method adds what overlaps.
        scope: whether MDM-OC's parts are orthogonal over the whole model or in each module.
        density: share of the entries that TIES and DARE keep.
        unmerge: one of the runs, whose part is taken out of the merge again; ``exact`` as if it had never been there.
        measure: scores the result on validation of each run's study.

    Raises:
        UsageError: the runs, the method, the weights or the destination cannot be used; nothing is written.
    """
    from tunewright.tools.models.merge import METHODS
    from tunewright.tracking.export import appearing, must_be_free
    from tunewright.tracking.merging import fetch_parts
    from tunewright.tracking.mlflow import MlflowStore

    settings = settings or settings_.load()
    if method not in METHODS:
        raise unknown_name("merge method", method, METHODS)
    _check(len(run_ids), method, weights, density, unmerge=unmerge, exact=exact)
    store = MlflowStore(settings.mlflow_uri, settings.home)
    must_be_free(destination)
    with tempfile.TemporaryDirectory(prefix="tunewright-merge-") as scratch:
        parts = fetch_parts(run_ids, Path(scratch), store)
        removed = _place(unmerge, parts) if unmerge is not None else None
        work = _Work(parts, Path(scratch), _base(parts, settings, observer), method, scope, density)
        factors, used = work.combine(weights, removed, exact=exact)
        with appearing(destination, "adapter") as there:
            folder = there / "adapter"
            work.write(factors, folder)
            scores = work.scores(folder) if measure else ()
            merged = work.described(destination, folder, factors, used, removed, exact, scores)
            work.card(merged, folder)
    return merged


class _Work:
    """One merge on its way from the runs' folders to its own."""

    def __init__(self, parts: list[Part], scratch: Path, base: Path, method: str, scope: Scope, density: float) -> None:
        from tunewright.tools.models.factors import read_factors
        from tunewright.tools.models.merge import lora_folder

        self.parts, self.base = parts, base
        self.method, self.scope, self.density = method, scope, density
        self.lora = []
        for number, part in enumerate(parts):
            own = scratch / f"lora-{number}"
            self.lora.append(lora_folder(part.adapter, own, self.model, name=f"run {part.bundle.run_id} ({part.kind})"))
        read = [read_factors(folder) for folder in self.lora]
        self.updates: tuple[Factors, ...] = tuple(factors for factors, _ in read)
        self.transposed = bool(read[0][1].fan_in_fan_out)

    def model(self) -> Any:
        """The bare base model."""
        from tunewright.tools.models.load import load_model

        return load_model(self.base)[0]

    def combine(self, weights: Weights, removed: int | None, *, exact: bool) -> tuple[Factors, tuple[float, ...]]:
        """The merged update, and the weight of each run in it."""
        from tunewright.tools.models.merge import Merge, merged_by_peft

        count = len(self.parts)
        plain = 1.0 if self.method in _SUMMED else 1.0 / count
        given = (plain,) * count if weights is None or weights == "learned" else tuple(map(float, weights))
        if self.method != "mdm-oc":
            factors = merged_by_peft(self.model(), self.lora, self.method, given, density=self.density)
            return factors, given
        found = Merge(self.updates, given, self.scope)
        if weights == "learned":
            found = self._learned(found)
        left = found if removed is None else found.without(removed, exact=exact)
        return left.factors(), found.alphas

    def _learned(self, merge: Merge) -> Merge:
        from tunewright.tools.data.rows import load_rows
        from tunewright.tools.models.load import load_model
        from tunewright.tools.training.merging import learned, task_batches

        model, tokenizer = load_model(self.base)
        tasks = [
            task_batches(model, tokenizer, load_rows(bundle.train)[:_ROWS_TO_LEARN], bundle.spec.task)
            for bundle in self._studies("train")
        ]
        return learned(model, merge, tasks)

    def write(self, factors: Factors, folder: Path) -> None:
        """The folder, without its card."""
        from tunewright.tools.models.factors import write_factors

        if not factors:
            raise UsageError("nothing is left of the merge", "give a weight other than 0")
        write_factors(factors, folder, base=self._loadable(), fan_in_fan_out=self.transposed)

    def _loadable(self) -> str:
        return loadable(self.parts[0].bundle.spec.model.ref, lambda: self.base)

    def scores(self, folder: Path) -> tuple[MergedScore, ...]:
        """The written adapter on validation of every study."""
        from tunewright.tools.data.rows import load_rows
        from tunewright.tools.evaluation.measure import measure
        from tunewright.tools.models.adapter import attach
        from tunewright.tools.models.load import load_model
        from tunewright.tools.models.precision import resolve_precision
        from tunewright.tracking.merging import MergedScore

        model, tokenizer = load_model(self.base)
        model, found = attach(model, folder), []
        for bundle in self._studies("val"):
            task = bundle.spec.task
            asked = bundle.spec.recipe.stages[-1].optimisation.precision
            seen, _ = measure(model, tokenizer, load_rows(bundle.val), task, step=0, precision=resolve_precision(asked))
            found.append(
                MergedScore(
                    study=bundle.spec.study,
                    metric=task.metric.name,
                    value=seen.value,
                    low=seen.low,
                    high=seen.high,
                    rows=seen.rows,
                )
            )
        return tuple(found)

    def described(
        self,
        destination: Path,
        folder: Path,
        factors: Factors,
        weights: tuple[float, ...],
        removed: int | None,
        exact: bool,
        scores: tuple[MergedScore, ...],
    ) -> Merged:
        """What was made, of what."""
        from tunewright.tools.models.adapter import adapter_bytes
        from tunewright.tracking.merging import Merged, MergedRun

        runs = [
            MergedRun(
                run_id=part.bundle.run_id,
                study=part.bundle.spec.study,
                trial=part.bundle.spec.id,
                adapter=part.kind,
                weight=weight,
                score=part.bundle.score,
            )
            for part, weight in zip(self.parts, weights, strict=True)
        ]
        return Merged(
            path=destination,
            base=self.parts[0].bundle.spec.model.ref,
            method=self.method,
            scope=self.scope if self.method == "mdm-oc" else None,
            runs=tuple(runs),
            unmerged=None if removed is None else runs[removed].run_id,
            exact=exact,
            rank=max(factor.rank for factor in factors.values()),
            parameters=sum(factor.parameters for factor in factors.values()),
            bytes=adapter_bytes(folder),
            measured=scores,
        )

    def card(self, merged: Merged, folder: Path) -> None:
        """The card in the folder, with the command that makes it again."""
        from tunewright.tracking.merging import merge_card

        words = ["tunewright merge", *(run.run_id for run in merged.runs), f"--out {merged.path.name}"]
        words.append(f"--method {merged.method}")
        if merged.scope == "per_tensor":
            words.append("--scope per_tensor")
        if merged.method.startswith(("ties", "dare")):
            words.append(f"--density {self.density:g}")
        words.append("--weights=" + ",".join(repr(run.weight) for run in merged.runs))
        if merged.unmerged is not None:
            words.append(f"--unmerge {merged.unmerged}{' --exact' if merged.exact else ''}")
        digest = self.parts[0].bundle.spec.model.digest
        text = merge_card(merged, base=self._loadable(), model_digest=digest, command=" ".join(words))
        (folder / "README.md").write_text(text, encoding="utf-8")

    def _studies(self, split: Literal["train", "val"]) -> list[Any]:
        """One bundle for each different split of the runs."""
        found = {getattr(part.bundle.spec.data, split).digest: part.bundle for part in reversed(self.parts)}
        return list(found.values())[::-1]


def _check(count: int, method: str, weights: Weights, density: float, *, unmerge: str | None, exact: bool) -> None:
    """Raises:
    UsageError: options that do not go together.
    """
    if method != "mdm-oc" and weights == "learned":
        raise UsageError(f"'{method}' has no weights to learn", "take mdm-oc, or give the weights")
    if method != "mdm-oc" and unmerge is not None:
        raise UsageError(f"'{method}' cannot take a run out again", "take mdm-oc, or merge the others anew")
    if exact and unmerge is None:
        raise UsageError("exact says how a run is taken out, and none is", "name it with --unmerge RUN_ID")
    if weights is not None and weights != "learned" and len(weights) != count:
        raise UsageError(f"{len(weights)} weights for {count} runs", "give one for each run, in their order")
    if not 0 < density <= 1:
        raise UsageError(f"{density:g} is no density", "give a number above 0, at most 1")


def _base(parts: list[Part], settings: Settings, observer: Observer) -> Path:
    """The base model's directory, if its files are those that the runs began from."""

    def say(line: str) -> None:
        observer(Said(line))

    wanted = parts[0].bundle.spec.model
    found = find_model(wanted.ref, settings, say)
    if found.identity.digest != wanted.digest:
        raise UsageError(
            f"the files of model '{wanted.ref}' are not those that the runs were trained on",
            f"bring back the model with digest {wanted.digest[:12]}",
        )
    return found.path


def _place(run_id: str, parts: list[Part]) -> int:
    """Which of the parts is meant."""
    places = [n for n, part in enumerate(parts) if part.bundle.run_id.startswith(run_id.strip().lower())]
    if len(run_id.strip()) < 6 or len(places) != 1:
        raise UsageError(f"run '{run_id}' is none of those that are merged", "give one of the run ids before --out")
    return places[0]
