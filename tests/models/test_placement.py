"""Placements on the module names of models that are not language models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    DeformableDetrConfig,
    DeformableDetrForObjectDetection,
    LlamaConfig,
    LlamaForCausalLM,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    ResNetConfig,
    SwinConfig,
)

from tunewright.domain.errors import UnknownNameError, UsageError
from tunewright.tools.models.placement import exists, layer_of, matches, select, suffixes

PARTS = ("sampling_offsets", "attention_weights", "value_proj", "output_proj")


def detr() -> Any:
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=["stage2", "stage3", "stage4"]
    )
    config = DeformableDetrConfig(
        backbone_config=backbone, d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2, num_queries=5,
        num_feature_levels=3, tie_word_embeddings=False,  # PEFT would ask it for its word embeddings
    )  # fmt: skip
    return DeformableDetrForObjectDetection(config)


def mask2former() -> Any:
    backbone = SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], image_size=32, patch_size=4, window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=32,
        encoder_layers=2, decoder_layers=2, num_attention_heads=2, dim_feedforward=32, num_queries=5,
    )  # fmt: skip
    return Mask2FormerForUniversalSegmentation(config)


def linears(model: Any) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]


# Deformable DETR: two layers of encoder self-attention, two of decoder cross-attention; Mask2Former: the encoder's.
@pytest.mark.parametrize(("make", "attentions"), [(detr, 4), (mask2former, 2)])
def test_deformable_attention_means_its_four_projections(make: Any, attentions: int) -> None:
    model = make()
    chosen = select(linears(model), "deformable-attention")
    assert len(chosen) == 4 * attentions
    assert {name.rpartition(".")[2] for name in chosen} == set(PARTS)
    for name in chosen:
        assert hasattr(model.get_submodule(name.rpartition(".")[0]), "sampling_offsets")


@pytest.mark.parametrize("make", [detr, mask2former])
def test_stock_lora_sits_on_deformable_attention(make: Any) -> None:
    from peft import LoraConfig, get_peft_model

    model = make()
    everything = [name for name, _ in model.named_modules()]
    chosen = select(linears(model), "deformable-attention")
    targets = suffixes(chosen, everything)
    assert [name for name in everything if matches(name, targets)] == [n for n in everything if n in chosen]
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=targets))
    assert set(adapted.base_model.targeted_module_names) == set(chosen)


def test_other_modules_of_those_names_are_left_alone() -> None:
    names = ["a.value_proj", "a.output_proj", "b.value_proj", "b.sampling_offsets"]
    assert select(names, "deformable-attention") == ["b.value_proj", "b.sampling_offsets"]
    with pytest.raises(UsageError, match="finds no linear module"):
        select(names[:2], "deformable-attention")


def test_a_language_model_has_no_deformable_attention() -> None:
    config = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    with pytest.raises(UsageError, match="deformable-attention"):
        select(linears(LlamaForCausalLM(config)), "deformable-attention")


@pytest.mark.parametrize("name", ["all-linear", "mlp", "layers:0-3", "page-2", "deformable-attention"])
def test_placements_that_exist(name: str) -> None:
    assert exists(name)


def test_a_placement_that_does_not_exist() -> None:
    assert not exists("deformable")
    with pytest.raises(UnknownNameError):
        select(["q_proj"], "deformable")


def test_the_layer_of_a_module() -> None:
    assert layer_of("model.layers.11.mlp.up_proj") == 11
    assert layer_of("transformer.h.0.attn.c_attn") == 0
    assert layer_of("lm_head") is None
