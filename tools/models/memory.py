"""What a stage needs of memory at most, term by term, before it is launched. No torch.

The terms are those of the survey by Schmidt et al., arXiv 2606.10706: weights, adapter, optimiser, gradients,
activations, logits and the runtime. What they come to is ours, from what a decoder layer's backward pass reads. The
constants were measured on a CPU with a Llama of 45M parameters (``benchmarks/memory.py``); those of a GPU were not.
What choosing rows takes is not in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tunewright.domain.recipe import Memory, Stage
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.training.depth.cost import copied, exchanged_bytes
from tunewright.tools.training.depth.course import depths
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.registry import objective as find_objective

MIB = 2**20
RUNTIME = 575 * MIB
"""Of a training process on a CPU that holds no model: the libraries, mostly."""
BESIDE_EVALUATION = 130 * MIB
"""What a training process holds over an evaluation's that measures the same rows."""
CHUNK_LOGITS = 2**25
"""Logits held at a time, as in ``scoring.HEAD_ELEMENTS``."""
_LOGIT_BYTES = 12
"""A logit in fp32, its logarithm of a probability, and its gradient."""
_BF16 = 0.65
"""What is kept under bf16 over what is kept in fp32: norms and residuals stay wide."""
_OF_GAPS = 0.97
"""The gaps of a step whose layers are computed twice, over those of one whose layers are not."""
_LEFT_BY_OFFLOAD = 0.6
"""Of what is offloaded, the gaps that it leaves behind."""
_GPU_GAPS = 0.1
"""Of what is kept, what a GPU's allocator holds beside it. Not measured."""
_PACKED = {8: 1.02, 4: 0.53}
"""Bytes of a weight of few bits, with its scales."""


_GROWS, _GROWS_AT_LEAST = 0.02, 1 / 16
"""Of a training's peak, as a share and in GiB, what comes after its first steps. Measured with six recipes of a tiny
model on a CPU: 16 to 64 MiB; the share is a guess for what is larger."""


def whole_gib(first_gib: float) -> float:
    """What a training takes at most, by what its first steps took."""
    return first_gib + max(_GROWS * first_gib, _GROWS_AT_LEAST)


@dataclass(frozen=True)
class Flow:
    """What goes through the model at a time."""

    sequences: int
    length: float
    """Tokens of each, padding included."""
    labelled: float
    """Positions with a loss, of all sequences together."""
    rolled: float = 0.0
    """Tokens that are generated together with their prompts before a step, whose keys and values are held."""

    @property
    def tokens(self) -> float:
        return self.sequences * self.length

    def cut(self, size: int | None) -> Flow:
        """The same in micro-batches of that many sequences."""
        if size is None or size >= self.sequences:
            return self
        return replace(self, sequences=size, labelled=self.labelled * size / self.sequences)


@dataclass(frozen=True)
class Parts:
    """Bytes of each term."""

    runtime: float
    weights: float
    adapter: float
    optimiser: float
    gradients: float
    activations: float
    """What the layers keep for the backward pass."""
    again: float
    """Of the layer that the backward pass is at: what is computed or fetched again, and its gradients."""
    logits: float
    gaps: float
    """Between tensors, in the heap of a process on a CPU or in a GPU's allocator."""
    step: float
    """What the optimiser needs while it steps."""
    cache: float
    """Keys and values of rollouts, and the logits of their last tokens."""

    @property
    def held(self) -> float:
        """Through a whole step."""
        return self.runtime + self.weights + self.adapter + self.optimiser

    @property
    def peak(self) -> float:
        """The most at any moment: the end of a forward pass, a backward pass, a step, a rollout."""
        forward = self.activations + self.logits
        backward = self.gradients + self.again + (self.activations if self.again else 0.0)
        return self.held + max(forward, backward, self.gradients + self.step, self.cache) + self.gaps


def parts(facts: ModelFacts, stage: Stage, flow: Flow, computed: str, *, last: bool = True, gpu: bool = False) -> Parts:
    """The terms of a stage.

    Args:
        flow: of a whole step; micro-batches are cut here.
        computed: ``fp32`` or ``bf16``.
        last: whether it is the recipe's last stage.
        gpu: whether the memory is a GPU's.

    Raises:
        UsageError: a method that does not exist or does not fit the model.
    """
    method, memory = find_adapter(stage.adapter.kind), stage.memory
    trained = method.trainable_parameters(facts, stage.adapter)
    bits = base_bits(stage, computed, last=last)
    flowing = flow.cut(memory.micro_batch)
    each, gaps = _layer_bytes(facts, stage, flowing, computed)
    kept, again = _kept(facts.layers, each, 4 * facts.hidden * flowing.tokens, memory)
    narrow_copies = computed == "bf16" and bits == 32
    if gpu:
        gaps = _GPU_GAPS * kept / max(1, facts.layers)
    gaps *= facts.layers * (_OF_GAPS if memory.checkpoint_every else 1.0)
    if memory.offload and not gpu:
        gaps += _LEFT_BY_OFFLOAD * _kept(facts.layers, each, 0.0, memory.model_copy(update={"offload": False}))[0]
    return Parts(
        runtime=0.0 if gpu else RUNTIME,
        weights=_weight_bytes(facts, bits),
        adapter=_adapter_bytes(stage, trained),
        optimiser=_moments(facts, trained, memory),
        gradients=4.0 * trained,
        activations=kept + (2.0 * facts.multiplied_parameters if narrow_copies else 0.0),
        again=again,
        logits=_logit_bytes(facts, stage, flowing),
        gaps=0.0 if memory.compact and not gpu else gaps,
        step=_step_bytes(facts, trained, memory),
        cache=_cache_bytes(facts, flow, computed),
    )


