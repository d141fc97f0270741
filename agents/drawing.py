"""The team's graph as a page of the documentation, drawn from the compiled graph itself.

python -m tunewright.agents.drawing docs/agents/graph.md
"""

from __future__ import annotations

import ast
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import get_args

from tunewright.agents.brains.choice import roles
from tunewright.agents.graph import build
from tunewright.agents.routing import WHEN, Step
from tunewright.agents.state import State

_END = "end"
_INTRODUCTION = """# The graph of the team

Written by `make docs` from `agents/graph.py`, `agents/routing.py` and the files of the nodes. No node names another:
each hands back to one function, `next_step`, which reads the study's journal and says who has work to do. So a resumed
study takes the road it would have taken. What stands in the boxes in brackets are the roles in which a language model
may be asked (`--llm ROLE=MODEL`); without one, rules do the same work. A model works beside running trials: its step is
passed over while something can run, and comes when all else is done.
"""


def page() -> str:
    """The page as Markdown, with the drawing in Mermaid."""
    lines = [_INTRODUCTION, "```mermaid", *_drawing(), "```", "", "The first that holds decides:", ""]
    lines += ["| step | when | what it does |", "|---|---|---|"]
    lines += [f"| `{step}` | {WHEN[step]} | {_does(step)} |" for step in WHEN]
    return "\n".join(lines) + "\n"


def edges() -> set[tuple[str, str]]:
    """The edges of the compiled graph; ``__start__`` and ``__end__`` are its ends."""

    def idle(state: State) -> State:
        return state

    with tempfile.TemporaryDirectory() as folder:
        graph = build({step: idle for step in get_args(Step) if step != _END}, lambda: "end", Path(folder) / "g.sqlite")
        try:
            return graph.edges()
        finally:
            graph.close()


def _drawing() -> Iterator[str]:
    """One edge to each node and one back, in place of one from each node to every other: they all go through
    ``next_step``.
    """
    found = edges()
    steps = [step for step in WHEN if step != _END]
    targets = {step: {to for source, to in found if source == step} for step in steps}
    everywhere = {*steps, "__end__"}
    if any(targets[step] != everywhere for step in steps):
        raise ValueError("a node of the graph does not hand back to next_step: draw its edges one by one")
    yield "flowchart LR"
    yield '    start(["brief or resume"]) --> next{{"next_step<br/>reads the journal"}}'
    for step in steps:
        asked = "<br/>".join(_roles(step))
        shape = ('[/"', '"/]') if step.endswith(("approval", "clarification")) else ('["', '"]')
        label = step.replace("_", " ") + (f"<br/>({asked})" if asked else "")
        yield f"    {step}{shape[0]}{label}{shape[1]}"
        yield f'    next <-->|"{_short(WHEN[step])}"| {step}'
    yield '    next -->|"nothing is left to do"| stop(["end"])'


def _roles(step: str) -> list[str]:
    """The roles that are asked in a step: those of the node's name, and those of the folder of that name."""
    folder = files("tunewright.agents") / step
    inside = {step}
    if folder.is_dir():
        inside |= {role for role in roles() if _declared(step, role)}
    return [role for role in roles() if role in inside]


def _declared(step: str, role: str) -> bool:
    """Whether a file below the step's folder declares the role."""
    folder = Path(str(files("tunewright.agents") / step))
    return any(f'ROLE = "{role}"' in file.read_text(encoding="utf-8") for file in sorted(folder.rglob("*.py")))


def _does(step: str) -> str:
    """The first sentence of the node's file."""
    name = "approval" if step.endswith("approval") else step
    file = files("tunewright.agents") / "nodes" / f"{name}.py"
    if not file.is_file():
        return ""
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(said.split()).partition(". ")[0].rstrip(".").replace("|", "\\|") + "."


def _short(text: str) -> str:
    return text.replace('"', "'")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    print(f"{len(WHEN)} steps in {sys.argv[1]}")
