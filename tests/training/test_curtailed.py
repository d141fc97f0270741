"""A real training whose end is not scored on all rows: what its job says of each row, and how it ends when asked to."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stories import Story, planned, space, task
from tests.training.conftest import JobFolder, stage

from tunewright.agents.yardstick import Scoring, Yardstick
from tunewright.domain.outcome import EXIT_CODES, Item
from tunewright.domain.trial_event import Scored
from tunewright.search.curtailment import Curtailing
from tunewright.tools.contract import Output
from tunewright.tools.training.__main__ import main

Make = Callable[..., JobFolder]
ROWS = 200
PAUSED = next(code for code, word in EXIT_CODES.items() if word == "paused")


def test_a_trial_that_learned_nothing_is_stopped_while_its_end_is_scored(
    make_job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what a host does with each event: the rows that were scored are the first, and score as they do in the end."""
    good = make_job("trials/t0", stage({"kind": "full"}, lr=3e-3, steps=60), val=ROWS)
    assert main(good.argv) == 0
    items = [Item.model_validate_json(line) for line in (good.out / "items.jsonl").read_text().splitlines()]
    told = good.events("scored")
    assert [one.first for one in told] == [0, 60] and all(one.of == ROWS and one.step == 60 for one in told)
    assert [score for one in told for score in one.scores] == [item.score for item in items[:120]]
    value = good.result().measurement.value  # type: ignore[union-attr]  # it is done
    assert value > 0.8

    story, yardstick, scoring, stopped = Story(space=space(), task=task()), Yardstick(tmp_path), Scoring(), []
    for job in ("t0", "t1"):
        story.propose([planned(story)])
        story.launch(job)
        if job == "t0":
            story.complete(job, value, rows=ROWS)
    write = Output.event

    def event(self: Output, one: object) -> None:
        write(self, one)  # type: ignore[arg-type]  # it is handed on
        if isinstance(one, Scored):
            paired = yardstick.pair(story.study, "t1", scoring.take(one), one.of)
            assert paired is not None
            if Curtailing().compare(story.study, "t1", paired).action == "stop":
                stopped.append(yardstick.partial(story.study, paired, step=one.step, seconds=one.seconds))
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Output, "event", event)
    bad = make_job("trials/t1", stage(lr=1e-6, steps=3), val=ROWS)
    assert main(bad.argv) == PAUSED
    result = bad.result()
    assert len(stopped) == 1 and stopped[0].measurement.rows == 60 and stopped[0].measurement.step == 3
    assert sum(len(one.scores) for one in bad.events("scored")) == 60, "nothing was scored after it was stopped"
    assert result.status == "paused" and result.measurement is None and result.steps == result.total_steps == 3
    assert result.adapter_bytes > 0 and result.eval_s > 0 and not bad.events("measured")
    monkeypatch.undo()
    assert main(bad.argv) == 0, "taken up again, its end is scored from the first row on"
    assert [one.first for one in bad.events("scored")] == [0, 0, 60]
    measured = bad.result().measurement
    assert measured is not None and measured.rows == ROWS
    assert stopped[0].estimate == pytest.approx(measured.value, abs=0.15)
