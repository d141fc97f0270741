"""Training sees exactly the prompts that evaluation asks."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright.domain.errors import UsageError
from tunewright.domain.task import TaskSpec
from tunewright.tools.models.load import load_tokenizer
from tunewright.tools.models.prompt import (
    IGNORED,
    Template,
    encode_example,
    encode_prompt,
    end_token_id,
    label_ids,
    template,
)
from tunewright.tools.models.resolve import Found


@pytest.fixture(scope="module")
def tokenizer(tiny: Found) -> Any:
    return load_tokenizer(tiny.path)


ROWS = [
    {"input": "is it?", "target": "yes"},
    {"input": "", "target": "no"},
    {"input": "Straße 😀 {input}", "target": "perhaps"},
    {"input": "x" * 3000, "target": "yes"},
    {"input": "ends in space ", "target": ""},
]


@pytest.mark.parametrize("kind", ["plain", "chat"])
@pytest.mark.parametrize("limit", [2, 12, 40, 512])
@pytest.mark.parametrize("row", ROWS)
def test_the_prompt_is_an_exact_prefix_and_only_the_completion_is_learnt(
    row: dict[str, str], limit: int, kind: str, task: TaskSpec, tokenizer: Any
) -> None:
    task = task.model_copy(update={"max_length": limit, "template": kind})
    prompt, (ids, labels) = encode_prompt(row, task, tokenizer), encode_example(row, task, tokenizer)
    assert ids[: len(prompt)] == prompt and len(prompt) >= 1
    assert len(ids) == len(labels) <= limit
    assert labels[: len(prompt)] == [IGNORED] * len(prompt)
    assert labels[len(prompt) :] == ids[len(prompt) :] and len(ids) > len(prompt)


def test_a_label_is_completed_as_it_was_learnt(task: TaskSpec, tokenizer: Any) -> None:
    for label, ids in zip(task.labels, label_ids(task, tokenizer), strict=True):
        row = {"input": "is it?", "target": label}
        assert encode_example(row, task, tokenizer)[0] == encode_prompt(row, task, tokenizer) + ids
        assert ids[-1] == end_token_id(task, tokenizer)


def test_the_prompt_of_a_label_row_does_not_depend_on_its_label(task: TaskSpec, tokenizer: Any) -> None:
    task = task.model_copy(update={"max_length": 20})
    prompts = {tuple(encode_prompt({"input": "y" * 99, "target": t}, task, tokenizer)) for t in task.labels}
    prompts.add(tuple(encode_prompt({"input": "y" * 99}, task, tokenizer)))
    assert len(prompts) == 1


def test_what_does_not_fit_goes_from_the_beginning_of_the_input(task: TaskSpec, tokenizer: Any) -> None:
    task = task.model_copy(update={"max_length": 24})
    encoded = Template(task, tokenizer).encode({"input": "abcdefghijklmnopqrstuvwxyz", "target": "yes"})
    text = tokenizer.decode(encoded.prompt)
    assert encoded.cut
    assert text.startswith("<bos>Q: ") and text.endswith("xyz\nA:"), "the instruction and the end of the input stay"
    assert tokenizer.decode(encoded.completion) == " yes<eos>"
    assert len(encoded.prompt) == 24 - max(map(len, label_ids(task, tokenizer)))


def test_the_instruction_of_a_chat_prompt_stays_whole(task: TaskSpec, tokenizer: Any) -> None:
    task = task.model_copy(update={"max_length": 40, "template": "chat"})
    encoded = Template(task, tokenizer).encode({"input": "abcdefghijklmnopqrstuvwxyz", "target": "yes"})
    text = tokenizer.decode(encoded.prompt)
    assert encoded.cut and text.startswith("<bos>user: Q: ") and "z\nA:<turn>" in text


def test_a_prompt_that_ends_in_white_space_brings_its_own_gap(task: TaskSpec, tokenizer: Any) -> None:
    task = task.model_copy(update={"prompt": "Q: {input}\nA:\n"})
    assert tokenizer.decode(label_ids(task, tokenizer)[0]) == "no<eos>"


def test_a_long_target_is_kept_and_the_input_gives_way(task: TaskSpec, tokenizer: Any) -> None:
    task = task.model_copy(update={"format": "completion", "labels": (), "max_length": 50, "max_new_tokens": 5})
    encoded = Template(task, tokenizer).encode({"input": "i" * 100, "target": "t" * 30})
    assert tokenizer.decode(encoded.completion) == " " + "t" * 30 + "<eos>"
    assert len(encoded.input_ids) <= 50 and encoded.cut


def test_a_conversation_goes_through_the_chat_template(task: TaskSpec, tokenizer: Any) -> None:
    task = task.model_copy(update={"format": "chat", "labels": (), "max_new_tokens": 4})
    turns = [("system", "be brief"), ("user", "hello"), ("assistant", "hi"), ("user", "bye"), ("assistant", "so long")]
    row = {"input": "", "target": "so long", "messages": [{"role": r, "content": c} for r, c in turns]}
    encoded = template(task, tokenizer).encode(row)
    assert tokenizer.decode(encoded.prompt).endswith("assistant: hi<turn>user: bye<turn>assistant: ")
    assert tokenizer.decode(encoded.completion) == "so long<turn>", "the end of turn is learnt, not the end of text"
    assert encoded.prompt.count(tokenizer.bos_token_id) == 1
    short = task.model_copy(update={"max_length": 70})
    cut = tokenizer.decode(Template(short, tokenizer).encode(row).prompt)
    assert "be brief" in cut and "hello" not in cut and "bye" in cut, cut


def test_a_chat_task_needs_a_chat_template(task: TaskSpec, tiny: Found) -> None:
    bare = load_tokenizer(tiny.path)
    bare.chat_template = None
    with pytest.raises(UsageError, match="chat template"):
        Template(task.model_copy(update={"template": "chat"}), bare)
