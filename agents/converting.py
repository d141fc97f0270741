"""A language model's answer as a reading of the brief, kept inside the user's own words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tunewright.agents.asking import questions_of
from tunewright.agents.brief import (
    Parts,
    Reading,
    assemble,
    spoken_aim,
    spoken_goals,
    spoken_sources,
    spoken_wishes,
)
from tunewright.agents.brief.data import named
from tunewright.agents.brief.field import checked
from tunewright.agents.brief.kinds import of_kind, with_formats
from tunewright.agents.brief.menu import Menu
from tunewright.agents.brief.model import DEFAULT
from tunewright.agents.known import Known
from tunewright.agents.schemas import BriefAnswer, BudgetAnswer
from tunewright.domain.budget import CURRENCIES, Budget
from tunewright.domain.errors import BriefError, UnknownNameError, unknown_name
from tunewright.domain.plain import plain
from tunewright.domain.task import Brief, Constraint, DataSource, Wishes
from tunewright.domain.understanding import Topic
from tunewright.tools.data.layout import DataFacts, Layout

_NOTE = 300
"""Characters of a note in a language model's words."""


def converted(
    answer: BriefAnswer,
    brief: Brief,
    facts: Mapping[str, DataFacts],
    ceiling: Budget | None,
    known: Known,
    by: str,
    *,
    again: bool = False,
) -> Reading:
    """The answer as a reading.

    Args:
        brief: the user's words, with what they have answered.
        again: whether they were asked before.

    Raises:
        UsageError: it says what the brief or the data do not.
    """
    notes = [plain(one, _NOTE) for one in answer.assumptions]
    sources = _sources(answer.files, facts, brief)
    seen = [facts[source.path] for source in sources]
    own = of_kind(seen, answer.format)
    found = own[0].layout
    layout = Layout(
        format=answer.format,
        input_field=answer.input_field,
        target_field=answer.target_field,
        contrast_field=found.contrast_field if found is not None and found.format == answer.format else None,
    )
    if answer.metric is not None and answer.metric not in known.scorers:
        raise unknown_name("metric", answer.metric, known.scorers)
    aim = spoken_aim(brief, known.scorers)
    if aim is not None and answer.metric not in (None, aim):
        raise BriefError(f"the brief wants '{aim}', not '{answer.metric}'", "copy the metric from the brief")
    for kind in (*answer.only_adapters, *answer.without_adapters):
        if kind not in known.adapters:
            raise unknown_name("adapter", kind, known.adapters)
    if answer.model is None:
        notes.append(f"no model is named; {DEFAULT} is assumed")
    size, (goals, limits) = answer.max_adapter_mb, spoken_goals(brief)
    spoken_size = min((one.value for one in limits if one.quantity == "adapter_bytes"), default=math.inf)
    tighter = size is not None and size * 1e6 < spoken_size
    largest = (Constraint(quantity="adapter_bytes", relation="<=", value=size * 1e6),) if size and tighter else ()
    parts = Parts(
        model=_model(answer.model, brief, known.aliases),
        sources=with_formats(sources, seen, layout.format, notes),
        layout=checked(layout, own),
        metric=answer.metric or aim,
        budget=_budget(answer.budget, ceiling, notes),
        wishes=_wishes(answer, brief, known.menu, notes),
        constraints=(*largest, *limits),
        goals=goals,
        prompt=_prompt(answer.prompt),
    )
    questions = questions_of(answer.questions, _said(aim, ceiling, limits), notes, again=again)
    unused = [plain(one, _NOTE) for one in answer.unused]
    reading = assemble(parts, seen, known.scorers, notes=notes, unused=unused, by=by)
    return reading.model_copy(update={"questions": questions})


def _said(aim: str | None, ceiling: Budget | None, limits: Sequence[Constraint]) -> set[Topic]:
    """What the user's own words settle, as the rules read them."""
    limited = {limit.quantity for limit in limits}
    found: dict[Topic, bool] = {
        "metric": aim is not None,
        "budget": ceiling is not None,
        "size": "adapter_bytes" in limited,
        "memory": "peak_memory_gib" in limited,
    }
    return {topic for topic, there in found.items() if there}