def at_depths(
    facts: ModelFacts, stage: Stage, flow: Flow, computed: str, *, last: bool = True, gpu: bool = False
) -> list[Parts]:
    """The terms at each of the stage's depths, the whole model's last; the layers that stand for several are weights
    held beside the model's own. Otherwise as ``parts``.

    Raises:
        UsageError: also where the model has too few layers.
    """
    whole = parts(facts, stage, flow, computed, last=last, gpu=gpu)
    each = _weight_bytes(facts, base_bits(stage, computed, last=last)) - _weight_bytes(facts, 0)
    found = []
    for count in depths(stage.depth, facts.layers)[:-1]:
        shallow = parts(facts.model_copy(update={"layers": count}), stage, flow, computed, last=last, gpu=gpu)
        beside = each * copied(facts.layers, count) / facts.layers
        found.append(replace(shallow, weights=shallow.weights + beside))
    return [*found, whole]


def base_bits(stage: Stage, computed: str, *, last: bool) -> int:
    """Of the frozen weights while the stage trains."""
    method = find_adapter(stage.adapter.kind)
    if stage.memory.base_bits is not None:
        return stage.memory.base_bits
    return 16 if computed == "bf16" and last and method.trains_adapter and not method.reads_weights else 32


def packs(stage: Stage) -> bool:
    """Whether rows share a sequence."""
    return bool(_setting(stage, "packing"))


def answers_whole(stage: Stage) -> bool:
    """Whether every token of a row carries loss."""
    return find_objective(stage.objective.kind).learns_whole or _setting(stage, "loss_on") == "all"


def _setting(stage: Stage, name: str) -> object:
    """A setting of the objective; None if it has none of that name."""
    declared = find_objective(stage.objective.kind).Config.model_fields.get(name)
    return None if declared is None else stage.objective.settings.get(name, declared.default)


def _weight_bytes(facts: ModelFacts, bits: int) -> float:
    """Of the model: its linear modules are held in so many bits, the head and all else in 32."""
    each = _PACKED.get(bits, bits / 8)
    return each * facts.multiplied_parameters + 4.0 * (facts.parameters - facts.multiplied_parameters)


def _adapter_bytes(stage: Stage, trained: int) -> float:
    """What is trained, where it stands beside the model's own weights, and copies of it: as it was when the stage
    began, and what goes between a server and its clients."""
    method, aim = find_adapter(stage.adapter.kind), find_objective(stage.objective.kind)
    own = 4.0 * trained if method.trains_adapter else 0.0
    began = 4.0 * trained if aim.recalls(stage.objective) and not method.leaves(stage.carry) else 0.0
    return own + began + exchanged_bytes(stage.depth, trained)


def _layer_bytes(facts: ModelFacts, stage: Stage, flow: Flow, computed: str) -> tuple[float, float]:
    """What a layer keeps of what flows, and the gaps that its passing tensors leave in a heap."""
    method, aim = find_adapter(stage.adapter.kind), find_objective(stage.objective.kind)
    unit = 4.0 * (10 * facts.hidden + 5 * facts.intermediate) * flow.tokens
    whole = unit * method.activation_cost * aim.activation_cost * (_BF16 if computed == "bf16" else 1.0)
    return method.kept_share * whole, (1 - method.kept_share) * whole


def _kept(layers: int, each: float, border: float, memory: Memory) -> tuple[float, float]:
    """Of all layers, and of the one that the backward pass is at.

    Args:
        each: what a layer keeps.
        border: what goes into a layer, which is all that one keeps that is computed again, and all of them together
            where the rest is elsewhere.
    """
    twice = math.ceil(layers / memory.checkpoint_every) if memory.checkpoint_every else 0
    if memory.offload:
        return border, 2 * each
    return (layers - twice) * each + twice * border, 2 * each if twice else 0.0


def _logit_bytes(facts: ModelFacts, stage: Stage, flow: Flow) -> float:
    if find_objective(stage.objective.kind).family == "reward":
        return 0.0
    width = facts.vocab
    if stage.memory.vocabulary:
        width = min(width, stage.memory.vocabulary + math.ceil(flow.labelled))
    return _LOGIT_BYTES * min(flow.labelled * width, float(max(CHUNK_LOGITS, width)))


def _moments(facts: ModelFacts, trained: int, memory: Memory) -> float:
    """What the optimiser remembers."""
    match memory.optimiser:
        case "adamw8bit":
            return 2.05 * trained
        case "adafactor":  # of a matrix of n x m its n + m means
            return 8.0 * trained / max(1, min(facts.hidden, trained))
        case _:
            return 8.0 * trained


def _step_bytes(facts: ModelFacts, trained: int, memory: Memory) -> float:
    """Adafactor computes the update of a weight beside it: of the largest, three times its size."""
    if memory.optimiser != "adafactor":
        return 0.0
    return 12.0 * min(trained, max((weight.size for weight in facts.weights), default=trained))


def _cache_bytes(facts: ModelFacts, flow: Flow, computed: str) -> float:
    if not flow.rolled:
        return 0.0
    width = facts.kv_heads * facts.hidden // facts.heads
    each = 2 * width * (2 if computed == "bf16" else 4)
    grown = facts.layers + 1  # a layer's is copied when a token is added
    return each * grown * flow.rolled + 8.0 * flow.sequences * facts.vocab
