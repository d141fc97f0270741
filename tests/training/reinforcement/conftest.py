"""The objectives' fixtures, and policies that know a few words only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tests.training.objectives.conftest import make_data, make_learning, make_model, tokenizer

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
