"""Forecasts what a recipe will cost before it is launched: seconds and memory, with their doubt. No torch.

Starts from what the base model's evaluation measured on this machine and learns from every trial. The constants were
measured with a 135M-parameter Llama on a CPU; a trial's own numbers soon outweigh them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.domain.budget import Cost
from tunewright.domain.job import PREFLIGHT_STEPS, Rungs
from tunewright.domain.outcome import JobResult
from tunewright.domain.proposal import Forecast, Range
from tunewright.domain.recipe import Recipe, Stage
from tunewright.tools.models.calibration import Calibration, Factor, Traits
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.models.likeness import MEMORY, OVERHEAD, SCORING, STEPS, shared
from tunewright.tools.models.memory import BESIDE_EVALUATION, Flow, answers_whole, at_depths, packs
from tunewright.tools.models.size import least_adapter_bytes, trained_parameters
from tunewright.tools.training.depth.cost import mean_depth
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.registry import choosing_passes
from tunewright.tools.training.registry import objective as find_objective

_GIB = 2**30
_SAMPLE = 4000
"""Rows whose tokens are counted; more would tell nothing new."""
_BF16_STEP = 1.5
"""How much dearer a step is in forward passes under bf16: only the matrix products get faster."""
_BF16_SPEED = 2.5
"""Forward speed of bf16 over fp32 where both were measured."""
_STEP_S = 0.01
"""Of a step that computes nothing."""
_DISK_BYTES_PER_S = 3e8
_FIRST_ROWS = 48
"""Rows of common length that those take as long as which a preflight scores."""
_LEAST_REST = 0.02
"""Of what a job takes beside its steps and its scoring, the least that is believed: the rest is rounding."""
_PACKED = 1.15
"""Of the tokens of packed rows, what is left over at the ends of their sequences counted."""


@dataclass(frozen=True)
class Trained:
    """What a trial has measured: to its end, or as far as it came."""

    recipe: Recipe
    result: JobResult
    wall_s: float
    """As the host saw it, from the start of the process to its end, of all attempts."""
    attempts: int = 1

    @property
    def share(self) -> float:
        """Of the recipe's steps, those that were taken; 0 if it is not known how much of its time they are."""
        if self.result.status == "done":
            return 1.0
        known = self.result.total_steps and len(self.recipe.stages) == 1
        return self.result.steps / self.result.total_steps if known else 0.0


@dataclass(frozen=True)
class Speed:
    """What has been measured on this machine so far."""

    base: JobResult
    """Of the base model's evaluation."""
    base_wall_s: float
    trials: tuple[Trained, ...] = ()
    peaks: tuple[tuple[Recipe, float], ...] = ()
    """Recipes with the GiB that a few of their steps took."""
    passed: tuple[tuple[Recipe, float], ...] = ()
    """Recipes with the limit, in GiB, that they did not stay within: how much they take is not known."""

    def forward_tokens_per_s(self, precision: str) -> float:
        """Of the untouched model's layers."""
        measured = self.base.forward_tokens_per_s or self.base.tokens / max(self.base.eval_s, 1e-3) or 1.0
        return measured / _BF16_SPEED if precision == "fp32" and self.base.precision == "bf16" else measured

    @property
    def overhead_s(self) -> float:
        """Of a job, outside its steps, its scoring and its choices, by the base's evaluation."""
        return max(0.5, self.base_wall_s - self.base.eval_s)

    @property
    def seconds_per_row(self) -> float:
        """Of scoring one row with the base model."""
        return _per_row(self.base)


