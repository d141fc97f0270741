"""Whatever happens to trials side by side: no cap is passed, the finish's part is left, nothing is launched twice."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.agents.stage import LAG_S, RUNGS, Fault, Role, Stage, virtual_clock
from tests.agents.team import ROUND_S, Killed, Team
from tests.agents.test_flow import Scripted, begun

from tunewright.domain import event as ev
from tunewright.domain.frozen import content_hash
from tunewright.domain.outcome import Completed, Measurement
from tunewright.domain.study import Study
from tunewright.search.curtailment import Curtailing

FAULTS: tuple[Fault, ...] = ("", "", "", "infra", "config", "sandbox")
ROWS = 130
"""That an end is scored on, in one study of four."""
LATE_S = 2 * 0.5 + LAG_S + ROUND_S
"""Without a timer a job is told that its time is up in its turn, and its end is seen in the next."""


def drawn(seed: int, *what: object) -> float:
    """A number in [0, 1) of its own for everything that may happen."""
    return int(content_hash([seed, *(str(one) for one in what)])[:8], 16) / 16**8


class Both(Curtailing, Scripted):
    """Rungs by chance, and the end by its items."""


def role(seed: int, job: str) -> Role:
    fault = FAULTS[int(drawn(seed, job, "fault") * len(FAULTS))]
    score, rng = drawn(seed, job, "score"), random.Random(f"{seed} {job}")
    return Role(
        fault=fault,
        at_step=1 + int(drawn(seed, job, "step") * 9),
        slowness=0.3 + 2.5 * drawn(seed, job, "slow") ** 2,
        score=score,
        items=tuple(float(rng.random() < score) for _ in range(ROWS if seed % 4 == 1 else 0)),
    )


def scheduler(seed: int) -> Scripted:
    def decide(job: str, measurement: Measurement) -> str:
        luck = drawn(seed, job, measurement.step)
        return "pause" if luck < 0.45 else "stop" if luck < 0.55 else "continue"

    def promote(study: Study, closing: bool) -> str | None:
        waiting = study.waiting
        if not waiting or (not closing and drawn(seed, len(study.trials), len(waiting)) < 0.6):
            return None
        return waiting[int(drawn(seed, len(waiting)) * len(waiting))].id

    return Both(decide, promote)


class Watcher:
    """Looks at the study at every event."""

    def __init__(self, slots: int) -> None:
        self._slack_s = slots * LATE_S
        self.open: set[str] = set()

    def __call__(self, study: Study, event: ev.Event) -> None:
        assert study.budget is not None and study.plan is not None
        spent, keep = study.spent(), study.plan.keep
        assert study.budget.shortfalls(spent, keep.scaled(0.0)) == [], "a cap is passed"
        slack = {"wall_s": keep.wall_s - LATE_S - 10 * ROUND_S, "device_s": keep.device_s - self._slack_s}
        assert study.budget.shortfalls(spent, keep.model_copy(update=slack)) == [], "the finish's part is touched"
        assert study.budget.trials is None or len(study.trials) <= study.budget.trials
        match event:
            case ev.JobLaunched(job=job):
                assert job not in self.open, "launched twice without an end between"
                self.open.add(job)
                assert len(self.open) <= study.options.slots
            case ev.JobEnded(job=job):
                assert event.outcome.cost.wall_s == 0 or job in self.open, "charged twice"
                self.open.discard(job)
            case ev.JobPromoted(job=job):
                assert job not in self.open
            case _:
                pass


@settings(max_examples=60, deadline=None)
@example(seed=233, slots=4, trials=None, seconds=18.0, devices=1.0, upsets=[], review="batch")  # dies when time is up
@given(
    seed=st.integers(0, 10**6),
    slots=st.integers(1, 4),
    trials=st.none() | st.integers(1, 12),
    seconds=st.floats(15, 120),
    devices=st.floats(0.3, 2.0),
    upsets=st.lists(st.tuples(st.sampled_from(["stop", "kill"]), st.integers(1, 60)), max_size=4),
    review=st.sampled_from(["never", "batch"]),
)
def test_caps_hold_and_nothing_is_lost(
    seed: int,
    slots: int,
    trials: int | None,
    seconds: float,
    devices: float,
    upsets: list[tuple[str, int]],
    review: str,
) -> None:
    """Random faults, lengths, pauses, promotions, stops, kills and budgets."""
    with virtual_clock() as clock, tempfile.TemporaryDirectory() as folder:
        watcher = Watcher(slots)
        story = begun(clock, slots=slots, trials=trials, wall_s=250 + seconds, review=review, devices=devices)
        stage = Stage(clock, lambda job: role(seed, job))
        crew = Team(story, clock, stage, Path(folder), scheduler(seed), check=watcher)
        for what, events in upsets:
            limit = len(story.events) + events
            try:
                if what == "kill":
                    crew.journal.dies_at = limit
                    crew.run()
                else:
                    crew.run(until=lambda study, limit=limit: len(story.events) >= limit)  # type: ignore[misc]  # limit is bound by a default
                    crew.stop.request("Ctrl-C")
                    crew.run()
                    assert crew.study.running == []
                    crew.notebook.record(ev.SessionClosed(reason="Ctrl-C"))
            except Killed:
                clock.advance(1.0)
            crew.open()
            assert crew.study.running == []
        assert crew.run() == "finisher"
        study = crew.study
        assert study.search_ended is not None
        assert study.running == study.waiting == study.unfinished == []
        assert all(job.ended and job.id in study.reflected for job in study.trials)
        assert Study(story.events).spent(clock.now) == study.spent(clock.now)
        for job in study.trials:
            assert [m.step for m in job.measurements] == sorted(m.step for m in job.measurements)
            assert {m.step for m in job.measurements} <= set(RUNGS)
            if job.partial is not None:
                best = study.jobs[job.partial.against]
                assert isinstance(best.outcome, Completed) and best.score is not None, "compared with a whole one"
                assert job.score is None and job.estimate is not None and job.estimate <= best.score
                assert job.partial.measurement.rows < job.partial.of == ROWS
