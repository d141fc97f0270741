"""Editing a recipe with a real editor (a script), and line by line; nothing typed is lost on a mistake."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.stories import Story

from tunewright.cli import yaml
from tunewright.cli.edit import Editor, apply, edits_between
from tunewright.domain.errors import UsageError

LR = "stages.0.optimisation.lr"


class Typist:
    """Types prepared answers and remembers what it was told."""

    def __init__(self, *typed: str) -> None:
        self.typed, self.told = list(typed), list[str]()

    def ask(self, prompt: str) -> str:
        if not self.typed:
            raise EOFError
        return self.typed.pop(0)


@pytest.fixture
def editor(tmp_path: Path) -> Callable[[str], str]:
    """Makes an editor out of a line of shell that is given the file as ``$1``."""

    def make(line: str) -> str:
        script = tmp_path / "editor"
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return str(script)

    return make


def test_an_edit_in_the_editor(batch: Story, editor: Callable[[str], str]) -> None:
    typist = Typist()
    changed = Editor(typist.ask, typist.told.append, editor("sed -i 's/lr: 0.0004/lr: 1e-3/' $1")).edit(
        batch.study, "t1"
    )
    assert changed is not None
    recipe, edits = changed
    assert edits == {LR: 1e-3}
    assert recipe.stages[0].optimisation.lr == 1e-3


def test_a_closed_or_an_emptied_file_changes_nothing(batch: Story, editor: Callable[[str], str]) -> None:
    typist = Typist()
    assert Editor(typist.ask, typist.told.append, editor("true")).edit(batch.study, "t1") is None
    assert Editor(typist.ask, typist.told.append, editor(": > $1")).edit(batch.study, "t1") is None


def test_a_mistake_is_shown_and_the_text_is_kept(batch: Story, editor: Callable[[str], str], tmp_path: Path) -> None:
    """The first try leaves the space; the second gets the same text, with the problem above it, and mends it."""
    script = (
        f"cp $1 {tmp_path}/seen; grep -q 'lr: 5' $1 && sed -i 's/lr: 5/lr: 1e-3/' $1 || sed -i 's/lr: 0.0004/lr: 5/' $1"
    )
    typist = Typist("e")
    changed = Editor(typist.ask, typist.told.append, editor(script)).edit(batch.study, "t1")
    assert changed is not None
    assert changed[1] == {LR: 1e-3}
    assert typist.told == [f"{LR}: 5.0 is outside 5e-05..0.002"]
    assert f"# ! {LR}: 5.0 is outside" in (tmp_path / "seen").read_text()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo 'a: [1' > $1", "this is not YAML"),
        ("echo '- 1' > $1", "expected a recipe as a mapping, got list"),
        ("sed -i '/lr:/d' $1", "stages.0.optimisation.lr: Field required"),
        ("sed -i 's/seed: 0/seed: -1/' $1", "seed: Input should be greater"),
        ("sed -i 's/kind: dora/kind: lore/' $1", "stages.0.adapter.kind: lore is outside"),
    ],
)
def test_a_dropped_mistake_changes_nothing(line: str, said: str, batch: Story, editor: Callable[[str], str]) -> None:
    typist = Typist("d")
    assert Editor(typist.ask, typist.told.append, editor(line)).edit(batch.study, "t1") is None
    assert any(said in told for told in typist.told), typist.told


def test_an_editor_that_is_not_there(batch: Story) -> None:
    typist = Typist()
    with pytest.raises(UsageError, match="could not start the editor 'no-such-editor'"):
        Editor(typist.ask, typist.told.append, "no-such-editor").edit(batch.study, "t1")


def test_line_by_line(batch: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    typist = Typist("lr", "stages.0.optimiser.lr=1", f"{LR}=9", "", "e", f"{LR}=1e-3", "")
    changed = Editor(typist.ask, typist.told.append).edit(batch.study, "t1")
    assert changed is not None
    assert changed[1] == {LR: 1e-3}
    said = "\n".join(typist.told)
    assert "'lr' is not PATH=VALUE" in said
    assert "the recipe has no stages.0.optimiser.lr" in said
    assert "9.0 is outside 5e-05..0.002" in said


@pytest.mark.parametrize(
    ("after", "edits"),
    [
        ({"seed": 1, "stages": [{"a": {"kind": "lora", "r": 8}, "o": {"lr": 1}}]}, {"seed": 1}),
        ({"seed": 0, "stages": [{"a": {"kind": "lora", "r": 4}, "o": {"lr": 1}}]}, {"stages.0.a.r": 4}),
        ({"seed": 0, "stages": [{"a": {"kind": "ia3"}, "o": {"lr": 1}}]}, {"stages.0.a": {"kind": "ia3"}}),
        (
            {"seed": 0, "stages": [{"a": {"kind": "lora", "r": 8, "b": 1}, "o": {"lr": 2}}]},
            {"stages.0.a.b": 1, "stages.0.o.lr": 2},
        ),
    ],
)
def test_edits_lead_from_before_to_after(after: dict[str, Any], edits: dict[str, Any]) -> None:
    """A setting that goes away with its method is taken out with the mapping that held it."""
    before = {"seed": 0, "stages": [{"a": {"kind": "lora", "r": 8}, "o": {"lr": 1}}]}
    assert edits_between(before, after) == edits
    assert apply(before, edits) == after


def test_yaml_written_is_yaml_read(batch: Story) -> None:
    document = batch.study.proposals["t1"].recipe.model_dump(mode="json")
    assert yaml.read_mapping(yaml.write(document)) == document
