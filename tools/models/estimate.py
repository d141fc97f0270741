"""Forecasts a recipe's time and memory from the model's sizes, and corrects itself by what was measured here.

Time: the base evaluation gives forward tokens a second on this machine; a training step costs a method's own
multiple of a forward pass, until completed trials of that method say what it really costs. Memory: the base
evaluation's peak, plus gradients and optimiser states of what is trained, plus activations. No torch: the host
prices hundreds of recipes a second. The formulas are ours; the intervals are wide until trials narrow them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.domain.budget import Cost
from tunewright.domain.job import Rungs
from tunewright.domain.outcome import JobResult
from tunewright.domain.proposal import Forecast, Range
from tunewright.domain.recipe import Recipe, Stage
from tunewright.tools.models.facts import ModelFacts

_GIB = 2**30
_TRAINED_BYTES = 16
"""A trained fp32 parameter: itself, its gradient, and Adam's two moments."""
_ACTIVATIONS = 20
"""Floats kept for the backward pass per token, layer and hidden unit: attention and norms; the MLP is apart."""
_STEP_S = 0.03
"""Optimiser, collation and bookkeeping of one step, whatever its size."""
_FIRST = (0.6, 1.8)
"""How far off a forecast may be while only the base model was measured."""
_KIN = (0.75, 1.4)
"""The same once a trial of another method was measured."""
_SAME = (0.85, 1.25)
"""The same once trials of this method were measured."""


@dataclass(frozen=True)
class Lengths:
    """Tokens of the task's rows, prompt and completion together."""

    mean: float
    longest: int

    def padded(self, batch: int) -> float:
        """Tokens of a batch per row after padding to its longest row: nearer to the longest as batches grow."""
        return self.mean + (self.longest - self.mean) * min(0.6, 0.12 * math.sqrt(batch))


@dataclass(frozen=True)
class Trained:
    """A completed trial: what it was and what it measured."""

    recipe: Recipe
    result: JobResult
    wall_s: float
    """From launch to end, as the host saw it."""

    @property
    def start_s(self) -> float:
        """What the sandbox and the imports took: what the job's own clocks do not cover."""
        return start_s(self.result, self.wall_s)


@dataclass(frozen=True)
class Speed:
    """What this machine has shown of this model."""

    base: JobResult
    base_wall_s: float
    trials: tuple[Trained, ...] = ()

    @property
    def forward_tokens_per_s(self) -> float:
        """Of the base evaluation, on this machine and model."""
        return self.base.forward_tokens_per_s or self.base.tokens / max(self.base.eval_s, 1e-3)

    @property
    def setup_s(self) -> float:
        """From launch to the first step: the median of trials; before any, the base evaluation's and a little."""
        seen = [trial.result.setup_s + trial.start_s for trial in self.trials]
        return statistics.median(seen) if seen else self.base.setup_s + start_s(self.base, self.base_wall_s) + 3.0


