"""The one template: how a row becomes token ids, for training and for evaluation alike.

Prompt and completion are tokenised apart and joined as ids, so the prompt is an exact prefix of the example and
no merge across the border can make training see other tokens than evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.domain.task import TaskSpec

IGNORED = -100
"""The label of a position that carries no loss."""

Message = dict[str, str]
_MARK = "tunewright"


@dataclass(frozen=True)
class Encoded:
    """One row as ids. ``prompt + completion`` is never longer than the template's limit."""

    prompt: list[int]
    completion: list[int]
    cut: bool = False
    """Something did not fit and was left out: the beginning of the input or, only where the target alone is longer
    than the limit, the end of the target."""

    @property
    def input_ids(self) -> list[int]:
        return self.prompt + self.completion

    @property
    def labels(self) -> list[int]:
        """Unshifted, as transformers wants them; ``IGNORED`` on the prompt, the end token trained."""
        return [IGNORED] * len(self.prompt) + self.completion


class Template:
    """How the rows of one task become ids of one tokenizer.

    Args:
        task: says the prompt text, the kind of template and the longest example.
        tokenizer: a transformers tokenizer; its ``model_max_length`` is taken for the model's context.

    Raises:
        UsageError: a chat template is asked for and the tokenizer has none, or no end token is known.
    """

    def __init__(self, task: TaskSpec, tokenizer: Any) -> None:
        self.task, self.tokenizer = task, tokenizer
        self.chat = task.template == "chat" or task.format == "chat"
        if self.chat and not tokenizer.chat_template:
            raise UsageError(
                "the task needs a chat template and the model's tokenizer has none",
                "take an instruction-tuned model, or prompt/completion rows instead of messages",
            )
        self.end = self._chat_end() if self.chat else _known_end(tokenizer)
        self.limit = min(task.max_length, int(tokenizer.model_max_length))
        leads = tokenizer.bos_token_id is not None and tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]
        self.lead: list[int] = [tokenizer.bos_token_id] if leads and not self.chat else []
        # A prompt that ends in white space brings its own gap; " label" is one token for most tokenizers.
        self.gap = "" if self.chat or task.prompt[-1:].isspace() else " "
        self.label_ids = [self.completion(label) for label in task.labels]
        longest = max((len(ids) for ids in self.label_ids), default=task.max_new_tokens)
        self.reserve = min(longest, max(1, self.limit // 2))
        """Tokens every prompt leaves free for its completion."""

    def completion(self, target: str) -> list[int]:
        """Ids of the target and the end token."""
        return [*self._ids(self.gap + target), self.end]

    def encode(self, row: Mapping[str, Any]) -> Encoded:
        """The row as ids. Where it is too long the beginning of the input goes, never the target.

        A row with a target longer than ``reserve`` has its prompt cut further, in training and evaluation alike.
        """
        if row.get("raw"):
            # The first token has to be predicted from something: what begins a text, or what ended the one before.
            ids = [*self._ids(row["target"]), self.end]
            lead = self.lead or [self.end]
            return Encoded(lead, ids[: self.limit - len(lead)], len(ids) > self.limit - len(lead))
        completion = self.completion(row["target"]) if "target" in row else []
        room = self.limit - max(self.reserve, len(completion))
        prompt, cut = self._fit(self._renderer(row), max(1, room))
        fits = self.limit - len(prompt)
        return Encoded(prompt, completion[:fits], cut or len(completion) > fits)

    def _renderer(self, row: Mapping[str, Any]) -> Callable[[int], str]:
        """A function that gives the prompt's text without the first ``k`` characters of the input."""
        if not self.chat:
            return lambda k: self._text(row, k)
        given = row.get("messages")
        if not given:
            return lambda k: self._render([{"role": "user", "content": self._text(row, k)}])
        messages = [{"role": m["role"], "content": m["content"] or ""} for m in given[:-1]]
        return lambda k: self._render(_shortened(messages, k))

    def _text(self, row: Mapping[str, Any], dropped: int) -> str:
        return self.task.prompt.replace("{input}", row["input"][dropped:])

    def _render(self, messages: list[Message]) -> str:
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return str(text)

    def _fit(self, render: Callable[[int], str], room: int) -> tuple[list[int], bool]:
        """The longest prompt of at most ``room`` tokens, and whether the input had to be cut."""
        ids = self.lead + self._ids(render(0))
        if len(ids) <= room:
            # An empty prompt still needs one position to predict from.
            return ids or [self.end], False
        low, high = 0, len(render(0))
        best = self.lead + self._ids(render(high))
        while high - low > 1:
            middle = (low + high) // 2
            ids = self.lead + self._ids(render(middle))
            if len(ids) <= room:
                high, best = middle, ids
            else:
                low = middle
        return best[-room:] or [self.end], True

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def _chat_end(self) -> int:
        """The special token that the chat template puts after an answer, such as ``<|im_end|>``."""
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
        tail = str(self.tokenizer.apply_chat_template(turns, tokenize=False)).rpartition(_MARK)[2]
        special = set(self.tokenizer.all_special_ids)
        found = next((token for token in self._ids(tail) if token in special), None)
        return _known_end(self.tokenizer) if found is None else found


def _known_end(tokenizer: Any) -> int:
    if tokenizer.eos_token_id is None:
        raise UsageError("the model's tokenizer has no end token", "set eos_token in its tokenizer_config.json")
    return int(tokenizer.eos_token_id)


def _shortened(messages: list[Message], drop: int) -> list[Message]:
    """The messages without the first ``drop`` characters, system messages left whole.

    Emptied messages stay, since many chat templates insist on alternating roles.
    """
    kept = []
    for message in messages:
        taken = 0 if message["role"] == "system" else min(drop, len(message["content"]))
        drop -= taken
        kept.append({**message, "content": message["content"][taken:]})
    return kept


@lru_cache(maxsize=4)
def template(task: TaskSpec, tokenizer: Any) -> Template:
    """The template for this task and tokenizer, made once.

    Raises:
        UsageError: a chat template is asked for and the tokenizer has none, or no end token is known.
    """
    return Template(task, tokenizer)


def encode_prompt(row: Mapping[str, Any], task: TaskSpec, tokenizer: Any) -> list[int]:
    """Ids of the prompt: an exact prefix of ``encode_example`` of the same row."""
    return template(task, tokenizer).encode(row).prompt


def encode_example(row: Mapping[str, Any], task: TaskSpec, tokenizer: Any) -> tuple[list[int], list[int]]:
    """(input_ids, labels): labels are -100 on the prompt; the completion and its end token are trained."""
    encoded = template(task, tokenizer).encode(row)
    return encoded.input_ids, encoded.labels


def end_token_id(task: TaskSpec, tokenizer: Any) -> int:
    """The token that ends a completion: the chat template's end of turn, else the end of text."""
    return template(task, tokenizer).end


def label_ids(task: TaskSpec, tokenizer: Any) -> list[list[int]]:
    """Completion ids of each label in the order of ``task.labels``, end token included."""
    return template(task, tokenizer).label_ids
