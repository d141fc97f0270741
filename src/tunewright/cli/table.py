"""The table of proposed runs, and one proposal in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tunewright.cli import words
from tunewright.cli.line import Line
from tunewright.domain.lineage import ancestors
from tunewright.domain.proposal import Proposal
from tunewright.domain.study import Study
from tunewright.tools.analysis.words import difference_words, recipe_words

if TYPE_CHECKING:
    from rich.table import Table

_NAMED = 4
"""Forebears of a proposal that are named."""
COLUMNS = ("#", "from", "recipe", "differs from default", "time", "memory", "why")


def batch_lines(study: Study) -> list[Line]:
    """The line over a table: whose runs they are and what is spent."""
    return [Line(f"of {study.name}   spent {words.spent_of(study.spent(), study.budget)}", "runs")]


def batch_rows(study: Study, targets: Sequence[str]) -> list[tuple[str, ...]]:
    """One row a proposal, in the order of ``COLUMNS``."""
    rows: list[tuple[str, ...]] = []
    for target in targets:
        proposal = study.recipe_of(target)
        idea, forecast = proposal.idea, proposal.forecast
        parent = f" from {words.label(idea.parent)}" if idea.parent else ""
        rows.append(
            (
                words.label(target).lstrip("#"),
                idea.origin + parent,
                recipe_words(proposal.recipe),
                _difference(study, proposal),
                words.clock(forecast.seconds.expected),
                words.gib(forecast.memory_gib.expected),
                idea.reason,
            )
        )
    return rows


def batch_table(study: Study, targets: Sequence[str]) -> Table:
    """The table as it is printed."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in ("time", "memory") else "left", overflow="fold")
    for row in batch_rows(study, targets):
        table.add_row(*row)
    return table


def detail_lines(study: Study, target: str) -> list[Line]:
    """Everything known of one proposal: whose idea, at what price, and the whole recipe."""
    from tunewright.cli import yaml

    proposal = study.recipe_of(target)
    seconds, memory = proposal.forecast.seconds, proposal.forecast.memory_gib
    lines = [
        Line(f"{words.label(target)} {recipe_words(proposal.recipe)}"),
        Line(f"{proposal.idea.reason} ({proposal.idea.origin})", sub="why", indent=2),
        *_lineage(study, target),
        Line(f"{words.clock(seconds.low)} to {words.clock(seconds.high)}", sub="time", indent=2),
        Line(f"{words.doubt(memory)} GiB", sub="memory", indent=2),
        Line(_price(study, proposal), sub="reserves", indent=2),
        Line(proposal.binding[:12], sub="binds", indent=2),
    ]
    recipe = yaml.write(proposal.recipe.model_dump(mode="json")).rstrip().splitlines()
    return lines + [Line(text, indent=4) for text in recipe]


def _lineage(study: Study, target: str) -> list[Line]:
    """What it descends from, the parent first."""
    found = ancestors(study, target)
    more = f" and {len(found) - _NAMED} before" if len(found) > _NAMED else ""
    return [Line(", of ".join(map(words.label, found[:_NAMED])) + more, sub="from", indent=2)] if found else []


def _price(study: Study, proposal: Proposal) -> str:
    cost = proposal.forecast.cost
    return words.limits_of(cost, study.budget) if study.budget else words.clock(cost.wall_s)


def _difference(study: Study, proposal: Proposal) -> str:
    """Against trial 0, which is the default recipe."""
    default = study.proposals.get("t0")
    return difference_words(proposal.recipe, default.recipe) if default else "-"