def _sources(files: Sequence[str], facts: Mapping[str, DataFacts], brief: Brief) -> tuple[DataSource, ...]:
    """The files, each for what the brief's own words say that it is for."""
    strange = [file for file in files if file not in facts]
    if strange:
        raise BriefError(f"the brief names no file '{strange[0]}'", f"it names {', '.join(facts)}")
    spoken = {source.path: source for source in spoken_sources(brief)}
    kept = {"general", "measured"}
    return tuple(
        source.model_copy(update=spoken[source.path].model_dump(include=kept)) if source.path in spoken else source
        for source in named(list(dict.fromkeys(files)))
    )


def _model(ref: str | None, brief: Brief, aliases: Sequence[str]) -> str:
    if ref is None:
        return DEFAULT
    if ref not in aliases and ref.lower() not in brief.text.lower():
        raise BriefError(f"the brief names no model '{ref}'", "copy its spelling from the brief, or give null")
    return ref


def _budget(answer: BudgetAnswer, ceiling: Budget | None, notes: list[str]) -> Budget:
    """Each limit that the rules found, or a smaller one; a limit that only the model found counts as well."""
    read: dict[str, float | None] = {
        "wall_s": None if answer.wall_minutes is None else answer.wall_minutes * 60,
        "device_s": None if answer.device_hours is None else answer.device_hours * 3600,
        "usd": answer.usd,
        "llm_tokens": answer.llm_tokens,
        "trials": answer.trials,
    }
    caps: dict[str, float] = {}
    for currency in CURRENCIES:
        limit = getattr(ceiling, currency, None)
        found = [cap for cap in (read[currency], limit) if cap is not None]
        if found:
            caps[currency] = min(found)
        if limit is not None and max(found) > limit:
            notes.append(f"the language model read {max(found):g} {currency} into the brief, which says {limit:g}")
    if not caps:
        raise BriefError("the brief has to name a budget and none was found", "say for example: at most 30 minutes")
    if ceiling is None:
        notes.append("the budget is as the language model read it: the rules find none in the brief")
    return Budget.model_validate(caps)


def _wishes(answer: BriefAnswer, brief: Brief, menu: Menu, notes: list[str]) -> Wishes:
    """What the answer wishes for of adapters, and what the rules find in the brief of everything else.

    Raises:
        BriefError: no adapter is left, or the rules find a plan that cannot be.
    """
    adapters = menu.adapters
    only = tuple(kind for kind in answer.only_adapters if kind not in answer.without_adapters)
    if not any(kind not in answer.without_adapters for kind in only or adapters):
        raise BriefError("every adapter is ruled out", f"leave at least one of {', '.join(adapters)}")
    try:
        spoken = spoken_wishes(brief, menu, notes)
    except UnknownNameError:
        spoken = Wishes()  # the name is no adapter's to the rules; the model has read the words around it
    return spoken.model_copy(update={**_narrower(answer, spoken, only, notes), "compress": answer.compress})


def _narrower(answer: BriefAnswer, spoken: Wishes, only: tuple[str, ...], notes: list[str]) -> dict[str, object]:
    """What may be searched of adapters and ranks: never more than the rules find the brief to allow, with a note of
    what the answer left out.

    Adapters that the brief names are those that the model says; what it rules out stays ruled out.
    """
    without = tuple(dict.fromkeys((*spoken.without, *answer.without_adapters)))
    ranks = [rank for rank in (spoken.max_rank, answer.max_rank) if rank is not None]
    for kind in spoken.without:
        if kind not in answer.without_adapters:
            notes.append(f"the brief rules out {kind}, which the language model had not read")
    if spoken.max_rank is not None and (answer.max_rank or math.inf) > spoken.max_rank:
        notes.append(f"the brief allows a rank of {spoken.max_rank}, which the language model had not read")
    kept = tuple(kind for kind in only if kind not in spoken.without)
    return {"adapters": kept or spoken.adapters, "without": without, "max_rank": min(ranks, default=None)}


def _prompt(prompt: str | None) -> str | None:
    if prompt is not None and prompt.count("{input}") != 1:
        raise BriefError("the prompt has to contain {input} exactly once", "or give null for the usual prompt")
    return prompt
