"""What a language model may ask about a brief: checked, at most three, and said in the notes where it is not asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import get_args

from tunewright.agents.brief.answers import column_of, with_answers
from tunewright.agents.schemas import BriefAnswer, BudgetAnswer, QuestionAnswer
from tunewright.domain.errors import BriefError, UsageError
from tunewright.domain.plain import plain
from tunewright.domain.task import Brief
from tunewright.domain.understanding import MOST_OPTIONS, MOST_QUESTIONS, Exchange, Question, Topic, Understood

_SHOWN = 120
"""Characters of a question in a note that it was not asked."""


def questions_of(
    given: Sequence[QuestionAnswer], said: Collection[Topic], notes: list[str], *, again: bool = False
) -> tuple[Question, ...]:
    """The questions that may be put to a person; ``notes`` is told of the others, with what is assumed in their place.

    Args:
        said: topics that the user's words settle by themselves.
        again: whether questions were asked already, so that no more are.
    """
    kept: list[Question] = []
    for one in given:
        text, assumption = plain(one.text, _SHOWN), plain(one.assumption, _SHOWN)
        topic: Topic | None = next((topic for topic in get_args(Topic) if topic == one.about), None)
        if not text or not assumption or topic is None:
            notes.append(f"a question was not asked, since {_wrong(text, assumption)}: '{text}'")
        elif topic in said:
            notes.append(f"a question was not asked, since the brief says it: '{text}'")
        elif any(plain(other.text, _SHOWN).casefold() == text.casefold() for other in kept):
            continue
        elif again or len(kept) == MOST_QUESTIONS:
            why = "there was one round of questions" if again else f"{MOST_QUESTIONS} are the most"
            notes.append(f"assumed: {assumption} (not asked, since {why}: {text})")
        else:
            kept.append(_question(one, topic, f"q{len(kept) + 1}"))
    return tuple(kept)


def _wrong(text: str, assumption: str) -> str:
    if not text:
        return "it has no words"
    return "its answer could change nothing" if assumption else "it says nothing to go on with where nobody answers"


def _question(one: QuestionAnswer, topic: Topic, id: str) -> Question:
    options = [option for option in one.options if plain(option, 8)]
    return Question(
        id=id,
        text=one.text,
        about=topic,
        why=one.why,
        assumption=one.assumption,
        options=tuple(options[:MOST_OPTIONS]),
    )


def must_be_heeded(answer: BriefAnswer, settled: Sequence[Exchange], columns: Collection[str]) -> None:
    """Raises:
    BriefError: a person has named the column, and the answer takes another.
    """
    for one in settled:
        field = {"target": answer.target_field, "input": answer.input_field}.get(one.question.about)
        named = next((column for column in columns if column.casefold() == column_of(one).casefold()), field)
        if named != field:
            raise BriefError(f"the user answered that the {one.question.about} is '{named}', not '{field}'", "take it")


def as_before(
    before: Understood, files: Sequence[str], settled: Sequence[Exchange], columns: Collection[str]
) -> BriefAnswer:
    """An earlier reading as an answer once more, with the columns that a person has named since.

    Args:
        files: of that reading, and those that a person has named since.
    """
    task, wishes, budget = before.task, before.wishes, before.budget
    by_name = {column.casefold(): column for column in columns}
    fields = {one.question.about: by_name[named] for one in settled if (named := column_of(one).casefold()) in by_name}
    sizes = [limit.value / 1e6 for limit in task.constraints if limit.quantity == "adapter_bytes"]
    return BriefAnswer(
        model=task.model,
        files=list(files),
        format=task.format,
        input_field=fields.get("input", task.input_field),
        target_field=fields.get("target", task.target_field),
        prompt=task.prompt if task.prompt.count("{input}") == 1 and "target" not in fields else None,
        budget=BudgetAnswer(
            wall_minutes=None if budget.wall_s is None else budget.wall_s / 60,
            device_hours=None if budget.device_s is None else budget.device_s / 3600,
            usd=budget.usd,
            llm_tokens=budget.llm_tokens,
            trials=budget.trials,
        ),
        metric=task.metric.name,
        only_adapters=list(wishes.adapters),
        without_adapters=list(wishes.without),
        max_rank=wishes.max_rank,
        compress=wishes.compress,
        max_adapter_mb=min(sizes, default=None),
    )


def must_make_sense(brief: Brief, settled: Sequence[Exchange], read: Sequence[Callable[[Brief], object]]) -> None:
    """Tries a person's answers before they are filed.

    Args:
        read: readers of a brief.

    Raises:
        BriefError: a reader that made sense of the brief can make none of it with the answers.
    """
    whole = with_answers(brief, settled)
    for reader in read:
        try:
            reader(whole)
        except UsageError as error:
            try:
                reader(brief)
            except UsageError:
                continue  # so it was before anybody answered
            raise BriefError(f"an answer cannot be used: {error.message}", error.hint) from error
