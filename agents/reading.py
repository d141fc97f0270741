"""Reads the brief: by a language model where one is in use, by rules where none is or it gives no valid answer.

A model's reading passes through the same assembly as the rules', after checks that keep it inside the user's words:
it can name no file and no model that the brief does not, and raise no limit above what the rules find in the text.
What a person answers to questions about the brief is read as more of their words, by the same checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from pydantic import ConfigDict, model_validator

from tunewright.agents.asking import as_before, must_be_heeded, must_make_sense
from tunewright.agents.brief import (
    Look,
    Reading,
    read_brief,
    spoken_aim,
    spoken_budget,
    spoken_goals,
    spoken_sources,
    spoken_wishes,
)
from tunewright.agents.brief.answers import with_answers
from tunewright.agents.brief.reward import rewarded
from tunewright.agents.converting import converted
from tunewright.agents.known import Known
from tunewright.agents.prompt import render
from tunewright.agents.schemas import BriefAnswer
from tunewright.domain.errors import BrainError, BudgetError, UsageError
from tunewright.domain.event import Understood
from tunewright.domain.protocols import Brain
from tunewright.domain.task import Brief, Direction
from tunewright.domain.understanding import Doubts, Exchange
from tunewright.tools.data.layout import DataFacts, inspect

ROLE = "planner"
RULES = "rules"
_FILES = 8
"""Data files whose facts are put into the prompt."""
_COLUMNS = 24


def read(
    brief: Brief,
    brain: Brain | None,
    *,
    warn: Callable[[str], None],
    look: Look = inspect,
    doubts: Doubts | None = None,
) -> Understood:
    """The brief, understood.

    Args:
        brain: a language model, or None for the rules.
        warn: is told in one line when the language model's answers were of no use.
        look: reads a data source and says what is in it.
        doubts: what was asked about the brief before, and answered.

    Raises:
        UsageError: what the brief gives cannot be used; see ``read_brief``.
    """
    known = Known(look=cache(look))
    doubts = doubts or Doubts()
    reading = _asked(brief, brain, known, warn, doubts) if brain is not None else None
    if reading is None:
        reading = _kept(brief, known, doubts) or _by_rules(brief, known, doubts)
    unused = (f"nothing was made of: '{phrase}'" for phrase in reading.unused)
    wishes, assumed = rewarded(reading.wishes, reading.task, known.menu)
    return Understood(
        task=reading.task,
        budget=reading.budget,
        wishes=wishes,
        notes=(*reading.notes, *assumed, *unused),
        questions=reading.questions,
        by=reading.by,
    )


def try_answers(brief: Brief, doubts: Doubts) -> None:
    """Tries a person's answers before they are filed.

    Raises:
        BriefError: what made sense as a brief makes none with them, such as when every adapter is ruled out.
    """
    known = Known(look=cache(inspect))
    notes = list[str]()
    readers: list[Callable[[Brief], object]] = [
        lambda words: [known.look(source.path) for source in spoken_sources(words)],
        spoken_budget,
        spoken_goals,
        lambda words: spoken_aim(words, known.scorers),
        lambda words: spoken_wishes(words, known.menu, notes),
    ]
    if doubts.reading is not None and doubts.reading.by == RULES:
        readers.append(lambda words: _by_rules(words, known, Doubts()))
    must_make_sense(brief, doubts.settled, readers)


def _by_rules(brief: Brief, known: Known, doubts: Doubts) -> Reading:
    reading = read_brief(
        with_answers(brief, doubts.settled),
        look=known.look,
        aliases=known.aliases,
        scorers=known.scorers,
        menu=known.menu,
    )
    if not doubts.settled:
        return reading
    still = tuple(one.assumed for one in reading.questions)
    return reading.model_copy(update={"notes": (*reading.notes, *still), "questions": ()})


def _kept(brief: Brief, known: Known, doubts: Doubts) -> Reading | None:
    """A language model's first reading, held to what was answered since; None where it does not go with that."""
    words, before = with_answers(brief, doubts.settled), doubts.reading
    if before is None or before.by == RULES:
        return None
    there = {source.path for source in spoken_sources(brief)}
    files = [source.path for source in before.task.sources]
    files += [source.path for source in spoken_sources(words) if source.path not in there]
    facts = {path: known.look(path) for path in files}
    columns = {column: None for one in facts.values() for column in one.columns}
    answer = as_before(before, files, doubts.settled, columns)
    if spoken_aim(words, known.scorers) is not None:
        answer = answer.model_copy(update={"metric": None})
    try:
        if spoken_wishes(words, known.menu, []).adapters:
            answer = answer.model_copy(update={"only_adapters": []})
        reading = converted(answer, words, facts, spoken_budget(words), known, before.by)
    except UsageError:
        return None
    said = "the answers were read by rules, the brief by the language model"
    return reading.model_copy(update={"notes": tuple(dict.fromkeys((*before.notes, *reading.notes, said)))})


def _asked(brief: Brief, brain: Brain, known: Known, warn: Callable[[str], None], doubts: Doubts) -> Reading | None:
    """The language model's reading, or None if the rules have to do it."""
    words, settled = with_answers(brief, doubts.settled), doubts.settled
    sources = spoken_sources(words)[:_FILES]
    ceiling = spoken_budget(words)
    if not sources:
        return None
    facts = {source.path: known.look(source.path) for source in sources}

    def convert(answer: BriefAnswer) -> Reading:
        must_be_heeded(answer, settled, {column for one in facts.values() for column in one.columns})
        return converted(answer, words, facts, ceiling, known, brain.name, again=bool(settled))

    class Checked(BriefAnswer):
        model_config = ConfigDict(title="BriefAnswer")

        @model_validator(mode="after")
        def _fits_the_brief(self) -> Checked:
            try:
                convert(self)
            except UsageError as error:
                raise ValueError(f"{error.message}. {error.hint}") from error
            return self

    prompt = brief_prompt(brief, tuple(facts.values()), known.scorers, known.adapters, known.aliases, settled)
    try:
        return convert(brain.structured(ROLE, prompt, Checked))
    except (BrainError, BudgetError) as error:
        what = "the answers were" if settled else "the brief was"
        warn(f"{what} read by rules instead of {brain.name}: {error.message}")
        return None


def brief_prompt(
    brief: Brief,
    facts: Sequence[DataFacts],
    scorers: Mapping[str, Direction],
    adapters: Sequence[str],
    aliases: Sequence[str],
    settled: Sequence[Exchange] = (),
) -> str:
    """The prompt for reading a brief; what strangers wrote is quoted and bounded."""
    files = [
        {
            "path": one.path,
            "rows": one.rows,
            "columns": one.columns[:_COLUMNS],
            "layout": one.layout.model_dump() if one.layout else None,
            "examples": [{name: row[name] for name in one.columns[:_COLUMNS] if name in row} for row in one.examples],
        }
        for one in facts
    ]
    return render(
        "read_brief",
        brief=brief.text,
        files=files,
        metrics=dict(scorers),
        adapters=list(adapters),
        aliases=list(aliases),
        settled=[
            {"question": one.question.text, "answer": one.answer, "assumption": one.question.assumption}
            for one in settled
        ],
    )
