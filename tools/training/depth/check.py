"""Whether progressive depth and federated training go with the rest of a stage. No torch."""

from __future__ import annotations

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import MixPolicy, Stage
from tunewright.tools.models import placement
from tunewright.tools.training.memory import ON_GPUS
from tunewright.tools.training.method import AdapterMethod, ObjectiveMethod
from tunewright.tools.training.mix_policy import MixPolicyMethod
from tunewright.tools.training.selector import SelectorMethod

_NO_DEPTH, _ONE_CLIENT = "or set depth.stages to 1", "or set depth.clients to 1"


def check_depth(
    stage: Stage, method: AdapterMethod, aim: ObjectiveMethod, chooses: SelectorMethod, policy: MixPolicyMethod
) -> None:
    """Whether the stage can do what its ``depth`` asks for, as far as that is known before a model is there.

    Args:
        method: its adapter.
        aim: its objective.
        chooses: its selection.
        policy: its mix policy.

    Raises:
        UsageError: it cannot.
    """
    depth = stage.depth
    if depth.on and not federates(aim):
        raise UsageError(
            f"neither progressive depth nor federated training is for '{aim.kind}', which is a {aim.family} objective",
            "take a supervised one, such as sft, or leave depth out",
        )
    if depth.stages > 1:
        _check_growth(stage, method, aim)
    if depth.clients > 1:
        _check_clients(stage, method, chooses, policy)


def federates(aim: ObjectiveMethod) -> bool:
    """Whether clients can train a stage of the objective."""
    return aim.family == "supervised"


def deepens(aim: ObjectiveMethod) -> bool:
    """Whether a stage of the objective can go through depths."""
    return federates(aim) and not aim.reads_layers


def transferring(method: AdapterMethod) -> str | None:
    """Why an adapter cannot go from one layer to another; None if it can."""
    if not method.trains_adapter:
        return "it trains the layers' own weights"
    if not method.continues:
        return "its training has phases of its own"
    if method.transfers:
        return None
    return "what it trains belongs to the weights it was made for, or to several layers at once"


def _check_growth(stage: Stage, method: AdapterMethod, aim: ObjectiveMethod) -> None:
    reason = transferring(method)
    if reason is not None:
        raise UsageError(f"'{method.kind}' cannot be trained by progressive depth: {reason}", f"take lora, {_NO_DEPTH}")
    where = stage.adapter.placement
    if where not in placement.PLACEMENTS:
        raise UsageError(
            f"the placement '{where}' is not the same in every layer, and one layer is to stand for others",
            f"choose from {', '.join(placement.PLACEMENTS)}, {_NO_DEPTH}",
        )
    if not deepens(aim):
        raise UsageError(
            f"'{aim.kind}' looks into the layers of the model, which progressive depth replaces",
            f"take sft, {_NO_DEPTH}",
        )
    if stage.memory.base_bits in ON_GPUS:
        raise UsageError(
            f"layers of {stage.memory.base_bits} bits cannot be fused", f"leave base_bits out, {_NO_DEPTH}"
        )


def _check_clients(stage: Stage, method: AdapterMethod, chooses: SelectorMethod, policy: MixPolicyMethod) -> None:
    data, average = stage.data, stage.depth.average
    if not method.continues:
        raise UsageError(
            f"the adapters of clients are averaged, and '{method.kind}' cannot be: its training has phases of its own, "
            "or no adapter comes out of it",
            f"take lora, {_ONE_CLIENT}",
        )
    if average != "ab" and not method.exports_lora:
        raise UsageError(
            f"the average '{average}' is of LoRA's matrices A and B, which '{method.kind}' does not have",
            "take lora, or the average 'ab'",
        )
    if data.weights or data.replay or policy.kind != MixPolicy().kind:
        raise UsageError(
            "each client trains on its own rows as they are: sources cannot be weighted nor general data mixed in",
            f"leave weights, policy and replay out, {_ONE_CLIENT}",
        )
    if chooses.guides:
        raise UsageError(
            f"'{chooses.kind}' weighs rows of all clients against each other while they train",
            f"take another selection, {_ONE_CLIENT}",
        )
