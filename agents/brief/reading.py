"""What was read, whoever read it: the parts, and the one way in which they become a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunewright.agents.brief.goal import fitted
from tunewright.agents.brief.metric import choose_metric
from tunewright.domain.budget import Budget
from tunewright.domain.errors import BriefError
from tunewright.domain.frozen import Frozen
from tunewright.domain.goal import GROUP_LOSSES
from tunewright.domain.task import Constraint, DataSource, Direction, Goal, TaskSpec, Wishes
from tunewright.domain.understanding import Question
from tunewright.tools.analysis.words import goal_words
from tunewright.tools.data.layout import DataFacts, Layout

_CUT = 200
"""Characters at which the data facts cut their examples."""


class Line(Frozen):
    """One line of what was understood."""

    topic: str
    text: str


class Reading(Frozen):
    """A brief, read."""

    task: TaskSpec
    budget: Budget
    wishes: Wishes = Wishes()
    understood: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    """What was assumed or decided."""
    unused: tuple[str, ...] = ()
    """Phrases of the brief that nothing was made of."""
    questions: tuple[Question, ...] = ()
    """What the user's words and the data leave open."""
    by: str = "rules"


class Parts(Frozen):
    """What a reader found, before it is checked and completed."""

    model: str
    sources: tuple[DataSource, ...]
    layout: Layout
    metric: str | None
    budget: Budget
    wishes: Wishes = Wishes()
    constraints: tuple[Constraint, ...] = ()
    goals: tuple[Goal, ...] = ()
    max_length: int | None = None
    prompt: str | None = None


def assemble(
    parts: Parts,
    facts: Sequence[DataFacts],
    scorers: Mapping[str, Direction],
    *,
    notes: Sequence[str] = (),
    unused: Sequence[str] = (),
    by: str = "rules",
) -> Reading:
    """Completes the parts into a task and says what was understood.

    Raises:
        UnknownNameError: no scorer has the metric's name.
        BriefError: general data is asked for and none is named.
    """
    notes = [*notes, *_replayed(parts)]
    layout = parts.layout
    seen_target = _longest(facts, layout.target_field)
    metric = choose_metric(parts.metric, layout.format, seen_target, scorers, notes)
    task = TaskSpec(
        model=parts.model,
        sources=parts.sources,
        format=layout.format,
        input_field=layout.input_field,
        target_field=layout.target_field,
        contrast_field=layout.contrast_field,
        metric=metric,
        prompt=parts.prompt or _prompt(layout),
        template="chat" if layout.format == "chat" else "plain",
        max_length=parts.max_length or _max_length(facts, layout),
        max_new_tokens=256 if layout.format == "chat" else min(256, max(32, 4 * seen_target)),
        constraints=fitted(parts.constraints, parts.sources, layout.format, notes),
        goals=_goals(parts),
    )
    return Reading(
        task=task,
        budget=parts.budget,
        wishes=parts.wishes,
        understood=understood(task, parts.budget, parts.wishes, facts),
        notes=tuple(dict.fromkeys(notes)),
        unused=tuple(unused),
        by=by,
    )


def _goals(parts: Parts) -> tuple[Goal, ...]:
    """The goals that are named; whoever asks for compression wants a small adapter."""
    small = (Goal(quantity="adapter_bytes"),) if parts.wishes.compress else ()
    return tuple(dict.fromkeys((*parts.goals, *small)))


def _replayed(parts: Parts) -> list[str]:
    """What there is to say where general data is named without its share.

    Raises:
        BriefError: a share is asked for and no file.
    """
    general = [source.path for source in parts.sources if source.general]
    share = parts.wishes.replay
    if share and not general:
        raise BriefError(
            f"{share:.0%} of general data is asked for, and no file is named as general data",
            f'say for example: "{share:.0%} general data from chats.jsonl"',
        )
    if general and not share:
        return [f"{', '.join(general)} is not mixed in: how much of it is not said, such as '10% general data'"]
    return []