class Estimator:
    """Prices recipes for one model and one task.

    Args:
        facts: the model's sizes.
        lengths: of the training rows, in tokens.
        train_rows: rows of the training split.
        val_rows: rows of the validation split.
    """

    def __init__(self, facts: ModelFacts, lengths: Lengths, *, train_rows: int, val_rows: int) -> None:
        self._facts = facts
        self._lengths = lengths
        self._train_rows = train_rows
        self._val_rows = val_rows

    def forecast(self, recipe: Recipe, speed: Speed, rungs: Rungs) -> Forecast:
        """What the recipe is expected to take. The reserved cost is the high end.

        Raises:
            UsageError: a method that does not exist or does not fit the model.
        """
        raw = self._train_s(recipe, speed)
        factor, spread = self._correction(recipe, speed)
        fixed = speed.setup_s + self._evaluation_s(recipe, speed, rungs)
        seconds = Range(
            expected=fixed + raw * factor,
            low=(fixed + raw * factor) * spread[0],
            high=(fixed + raw * factor) * spread[1],
        )
        memory = self._memory_gib(recipe, speed)
        cost = Cost(wall_s=seconds.high, device_s=seconds.high, trials=1)
        return Forecast(seconds=seconds, memory_gib=memory, cost=cost)

    def _train_s(self, recipe: Recipe, speed: Speed) -> float:
        """Seconds in optimiser steps by the methods' own guesses."""
        from tunewright.tools.training.registry import adapter

        total = 0.0
        for stage in recipe.stages:
            steps = stage.optimisation.total_steps(self._train_rows)
            tokens = self._lengths.padded(stage.optimisation.batch_size) * stage.optimisation.batch_size
            times = adapter(stage.adapter.kind).step_cost
            total += steps * (tokens * times / speed.forward_tokens_per_s + _STEP_S)
        return total

    def _correction(self, recipe: Recipe, speed: Speed) -> tuple[float, tuple[float, float]]:
        """Measured over guessed, from the nearest trials there are, and how far to trust it."""
        if not speed.trials:
            return 1.0, _FIRST
        kind = recipe.stages[-1].adapter.kind
        same = [one for one in speed.trials if one.recipe.stages[-1].adapter.kind == kind]
        ratios = [
            one.result.train_s / guessed
            for one in (same or speed.trials)
            if one.result.train_s > 0 and (guessed := self._train_s(one.recipe, speed)) > 0
        ]
        if not ratios:
            return 1.0, _FIRST
        return statistics.median(ratios), _SAME if same else _KIN

    def _evaluation_s(self, recipe: Recipe, speed: Speed, rungs: Rungs) -> float:
        """The final measurement on all rows, and the rungs before it on some."""
        steps = sum(stage.optimisation.total_steps(self._train_rows) for stage in recipe.stages)
        whole = speed.base.eval_s * 1.15
        share = min(1.0, (rungs.rows or self._val_rows) / max(1, self._val_rows))
        return whole * (1 + share * sum(step < steps for step in rungs.steps))

    def _memory_gib(self, recipe: Recipe, speed: Speed) -> Range:
        """Peak resident memory: measured for the base model, added to for training."""
        guess = max(self._added_gib(stage) for stage in recipe.stages)
        expected = speed.base.peak_memory_gib + guess
        seen = [
            one.result.peak_memory_gib / (speed.base.peak_memory_gib + max(map(self._added_gib, one.recipe.stages)))
            for one in speed.trials
            if one.result.peak_memory_gib > 0
        ]
        if seen:
            expected *= statistics.median(seen)
        doubt = 0.15 if seen else 0.3
        return Range(expected=expected, low=expected * (1 - doubt), high=expected * (1 + doubt))

    def _added_gib(self, stage: Stage) -> float:
        """What training adds over evaluating: trained parameters' states and activations of one batch."""
        from tunewright.tools.training.registry import adapter

        facts = self._facts
        trained = adapter(stage.adapter.kind).trainable_parameters(facts, stage.adapter)
        tokens = self._lengths.longest * stage.optimisation.batch_size
        floats = tokens * facts.layers * (_ACTIVATIONS * facts.hidden + 3 * facts.intermediate)
        return (trained * _TRAINED_BYTES + floats * 4) / _GIB


def start_s(result: JobResult, wall_s: float) -> float:
    """Seconds of ``wall_s`` that the job's own clocks do not cover: the sandbox's start and the imports."""
    return max(0.0, wall_s - result.setup_s - result.train_s - result.eval_s)


def token_lengths(model: Path, texts: Sequence[str], longest: int) -> Lengths:
    """Lengths by the model's own tokenizer, through the ``tokenizers`` library alone.

    Args:
        model: a model directory; without ``tokenizer.json`` four characters are taken for a token.
        texts: prompt and completion of each row; up to 1,000 of them are counted.
        longest: the task's limit, at which examples are cut.
    """
    sample = list(texts[:1000])
    file = model / "tokenizer.json"
    if file.is_file():
        from tokenizers import Tokenizer

        counts = [len(one.ids) + 2 for one in Tokenizer.from_file(str(file)).encode_batch(sample)]
    else:
        counts = [len(text) // 4 + 2 for text in sample]
    capped = [min(count, longest) for count in counts] or [1]
    return Lengths(mean=statistics.fmean(capped), longest=max(capped))
