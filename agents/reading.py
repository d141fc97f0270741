"""Reads the brief: by a language model where one is in use, by rules where none is or it gives no valid answer.

A model's reading passes through the same assembly as the rules', after checks that keep it inside the user's words:
it can name no file and no model that the brief does not, and raise no limit above what the rules find in the text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from pydantic import ConfigDict, model_validator

from tunewright.agents.brief import (
    Look,
    Parts,
    Reading,
    assemble,
    read_brief,
    spoken_aim,
    spoken_budget,
    spoken_goals,
    spoken_sources,
    spoken_wishes,
)
from tunewright.agents.brief.data import named
from tunewright.agents.brief.field import checked
from tunewright.agents.brief.kinds import of_kind, with_formats
from tunewright.agents.brief.menu import Menu
from tunewright.agents.brief.model import DEFAULT
from tunewright.agents.brief.naming import Naming
from tunewright.agents.brief.reward import rewarded
from tunewright.agents.prompt import render
from tunewright.agents.schemas import BriefAnswer, BudgetAnswer
from tunewright.domain.budget import CURRENCIES, Budget
from tunewright.domain.errors import BrainError, BriefError, BudgetError, UnknownNameError, UsageError, unknown_name
from tunewright.domain.event import Understood
from tunewright.domain.protocols import Brain
from tunewright.domain.task import Brief, Constraint, DataSource, Direction, Wishes
from tunewright.tools.data.layout import DataFacts, Layout, inspect

ROLE = "planner"
_FILES = 8
"""Data files whose facts are put into the prompt."""
_COLUMNS = 24


def read(brief: Brief, brain: Brain | None, *, warn: Callable[[str], None], look: Look = inspect) -> Understood:
    """The brief, understood.

    Args:
        brain: a language model, or None for the rules.
        warn: is told in one line when the language model's answers were of no use.
        look: reads a data source and says what is in it.

    Raises:
        UsageError: what the brief gives cannot be used; see ``read_brief``.
    """
    known = _Known(look=cache(look))
    reading = _asked(brief, brain, known, warn) if brain is not None else None
    if reading is None:
        reading = read_brief(brief, look=known.look, aliases=known.aliases, scorers=known.scorers, menu=known.menu)
    unused = (f"nothing was made of: '{phrase}'" for phrase in reading.unused)
    wishes, assumed = rewarded(reading.wishes, reading.task, known.menu)
    return Understood(
        task=reading.task,
        budget=reading.budget,
        wishes=wishes,
        notes=(*reading.notes, *assumed, *unused),
        by=reading.by,
    )


class _Known:
    """What there is to choose from, and the reader of data; each found once."""

    def __init__(self, look: Look) -> None:
        from tunewright.tools.evaluation import registry as scoring
        from tunewright.tools.models.aliases import aliases

        self.look = look
        self.aliases: Sequence[str] = tuple(aliases())
        self.menu = menu()
        self.adapters: Sequence[str] = tuple(self.menu.adapters)
        self.scorers: Mapping[str, Direction] = _directions(scoring.scorers(), scoring.scorer)


def menu() -> Menu:
    """Every method there is, with its names."""
    from tunewright.tools.training import registry

    def shelf(name: registry.Shelf) -> dict[str, Naming]:
        return {kind: Naming(*registry.naming(name, kind)) for kind in registry.kinds(name)}

    objectives = shelf("objectives")
    rolling = [kind for kind in objectives if registry.objective(kind).family == "reinforcement"]
    return Menu(
        adapters=shelf("adapters"),
        objectives=objectives,
        rewards=shelf("rewards"),
        selectors=shelf("selectors"),
        mixes=shelf("mixes"),
        rolling=frozenset(rolling),
        quoted={kind: setting for kind in registry.rewards() if (setting := registry.reward(kind).quoted)},
    )


def _directions(names: Sequence[str], find: Callable[[str], object]) -> dict[str, Direction]:
    found: dict[str, Direction] = {}
    for name in names:
        try:
            direction = getattr(find(name), "direction", "max")
        except UsageError:
            continue  # another package's scorer that cannot be imported says so when it is asked for by name
        found[name] = "min" if direction == "min" else "max"
    return found


def _asked(brief: Brief, brain: Brain, known: _Known, warn: Callable[[str], None]) -> Reading | None:
    """The language model's reading, or None if the rules have to do it."""
    sources = spoken_sources(brief)[:_FILES]
    ceiling = spoken_budget(brief)
    if not sources:
        return None
    facts = {source.path: known.look(source.path) for source in sources}

    def convert(answer: BriefAnswer) -> Reading:
        return _converted(answer, brief, facts, ceiling, known, brain.name)

    class Checked(BriefAnswer):
        model_config = ConfigDict(title="BriefAnswer")

        @model_validator(mode="after")
        def _fits_the_brief(self) -> Checked:
            try:
                convert(self)
            except UsageError as error:
                raise ValueError(f"{error.message}. {error.hint}") from error
            return self

    prompt = brief_prompt(brief, tuple(facts.values()), known.scorers, known.adapters, known.aliases)
    try:
        return convert(brain.structured(ROLE, prompt, Checked))
    except (BrainError, BudgetError) as error:
        warn(f"the brief was read by rules instead of {brain.name}: {error.message}")
        return None


def brief_prompt(
    brief: Brief,
    facts: Sequence[DataFacts],
    scorers: Mapping[str, Direction],
    adapters: Sequence[str],
    aliases: Sequence[str],
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
    )


def _converted(
    answer: BriefAnswer,
    brief: Brief,
    facts: Mapping[str, DataFacts],
    ceiling: Budget | None,
    known: _Known,
    by: str,
) -> Reading:
    """The answer as a reading.

    Raises:
        UsageError: it says what the brief or the data do not.
    """
    notes = list(answer.assumptions)
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
    return assemble(parts, seen, known.scorers, notes=notes, unused=answer.unused, by=by)


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
