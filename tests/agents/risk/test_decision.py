"""Decision records are derived from the journal: what was promised, what came of it, what else there was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.stories import Story, planned, space, task
from tests.studies import told, write_files

from tunewright.agents.brains.recording import Call, Recording
from tunewright.agents.reading import read
from tunewright.agents.reflection.grade import grade
from tunewright.agents.risk.decision import BETA, GAMMA, DecisionRecord, decisions
from tunewright.agents.risk.examples import dpo_rows, sft_rows, write
from tunewright.agents.risk.forecaster import Forecaster
from tunewright.domain import event as ev
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.errors import UsageError
from tunewright.domain.proposal import Hope, Idea
from tunewright.domain.task import Brief, TaskSpec
from tunewright.search.random import RandomStrategy


def begun() -> Story:
    story = Story(space=space(), task=task(), budget=Budget(wall_s=3000, trials=40))
    story.launch("base", role="base")
    story.complete("base", 0.2, seconds=10.0)
    return story


def step(story: Story, ideas: list[Idea], scores: list[float], *, instead: Idea | None = None) -> None:
    """One batch: proposed, forecast, run, judged."""
    jobs = story.propose(ideas)
    for one in Forecaster()(story.study, [story.study.proposals[job] for job in jobs], instead):
        story.tell(one.model_copy(update={"at": story.tick()}))
    for job, score in zip(jobs, scores, strict=True):
        story.run(job, score)
        story.judge(job, story.study.incumbent or "base")


def by_trial(story: Story) -> dict[str, DecisionRecord]:
    return {one.trial: one for one in decisions(story.events) if one.kind == "propose"}


def played() -> Story:
    """The default, a sampler's that gains, a planner's that loses in the place of one that is trained next."""
    story = begun()
    step(story, [planned(story, origin="default")], [0.5])
    step(story, [planned(story, origin="sampler")], [0.7])
    own = planned(story).model_copy(update={"hope": Hope(gain=0.1, chance=0.8, by="m"), "reason": "I feel it"})
    (instead,) = RandomStrategy(seed=4).ask(story.study, 1)
    step(story, [own], [0.6], instead=instead)
    step(story, [instead], [0.75])
    return story


def test_one_record_a_proposal_with_promise_outcome_and_reward() -> None:
    story = played()
    found = by_trial(story)
    assert list(found) == ["t0", "t1", "t2", "t3"]
    good, bad = found["t1"], found["t2"]
    assert (good.agent, good.incumbent, good.label, good.realised_gain) == ("sampler", "t0", "good", pytest.approx(0.2))
    assert good.reward == pytest.approx(0.2 - BETA * 0.2 - GAMMA * good.cost_share), "its own proposal is the benchmark"
    assert (bad.agent, bad.incumbent, bad.label, bad.realised_gain) == ("planner", "t1", "bad", pytest.approx(-0.1))
    assert bad.predicted_gain is not None and bad.chance is not None and bad.forecaster
    told = story.study.forecasts["t2"].instead_hope
    assert told is not None and bad.reward == pytest.approx(-0.1 - BETA * told.gain - GAMMA * bad.cost_share)
    assert bad.hit_weight is not None and 0 < bad.budget_left < good.budget_left <= 1
    assert bad.recipe == story.study.proposals["t2"].recipe.model_dump(mode="json")


def test_what_was_not_done_is_measured_where_it_was_trained_and_else_modelled() -> None:
    story = played()
    beside, instead = by_trial(story)["t2"].alternatives
    assert not beside.modelled and beside.gain == pytest.approx(0.05), "the next one, over the same incumbent"
    assert not instead.modelled and instead.gain == pytest.approx(0.05) and instead.by == "sampler"
    story = begun()
    step(story, [planned(story, origin="default")], [0.5])
    (idea,) = RandomStrategy(seed=4).ask(story.study, 1)
    step(story, [planned(story)], [0.4], instead=idea)
    (only,) = by_trial(story)["t1"].alternatives
    hope = story.study.forecasts["t1"].instead_hope
    assert only.modelled and hope is not None and only.gain == hope.gain


def test_a_context_holds_nothing_of_what_came_later() -> None:
    story = played()
    for record in decisions(story.events):
        cut = decisions(story.events[: record.step + 1])
        assert next(one for one in cut if one.step == record.step).context == record.context
        assert f"{record.trial}:" not in record.context


def test_what_failed_is_worth_the_untouched_model_and_what_was_edited_is_not_its_proposers() -> None:
    story = begun()
    step(story, [planned(story, origin="default")], [0.5])
    (job,) = story.propose([planned(story)])
    story.launch(job)
    story.fail(job, "config", "loss is NaN")
    (edited,) = story.propose([planned(story)], approve=False)
    story.decide(edited, action="edit", recipe=planned(story).recipe, reason="better so")
    story.run(edited, 0.9)
    found = by_trial(story)
    assert found[job].label == "bad" and found[job].realised_gain == pytest.approx(-0.3)
    assert found[edited].label == "unknown" and found[edited].realised_gain is None
    (by_reviewer,) = found[edited].alternatives
    assert by_reviewer.by == "reviewer" and by_reviewer.gain == pytest.approx(0.4)


def test_a_steering_has_its_curve_and_what_going_on_was_worth() -> None:
    story = begun()
    for number in range(5):
        step(story, RandomStrategy(seed=number).ask(story.study, 1), [0.4 + 0.05 * number])
    (job,) = story.propose(RandomStrategy(seed=77).ask(story.study, 1))
    story.launch(job)
    story.measure(job, 25, 0.05)
    story.steer(job, "stop", "0.05 at step 25 is below the stop-loss 0.2")
    story.prune(job)
    (found,) = [one for one in decisions(story.events) if one.kind == "steer"]
    assert found.agent == "risk manager" and found.action == {"action": "stop"} and found.curve == ((25, 0.05),)
    (go_on,) = found.alternatives
    assert go_on.action == {"action": "continue"} and go_on.modelled and found.label in ("good", "bad")


def test_good_ones_become_rows_and_pairs_are_beyond_noise_and_there_once() -> None:
    records = decisions(played().events)
    rows = sft_rows(records)
    assert {row["trial"] for row in rows} == {one.trial for one in records if one.label == "good"}
    said = json.loads(rows[0]["completion"])
    assert said["because"] and set(said["settings"]) >= {"adapter.kind", "optimisation.lr"}
    pairs = dpo_rows(records)
    assert pairs and all(pair["chosen"] != pair["rejected"] for pair in pairs)
    keys = [(pair["prompt"], *sorted((pair["chosen"], pair["rejected"]))) for pair in pairs]
    assert len(keys) == len(set(keys))
    worse = [pair for pair in pairs if pair["trial"] == "t2"]
    assert worse and all("I feel it" in pair["rejected"] for pair in worse)


def test_an_export_has_prompts_and_answers_by_reference_no_secret_and_no_sealed_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "hush-hush-42")
    story, folder = told(), tmp_path / "study"
    story_calls = Recording(folder) if folder.mkdir() is None else None
    assert story_calls is not None
    digest = story_calls.keep(Call(question="q", role="proposer", model="m", prompt="what next?", text='{"lr": 1}'))
    at = next(n for n, one in enumerate(story.events) if isinstance(one, ev.Proposed) and one.proposals[0].id == "t6")
    asked = ev.ModelAsked(role="proposer", model="m", cost=Cost(), valid=True, record=digest, at=story.events[at].at)
    said = story.events[at].model_dump(mode="json")
    said["proposals"][0]["idea"]["reason"] = "as hush-hush-42 says"
    events = [*story.events[:at], asked, ev.Proposed.model_validate(said), *story.events[at + 1 :]]
    import random

    write_files(story.study, folder, random.Random(0))
    (folder / "sealed").mkdir()
    (folder / "sealed" / "test.jsonl").write_text('{"id": "1", "input": "CANARY-OF-THE-TEST"}\n')
    counts = write({"route-01": (folder, decisions(events))}, tmp_path / "out")
    lines = {name: (tmp_path / "out" / name).read_text() for name in counts}
    assert (
        counts["sft.jsonl"] > 0 and counts["dpo.jsonl"] > 0 and counts["decisions.jsonl"] >= len(story.study.proposals)
    )
    whole = "".join(lines.values())
    assert "hush-hush" not in whole and "CANARY" not in whole and "where is my" not in whole
    record: Any = next(one for one in map(json.loads, lines["decisions.jsonl"].splitlines()) if one["trial"] == "t6")
    assert (record["prompt"], record["raw_answer"], record["call"]) == ("what next?", '{"lr": 1}', digest)
    assert grade(story.study, "t6").gain is not None
    with pytest.raises(UsageError, match="is there already"):
        write({"route-01": (folder, decisions(events))}, tmp_path / "out")
    assert set(write({"route-01": (folder, decisions(events))}, tmp_path / "other", form="sft")) == {
        "decisions.jsonl", "sft.jsonl",
    }  # fmt: skip


def understood(brief: str) -> TaskSpec:
    return read(Brief(text=brief), None, warn=lambda message: None).task


def test_an_export_is_read_as_data_to_train_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the words that a user would say; that a model trains on it was tried by hand."""
    studies = {f"s{seed}": (tmp_path, decisions(told(trials=14, seed=seed).events)) for seed in range(12)}
    counts = write(studies, tmp_path)
    assert counts["sft.jsonl"] > 12 and counts["dpo.jsonl"] > 12
    monkeypatch.chdir(tmp_path)
    good = understood("Teach tiny to answer sft.jsonl. At most 3 trials.")
    assert (good.format, good.input_field, good.target_field) == ("completion", "prompt", "completion")
    pairs = understood("Teach tiny to prefer the better answers of dpo.jsonl by dpo. At most 3 trials.")
    assert (pairs.format, pairs.target_field, pairs.contrast_field) == ("preference", "chosen", "rejected")
