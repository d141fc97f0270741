"""What a fine-tuning method is: its card, as the documentation has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tunewright.agents.toolbox.tool import Arguments, StudyTool
from tunewright.domain.frozen import Frozen
from tunewright.domain.study import Study


class MethodCardArguments(Arguments):
    shelf: Literal["adapters", "objectives", "rewards", "selectors", "mixes"] = Field(
        "adapters", description="What kind of method: what is trained, minimised, rewarded, selected or mixed."
    )
    kind: str | None = Field(None, max_length=60, description="The method, such as dora; null lists the shelf.")


class CardResult(Frozen):
    """A card, or a shelf."""

    shelf: str
    card: dict[str, Any] | None
    kinds: tuple[tuple[str, str], ...]
    """Kind and summary of each; empty where a card is given."""


class MethodCardTool(StudyTool[MethodCardArguments, CardResult]):
    name = "method_card"
    description = (
        "What a fine-tuning method is: when to choose it, its source, its settings with defaults, what of it is "
        "searched, and what it goes with. Without a kind, the methods there are, a line each. Of use before proposing "
        "a method or a setting that no trial has had."
    )
    Arguments = MethodCardArguments

    def run(self, study: Study, folder: Path, arguments: MethodCardArguments) -> CardResult:
        from tunewright.tools.training import registry
        from tunewright.tools.training.card import card

        if arguments.kind is not None:
            return CardResult(shelf=arguments.shelf, card=card(arguments.shelf, arguments.kind), kinds=())
        kinds = [(kind, registry.method(arguments.shelf, kind).summary) for kind in registry.kinds(arguments.shelf)]
        return CardResult(shelf=arguments.shelf, card=None, kinds=tuple(kinds))

    def said(self, result: CardResult) -> str:
        if result.card is None:
            return "\n".join(
                [f"{len(result.kinds)} {result.shelf}", *(f"{kind}: {what}" for kind, what in result.kinds)]
            )
        made = result.card
        lines = [f"{made['kind']}: {made['summary']}; source {made['source']}"]
        lines += [
            f"setting {one['name']}, default {one['default']}: {' '.join(one['about'].split())}"
            for one in made["settings"]
        ]
        lines += [f"searched {one['path']}: {one['values']}, default {one['default']}" for one in made["search"]]
        told = ("kind", "summary", "source", "settings", "search", "about", "names")
        facts = {key: value for key, value in made.items() if key not in told and not isinstance(value, dict | list)}
        if facts:
            lines.append(", ".join(f"{key} {value}" for key, value in facts.items()))
        return "\n".join([*lines, " ".join(made["about"].split())])


TOOL = MethodCardTool()
