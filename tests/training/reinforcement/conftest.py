"""The objectives' fixtures, and policies that know a few words only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tests.training.objectives.conftest import make_data, make_learning, make_model, tokenizer

from tunewright.tools.training.reinforcement.rollout import Rollout

__all__ = ["make_data", "make_learning", "make_model", "make_speaker", "tokenizer"]


@pytest.fixture
def make_speaker(make_model: Callable[[str], Any], tokenizer: Any) -> Callable[..., Any]:
    """A policy that says these characters, each as likely as the others, and nothing else; its head can be trained.

    Among them ``.`` stands for the end of an answer.
    """

    def make(characters: Sequence[str] = "ab") -> Any:
        model = make_model("llama").requires_grad_(False)
        width, size = model.config.hidden_size, model.config.vocab_size
        head = torch.nn.Linear(width, size)
        head.weight.data.zero_()
        head.bias.data.fill_(-60.0)
        for character in characters:
            ids = tokenizer.encode(character, add_special_tokens=False)
            head.bias.data[tokenizer.eos_token_id if character == "." else ids[0]] = 0.0
        head.bias.requires_grad_(False)
        model.set_output_embeddings(head)
        return model

    return make


def drawn(learning: Any) -> Rollout:
    """The answers that a learning's first round is made of, those without a loss among them, with what they earn."""
    count = learning.settings.steps_per_generation * learning.data.batch_size
    rows, prompts, arms = learning.asked(learning.data.order[:count], 0, 0)
    sequences = zip(learning.round["input_ids"], learning.round["attention_mask"].bool(), prompts, strict=True)
    rollout = Rollout(rows, prompts, [ids[mask].tolist()[len(prompt) :] for ids, mask, prompt in sequences], arms)
    learning.rewarded(rollout)
    return rollout
