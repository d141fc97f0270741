"""The tree pass gives what one forward pass an item and a label gives."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from tunewright.tools.evaluation import labels as labels_module
from tunewright.tools.evaluation.inference import inference
from tunewright.tools.evaluation.labels import label_log_likelihoods
from tunewright.tools.evaluation.trie import build

VOCABULARY, END = 60, 1

LABEL_SETS = {
    "shared beginnings": [[5, 6, 7], [5, 6, 8, 9], [5, 10], [11, 12, 13, 14]],
    "one begins another": [[5], [5, 6], [5, 6, 7], [8, 9]],
    "single tokens": [[5], [6], [7]],
    "one label": [[5, 6, 7]],
    "empty label": [[], [5, 6]],
    "same tokens twice": [[5, 6], [5, 6], [7]],
}


def llama(attention: str = "sdpa") -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        attn_implementation=attention,
    )
    return LlamaForCausalLM(config).eval()


def gpt2(attention: str = "sdpa") -> PreTrainedModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        initializer_range=0.3,
        attn_implementation=attention,
    )
    return GPT2LMHeadModel(config).eval()


def with_adapter(model: PreTrainedModel) -> Any:
    """A LoRA adapter whose B matrices are not zero, also on the language-model head."""
    torch.manual_seed(1)
    targets = ["q_proj", "v_proj", "lm_head"] if isinstance(model, LlamaForCausalLM) else ["c_attn", "c_proj"]
    wrapped = get_peft_model(
        model,
        LoraConfig(r=4, target_modules=targets, init_lora_weights=False, fan_in_fan_out=targets[0] == "c_attn"),
    )
    return wrapped.eval()


MODELS = {
    "llama sdpa": llama,
    "llama eager": lambda: llama("eager"),
    "gpt2 sdpa": gpt2,
    "gpt2 eager": lambda: gpt2("eager"),
    "llama with LoRA": lambda: with_adapter(llama()),
    "gpt2 with LoRA": lambda: with_adapter(gpt2()),
}


def prompts(count: int = 9) -> list[list[int]]:
    draw = random.Random(0)
    return [[draw.randrange(2, VOCABULARY) for _ in range(draw.choice([1, 2, 5, 11, 30]))] for _ in range(count)]


def one_by_one(model: Any, asked: list[list[int]], labels: list[list[int]]) -> torch.Tensor:
    """Log-likelihoods from one unpadded forward pass an item and a label, all logits, by the book."""
    rows = []
    with torch.no_grad():
        for prompt in asked:
            row = []
            for label in labels:
                logits = model(input_ids=torch.tensor([prompt + label])).logits[0].log_softmax(-1)
                row.append(sum(float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(label)))
            rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


@pytest.fixture(params=MODELS, scope="module")
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]()


@pytest.mark.parametrize("kind", LABEL_SETS)
def test_equals_one_forward_an_item_and_a_label(model: Any, kind: str) -> None:
    labels, asked = LABEL_SETS[kind], prompts()
    with inference(model, "fp32"):
        ours = label_log_likelihoods(model, asked, labels, end=END, batch_tokens=64)
    assert labels_module._trusted[model], "the tree pass itself is on trial here, not its fallback"
    ended = [[*label, END] for label in labels] if kind in ("one begins another", "empty label") else labels
    expected = one_by_one(model, asked, ended)
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-5)


def test_batch_size_changes_nothing_beyond_rounding(model: Any) -> None:
    labels = LABEL_SETS["shared beginnings"]
    with inference(model, "fp32"):
        small = label_log_likelihoods(model, prompts(), labels, end=END, batch_tokens=1)
        large = label_log_likelihoods(model, prompts(), labels, end=END, batch_tokens=100_000)
    torch.testing.assert_close(small, large, atol=1e-4, rtol=1e-5)


def test_same_call_gives_the_same_bits(model: Any) -> None:
    with inference(model, "fp32"):
        first, second = (
            label_log_likelihoods(model, prompts(), LABEL_SETS["shared beginnings"], end=END, batch_tokens=64)
            for _ in range(2)
        )
    assert torch.equal(first, second)


class BlindToMasks(LlamaForCausalLM):
    """A model that, like a recurrent one, does not know what a tree is."""

    def forward(self, *args: Any, attention_mask: torch.Tensor | None = None, **rest: Any) -> Any:
        if attention_mask is not None and attention_mask.ndim == 4:
            attention_mask = None
        rest.pop("position_ids", None)
        return super().forward(*args, attention_mask=attention_mask, **rest)


class RefusesMasks(LlamaForCausalLM):
    def forward(self, *args: Any, attention_mask: torch.Tensor | None = None, **rest: Any) -> Any:
        if attention_mask is not None and attention_mask.ndim == 4:
            raise ValueError("masks have two dimensions")
        return super().forward(*args, attention_mask=attention_mask, **rest)


@pytest.mark.parametrize("kind", [BlindToMasks, RefusesMasks])
def test_a_model_without_tree_masks_is_asked_row_by_row(kind: type[LlamaForCausalLM]) -> None:
    odd = kind(llama().config).eval()
    labels, told = LABEL_SETS["shared beginnings"], list[tuple[int, int]]()
    with inference(odd, "fp32"):
        ours = label_log_likelihoods(
            odd, prompts(), labels, end=END, batch_tokens=200, progress=lambda done, total: told.append((done, total))
        )
    assert not labels_module._trusted[odd]
    torch.testing.assert_close(ours, one_by_one(odd, prompts(), labels), atol=1e-4, rtol=1e-5)
    assert told[-1] == (9, 9)


def test_bf16_keeps_the_head_exact_and_stays_close() -> None:
    model, labels = llama(), LABEL_SETS["shared beginnings"]
    with inference(model, "bf16"):
        coarse = label_log_likelihoods(model, prompts(), labels, end=END, batch_tokens=64)
        logits = model(input_ids=torch.tensor([[5, 6]])).logits
    assert logits.dtype == torch.float32
    torch.testing.assert_close(coarse, one_by_one(model, prompts(), labels), atol=0.5, rtol=0.05)
    assert not torch.equal(coarse, one_by_one(model, prompts(), labels)), "autocast did nothing"
    assert not model.lm_head._forward_hooks and not model.lm_head._forward_pre_hooks


def test_a_model_in_training_under_autocast_keeps_its_tree() -> None:
    """Accelerate puts autocast around ``forward`` for good; the check must not take its rounding for blindness."""
    from accelerate import Accelerator

    labels = LABEL_SETS["shared beginnings"]
    prepared = Accelerator(cpu=True, mixed_precision="bf16").prepare_model(with_adapter(llama()))
    with inference(prepared, "bf16"):
        label_log_likelihoods(prepared, prompts(), labels, end=END, batch_tokens=200)
    assert labels_module._trusted[prepared]


def test_not_a_number_is_not_taken_for_a_model_without_masks() -> None:
    broken = llama()
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    with inference(broken, "fp32"):
        found = label_log_likelihoods(broken, prompts(2), [[5], [6]], end=END, batch_tokens=64)
    assert found.isnan().all()
    assert broken not in labels_module._trusted


def test_tree_runs_shared_tokens_once() -> None:
    trie = build([[5, 6, 7], [5, 6, 8], [9]], end=END)
    assert trie.tokens == (5, 6)  # 7, 8 and 9 are scored but nothing comes after them
    assert trie.depths == [1, 2]
    assert len(trie.edges) == 5
    assert trie.ancestors(2) == [2, 1]


def test_end_token_joins_every_label_if_one_begins_another() -> None:
    assert {token for _, token in build([[5], [6, 7]], end=END).edges} == {5, 6, 7}
    assert {token for _, token in build([[5], [5, 7]], end=END).edges} == {5, 7, END}
