"""Reflection from end to end on the replay sandbox: a scripted panel, and what a sister study makes of its lessons."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.app.conftest import replayed

import tunewright as tw
from tunewright import app
from tunewright.domain.event import Explained, Reflected
from tunewright.settings import Settings
from tunewright.tracking.journal import events

LR = "stages.0.optimisation.lr"
COMPLETED = [{"trial": "t0", "quantity": "status", "value": "completed"}]
SCRIPT: list[dict[str, Any]] = [
    {
        "role": "evaluator",
        "answer": {
            "sentences": [
                {"says": "The gain is the verdict's own.", "cites": ["f1"]},
                {"says": "It forgot 987 rows.", "cites": ["f1"]},
            ]
        },
        "tokens": 50,
    },
    {
        "role": "reflection",
        "answer": {"outcome": "gain", "key_insight": "t0 completed", "evidence": COMPLETED},
        "tokens": 80,
    },
    {
        "role": "judge",
        "answer": {
            "experiment": {
                "hypothesis": "a smaller rate holds",
                "parent": "t0",
                "edits": [{"path": LR, "value": 0.0003}],
                "refuted_if": {"quantity": "gain", "relation": "<", "value": 0.01, "trial": "t0"},
            }
        },
        "tokens": 70,
    },
]


def test_a_scripted_panel_is_heard_checked_and_billed(tmp_path: Path, brief: str, settings: Settings) -> None:
    script = tmp_path / "panel.jsonl"
    script.write_text("".join(json.dumps(one) + "\n" for one in SCRIPT))
    llms = {str(one["role"]): f"scripted:{script}" for one in SCRIPT}
    summary = tw.run(brief.replace("3 trials", "7 trials"), options=replayed(llms=llms), settings=settings)
    told, _ = events(settings.studies / summary.study)
    study = tw.load(summary.study, settings=settings)
    explained = next(one for one in told if isinstance(one, Explained))
    assert [one.says for one in explained.sentences] == ["The gain is the verdict's own."]
    assert any("987" in warning for warning in study.warnings), "a number that no fact has is dropped with a word"
    met = [one for one in told if isinstance(one, Reflected) and one.asked]
    experiment = next(one.experiment for one in met if one.experiment is not None)
    assert experiment.hypothesis is not None and experiment.hypothesis.claim == "a smaller rate holds"
    assert experiment.recipe.stages[0].optimisation.lr == 0.0003
    assert summary.spent.llm_tokens == 200


def test_a_sister_study_begins_with_what_the_first_has_learned(
    brief: str, settings: Settings, tmp_path: Path, migrated: Path
) -> None:
    # A store of its own: a search that begins from the studies of other tests may have nothing to learn.
    shutil.copy(migrated, tmp_path / "mlflow.db")
    settings = settings.model_copy(update={"tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}"})
    first = tw.run(brief.replace("3 trials", "7 trials"), options=replayed(), settings=settings)
    learned = tw.load(first.study, settings=settings).lessons
    kept = app.lessons(first.study, settings=settings)
    assert [one.remembered.id for one in kept] == [lesson.id for lesson in learned]
    second = tw.load(tw.run(brief, options=replayed(), settings=settings).study, settings=settings)
    recalled = [second.insights.memory[id] for id in second.insights.recalled or ()]
    assert {one.id for one in recalled} <= {lesson.id for lesson in learned}
    assert recalled and second.plan is not None
    for one in recalled:
        assert any(note.startswith(f"after {one.id} of {first.study} ") for note in second.plan.notes)
    (settings.home / "lessons.jsonl").unlink()
    app.lessons(rebuild=True, settings=settings)
    assert {one.remembered.id for one in app.lessons(settings=settings)} >= {lesson.id for lesson in learned}