def understood(task: TaskSpec, budget: Budget, wishes: Wishes, facts: Sequence[DataFacts]) -> tuple[Line, ...]:
    """One line a topic, for people."""
    files = ", ".join(f"{one.path}, {one.rows:,} rows" for one in facts)
    labels = max((one.labels for one in facts), default=0)
    fields = f"`{task.input_field}` -> `{task.target_field}`" if task.format != "chat" else f"`{task.input_field}`"
    count = f", {labels} labels" if task.format == "label" and labels and len(facts) == 1 else ""
    better = "higher" if task.metric.direction == "max" else "lower"
    lines = [
        Line(topic="task", text=f"{task.format} {fields}{count} ({files})"),
        Line(topic="model", text=task.model),
        Line(topic="metric", text=f"{task.metric.name}, {better} is better"),
        Line(topic="limits", text=", ".join([*_caps(budget), *map(_limit, task.constraints)])),
    ]
    if task.goals:
        first = f"{task.metric.name} first; of what it does not tell apart {goal_words(task.goals)}"
        lines.append(Line(topic="goals", text=first))
    search = _search(wishes)
    return (*lines, Line(topic="search", text=search)) if search else tuple(lines)


def _caps(budget: Budget) -> list[str]:
    said = []
    if budget.wall_s is not None:
        said.append(f"{_time(budget.wall_s)} wall")
    if budget.device_s is not None:
        said.append(f"{_time(budget.device_s)} device")
    if budget.usd is not None:
        said.append(f"${budget.usd:,.2f}")
    if budget.llm_tokens is not None:
        said.append(f"{budget.llm_tokens:,} tokens")
    if budget.trials is not None:
        said.append(f"{budget.trials:,} trial{'s' if budget.trials != 1 else ''}")
    return said


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds <= 7200 else f"{seconds / 3600:g} h"


def _limit(constraint: Constraint) -> str:
    match constraint.quantity:
        case "adapter_bytes":
            return f"adapter {constraint.relation} {constraint.value / 1e6:g} MB"
        case "peak_memory_gib":
            return f"memory {constraint.relation} {constraint.value:.3g} GiB"
        case quantity if quantity in GROUP_LOSSES:
            return f"no {GROUP_LOSSES[quantity]} loses more than {constraint.value:g} against the base model"
        case "latency_s":
            return f"scoring time an item {constraint.relation} {constraint.value * 1000:.3g} ms"
        case _:
            return f"{constraint.quantity.replace('_', ' ')} {constraint.relation} {constraint.value:,g}"


def _search(wishes: Wishes) -> str:
    said = []
    if wishes.plans:
        said.append(", ".join(wishes.plans))
    if wishes.rewards:
        said.append(f"rewarded by {', '.join(reward.kind for reward in wishes.rewards)}")
    if wishes.keep is not None:
        said.append(f"{wishes.keep:.0%} of the rows")
    if wishes.selectors:
        said.append(f"selected by {', '.join(wishes.selectors)}")
    if wishes.mixes:
        said.append(f"mixed by {', '.join(wishes.mixes)}")
    if wishes.replay:
        said.append(f"{wishes.replay:.0%} general data")
    said += _depth(wishes)
    if wishes.least_gain_per_hour:
        said.append(f"a longer trial gains {wishes.least_gain_per_hour:g} an hour")
    if wishes.worst_weight is not None:
        said.append(f"the mean gain over domains counts, less {wishes.worst_weight:g} times what the worst loses")
    if wishes.adapters:
        said.append(f"only {', '.join(wishes.adapters)}")
    if wishes.without:
        said.append(f"without {', '.join(wishes.without)}")
    if wishes.max_rank is not None:
        said.append(f"rank <= {wishes.max_rank}")
    if wishes.compress:
        said.append("compression after training")
    return "; ".join(said)


def _depth(wishes: Wishes) -> list[str]:
    said = []
    if wishes.depths:
        said.append(f"progressive depth in {' or '.join(map(str, wishes.depths))} stages")
    if wishes.clients > 1:
        alike = "" if wishes.alpha is None else f" whose rows differ (Dirichlet {wishes.alpha:g})"
        said.append(f"by {wishes.clients:,} simulated clients{alike}")
    return said


def _prompt(layout: Layout) -> str:
    """A neutral frame: it names the target column, and a small model learns where the label goes."""
    if layout.format != "label":
        return "{input}" if layout.format == "chat" else "{input}\n"
    return "{input}\n" + layout.target_field.replace("_", " ").strip().capitalize() + ":"


def _max_length(facts: Sequence[DataFacts], layout: Layout) -> int:
    """512 tokens hold short rows in any tokenizer, bytes included; rows that fill their example get 1,024."""
    long = max(_longest(facts, layout.input_field), _longest(facts, layout.target_field)) >= _CUT
    return 1024 if long or layout.format == "chat" else 512


def _longest(facts: Sequence[DataFacts], field: str) -> int:
    return max((len(row.get(field, "")) for one in facts for row in one.examples), default=0)
