"""What a stage trains on, chosen once: its rows by a selector, the weights of its sources by a mix policy.

What was chosen is written down before the first step, so that an attempt after a stop reads it instead of choosing
again: the model that it was chosen with may have gone by then.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from typing import Any

from tunewright.domain.frozen import Json
from tunewright.domain.recipe import MixPolicy, Selection, Stage
from tunewright.tools.contract import FaultError
from tunewright.tools.data.rows import Row
from tunewright.tools.models.prompt import Encoded, Template
from tunewright.tools.training.chance import own_chance
from tunewright.tools.training.learning import Learning
from tunewright.tools.training.mix_policy import Mixing, Mixture
from tunewright.tools.training.probe import untouched
from tunewright.tools.training.progress import Progress
from tunewright.tools.training.registry import mix_policy, selector, settings
from tunewright.tools.training.selector import Choosing, Work
from tunewright.tools.training.sources import Sources, seeded


class Chooser:
    """The choices of one stage.

    Args:
        model: as the stage finds it.
        index: the stage's number.
        rows: that the stage has to choose from.
    """

    def __init__(self, progress: Progress, model: Any, index: int, rows: int) -> None:
        self.progress, self.model, self.index = progress, model, index
        self.stage: Stage = progress.spec.recipe.stages[index]
        self.seed, self.rows = progress.spec.recipe.seed, rows

    def select(self, rows: Sequence[Row], encoded: Sequence[Encoded], form: Template) -> Sequence[int]:
        """Indices of the rows to train on, ascending."""
        chosen: Selection = self.stage.data.selection
        if chosen.kind == Selection().kind:
            return range(len(rows))
        name = f"selection-{self.index}.json"
        before = self._before(name, chosen.kind)
        if before is not None:
            kept = _found(before["kept"], rows, name)
            self.progress.output.note(f"{len(kept)} of {len(rows)} training rows, as '{chosen.kind}' has chosen before")
            return kept
        method = selector(chosen.kind)
        began = time.perf_counter()
        with untouched(self.model), own_chance(seed := seeded(self.seed, self.index, "selection")):
            choosing = Choosing(
                settings=settings(method, chosen),
                keep=chosen.keep,
                task=self.progress.spec.task,
                form=form,
                model=self.model,
                seed=seed,
                device=self.progress.device.partition(":")[0],
                precision=self.progress.precision,
                batch_size=self.stage.optimisation.batch_size,
                note=self.progress.output.note,
                check=self.progress.stop.check,
            )
            kept = list(method.select(rows, encoded, choosing))
        seconds = self._took(began)
        self.progress.output.note(f"'{chosen.kind}' keeps {len(kept)} of {len(rows)} training rows, in {seconds:.1f} s")
        if kept:
            ids: list[Json] = [rows[place]["id"] for place in kept]
            write(self.progress, name, {"kind": chosen.kind, "rows": len(rows), "seconds": seconds, "kept": ids})
        return kept

    def weigh(self, sources: Sources, encoded: Sequence[Encoded], form: Template, given: tuple[float, ...]) -> Mixture:
        """The weights that the stage begins with."""
        chosen: MixPolicy = self.stage.data.policy
        if chosen.kind == MixPolicy().kind or sum(size > 0 for size in sources.sizes) < 2:
            return Mixture(given)
        name = f"mix-{self.index}.json"
        before = self._before(name, chosen.kind)
        if before is not None:
            weights = tuple(float(before["weights"][source]) for source in sources.names)
            self.progress.output.note(
                f"sources are mixed as '{chosen.kind}' has said before: {_says(sources, weights)}"
            )
            return Mixture(weights, frozenset(_found(before["held"], sources.rows, name)))
        method = mix_policy(chosen.kind)
        size = self.stage.optimisation.batch_size
        began = time.perf_counter()
        with untouched(self.model), own_chance(seed := seeded(self.seed, self.index, "mix")):
            mixture = method.weigh(
                Mixing(
                    settings=settings(method, chosen),
                    sources=dataclasses.replace(sources, general=(), replay=0.0),
                    encoded=encoded,
                    given=given,
                    work=Work(len(sources.places), self.stage.total_steps(self.rows), size),
                    form=form,
                    model=self.model,
                    seed=seed,
                    device=self.progress.device.partition(":")[0],
                    precision=self.progress.precision,
                    note=self.progress.output.note,
                    check=self.progress.stop.check,
                )
            )
        seconds = self._took(began)
        self.progress.output.note(f"'{chosen.kind}' mixes {_says(sources, mixture.weights)}, in {seconds:.1f} s")
        held: list[Json] = [sources.rows[place]["id"] for place in sorted(mixture.held)]
        named: Json = dict(zip(sources.names, mixture.weights, strict=True))
        document = {"kind": chosen.kind, "weights": named, "held": held, "seconds": seconds, **mixture.facts}
        write(self.progress, name, document)
        return mixture

    def _before(self, name: str, kind: str) -> dict[str, Json] | None:
        """What an earlier attempt has chosen."""
        found = read(self.progress, name)
        return found if found is not None and found.get("kind") == kind else None

    def _took(self, began: float) -> float:
        seconds = time.perf_counter() - began
        self.progress.waited(seconds)
        return round(seconds, 3)


def guided(learning: Learning, stage: Stage, index: int, progress: Progress) -> Learning:
    """What the objective does in the stage, with the choices around it that go on during training."""
    name = f"mix-{index}.json"

    def keep(facts: dict[str, Json]) -> None:
        write(progress, name, {**(read(progress, name) or {}), **facts})

    sources = learning.data.sources
    if sources is not None and len(sources.names) > 1:
        learning = mix_policy(stage.data.policy.kind).guide(learning, stage, keep)
    return selector(stage.data.selection.kind).guide(learning, stage)


def read(progress: Progress, name: str) -> dict[str, Json] | None:
    """A choice as it was written down; None if it was not."""
    path = progress.folder / name
    if not path.exists():
        return None
    found: dict[str, Json] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write(progress: Progress, name: str, document: dict[str, Json]) -> None:
    """Writes a choice down, whole or not at all."""
    progress.output.write(name, json.dumps(document, indent=1) + "\n")


def _found(ids: Sequence[str], rows: Sequence[Row], name: str) -> list[int]:
    """Where rows that were chosen before are."""
    at = {row["id"]: place for place, row in enumerate(rows)}
    gone = [one for one in ids if one not in at]
    if gone:
        raise FaultError("infra", f"out/{name} names {len(gone)} rows that are not there, such as {gone[0]}", 0)
    return [at[one] for one in ids]


def _says(sources: Sources, weights: Sequence[float]) -> str:
    return ", ".join(f"{name} {weight:.2f}" for name, weight in zip(sources.names, weights, strict=True))
