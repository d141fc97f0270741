"""The key part of an answer, which is what it comes to, apart from the reasons before it. Shi et al., arXiv 2512.21017.

Tags and markers are plain text. The paper makes its tags special tokens; under an adapter their embeddings would stay
the noise that they begin as.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from pydantic import Field

from tunewright.domain.recipe import Objective
from tunewright.domain.task import TaskSpec
from tunewright.tools.data.rows import Row
from tunewright.tools.models.prompt import IGNORED, Encoded, Template
from tunewright.tools.training.learning import Batch
from tunewright.tools.training.method import ObjectiveMethod
from tunewright.tools.training.supervised import PackingConfig, TokenLearning


class KeyConfig(PackingConfig):
    """Settings that every objective on key parts has."""

    tag: str = Field("<Answer>", min_length=1)
    """The key part begins after the last of these."""
    markers: tuple[str, ...] = ("####", "answer:")
    """Where an answer has no tag, it begins after the last of any of these, in capitals or not."""


def key_start(answer: str, tag: str, markers: Sequence[str]) -> int | None:
    """The character at which the key part of an answer begins; None if there is none.

    It goes on to the answer's end, closing tag included. Nothing but white space after a tag or marker is no key part.
    """
    at = answer.rfind(tag)
    start = at + len(tag) if at >= 0 else None
    if start is None and markers:
        any_of = "|".join(re.escape(marker) for marker in markers if marker)
        start = max((match.end() for match in re.finditer(any_of, answer, re.IGNORECASE) if match[0]), default=None)
    return start if start is not None and answer[start:].strip() else None


def key_from(row: Row, encoded: Encoded, form: Template, settings: KeyConfig) -> int | None:
    """The index in ``encoded.completion`` of the first token of the key part; None if no token of it is left.

    It is the whole completion where the row's format is ``label``. A token that holds the end of a tag as well as the
    beginning of what follows belongs to the key part.
    """
    if row_format(row, form.task) == "label":
        return 0 if encoded.completion else None
    start = key_start(row["target"], settings.tag, settings.markers)
    if start is None:
        return None
    # Tokens that the text before the key part has alone too. Offsets would be exact, but not every tokenizer has them.
    before, ids = form.completion(row["target"][:start])[:-1], encoded.completion
    first = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, ids, strict=False)))
    return first if first < len(ids) else None


def row_format(row: Row, task: TaskSpec) -> str:
    """How the row's source was read."""
    return next((one.format for one in task.sources if one.name == row["source"] and one.format), task.format)


class KeyObjective(ObjectiveMethod):
    """Base of objectives that tell the key part of an answer from the rest."""

    formats = ("completion", "chat", "label")

    def admit(self, row: Row, encoded: Encoded, form: Template, objective: Objective) -> str | None:
        """Rows without a key part are left out: there would be nothing to learn from in them."""
        reason = super().admit(row, encoded, form, objective)
        if reason is not None:
            return reason
        settings = self.Config.model_validate(objective.settings)
        assert isinstance(settings, KeyConfig)
        if key_from(row, encoded, form, settings) is not None:
            return None
        signs = ", ".join([settings.tag, *settings.markers])
        return f"has nothing after one of {signs} in its answer, or it does not fit within {form.limit} tokens"


class KeyLearning(TokenLearning):
    """Teacher forcing in batches that also tell which labels are of key parts."""

    def collate(self, places: Sequence[int]) -> Batch:
        """As for every objective on given answers, with ``key``: (rows, tokens) truth values."""
        key = self.joined(places, self.key_labels)["labels"] != IGNORED
        return {**super().collate(places), "key": key}

    def key_labels(self, place: int) -> list[int]:
        """The row's labels without those before the key part."""
        row = self.data.encoded[place]
        first = key_from(self.data.rows[place], row, self.data.form, self.settings)
        assert first is not None, "rows without a key part are not admitted"
        masked = len(row.prompt) + first
        return [IGNORED] * masked + row.input_ids[masked:]
