"""The objectives' fixtures, and policies that know a few words only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from tests.training.objectives.conftest import make_data, make_learning, make_model, model, tokenizer

from tunewright.tools.training.reinforcement.rollout import Rollout

__all__ = ["make_data", "make_learning", "make_model", "make_speaker", "model", "tokenizer"]

ONE_WORD = {"max_new_tokens": 1}
"""What a bandit's task says of answers."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads wait for each other longer than they work on matrices as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


def trained(model: Any, learning: Any, steps: int, lr: float = 0.03) -> Iterator[float]:
    """Trains the policy, and gives the mean reward of each step's answers."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    weights += [weight for module in learning.modules().values() for weight in module.parameters()]
    optimiser = torch.optim.Adam(weights, lr=lr)
    for step in range(steps):
        batch = learning.prepare(learning.collate(range(learning.data.batch_size)), step)
        optimiser.zero_grad()
        (learning.loss(batch) / learning.items(batch)).backward()
        optimiser.step()
        learning.check(step)
        yield learning.facts()["reward"]
