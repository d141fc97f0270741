"""Settings beside the defaults: each trains what it says, merges and loads back, or is refused before it is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conformance.adapter import MODELS, Run, gpt2, llama, logits, rows

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter
from tunewright.tools.models.adapter import attach, merged, save_adapter
from tunewright.tools.models.facts import ModelFacts
from tunewright.tools.models.precision import narrow_frozen
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("oft", {"block_size": 8, "exact": True}),
    ("boft", {"block_size": 4, "factors": 3}),
    ("boft", {"block_size": 8, "factors": 1}),
    ("hra", {"reflections": 2}),
    ("miss", {"rank": 12}),
    ("miss", {"rank": 8, "shards": 4}),
    ("shira", {"rank": 4, "mask": "magnitude"}),
    ("road", {"variant": 2, "group_size": 8}),
    ("road", {"variant": 4, "group_size": 16}),
    ("delora", {"rank": 4, "bound": 15.0}),
    ("gralora", {"rank": 8, "blocks": 4, "hybrid_rank": 2}),
    ("trainable_tokens", {"tokens": [7, 3, 59]}),
    ("last_k", {"blocks": 1}),
    ("prompt_tuning", {"tokens": 3, "init": "labels"}),
    ("prompt_tuning", {"tokens": 30, "init": "random"}),
    ("prefix_tuning", {"tokens": 3, "init": "zero"}),
    ("prefix_tuning", {"tokens": 30, "init": "random"}),
]

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("oft", {"block_size": 24}, "block_size 24 does not divide the"),
    ("boft", {"block_size": 3, "factors": 2}, "needs even blocks"),
    ("boft", {"block_size": 4, "factors": 5}, "does not divide the 32 inputs"),
    ("hra", {"reflections": 3}, "even number of reflections"),
    ("hra", {"reflections": 34}, "34 reflections has more than the 32 inputs"),
    ("miss", {"rank": 33}, "wider than the 32 inputs"),
    ("miss", {"shards": 5}, "does not divide the"),
    ("shira", {"rank": 11}, "wants more entries than"),
    ("road", {"group_size": 32}, "does not divide the 16 outputs"),
    ("gralora", {"rank": 6, "blocks": 4}, "rank 6 among 4 blocks"),
    ("gralora", {"rank": 6, "blocks": 3}, "into 3 by 3 blocks"),
    ("trainable_tokens", {"count": 61}, "more tokens than the vocabulary's 60"),
    ("trainable_tokens", {"tokens": [1, 60]}, "from 0 to 59"),
    ("trainable_tokens", {"tokens": [1, 1]}, "different token ids"),
    ("prompt_tuning", {"tokens": 64}, "leaves no room in the model's context of 64"),
    ("prefix_tuning", {"tokens": 64}, "leaves no room in the model's context of 64"),
    ("last_k", {"blocks": 3}, "more than the 2 of this model"),
]


@pytest.mark.parametrize(("kind", "settings"), VARIANTS)
@pytest.mark.parametrize("family", sorted(MODELS))
def test_a_variant_trains_what_it_declares_merges_and_loads_back(
    kind: str, settings: dict[str, Any], family: str, family_facts: dict[str, ModelFacts], tmp_path: Path
) -> None:
    method, chosen = adapter(kind), Adapter(kind=kind, **settings)
    if family == "gpt2" and not getattr(method, "fits_conv1d", True):
        pytest.skip("it does not take transposed layers")
    run = Run(method, chosen, MODELS[family](), lr=4 * method.lr[2])
    count = sum(weight.numel() for weight in run.model.parameters() if weight.requires_grad)
    assert count == method.trainable_parameters(family_facts[family], chosen)
    if method.identity:
        assert torch.allclose(logits(run.model.eval()), logits(MODELS[family]()), atol=2e-5)
    run.model.train()
    run.steps(0, 6)
    model = method.finish(run.model, chosen).requires_grad_(False).eval()
    after = logits(model)
    save_adapter(model, tmp_path, base="tiny")
    assert torch.equal(logits(attach(MODELS[family](), tmp_path)), after)
    if method.mergeable:
        assert torch.allclose(logits(merged(model).eval()), after, atol=2e-4)


@pytest.mark.parametrize(("kind", "settings", "words"), REFUSED)
def test_what_does_not_fit_is_refused_before_it_is_built_and_when_it_is(
    kind: str, settings: dict[str, Any], words: str, family_facts: dict[str, ModelFacts]
) -> None:
    method, chosen = adapter(kind), Adapter(kind=kind, **settings)
    with pytest.raises(UsageError, match=words) as early:
        method.trainable_parameters(family_facts["llama"], chosen)
    with pytest.raises(UsageError, match=words):
        method.build(llama(), chosen, Start(rows=rows))
    assert early.value.hint


def test_untied_heads_are_left_alone_by_trainable_tokens() -> None:
    model = gpt2()
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    built = adapter("trainable_tokens").build(model, Adapter(kind="trainable_tokens", tokens=[3]), Start(rows=rows))
    assert type(built.get_output_embeddings()) is torch.nn.Linear


@pytest.mark.parametrize(
    "kind",
    ["oft", "boft", "miss", "road", "delora", "gralora", "ln_tuning", "prompt_tuning", "prefix_tuning", "last_k"],
)
def test_frozen_weights_in_bf16_change_no_bit_under_autocast(kind: str) -> None:
    settings = {"group_size": 16} if kind == "road" else {"blocks": 1} if kind == "last_k" else {}
    method, chosen = adapter(kind), Adapter(kind=kind, **settings)
    assert not method.reads_weights
    losses = []
    for narrowed in (False, True):
        run = Run(method, chosen, llama(), lr=method.lr[2])
        if narrowed:
            narrow_frozen(run.model)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses.append(run.steps(0, 4).losses)
    assert losses[0] == losses[1]
