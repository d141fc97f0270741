"""Head-selective tuning: which slices move, what the two scores measure, and what is saved."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conformance.adapter import MODELS, Run, gpt2, llama, logits, rows
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import merged, save_adapter
from tunewright.tools.models.attention import Heads, attentions
from tunewright.tools.models.facts import facts
from tunewright.tools.training import head_score
from tunewright.tools.training.adapters.headtune import METHOD
from tunewright.tools.training.method import Start
from tunewright.tools.training.peft_method import linears_of

START = Start(seed=3, rows=rows)
TINY = {
    "vocab_size": 60, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 64, "initializer_range": 0.3, "pad_token_id": 0,
}  # fmt: skip


def chosen(**settings: Any) -> Adapter:
    return Adapter(kind="headtune", **settings)


def phi3() -> Any:
    """Fused projections, two key-value heads."""
    torch.manual_seed(2)
    return Phi3ForCausalLM(Phi3Config(**TINY, num_key_value_heads=2)).eval()


def wide() -> Any:
    """Heads that are wider together than the model."""
    torch.manual_seed(2)
    return LlamaForCausalLM(LlamaConfig(**TINY, num_key_value_heads=1, head_dim=16)).eval()


def trained(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def found(model: Any, kv_heads: int = 2) -> list[Any]:
    return attentions(linears_of(model, ["q_proj", "k_proj", "v_proj", "o_proj", "c_attn", "c_proj"]), 4, kv_heads)


@pytest.mark.parametrize("make", [llama, gpt2, phi3, wide])
@pytest.mark.parametrize("scorer", ["attribution", "random"])
def test_only_the_slices_of_chosen_heads_move(make: Any, scorer: str) -> None:
    base = dict(make().named_parameters())
    run = Run(METHOD, chosen(heads=3, scorer=scorer), make(), lr=1e-2)
    for group in run.optimiser.param_groups:
        group["weight_decay"] = 0.1
    run.steps(0, 4)
    config = run.model.peft_config["default"]
    assert sum(len(heads) for heads in config.chosen.values()) == 3
    layout = Heads(config.heads, config.kv_heads, config.head_size)
    count, moved = trained(run.model), 0
    for name, weight in merged(run.model).named_parameters():
        parent, _, part = name.removesuffix(".weight").rpartition(".")
        allowed = torch.zeros_like(weight, dtype=torch.bool)
        if parent in config.chosen and name.endswith(".weight"):
            outputs_first = (part in ("o_proj", "c_proj")) == (make is gpt2)  # GPT-2 keeps its weights transposed
            allowed.index_fill_(0 if outputs_first else 1, torch.tensor(layout.rows(part, config.chosen[parent])), True)
        assert torch.equal(weight[~allowed], base[name][~allowed]), name
        assert (weight[allowed] != base[name][allowed]).float().mean() > 0.9 or not allowed.any(), name
        moved += int(allowed.sum())
    assert moved == count


@pytest.mark.parametrize("heads", [1, 3, 5, 8])
def test_every_head_is_four_slices_where_none_is_shared(heads: int, tmp_path: Path) -> None:
    gpt2().save_pretrained(tmp_path)
    given = chosen(heads=heads)
    assert METHOD.trainable_parameters(facts(tmp_path), given) == 4 * 8 * 32 * heads
    assert trained(METHOD.build(gpt2(), given, START)) == 4 * 8 * 32 * heads


@pytest.mark.parametrize("heads", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("scorer", ["attribution", "random"])
def test_shared_slices_are_trained_once(heads: int, scorer: str, tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    given = chosen(heads=heads, scorer=scorer)
    model = METHOD.build(llama(), given, START)
    config = model.peft_config["default"]
    pairs = sum(len({head // 2 for head in picked}) for picked in config.chosen.values())
    assert trained(model) == 2 * 8 * 32 * heads + 2 * 8 * 32 * pairs
    assert trained(model) <= METHOD.trainable_parameters(facts(tmp_path), given) <= 4 * 8 * 32 * heads


def test_more_heads_than_there_are_means_all(tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    model = METHOD.build(llama(), chosen(heads=1000), START)
    assert [len(heads) for heads in model.peft_config["default"].chosen.values()] == [4, 4]
    assert trained(model) == METHOD.trainable_parameters(facts(tmp_path), chosen(heads=1000))


def test_rows_of_a_head() -> None:
    grouped = Heads(heads=4, kv_heads=2, size=2)
    assert grouped.shared([0, 1, 3]) == [0, 1] and grouped.shared([2, 3]) == [1]
    assert grouped.rows("q_proj", [3, 1]) == [2, 3, 6, 7]
    assert grouped.rows("k_proj", [2, 3]) == [2, 3]
    assert grouped.rows("o_proj", [0]) == [0, 1]
    assert grouped.rows("qkv_proj", [3]) == [6, 7, 10, 11, 14, 15]


@pytest.mark.parametrize("make", [phi3, wide])
def test_starts_as_the_base_model_on_other_layouts(make: Any) -> None:
    model = METHOD.build(make(), chosen(heads=2), START).eval()
    assert torch.equal(logits(model), logits(make()))


def test_the_config_holds_the_heads_and_loading_needs_no_rows(tmp_path: Path) -> None:
    from peft import PeftModel

    run = Run(METHOD, chosen(heads=3), llama(), lr=1e-2).steps(0, 3)
    save_adapter(run.model.eval(), tmp_path, base="tiny")
    saved = json.loads((tmp_path / "adapter_config.json").read_text())
    assert saved["chosen"] == run.model.peft_config["default"].chosen
    assert torch.equal(logits(PeftModel.from_pretrained(llama(), str(tmp_path)).eval()), logits(run.model))


def test_random_heads_follow_the_seed() -> None:
    def drawn(seed: int) -> Any:
        model = METHOD.build(llama(), chosen(heads=3, scorer="random"), Start(seed=seed))  # looks at no rows
        return model.peft_config["default"].chosen

    assert drawn(1) == drawn(1)
    assert len({str(drawn(seed)) for seed in range(6)}) > 1


@pytest.mark.parametrize("family", sorted(MODELS))
@pytest.mark.parametrize("scorer", ["attribution", "path_patch"])
def test_looking_leaves_no_trace(family: str, scorer: str) -> None:
    model = MODELS[family]().train()
    before = copy.deepcopy(model.state_dict())
    batches = rows(4)
    state = torch.get_rng_state()
    getattr(head_score, scorer)(model, batches, found(model, 2 if family == "llama" else 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("family", sorted(MODELS))
def test_attribution_is_what_a_rows_loss_loses_with_a_little_less_of_the_head(family: str) -> None:
    model = MODELS[family]().double()
    attended = found(model, 2 if family == "llama" else 4)
    scores = head_score.attribution(model, rows(4), attended)
    assert len(scores) == 8
    step = 1e-2
    for (name, head), score in scores.items():
        one = next(one for one in attended if one.name == name)

        def losses(factor: float, one: Any = one, head: int = head) -> torch.Tensor:
            def scaled(module: Any, args: Any) -> Any:
                z = args[0].clone()
                z[..., head * 8 : head * 8 + 8] *= factor
                return z

            with torch.no_grad():
                hook = model.get_submodule(one.output.name).register_forward_pre_hook(scaled)
                losses: torch.Tensor = head_score._row_losses(model, rows(4)[0])
                hook.remove()
            return losses

        slopes = (losses(1 + step) - losses(1 - step)) / (2 * step)
        assert float(slopes.abs().mean()) == pytest.approx(score, rel=2e-2, abs=1e-3)


@pytest.mark.parametrize("family", sorted(MODELS))
def test_path_patching_is_that_of_whole_passes(family: str) -> None:
    model = MODELS[family]()
    attended = found(model, 2 if family == "llama" else 4)
    scores = head_score.path_patch(model, rows(4), attended)
    moved = dict.fromkeys(scores, 0.0)
    whole = 0.0
    for pair in head_score.pairs_of(rows(4)):
        runs: dict[str, tuple[float, dict[str, Any]]] = {}
        for which in ("clean", "corrupted"):
            seen: dict[str, Any] = {}
            with head_score._at_outputs(model, attended, seen.__setitem__):
                runs[which] = difference(model, getattr(pair, which), pair.answers), seen
        (clean, kept), (corrupted, given) = runs["clean"], runs["corrupted"]
        whole += abs(corrupted - clean)
        for name, head in scores:
            swapped = {key: z.clone() for key, z in kept.items()}
            swapped[name][..., head * 8 : head * 8 + 8] = given[name][..., head * 8 : head * 8 + 8]
            with head_score._at_outputs(model, attended, partial(looked_up, swapped)):
                patched = difference(model, pair.clean, pair.answers)
            moved[name, head] += (patched - clean) * (1 if corrupted > clean else -1)
    assert max(scores.values()) > 0.01
    for one, score in scores.items():
        assert score == pytest.approx(moved[one] / whole, rel=1e-3, abs=1e-4)


def looked_up(outputs: dict[str, Any], name: str, z: Any) -> Any:
    return outputs[name]


def difference(model: Any, ids: torch.Tensor, answers: tuple[int, int]) -> float:
    with torch.no_grad():
        last = model(input_ids=ids[None]).logits[0, -1]
    return float(last[answers[0]] - last[answers[1]])


def labelled(*pairs: tuple[list[int], list[int]]) -> list[Mapping[str, Any]]:
    """One padded batch of prompts and answers."""
    width = max(len(prompt) + len(answer) for prompt, answer in pairs)
    ids = [prompt + answer + [0] * (width - len(prompt) - len(answer)) for prompt, answer in pairs]
    labels = [[-100] * len(p) + a + [-100] * (width - len(p) - len(a)) for p, a in pairs]
    return [
        {
            "input_ids": torch.tensor(ids),
            "attention_mask": (torch.tensor(ids) > 0).long(),
            "labels": torch.tensor(labels),
        }
    ]


def test_pairs_have_equal_lengths_and_differ_in_their_answer() -> None:
    given = labelled(
        ([1, 2, 3], [9, 7]),
        ([4, 5], [9, 8]),  # another length
        ([6, 5, 3], [9, 7]),  # the same answer
        ([8, 2, 3], [9, 8]),  # the first one's partner: the answers begin alike
        ([8, 1, 3], [9]),  # the beginning of the others' answers
    )
    pairs = head_score.pairs_of(given)
    assert len(pairs) == 1
    assert pairs[0].clean.tolist() == [8, 2, 3, 9] and pairs[0].corrupted.tolist() == [1, 2, 3, 9]
    assert pairs[0].answers == (8, 7)


def test_rows_without_pairs_are_refused() -> None:
    start = Start(rows=lambda count: labelled(([1, 2, 3], [9]), ([1, 2, 4], [9])))
    with pytest.raises(UsageError, match="no two training rows"):
        METHOD.build(llama(), chosen(scorer="path_patch"), start)


def test_the_learning_rate_can_be_multiplied() -> None:
    run = Run(METHOD, chosen(lr_multiplier=4.0), llama(), lr=1e-3)
    assert {group["initial_lr"] for group in run.optimiser.param_groups} == {4e-3}


def test_heads_that_lie_between_each_other_are_refused(tmp_path: Path) -> None:
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**TINY))
    model.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="no attention whose heads"):
        METHOD.trainable_parameters(facts(tmp_path), chosen())
    with pytest.raises(UsageError, match="no attention whose heads"):
        METHOD.build(model, chosen(), START)
