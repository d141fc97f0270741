"""What the brief wants besides the metric, and what a trial may not cost any label, source or answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.briefs import START, facts, read

from tunewright.agents.brief.goal import read_goals, read_limits
from tunewright.agents.brief.text import Text
from tunewright.domain.task import Constraint, Goal


def limit(quantity: str, value: float) -> Constraint:
    return Constraint(quantity=quantity, relation="<=", value=value)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = '{"text": "up 1", "label": "a"}\n{"text": "down 2", "label": "b"}\n' * 20
    for name in ("rows", "more"):
        (tmp_path / f"{name}.jsonl").write_text(rows)
    return tmp_path


@pytest.mark.parametrize(
    ("said", "quantities"),
    [
        ("Accuracy against adapter size.", ["adapter_bytes"]),
        ("Trade accuracy off; minimise the adapter's size.", ["adapter_bytes"]),
        ("Fastest to answer.", ["latency_s"]),
        ("It should answer as fast as possible.", ["latency_s"]),
        ("Keep the latency low and the adapter out of it.", ["latency_s"]),
        ("Minimise peak memory.", ["peak_memory_gib"]),
        ("Use as little memory as possible, then minimise latency.", ["peak_memory_gib", "latency_s"]),
        ("With the fewest trainable parameters.", ["trainable_parameters"]),
        ("The shortest training time wins.", ["train_s"]),
        ("Accuracy versus latency versus memory.", ["latency_s", "peak_memory_gib"]),
        ("Do not minimise memory.", []),
        ("Memory under 4 GiB.", []),
        ("Route messages about memory and latency.", []),
        ("Minimise the loss.", []),
    ],
)
def test_goals_are_read_in_their_order(said: str, quantities: list[str]) -> None:
    assert [goal.quantity for goal in read_goals(Text(said))] == quantities


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("No topic may lose more than 2 points against the base model.", [limit("label_loss", 0.02)]),
        ("no label should drop by more than 5 %", [limit("label_loss", 0.05)]),
        ("No domain may lose more than 2 points against the base.", [limit("source_loss", 0.02)]),
        ("Each class may lose at most one point of accuracy.", [limit("label_loss", 0.01)]),
        ("Without losing more than 3 percentage points on any source.", [limit("source_loss", 0.03)]),
        ("No intent may lose more than 0.05.", [limit("label_loss", 0.05)]),
        ("At most 20 ms per answer.", [limit("latency_s", 0.02)]),
        ("Under 0.5 seconds an item.", [limit("latency_s", 0.5)]),
        ("At most 20 minutes and 3 trials.", []),
        ("We lose more than 2 parcels a day.", []),
    ],
)
def test_limits_on_groups_and_answers_are_read(said: str, found: list[Constraint]) -> None:
    assert list(read_limits(Text(said))) == found


def test_a_brief_with_several_goals_is_understood_whole(folder: Path) -> None:
    reading = read(
        START + "Keep the adapter under 10 MB and the latency low. No topic may lose more than 2 points against the "
        "base model. At most 20 ms per answer. At most 30 minutes and 12 trials."
    )
    assert reading.task.goals == (Goal(quantity="latency_s"),)
    assert set(reading.task.constraints) == {
        limit("adapter_bytes", 10e6),
        limit("label_loss", 0.02),
        limit("latency_s", 0.02),
    }
    assert reading.unused == ()
    assert {name: facts(reading)[name] for name in ("wall_s", "trials", "metric")} == {
        "wall_s": 1800,
        "trials": 12,
        "metric": "accuracy",
    }
    said = {line.topic: line.text for line in reading.understood}
    assert said["goals"] == "accuracy first; of what it does not tell apart the least scoring time an item"
    assert "no label loses more than 0.02 against the base model" in said["limits"]
    assert "scoring time an item <= 20 ms" in said["limits"]


def test_a_small_adapter_without_a_number_is_a_goal(folder: Path) -> None:
    assert read(START + "Keep the adapter small. 3 trials.").task.goals == (Goal(quantity="adapter_bytes"),)
    assert read(START + "Keep the adapter under 5 MB. 3 trials.").task.goals == ()


def test_a_limit_on_groups_that_are_not_there_is_put_on_those_that_are(folder: Path) -> None:
    alone = read(START + "No domain may lose more than 2 points. 3 trials.")
    assert alone.task.constraints == (limit("label_loss", 0.02),)
    assert any("what each label loses is limited instead" in note for note in alone.notes)
    two = read(
        "Teach tiny to label rows.jsonl and more.jsonl (field label). No source may lose more than 2 points. 3 trials."
    )
    assert two.task.constraints == (limit("source_loss", 0.02),)
