"""What keeps memory low: which of it goes with which recipe and machine, and what of it is searched. No torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Json
from tunewright.domain.recipe import Memory, Recipe
from tunewright.domain.space import Choice, Dimension
from tunewright.tools.training.method import AdapterMethod, ObjectiveMethod

ON_GPUS = (8, 4)
"""Bits of a frozen weight that need bitsandbytes and a GPU."""


def check_memory(recipe: Recipe, index: int, method: AdapterMethod, aim: ObjectiveMethod) -> None:
    """Whether what keeps the memory of a stage low goes with the rest of the recipe.

    Args:
        index: the stage's number.
        method: its adapter.
        aim: its objective.

    Raises:
        UsageError: it does not.
    """
    stage = recipe.stages[index]
    memory = stage.memory
    if memory.checkpoint_every and not method.recomputes:
        raise UsageError(
            f"'{method.kind}' cannot be trained with layers that are computed again in the backward pass",
            "set checkpoint_every to 0, or take another adapter, such as lora",
        )
    if memory.vocabulary and not aim.narrows(stage.objective):
        raise UsageError(
            f"the loss of '{aim.kind}' as it is set cannot be taken over a part of the vocabulary",
            "set vocabulary to 0, or take sft without label smoothing",
        )
    if memory.base_bits in (None, 32):
        return
    if method.reads_weights or not method.trains_adapter:
        raise UsageError(
            f"'{method.kind}' needs the weights as they are, and not in {memory.base_bits} bits",
            "leave base_bits out, or take an adapter beside the weights, such as lora",
        )
    if memory.base_bits == 16 and stage.optimisation.precision == "fp32":
        raise UsageError(
            "frozen weights of 16 bits are for a stage that computes in bf16, and this one computes in fp32",
            "leave base_bits out, or set precision to bf16",
        )
    if any(later.carry == "merge" for later in recipe.stages[index + 1 :]):
        raise UsageError(
            f"a later stage merges the adapter into the weights, which cannot be done in {memory.base_bits} bits",
            "leave base_bits out, or continue the adapter (carry: continue)",
        )
    if any(later.memory.base_bits != memory.base_bits for later in recipe.stages[index + 1 :]):
        raise UsageError(
            "a stage that continues an adapter keeps the weights below it as they are",
            f"set base_bits to {memory.base_bits} in it too",
        )


def missing(memory: Memory, gpus: int, *, installed: bool | None = None) -> list[str]:
    """What a stage asks for that cannot be had here, a line each.

    Args:
        gpus: of a trial.
        installed: whether bitsandbytes is there; looked up if it is not said.
    """
    found = []
    if memory.compact and gpus:
        found.append("compact memory is for a CPU, and the trial has a GPU")
    wanted = []
    if memory.optimiser == "adamw8bit":
        wanted.append("the optimiser adamw8bit")
    if memory.base_bits in ON_GPUS:
        wanted.append(f"a base of {memory.base_bits} bits")
    if not wanted or (gpus and (bitsandbytes() if installed is None else installed)):
        return found
    lacks = "bitsandbytes, which is not installed" if gpus else "a GPU, and the trial has none"
    return [*found, *(f"{one} needs {lacks}" for one in wanted)]


def bitsandbytes() -> bool:
    """Whether bitsandbytes is installed here."""
    return importlib.util.find_spec("bitsandbytes") is not None


def ladder(batch_size: int, *, gpu: bool = False) -> Iterator[Memory]:
    """Settings from what costs nothing to what costs most time, each with less memory than the one before it. None
    changes a number but by rounding.

    Args:
        batch_size: rows of a step.
        gpu: whether the memory is a GPU's.
    """
    compact = not gpu
    for size in dict.fromkeys(max(1, batch_size // parts) for parts in (2, 4, batch_size)):
        yield Memory(micro_batch=size)
    yield Memory(micro_batch=1, checkpoint_every=2)
    yield Memory(micro_batch=1, checkpoint_every=1)
    yield Memory(micro_batch=1, checkpoint_every=1, compact=compact, offload=gpu)


def leaner(memory: Memory, batch_size: int, *, gpu: bool = False) -> Iterator[Memory]:
    """Each of the ladder's settings with what these set beyond it: with less memory, or as much where a rung adds
    nothing to them.

    Args:
        batch_size: rows of a step.
        gpu: whether the memory is a GPU's.
    """
    for rung in ladder(batch_size, gpu=gpu):
        twice = [every for every in (memory.checkpoint_every, rung.checkpoint_every) if every]
        yield memory.model_copy(
            update={
                "micro_batch": min(memory.micro_batch or batch_size, rung.micro_batch or batch_size),
                "checkpoint_every": min(twice, default=0),
                "offload": memory.offload or rung.offload,
                "compact": memory.compact or rung.compact,
            }
        )


def dimensions(stage: str, default: Memory, *, gpus: int, single: bool, narrows: bool) -> list[Dimension]:
    """What is searched where memory binds.

    Args:
        stage: path of the recipe's stage, such as ``stages.0``.
        default: what fits.
        gpus: of a trial.
        single: whether the recipe has one stage, so that nothing is merged into the weights.
        narrows: whether the loss may be over a part of the vocabulary.
    """
    path = f"{stage}.memory"

    def choice(name: str, why: str, *options: Json) -> Choice:
        usual = getattr(default, name)
        every = tuple(dict.fromkeys((usual, *options)))
        return Choice(name=name, path=f"{path}.{name}", options=every, default=usual, why=why)

    packed = gpus > 0 and bitsandbytes()
    found: list[Dimension] = [
        choice("micro_batch", "the same step in parts; slower where sequences are short (ours)", 1, 2, 4, 8),
        choice("checkpoint_every", "memory against a third more computing (arXiv 1604.06174)", 0, 1, 2),
        choice("offload", "memory against time (arXiv 2606.19528)", False, True),
        choice(
            "optimiser",
            "of what is trained, moments are most of what is held (arXiv 1804.04235, 2110.02861)",
            *("adamw", "adafactor", *(("adamw8bit",) if packed else ())),
        ),
    ]
    if not gpus:
        found.append(choice("compact", "about half of the heap is gaps (benchmarks/memory.py)", False, True))
    if narrows:
        found.append(choice("vocabulary", "the paper's 1,000 nearest, and more (arXiv 2606.19528)", 0, 1024, 4096))
    if packed and single:
        found.append(choice("base_bits", "4 bits lose little under an adapter (arXiv 2305.14314)", None, 8, 4))
    return found
