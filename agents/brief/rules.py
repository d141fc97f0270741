"""Reads a brief by rules, deterministically and without a language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tunewright.agents.brief import budget as budgets
from tunewright.agents.brief import data
from tunewright.agents.brief.doubt import questions_of
from tunewright.agents.brief.field import read_layout
from tunewright.agents.brief.goal import read_goals, read_limits
from tunewright.agents.brief.kinds import task_facts, with_formats
from tunewright.agents.brief.menu import Menu
from tunewright.agents.brief.metric import read_aim, read_metric
from tunewright.agents.brief.model import read_model
from tunewright.agents.brief.reading import Parts, Reading, assemble
from tunewright.agents.brief.text import Text
from tunewright.agents.brief.width import read_width
from tunewright.agents.brief.wish import read_constraints, read_length, read_wishes
from tunewright.domain.budget import Budget
from tunewright.domain.errors import BriefError
from tunewright.domain.task import Brief, Constraint, DataSource, Direction, Goal, Wishes
from tunewright.tools.data.layout import DataFacts

Look = Callable[[str], DataFacts]


def read_brief(
    brief: Brief,
    *,
    look: Look,
    aliases: Sequence[str],
    scorers: Mapping[str, Direction],
    menu: Menu,
) -> Reading:
    """What the brief says, by rules.

    Args:
        look: reads a data source and says what is in it; raises DataError if it cannot.
        aliases: short names of models.
        scorers: every metric there is, with its direction.
        menu: every method there is, and what it is called.

    Raises:
        BriefError: no data file, no budget, a budget of zero, or wishes that leave nothing.
        DataError: a file cannot be read, or a field is not in it.
        UnknownNameError: a metric or an adapter that does not exist is asked for.
    """
    text, notes = Text(brief.text), list[str]()
    begun = _begun(text, brief, notes)
    sources = begun.sources
    aim = read_aim(text, scorers)
    wishes = read_wishes(text, menu, notes)
    caps = budgets.read_budget(text, notes)
    _require(sources, caps)
    model = read_model(text, aliases, notes)
    facts = tuple(look(source.path) for source in sources)
    metric = aim or read_metric(text, scorers)
    measured = [one for source, one in zip(sources, facts, strict=True) if source.measured and not source.general]
    layout = read_layout(text, task_facts(measured), notes)
    parts = Parts(
        model=model,
        sources=with_formats(sources, facts, layout.format, notes),
        layout=layout,
        metric=metric,
        budget=budgets.assemble_budget(caps),
        wishes=wishes,
        constraints=(*begun.constraints, *begun.limits),
        goals=begun.goals,
        max_length=begun.max_length,
    )
    reading = assemble(parts, facts, scorers, notes=notes, unused=text.unused())
    open_ = questions_of(brief, layout, task_facts(measured), metric, reading.task.metric.name)
    return reading.model_copy(update={"questions": open_})


def spoken_sources(brief: Brief) -> tuple[DataSource, ...]:
    """The data sources that the words name, in order."""
    return data.read_sources(Text(brief.text), brief, [])


def spoken_budget(brief: Brief) -> Budget | None:
    """The caps that the words name; None if they name none.

    Raises:
        BriefError: a cap of zero or less.
    """
    text, notes = Text(brief.text), list[str]()
    _begun(text, brief, notes)
    caps = budgets.read_budget(text, notes)
    return budgets.assemble_budget(caps) if caps else None


def spoken_goals(brief: Brief) -> tuple[tuple[Goal, ...], tuple[Constraint, ...]]:
    """What the words want to be small besides the metric, and every limit that they name."""
    begun = _begun(Text(brief.text), brief, [])
    return begun.goals, (*begun.constraints, *begun.limits)


def spoken_aim(brief: Brief, scorers: Mapping[str, Direction]) -> str | None:
    """The metric that the words want maximised, minimised or measured by; None if they say of none.

    Raises:
        BriefError: the brief wants it the wrong way round.
    """
    text = Text(brief.text)
    _begun(text, brief, [])
    return read_aim(text, scorers)


def spoken_width(brief: Brief) -> int | None:
    """How many trials at a time the words ask for; None if they do not say."""
    return _begun(Text(brief.text), brief, []).width


def spoken_wishes(brief: Brief, menu: Menu, notes: list[str]) -> Wishes:
    """What the words say about the search.

    Raises:
        UnknownNameError: an adapter is asked for by a name that is in no registry.
        BriefError: no adapter is left, or a plan or a part of the data that cannot be.
    """
    text = Text(brief.text)
    _begun(text, brief, [])
    return read_wishes(text, menu, notes)


@dataclass(frozen=True)
class _Begun:
    """What is read before anything else, each claiming its words from those after it."""

    sources: tuple[DataSource, ...]
    width: int | None
    """Settled when the study is created, with the threads and the memory of a trial."""
    constraints: tuple[Constraint, ...]
    limits: tuple[Constraint, ...]
    """On groups and answers."""
    goals: tuple[Goal, ...]
    max_length: int | None


def _begun(text: Text, brief: Brief, notes: list[str]) -> _Begun:
    return _Begun(
        sources=data.read_sources(text, brief, notes),
        width=read_width(text),
        constraints=read_constraints(text),
        limits=read_limits(text),
        goals=read_goals(text),
        max_length=read_length(text),
    )


def _require(sources: Sequence[DataSource], caps: Mapping[str, float]) -> None:
    if not sources and not caps:
        raise BriefError(
            "I could not find a data file or a budget in the brief.",
            'say for example: "Teach smollm2-135m to label data/messages.jsonl (field topic). '
            'At most 30 minutes and 12 trials."',
        )
    if not sources:
        raise BriefError("I could not find a data file in the brief.", data.EXAMPLE)
    if not caps:
        raise budgets.no_budget()
