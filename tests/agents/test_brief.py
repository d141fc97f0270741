"""Briefs as people write them, against real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.agents.briefs import START, facts, read

from tunewright.domain.errors import BriefError, DataError, UnknownNameError, UsageError
from tunewright.domain.task import Constraint

END = " Maximise accuracy. At most 30 minutes and 12 trials."
FEW = Constraint(quantity="trainable_parameters", relation="<=", value=1e6)
SMALL = Constraint(quantity="adapter_bytes", relation="<=", value=5e6)

WHOLE: list[tuple[str, dict[str, Any]]] = [
    (
        "Teach tiny to label rows.jsonl (field label). Maximise accuracy. At most 15 minutes and 3 trials.",
        {"model": "tiny", "fields": "text>label", "format": "label", "metric": "accuracy", "wall_s": 900, "trials": 3},
    ),
    (
        "Teach smollm2-135m to route the messages in data/messages.jsonl to their topic. Maximise accuracy. "
        "At most 30 minutes and 12 trials.",
        {"model": "smollm2-135m", "fields": "message>topic", "paths": ["data/messages.jsonl"], "trials": 12},
    ),
    (
        "Teach smollm2-135m to route the messages in data/messages.jsonl\n   to their topic.\n   Maximise accuracy, "
        "keep the adapter under 5 MB. At most 30 minutes and 12 trials.",
        {"constraints": (SMALL,), "wall_s": 1800, "trials": 12, "metric": "accuracy"},
    ),
    (
        "TEACH TINY TO LABEL rows.jsonl (FIELD LABEL). MAXIMISE ACCURACY. AT MOST 30 MINUTES AND 12 TRIALS.",
        {"model": "tiny", "fields": "text>label", "wall_s": 1800, "trials": 12},
    ),
    (
        "# Routing\n\nFine-tune **SmolLM2 135M** so that it routes `data/messages.jsonl` by topic.\n\n"
        "## Metric\n\nAccuracy\n\n## Budget\n\n- 30 minutes\n- 12 trials\n- $2\n",
        {"model": "smollm2-135m", "fields": "message>topic", "wall_s": 1800, "trials": 12, "usd": 2},
    ),
    (
        "Model: tiny\nData: rows.jsonl\nMetric: macro-F1\nBudget: 20 min, 5 runs\n",
        {"model": "tiny", "paths": ["rows.jsonl"], "metric": "macro_f1", "wall_s": 1200, "trials": 5},
    ),
    (
        "| what | value |\n|---|---|\n| model | tiny |\n| data | rows.jsonl |\n| time | 20 min |\n| trials | 5 |\n",
        {"model": "tiny", "paths": ["rows.jsonl"], "wall_s": 1200, "trials": 5},
    ),
    (
        "Finetune tiny on the following file:\n\n```\nrows.jsonl\n```\n\nno more than half an hour, twelve trials",
        {"model": "tiny", "paths": ["rows.jsonl"], "wall_s": 1800, "trials": 12},
    ),
    (
        "Fine-tune HuggingFaceTB/SmolLM2-360M-Instruct to answer the questions in sums.jsonl. Within 2 GPU-hours.",
        {"model": "HuggingFaceTB/SmolLM2-360M-Instruct", "format": "completion", "metric": "exact_match"},
    ),
    (
        "Teach tiny to write essays like those in essays.jsonl, 40 min.",
        {"format": "completion", "metric": "loss", "fields": "prompt>completion"},
    ),
    (
        "Teach tiny to solve the sums in sums.jsonl, scored by reasoning-gym's verifier. At most 10 minutes.",
        {"metric": "reasoning_gym", "fields": "question>answer", "format": "completion"},
    ),
    (
        "Teach tiny to chat like chats.jsonl. At most 10 minutes.",
        {"format": "chat", "fields": "messages>messages", "metric": "loss"},
    ),
    (
        'Train tiny to classify "my data/rows of may.jsonl" by label. 10 minutes.',
        {"paths": ["my data/rows of may.jsonl"], "fields": "text>label"},
    ),
    (
        "Mix rows.jsonl and more.jsonl; teach tiny to label them. Five trials.",
        {"paths": ["rows.jsonl", "more.jsonl"], "trials": 5},
    ),
    ("Teach tiny to label table.CSV in 3 trials.", {"paths": ["table.CSV"], "fields": "text>label", "trials": 3}),
    (
        "Teach tiny the rows in pairs.jsonl: predict right from left. At most 3 trials.",
        {"fields": "left>right"},
    ),
    ("Label pairs.jsonl with tiny, from the column left, target field right. 3 trials", {"fields": "left>right"}),
    ("Teach tiny pairs.jsonl, left -> right, as text to complete. 3 trials", {"fields": "left>right"}),
    ("Teach tiny to label data/messages.jsonl, label column `source`. 3 trials", {"fields": "message>source"}),
    ("Teach tiny to label data/messages.jsonl (fields source and topic). 3 trials", {"fields": "source>topic"}),
    ("Teach tiny to label data/messages.jsonl; the topic column has the label. 3 trials", {"fields": "message>topic"}),
    (
        "Teach tiny to label rows.jsonl. Test on more.jsonl. At most 3 trials.",
        {"paths": ["rows.jsonl"]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WHOLE, ids=[text[:40] for text, _ in WHOLE])
def test_whole_briefs(folder: Path, text: str, expected: dict[str, Any]) -> None:
    read_facts = facts(read(text))
    assert {name: read_facts.get(name) for name in expected} == expected


BUDGETS: list[tuple[str, dict[str, float]]] = [
    ("At most 30 minutes.", {"wall_s": 1800}),
    ("No more than 90 min.", {"wall_s": 5400}),
    ("Within an hour.", {"wall_s": 3600}),
    ("Within an hour and a half.", {"wall_s": 5400}),
    ("Up to 1.5 hours.", {"wall_s": 5400}),
    ("Up to 1,5 hours.", {"wall_s": 5400}),
    ("Two and a half hours at most.", {"wall_s": 9000}),
    ("At most 1½ hours.", {"wall_s": 5400}),
    ("Under 1 hour and 30 minutes.", {"wall_s": 5400}),
    ("At most 1h30.", {"wall_s": 5400}),
    ("At most 1h 30m, 5 runs.", {"wall_s": 5400, "trials": 5}),
    ("It must not take longer than 20 minutes.", {"wall_s": 1200}),
    ("It can't exceed 45 seconds.", {"wall_s": 45}),
    ("A 30-minute limit.", {"wall_s": 1800}),
    ("A budget of 2 days.", {"wall_s": 172_800}),
    ("30\u00a0minutes \u2014 12\u202ftrials.", {"wall_s": 1800, "trials": 12}),
    ("20\u201330 minutes.", {"wall_s": 1800}),
    ("30 minutes and 12 trials", {"wall_s": 1800, "trials": 12}),
    ("Time limit: 30 mins. Trials: 12.", {"wall_s": 1800, "trials": 12}),
    ("minutes = 30, trials = 12", {"wall_s": 1800, "trials": 12}),
    ("Twelve experiments maximum.", {"trials": 12}),
    ("1,000 trials.", {"trials": 1000}),
    ("1\u202f000 trials.", {"trials": 1000}),
    ("A dozen trials, tops.", {"trials": 12}),
    ("Twenty-five trials.", {"trials": 25}),
    ("One hundred and twenty trials.", {"trials": 120}),
    ("Just a single trial.", {"trials": 1}),
    ("At most $5.", {"usd": 5}),
    ("Spend no more than five dollars.", {"usd": 5}),
    ("At most 1,250.50 USD.", {"usd": 1250.5}),
    ("At most 50 cents.", {"usd": 0.5}),
    ("At most 200k tokens.", {"llm_tokens": 200_000}),
    ("Up to 1M LLM tokens and 3 trials.", {"llm_tokens": 1_000_000, "trials": 3}),
    ("At most 2 GPU-hours.", {"device_s": 7200}),
    ("2 GPU hours max.", {"device_s": 7200}),
    ("At most 30 minutes of GPU time.", {"device_s": 1800}),
    ("GPU-hours: 1.5", {"device_s": 5400}),
    ("At most 2 device-hours, $3, 20 minutes and 4 trials.", {"device_s": 7200, "usd": 3, "wall_s": 1200, "trials": 4}),
    ("At most 2 hours. Stop after 45 minutes.", {"wall_s": 2700}),
    ("Messages of the last 24 hours. At most 10 min.", {"wall_s": 600}),
    ("Complaints over $500 are urgent. At most 3 trials.", {"trials": 3}),
    ("At most 5 minutes per trial, 8 trials.", {"trials": 8}),
    ("3 trials, 5 minutes each.", {"trials": 3}),
    ("Each trial may take 5 minutes. 8 trials.", {"trials": 8}),
    ("It took 3 hours last time; at most 20 minutes now.", {"wall_s": 1200}),
    ("The file has 300 trials. At most 10 minutes.", {"wall_s": 600}),
    ("There are 300 rows. At most 10 minutes.", {"wall_s": 600}),
    ("Prompts have up to 512 tokens. At most 10 minutes.", {"wall_s": 600}),
    ("Rank at most 16 and adapter under 5 MB. 3 trials.", {"trials": 3}),
    ("It replaces our smollm2-135m router. At most 3 trials.", {"trials": 3}),
]


@pytest.mark.parametrize(("text", "expected"), BUDGETS, ids=[text for text, _ in BUDGETS])
def test_budgets(folder: Path, text: str, expected: dict[str, float]) -> None:
    budget = read(START + text).budget
    assert {name: cap for name, cap in budget.model_dump().items() if cap is not None} == expected


@pytest.mark.parametrize(
    "text",
    ["A budget of zero.", "At most 0 minutes.", "Zero trials.", "-5 minutes", "At most $0.", "Budget: 0", "0.5 trials"],
)
def test_a_budget_of_nothing_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(BriefError, match="zero") as caught:
        read(START + text)
    assert "minutes" in caught.value.hint


WISHES: list[tuple[str, dict[str, Any]]] = [
    ("Try DoRA and LoRA.", {"adapters": ("lora", "dora")}),
    ("Only lora.", {"adapters": ("lora",), "without": ()}),
    ("Use rs-LoRA or (IA)3 adapters.", {"adapters": ("rslora", "ia3")}),
    ("Use IA\u00b3.", {"adapters": ("ia3",)}),
    ("No full fine-tuning.", {"adapters": (), "without": ("full",)}),
    ("Don't use DoRA or IA3.", {"adapters": (), "without": ("dora", "ia3")}),
    ("Try everything but full finetuning.", {"adapters": (), "without": ("full",)}),
    ("Use LoRA, not DoRA.", {"adapters": ("lora",), "without": ("dora",)}),
    ("Use an adapter such as LoRA.", {"adapters": ()}),
    ("Compare LoRA with full fine-tuning.", {"adapters": ("lora", "full")}),
    ("Rank at most 16.", {"max_rank": 16}),
    ("LoRA with a rank no higher than 16.", {"max_rank": 16, "adapters": ("lora",)}),
    ("Max rank 8.", {"max_rank": 8}),
    ("Ranks from 4 to 16.", {"max_rank": 16}),
    ("r <= 32", {"max_rank": 32}),
    ("Rank below 16.", {"max_rank": 15}),
    ("Rank at least 4.", {"max_rank": None}),
    ("Keep the adapter under 5 MB.", {"constraints": (SMALL,)}),
    ("A 5MB adapter at most.", {"constraints": (SMALL,)}),
    ("The adapter's file must not exceed 5,000 kB.", {"constraints": (SMALL,)}),
    ("At most 1M trainable parameters.", {"constraints": (FEW,)}),
    ("Train in 4 GiB of memory.", {"constraints": (Constraint(quantity="peak_memory_gib", relation="<=", value=4),)}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WISHES, ids=[text for text, _ in WISHES])
def test_wishes(folder: Path, text: str, expected: dict[str, Any]) -> None:
    found = facts(read(START + text + " At most 3 trials."))
    assert {name: found[name] for name in expected} == expected
    assert found["trials"] == 3


METRICS = [
    ("Maximise accuracy.", "accuracy"),
    ("maximize the validation accuracy", "accuracy"),
    ("Optimise for macro F1.", "macro_f1"),
    ("Best F1-score wins.", "macro_f1"),
    ("Measured by exact match.", "exact_match"),
    ("Minimise the loss.", "loss"),
    ("Lower the validation loss.", "loss"),
    ("Minimize perplexity.", "perplexity"),
    ("Score by token F1.", "token_f1"),
    ("Metric: ROUGE-L.", "rouge_l"),
    ("Maximise `contains`.", "contains"),
    ("Maximise `json_valid`.", "json_valid"),
    ("The file contains messages; no loss of quality please.", "accuracy"),
]


@pytest.mark.parametrize(("text", "expected"), METRICS)
def test_metrics(folder: Path, text: str, expected: str) -> None:
    assert read(f"Teach tiny to label rows.jsonl. {text} At most 3 trials.").task.metric.name == expected


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("Fine-tune gpt2 on rows.jsonl.", "gpt2"),
        ("Fine-tune llama to label rows.jsonl.", "llama"),
        ("Teach gpt9 to label rows.jsonl.", "gpt9"),
        ("Use ./models/mine to label rows.jsonl.", "./models/mine"),
        ("Label rows.jsonl with the model `my/own`.", "my/own"),
        ("Label rows.jsonl, base model: Qwen/Qwen3-0.6B.", "Qwen/Qwen3-0.6B"),
        ("Teach a small model to label rows.jsonl.", "smollm2-135m"),
        ("Train a classifier on rows.jsonl and keep the adapter tiny.", "smollm2-135m"),
        ("Label rows.jsonl using SmolLM2-135M.", "smollm2-135m"),
        ("Teach the tiny model to label rows.jsonl.", "tiny"),
        ("Label rows.jsonl with tiny.", "tiny"),
        ("Use input/output pairs of rows.jsonl.", "smollm2-135m"),
    ],
)
def test_models(folder: Path, text: str, model: str) -> None:
    reading = read(text + END)
    assert reading.task.model == model
    named = model.lower() in text.lower()
    assert any("no model is named" in note for note in reading.notes) is not named


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("Teach tiny something nice.", BriefError, "data file or a budget"),
        ("Teach tiny something nice. At most 3 trials.", BriefError, "data file"),
        ("Teach tiny to label rows.jsonl.", BriefError, "budget"),
        ("Teach tiny to read notes.pdf. At most 3 trials.", BriefError, r"notes\.pdf"),
        ("Teach tiny to read notes.txt. At most 3 trials.", DataError, r"no file 'notes\.txt'"),
        ("Teach tiny https://example.org/rows.jsonl. At most 3 trials.", DataError, "download"),
        ("Teach tiny to label row.jsonl. At most 3 trials.", DataError, "row.jsonl"),
        ("Teach tiny to label rows.jsonl (field topic). At most 3 trials.", DataError, "text, label"),
        ("Teach tiny to label rows.jsonl, column `nope`. At most 3 trials.", DataError, "nope"),
        ("Teach tiny to label pairs.jsonl. At most 3 trials.", DataError, "left, right"),
        (START + "Maximise flurbness. At most 3 trials.", None, ""),
        ("Teach tiny to label rows.jsonl. Maximise flurbness. At most 3 trials.", UnknownNameError, "accuracy"),
        ("Teach tiny to label rows.jsonl. Minimise accuracy. At most 3 trials.", BriefError, "higher is better"),
        ("Teach tiny to label rows.jsonl. Maximise loss. At most 3 trials.", BriefError, "lower is better"),
        (START + "Only flurb adapters. At most 3 trials.", UnknownNameError, "dora"),
        (START + "No LoRA, DoRA, rsLoRA, IA3 or full fine-tuning. At most 3 trials.", BriefError, "every adapter"),
        (START + "Keep the adapter under 0 MB. At most 3 trials.", BriefError, "no adapter to train"),
        (START + "At most 0 GB of memory. At most 3 trials.", BriefError, "no memory"),
        (START + "At most 0 trainable parameters. At most 3 trials.", BriefError, "nothing to train"),
    ],
)
def test_what_cannot_be_used_says_what_would_work(
    folder: Path, text: str, kind: type[UsageError] | None, says: str
) -> None:
    if kind is None:
        assert any("flurbness" in phrase for phrase in read(text).unused)
        return
    with pytest.raises(kind) as caught:
        read(text)
    assert says.replace("\\", "") in str(caught.value) and caught.value.hint


def test_one_column_that_holds_no_chats_is_said_to_hold_none(folder: Path) -> None:
    (folder / "words.jsonl").write_text('{"messages": "hi"}\n' * 20)
    with pytest.raises(DataError, match="'messages' alone, and no chats in it") as caught:
        read("Teach tiny to reply as in words.jsonl. At most 3 trials.")
    assert '"role": "assistant"' in caught.value.hint


def test_a_path_is_looked_for_beside_the_brief_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = folder / "elsewhere"
    away.mkdir()
    monkeypatch.chdir(away)
    reading = read(START + "3 trials", source=folder / "brief.md")
    assert Path(reading.task.sources[0].path) == folder / "rows.jsonl"


def test_understood_is_one_line_a_topic(folder: Path) -> None:
    reading = read(START + "Keep the adapter under 5 MB, only LoRA, rank at most 16. At most 30 minutes and 12 trials.")
    assert {line.topic: line.text for line in reading.understood} == {
        "task": "label `text` -> `label`, 3 labels (rows.jsonl, 60 rows)",
        "model": "tiny",
        "metric": "accuracy, higher is better",
        "limits": "30 min wall, 12 trials, adapter <= 5 MB",
        "search": "only lora; rank <= 16",
    }
    assert reading.unused == () and reading.notes == ()


def test_what_nothing_was_made_of_is_said(folder: Path) -> None:
    reading = read(START + "Please be kind to the penguins. At most 3 trials, thank you.")
    assert reading.unused == ("Please be kind to the penguins",)
    reading = read("Teach tiny to label rows.jsonl with at least 90% accuracy and a batch size of 8. 3 trials.")
    assert reading.unused == ("with at least 90%", "a batch size of 8")


def test_a_restriction_that_was_not_understood_is_said(folder: Path) -> None:
    for said in ("using only dorra", "without tears", "just with flurbs"):
        reading = read(f"Teach tiny to label rows.jsonl {said}. Maximise accuracy. At most 3 trials.")
        assert reading.unused == (said,)
    reading = read("Teach tiny to label rows.jsonl using only lora. Maximise accuracy. At most 3 trials.")
    assert reading.unused == ()


def test_assumptions_are_noted(folder: Path) -> None:
    reading = read("Label rows.jsonl. At most 1,5 hours. Within 2 hours.")
    notes = " | ".join(reading.notes)
    for said in ("no model is named", "no metric is named", "decimal comma", "smaller limit binds"):
        assert said in notes
    assert "split off" in " ".join(read("Label rows.jsonl. Validate on more.jsonl. 3 trials.").notes)


def test_accuracy_of_free_text_is_exact_match(folder: Path) -> None:
    reading = read("Teach tiny to answer sums.jsonl. Maximise accuracy. 3 trials.")
    assert reading.task.metric.name == "exact_match" and "exact_match" in " ".join(reading.notes)


def test_reading_twice_gives_the_same(folder: Path) -> None:
    for text, _ in WHOLE:
        assert read(text) == read(text)
