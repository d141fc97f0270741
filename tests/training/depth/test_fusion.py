"""One layer for several: how it is made, that it touches nothing, and what goes back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.training.depth.conftest import LAYERS, small_model

from tunewright.domain.errors import UsageError
from tunewright.tools.training.depth.fusion import fuse_adapters, fused, representative, transfer
from tunewright.tools.training.depth.layers import Layers

TARGETS = {"llama": ["q_proj", "down_proj"], "qwen3": ["q_proj", "down_proj"], "gpt2": ["c_attn"]}
IDS = torch.tensor([[5, 9, 200, 7, 31, 2]])


def adapted(kind: str = "llama", learned: bool = True) -> Any:
    """A model with LoRA on it that has learned something."""
    model = get_peft_model(small_model(kind), LoraConfig(r=2, target_modules=TARGETS[kind]))
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if learned and "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return torch.as_tensor(model(IDS).logits)


def base(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.named_parameters() if "lora" not in name}


def test_the_fusion_by_hand() -> None:
    weights = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0]), torch.tensor([5.0, -2.0])]
    assert fused(weights, 0.1).tolist() == pytest.approx([1 + 0.1 * (2 + 4), 2 + 0.1 * (0 - 4)])


def test_a_beta_of_zero_is_the_anchor_and_one_over_the_size_the_mean() -> None:
    weights = list(torch.randn(4, 3, 5))
    assert torch.equal(fused(weights, 0.0), weights[0])
    torch.testing.assert_close(fused(weights, 1 / 4), torch.stack(weights).mean(0))


def test_equal_weights_are_their_own_fusion_to_the_bit_in_their_precision() -> None:
    weight = torch.randn(7, dtype=torch.bfloat16)
    found = fused([weight] * 5, 0.3)
    assert torch.equal(found, weight) and found.dtype == torch.bfloat16


@pytest.mark.parametrize("beta", [0.0, 0.1, 1 / 3])
def test_a_layer_for_several_is_their_fusion_and_shares_what_is_trained(beta: float) -> None:
    layers = Layers(adapted())
    made = representative(layers.all, (1, 2, 4), beta)
    own = [dict(layers.all[member].named_parameters()) for member in (1, 2, 4)]
    for name, weight in made.named_parameters():
        if "lora" in name:
            assert weight is own[0][name]
        else:
            torch.testing.assert_close(weight, fused([one[name] for one in own], beta))
            assert not weight.requires_grad and weight is not own[0][name]
    assert representative(layers.all, (3,), beta) is layers.all[3], "a layer alone stands for itself"


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt2"])
class TestTheModelGoesThroughWhatIsPut:
    def test_every_layer_for_itself_is_the_model(self, kind: str) -> None:
        model = adapted(kind)
        before, layers = logits(model), Layers(model)
        layers.put([representative(layers.all, (number,), 0.1) for number in range(LAYERS)])
        assert torch.equal(logits(model), before)

    def test_fewer_layers_are_a_model_built_with_as_many(self, kind: str) -> None:
        """With a beta of zero the shallow model is the one of its anchors alone."""
        model, small = small_model(kind), small_model(kind, layers=2)
        layers, own = Layers(model), Layers(small)
        layers.put([representative(layers.all, group, 0.0) for group in ((0, 1, 2), (3, 4, 5))])
        for layer, anchor in zip(own.all, (0, 3), strict=True):
            layer.load_state_dict(layers.all[anchor].state_dict())
        rest = {name: one for name, one in model.state_dict().items() if ".layers." not in name and ".h." not in name}
        small.load_state_dict(rest, strict=False)
        assert torch.equal(logits(model), logits(small))

    def test_identical_layers_stand_for_each_other(self, kind: str) -> None:
        model = small_model(kind)
        layers = Layers(model)
        for layer in layers.all:
            layer.load_state_dict(layers.all[0].state_dict())
        whole = logits(model)
        layers.put([representative(layers.all, (number, 5), 0.4) for number in range(5)] + [layers.all[5]])
        assert torch.equal(logits(model), whole)

    def test_within_whole_it_is_the_model_again(self, kind: str) -> None:
        model = adapted(kind)
        before, layers = logits(model), Layers(model)
        layers.put(layers.all[:2])
        assert not torch.equal(logits(model), before)
        with layers.whole():
            assert torch.equal(logits(model), before)
        assert not torch.equal(logits(model), before)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_training_a_shallow_model_and_giving_back_leaves_the_base_untouched(kind: str) -> None:
    model = adapted(kind)
    untouched, layers = base(model), Layers(model)
    groups = ((0, 2), (1, 3, 4), (5,))
    for group in groups:
        fuse_adapters(layers.adapters, group, 0.2)
    layers.put([representative(layers.all, group, 0.2) for group in groups])
    optimiser = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.5)
    before = {name: weight.clone() for name, weight in layers.adapters[1].items()}
    model(IDS, labels=IDS).loss.backward()
    optimiser.step()
    assert any(not torch.equal(weight, before[name]) for name, weight in layers.adapters[1].items())
    for group in groups:
        transfer(layers.adapters, group)
    layers.put(layers.all)
    for group in groups:
        for member in group:
            for name, weight in layers.adapters[member].items():
                assert torch.equal(weight, layers.adapters[group[0]][name])
    after = base(model)
    assert after.keys() == untouched.keys() and all(torch.equal(after[name], one) for name, one in untouched.items())


def test_adapters_of_a_group_are_fused_in_the_anchors_place_alone() -> None:
    layers = Layers(adapted())
    before = copy.deepcopy(layers.adapters)
    fuse_adapters(layers.adapters, (2, 4), 0.5)
    for name, weight in layers.adapters[2].items():
        torch.testing.assert_close(weight, (before[2][name] + before[4][name]) / 2)
        assert torch.equal(layers.adapters[4][name], before[4][name])


class TestLayersThatCannotStandForEachOther:
    def test_an_unknown_kind_of_model(self) -> None:
        from transformers import BertConfig, BertModel

        with pytest.raises(UsageError, match="does not know the layers of a 'bert' model"):
            Layers(BertModel(BertConfig(hidden_size=8, num_attention_heads=1, num_hidden_layers=1, vocab_size=9)))

    def test_layers_of_several_kinds(self) -> None:
        model = small_model("qwen3")
        model.config.layer_types = ["full_attention", "sliding_attention"] * 3
        with pytest.raises(UsageError, match="layers are of several kinds"):
            Layers(model)

    def test_an_adapter_on_some_layers(self) -> None:
        config = LoraConfig(r=2, target_modules=["q_proj"], layers_to_transform=[0, 1])
        with pytest.raises(UsageError, match="layer 2 differs from layer 0"):
            Layers(get_peft_model(small_model("llama"), config)).check()

    def test_layers_of_several_shapes(self) -> None:
        model = adapted()
        held = Layers(model).all
        held[3].mlp.up_proj = torch.nn.Linear(32, 48)
        with pytest.raises(UsageError, match="layer 3 differs from layer 0"):
            Layers(model).check()

    def test_something_that_is_trained_beside_the_layers(self) -> None:
        config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"])
        with pytest.raises(UsageError, match="belongs to no single layer"):
            Layers(get_peft_model(small_model("llama"), config)).check()
