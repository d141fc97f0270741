"""Questions about a brief in a whole study: recorded, replayed offline, and no budget spent while people think."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.app.conftest import replayed

import tunewright as tw
from tunewright.domain.study import Study
from tunewright.settings import Settings


def test_a_study_that_was_answered_replays_with_the_same_words(rows: Path, settings: Settings, tmp_path: Path) -> None:
    brief = f"Teach tiny to sort {rows}. At most 10 minutes and 3 trials."
    reading = {"model": "tiny", "files": [str(rows)], "format": "label", "input_field": "text", "target_field": "label"}
    question = {"text": "Do rare labels matter?", "about": "metric", "assumption": "accuracy"}
    answers = [reading | {"questions": [question]}, reading | {"metric": "macro_f1"}]
    script = tmp_path / "script.jsonl"
    script.write_text(
        "".join(json.dumps({"role": "planner", "answer": one, "tokens": 40}) + "\n" for one in answers)
        + json.dumps({"role": "planner", "answer": "no plan of mine"})
    )
    at_work = list[bool]()

    def person(study: Study, targets: Sequence[str]) -> list[tw.Answer] | None:
        at_work.append(study.at_work)
        if targets == ("plan",):
            return None
        return [tw.Answer(target="q1", action="answer", text="yes: macro F1")]

    options = replayed(review="batch", cold=True, llm=f"scripted:{script}")
    summary = tw.run(brief, study="a", options=options, settings=settings, reviewer=person)
    assert summary.waiting_for == ("plan",) and tw.resume("a", settings=settings, reviewer=person).state == "waiting"
    assert at_work == [False, False, False], "nobody's time is counted while a person thinks, nor in a later session"
    first = tw.load("a", settings=settings)
    assert first.task is not None and first.task.metric.name == "macro_f1"

    options = options.model_copy(update={"llm": "replay:a"})
    tw.run(brief, study="b", options=options, settings=settings, reviewer=person)
    again = tw.load("b", settings=settings)
    assert [one.by for one in again.doubts.settled] == ["recording"] and again.task == first.task
    assert len(at_work) == 4, "the plan alone was asked about"