class Estimator:
    """Forecasts for one model and one frozen data set.

    Args:
        facts: of the model.
        lengths: tokens of some training rows, prompt and completion together.
        train_rows: of the frozen training split.
        val_rows: of the frozen validation split.
        by_format: training rows of each format, where there are several.
        answers: tokens of some completions; those of the whole rows if they are not known.
        new_tokens: that an answer has at most where it is generated.
    """

    def __init__(
        self,
        facts: ModelFacts,
        lengths: Sequence[int],
        *,
        train_rows: int,
        val_rows: int,
        by_format: Mapping[str, int] | None = None,
        answers: Sequence[int] = (),
        new_tokens: int = 0,
    ) -> None:
        self.facts, self.train_rows, self.val_rows = facts, train_rows, val_rows
        self._by_format = by_format or {}
        self._lengths = sorted(lengths) or [1]
        self._answers = sorted(answers) or self._lengths
        self.new_tokens = new_tokens
        self._batch_tokens: dict[int, float] = {}

    def forecast(self, recipe: Recipe, speed: Speed, rungs: Rungs) -> Forecast:
        """Seconds and memory, four times in five within their ranges; the cost is the high end of one trial.

        Raises:
            UsageError: a method that does not exist or does not fit the model.
        """
        steps = sum(stage.total_steps(self.rows(stage)) for stage in recipe.stages)
        looks = rungs.looks(recipe, steps)
        rows = len(looks) * min(rungs.rows or self.val_rows, self.val_rows) + self.val_rows
        of_steps, of_scoring, of_overhead = self._factors(recipe, speed)
        # Choices are passes of the model like steps, and as uncertain; they are not in what trials say of steps.
        unsure = Factor(1.0, of_steps.low / of_steps.expected, of_steps.high / of_steps.expected)
        saving_s = self._saved_bytes(recipe) * (len(looks) + 1) / _DISK_BYTES_PER_S
        seconds = _together(
            of_steps.of(self._steps_s(recipe, speed)),
            of_scoring.of(rows * _row_s(recipe, speed)),
            of_overhead.of(speed.overhead_s),
            unsure.of(saving_s + self._choosing_s(recipe, speed)),
        )
        cost = Cost(wall_s=seconds.high, device_s=seconds.high, trials=1)
        first_s = of_overhead.high * speed.overhead_s + of_steps.high * self._first_steps_s(recipe, speed)
        first_s += of_scoring.high * _FIRST_ROWS * _row_s(recipe, speed)
        return Forecast(
            seconds=seconds,
            memory_gib=self._memory(recipe, speed),
            cost=cost,
            adapter_bytes=least_adapter_bytes(self.facts, recipe),
            trainable_parameters=trained_parameters(self.facts, recipe),
            preflight_s=first_s,
        )

    def batch_tokens(self, batch_size: int) -> float:
        """Expected tokens of a batch with its padding: its size times the expected longest of its rows."""
        if batch_size in self._batch_tokens:
            return self._batch_tokens[batch_size]
        self._batch_tokens[batch_size] = batch_size * _longest(self._lengths, batch_size)
        return self._batch_tokens[batch_size]

    def rows(self, stage: Stage) -> int:
        """Training rows that the stage has to choose from."""
        wanted = find_objective(stage.objective.kind).formats
        return next((self._by_format[name] for name in wanted if self._by_format.get(name)), self.train_rows)

    def _steps_s(self, recipe: Recipe, speed: Speed) -> float:
        """Seconds in optimiser steps, before any trial has corrected the constants."""
        return sum(self._stage_s(stage, speed) for stage in recipe.stages)

    def _first_steps_s(self, recipe: Recipe, speed: Speed) -> float:
        """Seconds in the first steps of every stage, on the longest rows."""
        longest = self._lengths[-1]
        return sum(
            PREFLIGHT_STEPS * self._step_s(stage, speed, stage.optimisation.batch_size * longest)
            for stage in recipe.stages
        )

    def _stage_s(self, stage: Stage, speed: Speed) -> float:
        tokens = self.batch_tokens(stage.optimisation.batch_size)
        return self._step_s(stage, speed, tokens) * stage.total_steps(self.rows(stage))

    def _step_s(self, stage: Stage, speed: Speed, tokens: float) -> float:
        precision = _precision(stage, speed)
        passes = find_adapter(stage.adapter.kind).step_cost * (_BF16_STEP if precision == "bf16" else 1.0)
        passes *= find_objective(stage.objective.kind).cost(stage.objective)
        passes *= mean_depth(stage.depth, self.facts.layers)
        return passes * tokens / speed.forward_tokens_per_s(precision) + _STEP_S

    def _choosing_s(self, recipe: Recipe, speed: Speed) -> float:
        """Seconds to choose the stages' rows and to mix their sources, before their steps and between them."""
        found = 0.0
        for stage in recipe.stages:
            tokens = self.rows(stage) * statistics.fmean(self._lengths)
            passes = choosing_passes(stage, self.rows(stage))
            found += passes * tokens / speed.forward_tokens_per_s(_precision(stage, speed))
        return found

    def _factors(self, recipe: Recipe, speed: Speed) -> tuple[Factor, Factor, Factor]:
        """What trials so far say of predicted seconds: of steps, of scoring, of the rest of a job."""
        told = [self._told(trial, speed) for trial in speed.trials]
        traits = self._traits(recipe)
        found = []
        for at, prior in enumerate((STEPS, SCORING, OVERHEAD)):
            seen = [(own, ratios[at]) for own, ratios in told]
            found.append(Calibration(prior, [(own, ratio) for own, ratio in seen if ratio]).factor(traits))
        return found[0], found[1], found[2]

    def _told(self, trial: Trained, speed: Speed) -> tuple[Traits, tuple[float, float, float]]:
        """Measured over predicted of a trial's steps, its scoring and the rest of it; 0 where it does not say."""
        result = trial.result
        steps_s = trial.share * self._steps_s(trial.recipe, speed)
        chosen_s = self._choosing_s(trial.recipe, speed)
        row_s = _row_s(trial.recipe, speed)
        rest_s = trial.wall_s - result.train_s - result.eval_s - chosen_s
        return self._traits(trial.recipe), (
            result.train_s / steps_s if steps_s else 0.0,
            _per_row(result) / row_s if row_s else 0.0,
            max(rest_s / trial.attempts, _LEAST_REST * speed.overhead_s) / speed.overhead_s,
        )

    def _traits(self, recipe: Recipe) -> Traits:
        return Traits(shared(recipe), math.log(self.batch_tokens(recipe.stages[-1].optimisation.batch_size)))

    def _memory(self, recipe: Recipe, speed: Speed) -> Range:
        measured = [(trial.recipe, trial.result.peak_memory_gib) for trial in speed.trials]
        seen = [
            (self._sized(one, speed), gib / self._raw_memory(one, speed))
            for one, gib in (*measured, *speed.peaks)
            if gib
        ]
        known = Calibration(MEMORY, seen)
        for one, limit in speed.passed:
            traits, raw = self._sized(one, speed), self._raw_memory(one, speed)
            seen.append((traits, max(known.factor(traits).expected, limit / raw)))
        found = Calibration(MEMORY, seen) if speed.passed else known
        return found.factor(self._sized(recipe, speed)).of(self._raw_memory(recipe, speed))

    def _sized(self, recipe: Recipe, speed: Speed) -> Traits:
        return Traits(shared(recipe), math.log(self._raw_memory(recipe, speed)))

    def _raw_memory(self, recipe: Recipe, speed: Speed) -> float:
        """GiB: of the stage that needs most, or of measuring with its adapter and its optimiser beside."""
        gpu = speed.base.device.startswith("cuda")
        last = recipe.stages[-1]
        found = [
            one
            for stage in recipe.stages
            for one in at_depths(
                self.facts, stage, self.flow(stage), _precision(stage, speed), last=stage is last, gpu=gpu
            )
        ]
        measuring = speed.base.peak_memory_gib * _GIB + (0 if gpu else BESIDE_EVALUATION)
        return max(max(one.peak, measuring + one.adapter + one.optimiser) for one in found) / _GIB

    def flow(self, stage: Stage) -> Flow:
        """What a step of the stage reads: as many sequences as long as the longest row that comes."""
        wanted, aim = stage.optimisation, find_objective(stage.objective.kind)
        drawn = stage.total_steps(self.rows(stage)) * wanted.batch_size
        longest, answer = _longest(self._lengths, drawn), _longest(self._answers, drawn)
        each = aim.sequences(stage.objective)
        count, rolled = wanted.batch_size * each, 0.0
        if aim.family == "reinforcement":
            answer = self.new_tokens or answer
            longest = max(longest, statistics.fmean(self._lengths) + answer)
            rolled = count * longest
        if packs(stage):  # rows follow each other without padding
            longest = statistics.fmean(self._lengths) * _PACKED
        whole = answers_whole(stage)
        return Flow(count, longest, count * (longest if whole else min(answer, longest)), rolled)

    def _saved_bytes(self, recipe: Recipe) -> float:
        """Of a checkpoint: weights and moments of what is trained."""
        return max(
            12 * find_adapter(stage.adapter.kind).trainable_parameters(self.facts, stage.adapter)
            for stage in recipe.stages
        )


