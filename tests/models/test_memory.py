"""The memory model: it grows where memory grows, each lever lowers it, and its terms are those counted by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.domain.job import Rungs
from tunewright.domain.outcome import JobResult, Measurement
from tunewright.domain.recipe import Memory, Recipe, Stage
from tunewright.tools.models import memory as model
from tunewright.tools.models.capacity import known, largest
from tunewright.tools.models.estimate import Estimator, Speed
from tunewright.tools.models.memory import Flow, at_depths, base_bits, parts
from tunewright.tools.training.registry import adapters, objectives

FACTS = known(1000, 64, 256, 12, 4, 2, True)
FLOW = Flow(8, 100, 200)
BASE = JobResult(
    status="done",
    measurement=Measurement(value=0.1, rows=100, step=0, seconds=10.0),
    forward_tokens_per_s=1000.0,
    eval_s=10.0,
    peak_memory_gib=0.6,
)
KEPT = 4 * (10 * 64 + 5 * 256)
"""Bytes that a layer keeps of a token without an adapter, its gaps counted."""


def stage(kind: str = "lora", objective: Any = "sft", memory: Any = None, precision: str = "fp32", **own: Any) -> Stage:
    aim = {"kind": objective} if isinstance(objective, str) else objective
    how = {"lr": 1e-3, "steps": 5, "batch_size": 8, "precision": precision}
    given_ = {"objective": aim, "adapter": {"kind": kind, **own}, "optimisation": how, "memory": memory or {}}
    return Stage.model_validate(given_)


def peak(chosen: Stage, flow: Flow = FLOW, computed: str = "fp32", **more: Any) -> float:
    return parts(FACTS, chosen, flow, computed, **more).peak


def test_the_terms_of_lora_by_hand() -> None:
    found = parts(FACTS, stage(rank=2), FLOW, "fp32")
    linear = 12 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 256)
    trained = 12 * 2 * (2 * 128 + 2 * 96 + 3 * 320)
    assert FACTS.multiplied_parameters == linear
    assert found.weights == 4 * (linear + 1000 * 64 + 25 * 64)
    assert (found.adapter, found.gradients, found.optimiser) == (4 * trained, 4 * trained, 8 * trained)
    assert found.activations == pytest.approx(12 * 800 * KEPT * 1.5 * 0.55)
    assert found.activations + found.gaps == pytest.approx(12 * 800 * KEPT * 1.5)
    assert found.logits == 12 * 200 * 1000
    assert found.peak == pytest.approx(found.held + found.activations + found.logits + found.gaps)


def test_logits_are_those_of_a_chunk_at_most() -> None:
    assert parts(FACTS, stage(), Flow(8, 10**6, 8 * 10**6), "fp32").logits == 12 * model.CHUNK_LOGITS


@given(
    st.integers(1, 64), st.integers(1, 64), st.integers(16, 2048), st.integers(16, 2048), st.integers(1, 64),
    st.sampled_from(["lora", "full", "dora", "ia3"]),
    st.builds(
        Memory,
        micro_batch=st.sampled_from([None, 1, 4]),
        checkpoint_every=st.integers(0, 3),
        offload=st.booleans(),
        compact=st.booleans(),
        optimiser=st.sampled_from(["adamw", "adafactor"]),
        vocabulary=st.sampled_from([0, 100]),
    ),
)  # fmt: skip
def test_it_grows_with_batch_length_and_rank(
    batch: int, other: int, length: int, longer: int, rank: int, kind: str, memory: Memory
) -> None:
    def needed(sequences: int, tokens: int, more: int = 0) -> float:
        own = {"rank": rank + more} if kind in ("lora", "dora") else {}
        chosen = stage(kind, memory=memory.model_dump(), **own)
        return peak(chosen, Flow(sequences, tokens, sequences * tokens / 2))

    low, high = sorted((batch, other))
    short, long = sorted((length, longer))
    assert needed(low, short) <= needed(high, short) <= needed(high, long) <= needed(high, long, more=8)


LEVERS: list[dict[str, Any]] = [
    {"micro_batch": 2}, {"checkpoint_every": 1}, {"checkpoint_every": 2}, {"offload": True}, {"compact": True},
    {"vocabulary": 50},
]  # fmt: skip


@pytest.mark.parametrize("memory", LEVERS)
@pytest.mark.parametrize("kind", ["lora", "full", "dora"])
def test_each_lever_lowers_it(kind: str, memory: dict[str, Any]) -> None:
    assert peak(stage(kind, memory=memory)) < peak(stage(kind))


def test_optimisers_and_bits_lower_it() -> None:
    few = Flow(1, 4, 4)
    by_optimiser = {
        name: peak(stage("full", memory={"optimiser": name}), few) for name in ("adamw", "adamw8bit", "adafactor")
    }
    assert by_optimiser["adafactor"] < by_optimiser["adamw"] > by_optimiser["adamw8bit"]
    bits = [peak(stage(memory={"base_bits": n}), computed="bf16") for n in (4, 8, 16, 32)]
    assert bits == sorted(bits) and len(set(bits)) == 4


def test_frozen_weights_are_narrow_where_nothing_is_merged_into_them() -> None:
    assert base_bits(stage(), "bf16", last=True) == 16
    assert base_bits(stage(), "bf16", last=False) == base_bits(stage(), "fp32", last=True) == 32
    assert base_bits(stage("dora"), "bf16", last=True) == base_bits(stage("full"), "bf16", last=True) == 32
    assert base_bits(stage(memory={"base_bits": 32}), "bf16", last=True) == 32


def estimator(**more: Any) -> Estimator:
    return Estimator(FACTS, [100, 200, 400], train_rows=400, val_rows=50, **more)


def test_what_flows_is_as_long_as_the_longest_row_that_comes() -> None:
    made = estimator(answers=[1, 3])
    many = stage(objective="sft")
    assert made.flow(many).length == pytest.approx(400, rel=0.01)
    one = many.model_copy(update={"optimisation": many.optimisation.model_copy(update={"steps": 1, "batch_size": 1})})
    assert made.flow(one).length == pytest.approx(700 / 3)
    assert made.flow(many).labelled == pytest.approx(8 * 3, rel=0.01)
    whole = made.flow(stage(objective={"kind": "sft", "loss_on": "all"}))
    assert whole.labelled == pytest.approx(whole.tokens)
    packed = made.flow(stage(objective={"kind": "sft", "packing": True}))
    assert packed.tokens < 0.7 * whole.tokens


def test_pairs_are_two_sequences_and_a_reward_has_no_logits() -> None:
    made = estimator()
    assert made.flow(stage(objective="dpo")).sequences == 2 * made.flow(stage()).sequences
    assert parts(FACTS, stage(objective="reward"), FLOW, "fp32").logits == 0
    cut = FLOW.cut(2)
    assert (cut.sequences, cut.labelled, cut.tokens) == (2, 50, 200) and FLOW.cut(20) == FLOW


def test_rollouts_hold_keys_and_values() -> None:
    rolled = Flow(8, 100, 200, rolled=10**5)
    found = parts(FACTS, stage(), rolled, "fp32")
    assert found.cache == pytest.approx(2 * 32 * 4 * 13 * 10**5 + 8 * 8 * 1000)
    assert found.peak > parts(FACTS, stage(), FLOW, "fp32").peak
    assert parts(FACTS, stage(), rolled, "bf16").cache < found.cache


def test_where_a_policy_is_held_to_its_beginning_that_is_kept() -> None:
    free, held = (parts(FACTS, stage("full", {"kind": "grpo", "beta": beta}), FLOW, "fp32") for beta in (0.0, 0.1))
    assert held.adapter - free.adapter == held.gradients == 4 * FACTS.parameters


@pytest.mark.parametrize("kind", adapters())
def test_every_adapter_and_every_objective_can_be_priced(kind: str) -> None:
    aims = objectives() if kind == "lora" else ["sft"]
    for aim in aims:
        recipe = Recipe(stages=(stage(kind, aim),))
        found = estimator().forecast(recipe, Speed(BASE, base_wall_s=15.0), Rungs()).memory_gib
        assert 0 < found.low < found.expected < found.high


def test_measuring_is_the_floor() -> None:
    small = Recipe(stages=(stage(memory={"micro_batch": 1}),))
    large = BASE.model_copy(update={"peak_memory_gib": 5.0})
    found = estimator().forecast(small, Speed(large, base_wall_s=15.0), Rungs())
    assert found.memory_gib.expected == pytest.approx(5.0, rel=0.05)


def test_the_largest_model_that_fits_grows_with_memory() -> None:
    assert largest(0.5) == []
    few, many = largest(4), largest(40)
    assert [one.adapter for one in many] == ["lora", "lora", "full"]
    assert all(one.peak_gib <= 40 for one in many) and all(one.peak_gib <= 4 for one in few)
    assert many[1].peak_gib > few[-1].peak_gib and many[1].memory.checkpoint_every == 1
    assert "checkpoint_every 1, compact" in many[1].says() and "(" in many[0].says()
    assert "compact" not in largest(40, computed="bf16", gpu=True)[1].says()


def deep(**depth: Any) -> Stage:
    return Stage.model_validate({**stage().model_dump(mode="json"), "depth": depth})


def test_a_shallow_step_keeps_less_and_holds_its_own_layers_beside_the_models() -> None:
    whole = parts(FACTS, deep(), FLOW, "fp32")
    assert at_depths(FACTS, deep(), FLOW, "fp32") == [whole]
    shallow, last = at_depths(FACTS, deep(stages=2, start_layers=4), FLOW, "fp32")
    assert last == whole, "the last depth is the whole model"
    assert shallow.activations == pytest.approx(whole.activations / 3)
    each = 4 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 256)
    assert shallow.weights == pytest.approx(whole.weights + 4 * each), "four layers of 12, each for several"
    late = at_depths(FACTS, deep(stages=2, start_layers=10), FLOW, "fp32")[0]
    assert late.weights == pytest.approx(whole.weights + 2 * each), "two groups at most have several"


def test_what_a_server_holds_is_counted() -> None:
    plain, trained = parts(FACTS, deep(), FLOW, "fp32"), parts(FACTS, deep(clients=3), FLOW, "fp32")
    assert trained.adapter == plain.adapter * (1 + 3)
    kept = parts(FACTS, deep(clients=3, average="product_svd"), FLOW, "fp32")
    assert kept.adapter == plain.adapter * (1 + 1 + 3)
