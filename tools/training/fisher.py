"""The diagonal Fisher information of the last linear layers, by what the model itself says: AlphaToken, arXiv
2606.01635, equation 5.

``F[i,j] = E_{x ~ prompts, y ~ model(.|x)} [ d_i^2 h_j^2 ]``, the mean over the tokens of sampled answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tunewright.tools.models.adapter import prompted
from tunewright.tools.models.prompt import IGNORED
from tunewright.tools.training.batch import padded
from tunewright.tools.training.trace import Projection, traces
from tunewright.tools.training.valuation import squares

PROMPT_TOKENS = 256
"""Of a prompt the last so many are taken, as the paper's code does."""
_ROWS = 16


def fisher(
    model: Any,
    at: Sequence[Projection],
    prompts: Sequence[Sequence[int]],
    *,
    new_tokens: int,
    end: int,
    seed: int,
    check: Callable[[int, int], None],
) -> list[torch.Tensor]:
    """Of each projection, (outputs, inputs). Changes no random state.

    Args:
        prompts: as ids.
        new_tokens: how many are sampled after each prompt, at most.
        end: the token that ends an answer.
        check: called as batches are done; may raise.
    """
    sums: list[torch.Tensor] = []
    count = 0
    device = next(model.parameters()).device
    for start in range(0, len(prompts), _ROWS):
        said = [list(prompt[-PROMPT_TOKENS:]) for prompt in prompts[start : start + _ROWS]]
        answers = sampled(model, said, new_tokens=new_tokens, end=end, seed=seed + start)
        lines = [
            ([*prompt, *answer], [IGNORED] * len(prompt) + answer) for prompt, answer in zip(said, answers, strict=True)
        ]
        batch = padded(lines, device, filler=end)
        wanted = batch["labels"][:, 1:] != IGNORED
        parts = squares(traces(model, at, batch, wanted), wanted)
        sums = [one + part for one, part in zip(sums, parts, strict=True)] if sums else parts
        count += int(wanted.sum())
        check(start + len(said), len(prompts))
    return [one / count for one in sums]


def sampled(model: Any, prompts: Sequence[list[int]], *, new_tokens: int, end: int, seed: int) -> list[list[int]]:
    """An answer to each prompt, drawn at temperature 1, its end token included. Changes no random state."""
    from transformers import GenerationConfig

    # Padding would stand between a trained prompt and the row's own.
    groups = [[prompt] for prompt in prompts] if prompted(model) else [list(prompts)]
    config = GenerationConfig(
        do_sample=True, num_beams=1, temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0,
        max_new_tokens=new_tokens, eos_token_id=end, pad_token_id=end, use_cache=True,
    )  # fmt: skip
    device = next(model.parameters()).device
    was, answers = model.training, []
    model.eval()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
            torch.manual_seed(seed)
            for group in groups:
                longest = max(map(len, group))
                ids = torch.tensor([[end] * (longest - len(one)) + one for one in group], device=device)
                mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in group], device=device)
                out = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
                answers += [_ended(row, end) for row in out[:, longest:].tolist()]
    finally:
        model.train(was)
    return answers


def _ended(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end) + 1] if end in ids else ids
