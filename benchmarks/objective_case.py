"""What ``objectives.py`` measures on: cases, one model, its tokenizer and rows, in our form and in TRL's."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewright.domain.job import CodeIdentity, DataIdentity, Limits, ModelIdentity, SplitIdentity, TrialSpec
from tunewright.domain.recipe import Recipe
from tunewright.domain.task import DataSource, Metric, RowFormat, TaskSpec

SHAPE = {
    "vocab_size": 16384, "hidden_size": 512, "intermediate_size": 1536, "num_attention_heads": 8,
    "num_key_value_heads": 4, "num_hidden_layers": 6, "max_position_embeddings": 2048,
}  # fmt: skip
PROMPTS, ANSWER = (64, 96), 46
"""Tokens; prompts have these lengths in turn."""
ASKED, ANSWERED, GROUP = 32, 24, 8
"""Of reinforcement learning: tokens of prompt and answer, and answers to a prompt."""
RANK, ALPHA, LR = 16, 32, 1e-4
MARKS = [f"[0-2]{digit}(?!\\d)" for digit in range(8)]
"""Half of the answers of a model that says words at random have each of these."""
PAYS = [{"kind": "regex", "pattern": mark, "weight": 2.0**-at} for at, mark in enumerate(MARKS)]
"""A reward that hardly two answers share, so that each is learned from."""


@dataclass(frozen=True)
class Side:
    """One way to train.

    Attributes:
        by: ``ours``, ``ppo`` (the plain loop), or the name of one of TRL's trainers.
        settings: of the objective, or of the trainer's configuration.
    """

    by: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """Two ways to train on the same rows.

    Attributes:
        form: of the rows.
        rows: of an optimiser step.
        steps: optimiser steps that are timed together.
        kept: rows that there are beside those that are trained on once.
    """

    name: str
    ours: Side
    theirs: Side
    form: RowFormat = "completion"
    rows: int = 8
    steps: int = 1
    kept: int = 0

    @property
    def rolls(self) -> bool:
        """Whether the model answers by itself."""
        return self.form == "completion" and "rewards" in self.ours.settings


@dataclass(frozen=True)
class Order:
    """What a process is told to do."""

    case: Case
    side: Side
    total: int
    """Optimiser steps."""
    model: str
    folder: str

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Order:
        """From JSON."""
        given = json.loads(text)
        case = given["case"]
        case |= {name: Side(**case[name]) for name in ("ours", "theirs")}
        return cls(**{**given, "case": Case(**case), "side": Side(**given["side"])})


def make_model(folder: Path, shape: Mapping[str, int]) -> Path:
    """A Llama with random weights, and a tokenizer of as many words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    LlamaForCausalLM(LlamaConfig(**shape, **ends, tie_word_embeddings=True)).save_pretrained(folder)
    words = ["<pad>", "<end>", "<unk>", *(f"w{number}" for number in range(3, shape["vocab_size"]))]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", model_max_length=2048
    ).save_pretrained(folder)
    return folder


def rows_of(case: Case, count: int, vocabulary: int) -> list[dict[str, Any]]:
    """Rows as tunewright freezes them."""
    made = []
    for number in range(count):
        chance = random.Random(number)
        asked = ASKED if case.rolls else PROMPTS[number % len(PROMPTS)]

        def said(words: int, chance: random.Random = chance) -> str:
            return " ".join(f"w{chance.randrange(3, vocabulary)}" for _ in range(words))

        row: dict[str, Any] = {"id": f"{number:016x}", "source": "a", "input": said(asked), "target": said(ANSWER)}
        if case.form == "preference":
            row["rejected"] = said(ANSWER)
        elif case.form == "judged":
            row["good"] = number % 4 < 2  # as many of either length
        made.append({**row, "meta": {}})
    return made


def rows_for_trl(case: Case, count: int, vocabulary: int) -> Any:
    """The same rows in TRL's columns."""
    from datasets import Dataset

    rows = rows_of(case, count, vocabulary)
    columns: dict[str, list[Any]] = {"prompt": [row["input"] for row in rows]}
    answers = [" " + row["target"] for row in rows]
    if case.rolls:
        return Dataset.from_dict(columns)
    if case.form == "preference":
        columns |= {"chosen": answers, "rejected": [" " + row["rejected"] for row in rows]}
    else:
        columns["completion"] = answers
    if case.form == "judged":
        columns["label"] = [row["good"] for row in rows]
    return Dataset.from_dict(columns)


def paid(texts: list[str]) -> list[float]:
    """The reward of ``PAYS``, by hand."""
    found = [re.compile(mark) for mark in MARKS]
    return [sum(2.0**-at for at, one in enumerate(found) if one.search(text)) for text in texts]


def recipe_of(kind: Mapping[str, Any], batch: int, steps: int) -> dict[str, Any]:
    """A recipe's stage."""
    return {
        "objective": dict(kind),
        "adapter": {"kind": "lora", "rank": RANK, "alpha": ALPHA},
        "optimisation": {
            "lr": LR, "batch_size": batch, "steps": steps, "precision": "fp32", "warmup_ratio": 0.0,
            "schedule": "constant",
        },
    }  # fmt: skip


def specification(
    form: RowFormat,
    train: list[dict[str, Any]],
    val: list[dict[str, Any]],
    stages: list[dict[str, Any]],
    data: Path,
    *,
    name: str = "t0",
    others: Sequence[tuple[str, RowFormat]] = (),
) -> TrialSpec:
    """Writes ``train.jsonl`` and ``val.jsonl`` into ``data``, and gives the specification of a trial on them.

    Args:
        form: of the rows of source ``a``.
        others: further sources and their formats.
    """
    found = {}
    data.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", train), ("val", val)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if not (data / f"{split}.jsonl").exists():
            (data / f"{split}.jsonl").write_text(text)
        found[split] = SplitIdentity(digest=hashlib.sha256(text.encode()).hexdigest(), rows=len(rows))
    task = TaskSpec(
        model="bench", format="completion", input_field="input", target_field="target", prompt="{input}",
        sources=tuple(DataSource(path=f"{one}.jsonl", name=one, format=each) for one, each in (("a", form), *others)),
        metric=Metric(name="loss", direction="min"), max_new_tokens=ANSWERED,
    )  # fmt: skip
    return TrialSpec(
        id=name, study="bench", task=task, sandbox="process", code=CodeIdentity(version="0", digest="0"),
        model=ModelIdentity(ref="bench", digest="0", parameters=1),
        limits=Limits(wall_s=1800, memory_gib=16, threads=2),
        recipe=Recipe.model_validate({"seed": 1, "stages": stages}),
        data=DataIdentity(train=found["train"], val=found["val"], test=found["val"]),
    )  # fmt: skip
