"""A method's card: everything its file declares, as data for ``methods --json`` and as a page of the documentation.

    python -m tunewright.tools.training.card docs/methods

writes a folder for each shelf, with a page for each method and a list of them. Nothing of a card is written by hand.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from tunewright.domain.space import Choice, Dimension
from tunewright.tools.training import registry
from tunewright.tools.training.card_facts import REFERENCE, facts
from tunewright.tools.training.registry import Shelf

SHELVES: dict[Shelf, str] = {
    "adapters": "what is trained",
    "objectives": "what is minimised",
    "rewards": "what an answer is worth, in reinforcement learning",
    "selectors": "which rows are trained on",
    "mixes": "how the weights of the data sources come about",
}
"""Shelf -> what its methods decide."""
_STAGE = "stages.0"
_NOTES = {"adapters": f"Parameters are those trained on `{REFERENCE}` with the default settings."}


def card(shelf: Shelf, kind: str) -> dict[str, Any]:
    """What a method's file says, in JSON's types.

    Of the method it needs ``kind``, ``summary``, ``paper`` or ``source``, and ``Config``; ``names`` and ``dimensions``
    are told where they are.

    Raises:
        UnknownNameError: there is no such method.
    """
    method = registry.method(shelf, kind)
    dimensions = method.dimensions(_STAGE) if hasattr(method, "dimensions") else []
    return {
        "kind": kind,
        "names": list(getattr(method, "names", ())),
        "summary": method.summary,
        "source": _source(method),
        **{fact.key: fact.value for fact in facts(method)},
        "settings": settings_of(method.Config),
        "search": [_searched(one) for one in dimensions],
        "about": about(method),
    }


def settings_of(config: type[BaseModel]) -> list[dict[str, Any]]:
    """Name, default and meaning of each setting; the meaning is the string under the field."""
    meanings = _meanings(config)
    return [
        {
            "name": name,
            "default": to_jsonable_python(field.get_default(call_default_factory=True)),
            "about": meanings.get(name, ""),
        }
        for name, field in config.model_fields.items()
    ]


def about(method: object) -> str:
    """The docstring of the method's file."""
    return inspect.cleandoc(sys.modules[type(method).__module__].__doc__ or "")


def page(shelf: Shelf, kind: str) -> str:
    """The card as Markdown."""
    made = card(shelf, kind)
    title, _, rest = made["about"].partition("\n\n")
    told = [("source", made["source"]), ("also called", ", ".join(made["names"]) or "-")]
    told += [(fact.title, fact.shown) for fact in facts(registry.method(shelf, kind)) if fact.title]
    lines = [f"# {kind}", "", f"*{made['summary']}*", "", title, ""]
    lines += [rest.strip(), ""] if rest.strip() else []
    lines += ["| | |", "|---|---|", *(_row(one) for one in told)]
    if made["settings"]:
        lines += ["", "## Settings", "", "| setting | default | |", "|---|---|---|"]
        lines += [_row((f"`{one['name']}`", _value(one["default"]), one["about"])) for one in made["settings"]]
    if made["search"]:
        lines += ["", "## Searched", "", "| dimension | values | default |", "|---|---|---|"]
        lines += [_row((f"`{one['name']}`", one["values"], _value(one["default"]))) for one in made["search"]]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Every page by its path within ``docs/methods``."""
    made = {f"{shelf}/{kind}.md": page(shelf, kind) for shelf in SHELVES for kind in registry.kinds(shelf)}
    lists = {f"{shelf}/README.md": _list(shelf) for shelf in SHELVES}
    return {**made, **lists, "README.md": _index()}


def write_pages(folder: Path) -> list[Path]:
    """Writes every page; those of methods that are gone are removed."""
    made = {folder / name: text for name, text in pages().items()}
    for old in folder.rglob("*.md"):
        if old not in made:
            old.unlink()
    for file, text in made.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return list(made)


def _index() -> str:
    lines = ["# Methods", "", "Everything that a recipe is made of, a page for each, written by `make docs`.", ""]
    lines += ["| | what it decides | kinds |", "|---|---|---|"]
    lines += [
        _row((f"[{shelf}]({shelf}/README.md)", decides, str(len(registry.kinds(shelf)))))
        for shelf, decides in SHELVES.items()
    ]
    return "\n".join(lines) + "\n"


def _list(shelf: Shelf) -> str:
    methods = {kind: registry.method(shelf, kind) for kind in registry.kinds(shelf)}
    listed = {kind: [fact for fact in facts(method) if fact.column] for kind, method in methods.items()}
    columns = next(([fact.column for fact in found] for found in listed.values()), [])
    lines = [
        f"# {shelf.capitalize()}",
        "",
        f"A recipe's {shelf} say {SHELVES[shelf]}.",
        f"A page is what the method's file in `tools/training/{shelf}/` declares, written by `make docs`.",
        f"`tunewright methods {shelf} --json` says the same.",
        "",
    ]
    lines += [_NOTES[shelf], ""] if shelf in _NOTES else []
    lines += [_row(("kind", "when", *columns, "source")), "|" + "---|" * (3 + len(columns))]
    for kind, method in methods.items():
        shown = [fact.shown for fact in listed[kind]]
        lines.append(_row((f"[{kind}]({kind}.md)", method.summary, *shown, _source(method))))
    return "\n".join(lines) + "\n"


def _source(method: Any) -> str:
    return str(getattr(method, "source", "") or getattr(method, "paper", ""))


def _searched(dimension: Dimension) -> dict[str, Any]:
    if isinstance(dimension, Choice):
        values = ", ".join(_value(option) for option in dimension.options)
    else:
        low, high = getattr(dimension, "low", None), getattr(dimension, "high", None)
        values = f"{low:g} to {high:g}" if low is not None and high is not None else dimension.kind
    return {
        "name": dimension.name,
        "path": dimension.path,
        "values": values,
        "default": dimension.default,
        "why": dimension.why,
    }


def _meanings(config: type[BaseModel]) -> dict[str, str]:
    """Field -> the string literal under it, of the class and those it inherits from."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not issubclass(cls, BaseModel) or cls.__module__.startswith("pydantic"):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = inspect.cleandoc(text)
    return found


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    print(f"{len(write_pages(Path(sys.argv[1])))} pages in {sys.argv[1]}")
