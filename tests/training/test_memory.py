"""What keeps memory low, through the entry that a sandbox uses: it changes no number where it says so, it goes on after
a stop as if there had been none, and it is refused where it cannot be had."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tests.conformance.objective import CASES, ROWS, Case, StopAfter, recipe_stage
from tests.training.conftest import stage
from tests.training.test_space import draw
from torch.nn.modules.module import register_module_forward_pre_hook

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import EXIT_CODES
from tunewright.domain.recipe import Memory, Recipe
from tunewright.tools.contract import Output
from tunewright.tools.training.__main__ import _run, main
from tunewright.tools.training.memory import ladder, missing
from tunewright.tools.training.registry import adapter, adapters, check_recipe, objective, objectives
from tunewright.tools.training.space import Wanted, recipe_space

CODES = {said: code for code, said in EXIT_CODES.items()}
Make = Callable[..., Any]
SAME: tuple[dict[str, Any], ...] = (
    {"checkpoint_every": 1}, {"checkpoint_every": 2}, {"offload": True}, {"compact": True},
)  # fmt: skip
"""What changes no bit."""
ALL = {"checkpoint_every": 1, "offload": True, "compact": True}


def lean(
    kind: str = "lora", memory: dict[str, Any] | None = None, dropout: float = 0.2, **optimisation: Any
) -> dict[str, Any]:
    known = adapter(kind).Config.model_fields
    settings = {name: value for name, value in (("rank", 4), ("dropout", dropout)) if name in known}
    return {**stage({"kind": kind, **settings}, **optimisation), "memory": memory or {}}


def left(job: Any) -> tuple[Any, ...]:
    """What must be the same of two jobs."""
    result = job.result()
    return job.curve(), result.adapter_digest, result.measurement.value, result.measurement.low


def losses(job: Any) -> list[float]:
    return [point["loss"] for point in job.curve()]


@contextmanager
def watched(name: str) -> Iterator[list[int]]:
    """First sizes of what modules of this class are given, each time one runs in training mode."""
    seen: list[int] = []

    def note(module: Any, args: Any) -> None:
        if type(module).__name__ == name and module.training:
            seen.append(len(args[0]))

    hook = register_module_forward_pre_hook(note)
    try:
        yield seen
    finally:
        hook.remove()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_each_is_the_same_to_the_bit(make_job: Make, precision: str) -> None:
    plain = make_job("plain", lean(precision=precision))
    assert main(plain.argv) == CODES["done"]
    for number, memory in enumerate(SAME):
        job = make_job(f"job{number}", lean(memory=memory, precision=precision))
        assert main(job.argv) == CODES["done"]
        assert left(job) == left(plain), memory


@pytest.mark.parametrize("kind", [kind for kind in adapters() if adapter(kind).recomputes])
def test_together_they_are_the_same_for_every_adapter(make_job: Make, kind: str) -> None:
    plain, job = make_job("plain", lean(kind, steps=4)), make_job("job", lean(kind, ALL, steps=4))
    assert main(plain.argv) == main(job.argv) == CODES["done"]
    assert left(job) == left(plain)


@pytest.mark.parametrize("kind", objectives())
def test_together_they_are_the_same_for_every_objective(make_job: Make, kind: str) -> None:
    method, case = objective(kind), CASES.get(kind, Case())
    form = case.format or method.formats[0]
    task = {"sources": [{"path": "a.jsonl", "name": "a", "format": form}], "max_new_tokens": 6, **case.task}
    plain = recipe_stage(kind, method, case, 0.1, {})
    jobs = [
        make_job(name, *case.before, {**plain, "memory": memory}, own=ROWS[form], task=task)
        for name, memory in (("plain", {}), ("job", ALL))
    ]
    for job in jobs:
        assert main(job.argv) == CODES["done"], job.result().fault
    assert left(jobs[0]) == left(jobs[1])


@pytest.mark.parametrize(
    "memory",
    [{**ALL, "micro_batch": 3}, {"optimiser": "adafactor"}, {"vocabulary": 20, "micro_batch": 1}],
)
def test_stopped_in_mid_stage_they_go_on_as_if_they_had_not(make_job: Make, memory: dict[str, Any]) -> None:
    straight, broken = make_job("straight", lean(memory=memory)), make_job("broken", lean(memory=memory))
    assert main(straight.argv) == CODES["done"]
    output = Output(broken.folder)
    assert _run(broken.folder, broken.model, output, StopAfter(broken.out, 3), time.perf_counter()) == CODES["paused"]
    output.close()
    assert main(broken.argv) == CODES["done"]
    assert left(broken) == left(straight)


def test_layers_are_computed_twice_and_only_those_asked_for(make_job: Make) -> None:
    counts = {}
    for every in (0, 1, 2):
        job = make_job(f"job{every}", lean(memory={"checkpoint_every": every}, steps=2))
        with watched("LlamaMLP") as seen:
            assert main(job.argv) == CODES["done"]
        counts[every] = len(seen)
    layers = counts[0] // 2
    assert counts == {0: 2 * layers, 1: 4 * layers, 2: 2 * (layers + -(-layers // 2))}


def test_micro_batches_are_of_that_size_and_change_no_number(make_job: Make) -> None:
    whole = make_job("whole", lean(dropout=0.0))
    assert main(whole.argv) == CODES["done"]
    for size, parts in ((1, [1, 1, 1, 1]), (3, [3, 1]), (8, [4])):
        job = make_job(f"of{size}", lean(memory={"micro_batch": size}, dropout=0.0))
        with watched("LlamaMLP") as seen:
            assert main(job.argv) == CODES["done"]
        assert [size for at, size in enumerate(seen) if at % 2 == 0][: len(parts)] == parts
        assert losses(job) == pytest.approx(losses(whole), rel=1e-5)


def test_adafactor_learns_and_is_not_adamw(make_job: Make) -> None:
    plain, job = (
        make_job(name, lean("full", memory, steps=12, lr=1e-3))
        for name, memory in (("adamw", {}), ("adafactor", {"optimiser": "adafactor"}))
    )
    assert main(plain.argv) == main(job.argv) == CODES["done"]
    assert losses(job)[0] == losses(plain)[0] and losses(job)[-1] != losses(plain)[-1]
    assert sum(losses(job)[-3:]) < 0.9 * sum(losses(job)[:3])


def test_adafactor_moves_what_begins_at_zero(make_job: Make) -> None:
    job = make_job("job", lean(memory={"optimiser": "adafactor"}, steps=12, dropout=0.0))
    assert main(job.argv) == CODES["done"]
    assert sum(losses(job)[-3:]) < 0.9 * sum(losses(job)[:3])


def test_16_bits_are_the_default_under_bf16_and_change_no_bit(make_job: Make) -> None:
    jobs = [make_job(f"of{bits}", lean(memory={"base_bits": bits}, precision="bf16")) for bits in (None, 16, 32)]
    assert [main(job.argv) for job in jobs] == [CODES["done"]] * 3
    assert left(jobs[0]) == left(jobs[1]) == left(jobs[2])


def test_a_part_of_the_vocabulary_is_a_bound_below_the_loss(make_job: Make) -> None:
    found = {}
    for count in (0, 5, 60, 10_000):
        job = make_job(f"of{count}", lean(memory={"vocabulary": count}, dropout=0.0))
        assert main(job.argv) == CODES["done"]
        found[count] = losses(job)
    assert found[5][0] < found[60][0] < found[0][0]
    assert found[10_000] == pytest.approx(found[0], rel=1e-4), "all tokens are no part"


def test_what_is_measured_is_over_all_tokens(make_job: Make) -> None:
    task = {"metric": {"name": "loss", "direction": "min"}, "format": "completion", "labels": []}
    jobs = [make_job(f"of{n}", lean(memory={"vocabulary": n}, lr=1e-12), task=task) for n in (0, 5)]
    assert [main(job.argv) for job in jobs] == [CODES["done"]] * 2
    first, second = (job.result().measurement.value for job in jobs)
    assert second == pytest.approx(first, rel=1e-4)


REFUSED: list[tuple[dict[str, Any], str]] = [
    (lean("prefix_tuning", {"checkpoint_every": 1}), "'prefix_tuning' cannot be trained with layers"),
    (lean("dora", {"base_bits": 16}, precision="bf16"), "'dora' needs the weights as they are"),
    (lean("full", {"base_bits": 8}), "'full' needs the weights as they are"),
    (lean(memory={"base_bits": 16}), "this one computes in fp32"),
    ({**lean(memory={"vocabulary": 9}), "objective": {"kind": "dpo"}}, "the loss of 'dpo' as it is set cannot"),
    (
        {**lean(memory={"vocabulary": 9}), "objective": {"kind": "sft", "label_smoothing": 0.1}},
        "the loss of 'sft' as it is set cannot",
    ),
]


@pytest.mark.parametrize(("one", "words"), REFUSED)
def test_what_does_not_go_together_is_refused(one: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check_recipe(Recipe.model_validate({"stages": [one]}))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (lean(precision="bf16"), "a later stage merges"),
        ({**lean(precision="bf16"), "carry": "continue"}, "keeps the weights below it"),
    ],
)
def test_few_bits_are_not_merged_into(second: dict[str, Any], words: str) -> None:
    first = lean(memory={"base_bits": 16}, precision="bf16")
    with pytest.raises(UsageError, match=words):
        check_recipe(Recipe.model_validate({"stages": [first, second]}))
    kept = {**first, "carry": "continue"}
    check_recipe(Recipe.model_validate({"stages": [first, kept]}))


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ({"optimiser": "adamw8bit"}, "adamw8bit needs a GPU"),
        ({"base_bits": 4}, "4 bits needs a GPU"),
        ({"base_bits": 8}, "8 bits needs a GPU"),
    ],
)
def test_what_this_machine_lacks_is_the_recipes_fault(make_job: Make, memory: dict[str, Any], words: str) -> None:
    job = make_job("job", lean(memory=memory))
    assert main(job.argv) == CODES["config"]
    assert words in job.result().fault.message and job.result().steps == 0


def test_what_is_missing_is_told_by_name() -> None:
    few = Memory(optimiser="adamw8bit", base_bits=4)
    assert len(missing(few, 0)) == 2 and all("GPU" in one for one in missing(few, 0))
    assert all("bitsandbytes" in one for one in missing(few, 1, installed=False))
    assert missing(few, 1, installed=True) == missing(Memory(offload=True, compact=True), 0) == []
    assert "for a CPU" in missing(Memory(compact=True), 1)[0]


def test_levers_are_searched_where_memory_binds_alone() -> None:
    def names(**more: Any) -> set[str]:
        space = recipe_space(Wanted(adapters=("lora",), sources=("a",), own=False, **more))
        return {one.name for one in space.dimensions}

    found = names(memory=Memory()) - names()
    assert found == {"micro_batch", "checkpoint_every", "offload", "compact", "optimiser", "vocabulary"}
    assert "compact" not in names(memory=Memory(), gpus=1)
    smoothed = recipe_space(Wanted(adapters=("lora",), sources=("a",), memory=Memory()))
    assert not any(one.name == "vocabulary" for one in smoothed.dimensions), "label smoothing is searched too"


@pytest.mark.parametrize("seed", range(8))
def test_every_recipe_of_such_a_space_is_valid_and_the_default_is_lean(seed: int) -> None:
    default = Memory(micro_batch=2, checkpoint_every=1)
    kinds = ("lora", "prefix_tuning", "dora", "full")
    space = recipe_space(Wanted(adapters=kinds, sources=("a",), own=False, memory=default))
    assert space.build(space.default()).stages[0].memory == default
    recipe = space.build(draw(space, random.Random(seed)))
    check_recipe(recipe)


def test_the_ladder_goes_down() -> None:
    from tunewright.tools.models.capacity import known
    from tunewright.tools.models.memory import Flow, parts

    facts, base = known(1000, 64, 256, 12, 4, 2, True), Recipe.model_validate({"stages": [stage()]}).stages[0]
    for gpu in (False, True):
        peaks = [
            parts(facts, base.model_copy(update={"memory": one}), Flow(16, 500, 8000), "fp32", gpu=gpu).peak
            for one in (Memory(), *ladder(16, gpu=gpu))
        ]
        assert peaks == sorted(peaks, reverse=True) and len(set(peaks)) == len(peaks)
        assert not any(missing(one, int(gpu)) for one in ladder(16, gpu=gpu))


def test_a_model_without_such_layers_says_so() -> None:
    from tunewright.tools.contract import FaultError
    from tunewright.tools.training.recompute import recomputed

    with pytest.raises(FaultError, match="no layers that can be computed again"), recomputed(torch.nn.Linear(2, 2), 1):
        pass
