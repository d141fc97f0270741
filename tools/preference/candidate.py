"""What may be compared: prompts with several answers each, read from a file or still to be answered by a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.domain.errors import DataError
from tunewright.domain.frozen import Frozen
from tunewright.domain.task import DataSource
from tunewright.tools.data.bad_row import BadRow
from tunewright.tools.data.layout import COMPLETION_FIELDS, TEXT_FIELDS, context_field
from tunewright.tools.data.read import RawSource, read_source

ANSWERS_FIELDS = ("answers", "responses", "completions", "candidates", "generations", "samples", "outputs")
TARGET_FIELDS = ("target", "reference", "gold", *dict.fromkeys(target for _, target in COMPLETION_FIELDS), "label")
PROMPT_FIELDS = tuple(dict.fromkeys([*(prompt for prompt, _ in COMPLETION_FIELDS), *TEXT_FIELDS]))


class Candidates(Frozen):
    """One prompt and the different answers to it."""

    prompt: str
    answers: tuple[str, ...] = ()
    """As they were first seen, none twice; empty while a model has still to give them."""
    target: str | None = None
    """The reference answer, where the data has one."""
    meta: dict[str, Any] = {}
    """The row's other columns."""

    @property
    def row(self) -> dict[str, Any]:
        """What a scorer is given; see ``tools.data.rows.Row``."""
        return {"id": "", "source": "", "input": self.prompt, "target": self.target or "", "meta": self.meta}


class Read(Frozen):
    """What was found in a file."""

    candidates: tuple[Candidates, ...]
    answered: bool
    """Whether the file has answers; if not, a model has to give them."""
    alone: int = 0
    """Prompts left out because they have fewer than two different answers."""
    skipped: int = 0
    """Bad rows left out on request."""


def read_candidates(path: str, *, fields: Mapping[str, str] | None = None, skip_bad_rows: bool = False) -> Read:
    """The prompts of a file and, where it has a column that lists answers, those.

    Rows with the same prompt and target are one prompt.

    Args:
        path: a file, or ``hub:NAME[:SPLIT]``.
        fields: ``prompt``, ``answers`` or ``target`` -> its column, where the names do not tell.
        skip_bad_rows: leave out rows that cannot be used, rather than raise at the first.

    Raises:
        DataError: the file or a row cannot be used, or no prompt has two different answers.
    """
    raw = read_source(DataSource(path=path, name="candidates"), skip_bad_rows=skip_bad_rows)
    columns = _columns(raw, dict(fields or {}))
    found: dict[tuple[str, str | None], Candidates] = {}
    skipped = len(raw.skipped)
    for number, row in zip(raw.numbers, raw.rows, strict=True):
        one = _read(row, columns)
        if isinstance(one, BadRow):
            if not skip_bad_rows:
                raise raw.bad(number, one.reason)
            skipped += 1
            continue
        known = found.get((one.prompt, one.target))
        if known is not None:
            one = known.model_copy(update={"answers": different([*known.answers, *one.answers])})
        found[one.prompt, one.target] = one
    if not found:
        raise DataError(f"'{path}' has no usable row: all {skipped} were bad", "put at least one prompt in it")
    if "answers" not in columns:
        return Read(candidates=tuple(found.values()), answered=False, skipped=skipped)
    return comparable(list(found.values()), f"'{path}' has no prompt with two different answers", skipped)


def comparable(candidates: Sequence[Candidates], otherwise: str, skipped: int = 0) -> Read:
    """Those that can be compared: with two answers at least.

    Raises:
        DataError: there is none; ``otherwise`` is the message.
    """
    kept = tuple(one for one in candidates if len(one.answers) > 1)
    if not kept:
        raise DataError(otherwise, "a pair is made of two different answers to the same prompt")
    return Read(candidates=kept, answered=True, alone=len(candidates) - len(kept), skipped=skipped)


def different(answers: Sequence[str]) -> tuple[str, ...]:
    """The answers without those that are empty, or differ from an earlier one by white space at the ends alone."""
    kept: dict[str, str] = {}
    for answer in answers:
        if answer.strip():
            kept.setdefault(answer.strip(), answer)
    return tuple(kept.values())


def _columns(raw: RawSource, fields: dict[str, str]) -> dict[str, str]:
    """``prompt`` and, where there are such, ``answers``, ``target`` and ``context`` -> the column."""
    for name in fields.values():
        if name not in raw.columns:
            raise DataError(f"'{raw.source.path}' has no column '{name}'", f"choose from {', '.join(raw.columns)}")
    by_name = {column.lower(): column for column in reversed(raw.columns)}
    taken = set(fields.values())
    # Answers before the prompt: no name is in both lists, but a target may share its name with answers in lists.
    for what, names in (("answers", ANSWERS_FIELDS), ("prompt", PROMPT_FIELDS), ("target", TARGET_FIELDS)):
        fitting = [by_name[name] for name in names if name in by_name and by_name[name] not in taken]
        if what == "answers":
            fitting = [name for name in fitting if any(isinstance(row.get(name), list) for row in raw.rows)]
        if what not in fields and fitting:
            fields[what] = fitting[0]
            taken.add(fitting[0])
    if "prompt" not in fields:
        raise DataError(
            f"'{raw.source.path}' has no column that looks like a prompt, only {', '.join(raw.columns)}",
            "name it with --prompt-field",
        )
    context = context_field(raw.columns, fields["prompt"])
    return fields | ({"context": context} if context and context not in taken else {})


def _read(row: Mapping[str, Any], columns: Mapping[str, str]) -> Candidates | BadRow:
    texts: dict[str, str] = {}
    for what in ("prompt", "context", "target"):
        value = row.get(columns[what]) if what in columns else None
        if not isinstance(value, str | bool | int | float | None):
            return BadRow(f"has a {type(value).__name__} in '{columns[what]}', expected text")
        texts[what] = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    if not texts["prompt"].strip():
        return BadRow(f"has an empty '{columns['prompt']}'")
    answers = _answers(row, columns["answers"]) if "answers" in columns else ()
    if isinstance(answers, BadRow):
        return answers
    return Candidates(
        prompt=f"{texts['prompt']}\n\n{texts['context']}" if texts["context"].strip() else texts["prompt"],
        answers=answers,
        target=texts["target"] if texts["target"].strip() else None,
        meta={name: _plain(value) for name, value in row.items() if name not in columns.values()},
    )


def _answers(row: Mapping[str, Any], name: str) -> tuple[str, ...] | BadRow:
    value = row.get(name)
    if not isinstance(value, list):
        return BadRow(f"has no list in '{name}', expected a list of answers")
    wrong = next((type(answer).__name__ for answer in value if not isinstance(answer, str)), None)
    return different(value) if wrong is None else BadRow(f"has a {wrong} among its '{name}', expected texts")


def _plain(value: Any) -> Any:
    """A column's value as JSON can hold it; what is no number is nothing."""
    return json.loads(json.dumps(value, default=str), parse_constant=lambda name: None)
