"""Loads a model directory the one way that training and evaluation share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunewright.domain.errors import ModelError
from tunewright.tools.models.precision import resolve_device


def load_model(path: Path, *, device: str | None = None) -> tuple[Any, Any]:
    """The model with fp32 weights on ``device``, in evaluation mode, and its tokenizer. Uses no network.

    The tokenizer has a padding token (the end token if it had none) and knows the model's context as its
    ``model_max_length``. Compute in bf16 with ``precision.autocast``.

    Args:
        path: a model directory.
        device: ``cpu`` or ``cuda``; by default the GPU if there is one.

    Raises:
        ModelError: the directory cannot be loaded as a causal language model.
    """
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(path)
    try:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if context:
        tokenizer.model_max_length = min(int(tokenizer.model_max_length), int(context))
    return model.to(device or resolve_device()).eval(), tokenizer


def load_tokenizer(path: Path) -> Any:
    """The tokenizer of a model directory, with a padding token.

    Raises:
        ModelError: there is none, or it has neither an end nor a padding token.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                f"the tokenizer of '{path.name}' has neither an end nor a padding token",
                "set eos_token in its tokenizer_config.json",
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _unreadable(path: Path, error: Exception) -> ModelError:
    cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ModelError(
        f"'{path.name}' cannot be loaded as a causal language model: {cause[:300]}",
        "give a directory with config.json, *.safetensors and tokenizer files",
    )
