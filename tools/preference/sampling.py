"""Several answers of a model to each prompt, for data that has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewright.domain.task import TaskSpec
from tunewright.tools.evaluation.generation import generate
from tunewright.tools.evaluation.inference import Progress, inference
from tunewright.tools.models.precision import Computed
from tunewright.tools.models.prompt import encode_prompt, end_token_id
from tunewright.tools.preference.candidate import Candidates, different

_BATCH_TOKENS = 2048


def sample(
    model: Any,
    tokenizer: Any,
    candidates: Sequence[Candidates],
    task: TaskSpec,
    *,
    count: int,
    temperature: float,
    seed: int,
    precision: Computed = "fp32",
    progress: Progress | None = None,
) -> list[Candidates]:
    """The candidates with ``count`` drawn answers each, or fewer where some came out the same.

    The same seed gives the same answers on the same machine. torch's generator is left as it was.

    Args:
        temperature: above 0; at 1 as the model would have it.
    """
    import torch

    prompts = [encode_prompt({"input": one.prompt}, task, tokenizer) for one in candidates]
    with torch.random.fork_rng(), inference(model, precision):
        torch.manual_seed(seed)
        texts = generate(
            model,
            tokenizer,
            [prompt for prompt in prompts for _ in range(count)],
            end=end_token_id(task, tokenizer),
            max_new_tokens=task.max_new_tokens,
            batch_tokens=_BATCH_TOKENS,
            progress=progress,
            temperature=temperature,
        )
    return [
        one.model_copy(update={"answers": different(texts[place * count : (place + 1) * count])})
        for place, one in enumerate(candidates)
    ]
