"""Pretrains the base: a Llama of half a million parameters on the texts, without what its tasks are measured on.

    python benchmarks/search/base.py [--steps 6500]

Reads and writes lower case. Says bits per byte on passages it has not seen, beside what a uniform and a unigram model
of the same tokens have there.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from task import reserved
from texts import WORK, Passage, key, passages, words

BASE = Path(__file__).parent / "base"
VOCABULARY, END = 2048, "<|end|>"
SHAPE: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 344,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
ROWS, LENGTH, LR = 16, 128, 4e-3
WINDOW = 7
"""Words in a row that no passage may share with a reserved text."""
HELD_OUT = 200
"""One in so many passages is not trained on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6500)
    steps: int = parser.parse_args().steps
    every = list(passages())
    train, held = split(every)
    tokenizer = make_tokenizer(train)
    ids, unseen = (encoded(tokenizer, texts) for texts in (train, held))
    print(
        f"{sum(map(len, train)) / 1e6:.1f} MB, {len(ids) / 1e6:.1f} M tokens; {len(unseen)} tokens held out", flush=True
    )
    model = pretrained(ids, steps)
    tell(model, ids, unseen, sum(len(text.lower().encode()) + 1 for text in held))
    model.save_pretrained(BASE)
    tokenizer.save_pretrained(BASE)


def split(every: Sequence[Passage]) -> tuple[list[str], list[str]]:
    """What is trained on and what is held out, in random order; neither has a reserved text in it."""
    taken: dict[int, set[tuple[str, ...]]] = {size: set() for size in range(3, WINDOW + 1)}
    for text in reserved(every):
        for window in _windows(words(text), WINDOW):
            taken[len(window)].add(window)
    texts: dict[str, None] = {}
    for passage in every:
        said = words(passage.text)
        if said and not any(window in taken[size] for size in taken for window in _windows(said, size)):
            texts[passage.whole] = None
    ordered = sorted(texts, key=key)
    return ordered[len(ordered) // HELD_OUT :], ordered[: len(ordered) // HELD_OUT]


def _windows(said: Sequence[str], size: int) -> Iterable[tuple[str, ...]]:
    """Every so many words in a row; of a shorter text all of it."""
    return (tuple(said[at : at + size]) for at in range(max(1, len(said) - size + 1)))


def make_tokenizer(texts: Sequence[str]) -> Any:
    """Byte-pair encoding of lower case, learned from the texts."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts[::3], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=END, pad_token=END, model_max_length=SHAPE["max_position_embeddings"]
    )


def encoded(tokenizer: Any, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """All texts' tokens in a row, each text ended."""
    inner, end = tokenizer.backend_tokenizer, tokenizer.eos_token_id
    parts = []
    for at in range(0, len(texts), 10_000):
        for one in inner.encode_batch_fast(texts[at : at + 10_000]):
            parts.append(np.array([*one.ids, end], np.uint16))
    return np.concatenate(parts)


def pretrained(ids: Any, steps: int) -> Any:
    """A model trained for so many steps on stretches of the tokens, each as long as its context."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = LlamaConfig(vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=0, pad_token_id=0, **SHAPE)
    model = LlamaForCausalLM(config).train()
    print(f"{model.num_parameters()} parameters", flush=True)
    plain = [weight for weight in model.parameters() if weight.dim() < 2]
    matrices = [weight for weight in model.parameters() if weight.dim() >= 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / 200) * (0.05 + 0.475 * (1 + math.cos(math.pi * step / steps)))
    )
    stretches = ids[: len(ids) // LENGTH * LENGTH].reshape(-1, LENGTH)
    chance, order, began = random.Random(0), list[int](), time.perf_counter()
    for step in range(steps):
        if len(order) < ROWS:
            order = chance.sample(range(len(stretches)), len(stretches))
        batch = torch.tensor(stretches[[order.pop() for _ in range(ROWS)]].astype(np.int64))
        loss = model(input_ids=batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step + 1 == steps:
            print(f"step {step}: loss {loss.item():.3f}, {time.perf_counter() - began:.0f} s", flush=True)
    return model.eval()


def tell(model: Any, ids: Any, unseen: Any, size: int) -> None:
    """Prints bits per byte of the unseen tokens.

    Args:
        size: bytes of the unseen text.
    """
    import torch

    counts = np.bincount(ids, minlength=VOCABULARY) + 1.0
    unigram = -np.log2(counts / counts.sum())[unseen].sum()
    stretches = unseen[: len(unseen) // LENGTH * LENGTH].reshape(-1, LENGTH).astype(np.int64)
    total = 0.0
    with torch.inference_mode():
        for at in range(0, len(stretches), 32):
            batch = torch.tensor(stretches[at : at + 32])
            total += float(model(input_ids=batch, labels=batch).loss) * len(batch)
    own = total / len(stretches) / math.log(2) * len(unseen)
    print(f"bits per byte: {own / size:.3f}; unigram {unigram / size:.3f}; uniform {len(unseen) * 11 / size:.3f}")


if __name__ == "__main__":
    WORK.mkdir(exist_ok=True)
    main()
