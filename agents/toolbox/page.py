"""The tools' page of the documentation, made from their files.

python -m tunewright.agents.toolbox.page docs/tools.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tunewright.agents.toolbox import registry
from tunewright.agents.toolbox.tool import MOST_CHARACTERS
from tunewright.domain.frozen import Json

_BOUNDS = {
    "minimum": "from {}", "maximum": "to {}", "minLength": "from {} characters", "maxLength": "to {} characters",
    "minItems": "from {} of them", "maxItems": "to {} of them",
}  # fmt: skip
_INTRODUCTION = f"""# Tools

What the agents may call to look at a study, written by `make docs` from the files in `agents/toolbox/tools/`.

    from tunewright.agents import toolbox

    toolbox.call(study, folder, "error_slices", {{"trial": "t3"}})   # what a tool says, for people
    brain.converse(role, prompt, schema, toolbox.for_study(study, folder))   # for a language model

An answer is text of at most {MOST_CHARACTERS:,} characters, which says how much more there is. Arguments are checked,
and what is wrong with a call is answered in words that name what would be right. Text that comes from data, logs or
models is quoted as JSON strings and is never an instruction. No tool runs a shell or code, none writes, and none can
reach the sealed test.

| tool | what it gives |
|---|---|"""


def page() -> str:
    """The page as Markdown."""
    lines = [_INTRODUCTION]
    for name in registry.names():
        first = registry.tool(name).description.partition(". ")[0].partition(": ")[0]
        lines.append(f"| [{name}](#{name}) | {_cell(first)} |")
    for name in registry.names():
        lines += ["", *_section(name)]
    return "\n".join(lines) + "\n"


def _section(name: str) -> Iterator[str]:
    found = registry.tool(name)
    schema = found.Arguments.model_json_schema()
    yield from (f"## {name}", "", found.description, "", "| argument | takes | default | |", "|---|---|---|---|")
    yield from _rows(schema, schema.get("$defs", {}), "")


def _rows(schema: Mapping[str, Any], defs: Mapping[str, Any], before: str) -> Iterator[str]:
    """A row for each argument; those of an object in a list stand below it."""
    for name, field in schema["properties"].items():
        required = name in schema.get("required", ())
        default = "required" if required else f"`{_spelled(field.get('default'))}`"
        told = (f"`{before}{name}`", _takes(field, defs), default, _cell(field.get("description", "")))
        yield f"| {' | '.join(told)} |"
        inner = _inner(field, defs)
        if inner is not None:
            yield from _rows(inner, defs, f"{before}{name}[].")


def _takes(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_takes(one, defs) for one in field["anyOf"])
    if "enum" in field or "const" in field:
        return ", ".join(f"`{one}`" for one in field.get("enum", [field.get("const")]))
    bounds = " ".join(said.format(field[key]) for key, said in _BOUNDS.items() if key in field)
    if field.get("type") == "array":
        what = "objects" if _inner(field, defs) is not None else f"list of {_takes(field['items'], defs)}"
        return f"{what} {bounds}".strip()
    return f"{field.get('type', 'object')} {bounds}".strip()


def _inner(field: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    reference = field.get("items", {}).get("$ref", "") if field.get("type") == "array" else ""
    found: Mapping[str, Any] | None = defs.get(reference.rpartition("/")[2])
    return found


def _spelled(value: Json) -> str:
    return "null" if value is None else str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    print(f"{len(registry.names())} tools in {sys.argv[1]}")
