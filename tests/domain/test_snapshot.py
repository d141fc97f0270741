"""A study as it stood: what is folded later shows in no copy, and a copy is what its events come to."""

from __future__ import annotations

from tests.stories import Story, planned, space, task

from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.snapshot import snapshot
from tunewright.domain.study import Study


def test_a_snapshot_is_the_study_of_its_events_whatever_comes_later() -> None:
    story = Story(space=space(), task=task())
    for score in (0.4, 0.5, 0.6):
        (trial,) = story.propose([planned(story)])
        story.launch(trial)
        story.measure(trial, 25, score - 0.1)
        story.complete(trial, score)
        story.judge(trial, trial)
        story.tell(ev.Reflected(trials=(trial,)))
        story.tell(ev.ModelAsking(call=trial, role="r", model="m", reserved=Cost(llm_tokens=5)))
    live, copies = Study(), list[tuple[int, Study]]()
    for at, one in enumerate(story.events):
        if "t0" in live.proposals:
            live.settings_of("t0")
        copies.append((at, snapshot(live)))
        live.fold(one)
    for at, copy in copies:
        assert told(copy) == told(Study(story.events[:at]))


def told(study: Study) -> object:
    """All that a study holds, down to values."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items() if name != "_settings"}
        if isinstance(value, list):
            return [plain(one) for one in value]
        keeps = type(value).__module__.startswith("tunewright.domain") and not hasattr(value, "model_dump")
        return plain(vars(value)) if keeps else value

    return plain(vars(study))