def token_lengths(model: Path, texts: Sequence[str], max_length: int) -> list[int]:
    """Tokens of each text and its end token, at most ``max_length``; of an even sample where there are many texts.

    Args:
        model: the model's directory. Without a ``tokenizer.json`` four characters are taken for a token.
    """
    chosen = [texts[i * len(texts) // _SAMPLE] for i in range(_SAMPLE)] if len(texts) > _SAMPLE else list(texts)
    file = model / "tokenizer.json"
    if file.is_file():
        from tokenizers import Tokenizer

        counts = [len(found.ids) for found in Tokenizer.from_file(str(file)).encode_batch_fast(chosen)]
    else:
        counts = [-(-len(text) // 4) for text in chosen]
    return [min(count + 1, max_length) for count in counts]


def _longest(lengths: Sequence[int], drawn: int) -> float:
    """The expected longest of so many rows.

    Args:
        lengths: of rows to draw from, ascending.
    """
    count = len(lengths)
    powers = [(rank / count) ** drawn for rank in range(count + 1)]
    return sum(length * (powers[i + 1] - powers[i]) for i, length in enumerate(lengths))


def _together(*pieces: Range) -> Range:
    """The sum of what is uncertain independently."""
    expected = sum(one.expected for one in pieces)
    low = math.hypot(*(one.expected - one.low for one in pieces))
    high = math.hypot(*(one.high - one.expected for one in pieces))
    return Range(expected=expected, low=max(expected - low, *(one.low for one in pieces)), high=expected + high)


def _precision(stage: Stage, speed: Speed) -> str:
    """What the stage computes in; ``auto`` is what the base evaluation found this machine to have."""
    return speed.base.precision if stage.optimisation.precision == "auto" else stage.optimisation.precision


def _row_s(recipe: Recipe, speed: Speed) -> float:
    """Of scoring one row with what the recipe trains, before any trial has corrected the constants."""
    return speed.seconds_per_row * find_adapter(recipe.stages[-1].adapter.kind).scoring_cost


def _per_row(result: JobResult) -> float:
    return result.measurement.seconds / result.measurement.rows if result.measurement else 0.0
