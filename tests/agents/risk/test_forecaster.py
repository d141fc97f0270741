"""Every proposal is forecast, every forecast is kept and graded, and the one with the better record counts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.stories import Story, planned, play, space, task

from tunewright.agents.notebook import Notebook
from tunewright.agents.risk.desk import RiskDesk
from tunewright.agents.risk.forecaster import BASE_RATE, Forecaster, base_rate, calibrations, counts
from tunewright.agents.risk.told import calibration_table
from tunewright.domain import event as ev
from tunewright.domain.budget import Budget
from tunewright.domain.proposal import Hope, Idea
from tunewright.domain.study import Study
from tunewright.search.expecting import SURROGATE
from tunewright.search.random import RandomStrategy


def begun(trials: int = 0) -> Story:
    """A base model of 0.2 and so many random trials of a smooth surface, the best of them the incumbent."""
    story = Story(space=space(), task=task(), budget=Budget(wall_s=9000, trials=40))
    story.launch("base", role="base")
    story.complete("base", 0.2)
    for _ in range(trials):
        play(story, RandomStrategy(seed=3).ask, trials=1)
        story.judge(story.study.trials[-1].id, story.study.incumbent or "base")
    return story


def forecast(story: Story, idea: Idea, **more: Any) -> ev.Forecasted:
    (job,) = story.propose([idea])
    (told,) = Forecaster()(story.study, [story.study.proposals[job]], **more)
    story.tell(told)
    return told


def test_before_the_surrogate_knows_anything_it_is_how_often_trials_gained() -> None:
    story = begun()
    told = forecast(story, planned(story))
    assert [one.by for one in told.hopes] == [BASE_RATE] == [told.counted] and told.against == "base"
    assert told.hopes[0].chance == 0.5
    story = begun(2)
    gained = sum((job.score or 0) > 0.2 for job in story.study.trials[:1])
    assert base_rate(story.study).chance >= (gained + 1) / 4


def test_then_it_is_the_surrogates_over_the_incumbent_and_a_planners_own_is_kept_beside_it() -> None:
    story = begun(8)
    own = Hope(gain=0.2, chance=0.9, by="a model")
    instead = planned(story, origin="sampler")
    told = forecast(story, planned(story).model_copy(update={"hope": own}), instead=instead)
    assert [one.by for one in told.hopes] == [SURROGATE, "a model"] and told.counted == SURROGATE
    assert told.against == story.study.incumbent and told.instead == instead
    assert told.instead_hope is not None and told.instead_hope.by == SURROGATE
    assert story.study.forecasts[told.trial] == told


def test_nothing_is_forecast_before_the_base_model_has_a_score() -> None:
    story = Story(space=space(), task=task())
    (job,) = story.propose([planned(story)])
    assert Forecaster()(story.study, [story.study.proposals[job]]) == []


def record(story: Story, scores: list[float], *hopes: Hope) -> None:
    for score in scores:
        (job,) = story.propose([planned(story)])
        told = ev.Forecasted(at=story.tick(), trial=job, against="base", hopes=hopes, counted=hopes[0].by)
        story.tell(told)
        story.run(job, score)
        story.judge(job, story.study.incumbent or "base", half=0.5)


def test_a_forecaster_is_graded_by_brier_score_hits_and_weighted_hits() -> None:
    story = begun()
    right, wrong = Hope(gain=0.1, chance=0.9, by="right"), Hope(gain=-0.1, chance=0.2, by="wrong")
    record(story, [0.6, 0.5, 0.4, 0.1], right, wrong)
    good, bad = (next(one for one in calibrations(story.study) if one.by == by) for by in ("right", "wrong"))
    assert (good.graded, good.counted, bad.counted) == (4, 4, 0)
    assert good.brier == pytest.approx((3 * 0.01 + 0.81) / 4) and bad.brier == pytest.approx((3 * 0.64 + 0.04) / 4)
    assert (good.hit_rate, bad.hit_rate) == (0.75, 0.25)
    assert good.weighted_hit is not None and bad.weighted_hit is not None and good.weighted_hit > 0 > bad.weighted_hit
    table = calibration_table(story.study)
    assert len(table.rows) == 2 and len(table.rows[0]) == len(table.head)


def test_the_better_record_counts_once_both_can_be_looked_at() -> None:
    story = begun()
    poor, good = Hope(gain=0.3, chance=0.95, by=SURROGATE), Hope(gain=-0.1, chance=0.1, by="a model")
    record(story, [0.1] * 4, poor, good)
    assert counts((poor, good), calibrations(story.study)) == SURROGATE
    record(story, [0.1], poor, good)
    assert counts((poor, good), calibrations(story.study)) == "a model"
    assert counts((good,), calibrations(story.study)) == "a model"


def test_an_ended_trial_of_its_own_fault_did_not_gain() -> None:
    story = begun()
    sure = Hope(gain=0.1, chance=1.0, by="sure")
    (job,) = story.propose([planned(story)])
    story.tell(ev.Forecasted(at=story.tick(), trial=job, against="base", hopes=(sure,), counted="sure"))
    story.launch(job)
    story.fail(job, "config", "loss is NaN")
    (found,) = calibrations(story.study)
    assert (found.brier, found.hit_rate, found.weighted_hit) == (1.0, 0.0, -1.0)


class Told:
    def __init__(self, story: Story) -> None:
        self.story = story

    @property
    def study(self) -> Study:
        return self.story.study

    def append(self, event: ev.Event) -> None:
        self.story.tell(event.model_copy(update={"at": self.story.tick()}))


def test_the_desk_asks_the_sampler_what_it_would_have_proposed_only_beside_a_planners_idea() -> None:
    story, asked = begun(5), []

    class Sampler:
        def ask(self, study: Study, count: int) -> list[Idea]:
            asked.append(count)
            return RandomStrategy(seed=1).ask(study, count)

    desk = RiskDesk(Notebook(Told(story), lambda _: None), lambda _: Sampler())
    own = planned(story, origin="sampler")
    assert desk.instead([own]) is None and desk.instead([own, planned(story)]) == own and asked == []
    found = desk.instead([planned(story)])
    assert found is not None and found.origin == "sampler" and asked == [1]
    desk.open()
    assert story.study.style == "explore" and story.events[-1].kind == "style-changed"
