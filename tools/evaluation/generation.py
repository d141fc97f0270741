"""Answers of a model, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewright.tools.evaluation.inference import Progress, batches, device_of
from tunewright.tools.models.adapter import prompted


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    end: int,
    max_new_tokens: int,
    batch_tokens: int,
    progress: Progress | None = None,
    temperature: float = 0.0,
) -> list[str]:
    """The most likely continuation of each prompt, token by token, in the given order.

    With a ``temperature`` above 0 each token is drawn from the whole distribution instead, by torch's generator.

    Prompts are padded on the left, save for a model whose adapter puts trained positions before the input: padding
    would stand between the two, and PEFT lets it move positions apart, so only prompts of one length are a batch there.
    Text ends before the end token, or after ``max_new_tokens``; white space around
    it is cut off. What a checkpoint sets for sampling is not used. Call it inside ``inference``.
    """
    found = continuations(
        model,
        prompts,
        end=end,
        max_new_tokens=max_new_tokens,
        batch_tokens=batch_tokens,
        progress=progress,
        temperature=temperature,
    )
    return [str(tokenizer.decode(without(ids, end), skip_special_tokens=True)).strip() for ids in found]


def continuations(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    end: int,
    max_new_tokens: int,
    batch_tokens: int,
    progress: Progress | None = None,
    temperature: float = 0.0,
) -> list[list[int]]:
    """As ``generate``, token ids: with the end token where the model came to one."""
    even = prompted(model)

    def fits(batch: list[int]) -> bool:
        if even and len(prompts[batch[0]]) != len(prompts[batch[-1]]):
            return False
        return len(batch) * (len(prompts[batch[-1]]) + max_new_tokens) <= batch_tokens

    answers: list[list[int]] = [[]] * len(prompts)
    done = 0
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    for batch in batches(order, fits):
        rows = _batch(model, [prompts[i] for i in batch], end, max_new_tokens, temperature)
        for i, ids in zip(batch, rows, strict=True):
            answers[i] = ids
        done += len(batch)
        if progress is not None:
            progress(done, len(prompts))
    return answers


def without(ids: Sequence[int], end: int) -> list[int]:
    """An answer's ids without its end token."""
    return list(ids[:-1] if ids and ids[-1] == end else ids)


def _batch(
    model: Any, prompts: Sequence[Sequence[int]], end: int, max_new_tokens: int, temperature: float
) -> list[list[int]]:
    """New token ids of each prompt, up to and with the end token."""
    import torch
    from transformers import GenerationConfig

    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), end, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    # Each value is given, since transformers takes what is not given from the checkpoint's own settings.
    config = GenerationConfig(
        do_sample=temperature > 0,
        num_beams=1,
        temperature=temperature or 1.0,
        top_k=0 if temperature > 0 else 50,
        top_p=1.0,
        repetition_penalty=1.0,
        max_new_tokens=max_new_tokens,
        eos_token_id=end,
        pad_token_id=end,
        use_cache=True,
    )
    device = device_of(model)
    out = model.generate(input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config)
    rows = [[int(token) for token in row] for row in out[:, longest:].tolist()]
    return [row[: row.index(end) + 1] if end in row else row for row in rows]
