"""The planner's own ideas: bounded in number, inside the space, and put back into it where an edit switches it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.stories import Story, play, space, task

from tunewright.agents import toolbox
from tunewright.agents.advice.asking import advise, ideas_prompt
from tunewright.agents.advice.told import ideas_table
from tunewright.agents.advice.turns import STALE, fresh, ideas_due, planner_ideas
from tunewright.agents.brains.dialogue import Heard, Question
from tunewright.agents.brains.scripted import ScriptedBrain
from tunewright.agents.proposing import changed_trial, project
from tunewright.agents.reflection.grade import grade
from tunewright.agents.risk.share import MOST
from tunewright.cli.advice import advice_lines
from tunewright.domain import event as ev
from tunewright.domain.budget import Budget
from tunewright.domain.frozen import flatten
from tunewright.domain.proposal import Hypothesis, Idea
from tunewright.domain.study import Study

LR = "stages.0.optimisation.lr"
KIND = "stages.0.adapter.kind"
RANK = "stages.0.adapter.r"


def told(trials: int) -> Story:
    """A study in which the sampler has run so many trials of rising rank."""
    story = Story(space=space(), task=task(), budget=Budget(wall_s=2400, trials=19))
    plan = story.study.plan
    assert plan is not None
    recipes = [plan.space.build({**plan.space.default(), "rank": 2 + i}) for i in range(trials)]
    ideas = [Idea.model_validate({"recipe": recipe, "origin": "sampler", "reason": "r"}) for recipe in recipes]
    play(story, lambda study, count: ideas[len(study.proposals) : len(study.proposals) + 1], trials=trials)
    return story


def idea(**edits: Any) -> dict[str, Any]:
    names = {"lr": LR, "kind": KIND, "rank": RANK}
    return {
        "hypothesis": "attention alone is enough.",
        "edits": [{"path": names.get(name, name), "value": value} for name, value in edits.items()],
        "refuted_if": "it scores below t0 by 0.02",
    }


def batch(*ideas: Any) -> dict[str, Any]:
    return {"ideas": list(ideas)}


def ask(study: Study, folder: Path, *answers: Any) -> tuple[ev.Advised, list[str]]:
    file = folder / "script.jsonl"
    file.write_text("".join(json.dumps({"role": "proposer", "answer": one}) + "\n" for one in answers))
    warnings: list[str] = []
    return advise(study, ScriptedBrain(file, record=lambda one: None), warn=warnings.append), warnings


def turn(story: Story) -> tuple[list[Idea], list[ev.AdviceDropped]]:
    """What the planner proposes now, and what it drops."""
    dropped: list[ev.AdviceDropped] = []

    def drop(one: ev.AdviceDropped) -> None:
        dropped.append(one)
        story.tell(one)

    return planner_ideas(story.study, drop=drop), dropped


def test_an_idea_is_the_incumbents_recipe_with_its_edits(tmp_path: Path) -> None:
    story = told(4)
    advised, warnings = ask(story.study, tmp_path, batch(idea(lr=1e-3)))
    (found,), parent = advised.ideas, story.study.best()
    assert parent is not None and found.parent == parent.id and found.origin == "planner" and warnings == []
    assert found.recipe.differences(story.study.recipe_of(parent.id).recipe).keys() == {LR}
    assert found.reason == "attention alone is enough; refuted if it scores below t0 by 0.02"
    assert advised.asked_after == 4 and advised.ended == 4 and advised.by == "scripted:script.jsonl"


def test_one_idea_by_itself_is_a_list_of_one(tmp_path: Path) -> None:
    assert len(ask(told(4).study, tmp_path, idea(lr=1e-3))[0].ideas) == 1


def test_switching_the_adapter_takes_its_own_defaults(tmp_path: Path) -> None:
    story = told(4)
    (found,) = ask(story.study, tmp_path, idea(kind="full"))[0].ideas
    plan = story.study.plan
    assert plan is not None and plan.space.contains(found.recipe)
    stage = found.recipe.stages[0]
    assert stage.adapter.kind == "full" and stage.optimisation.lr == 2e-5 and "r" not in stage.adapter.settings


def test_what_stays_valid_is_kept_over_a_switch() -> None:
    plan = told(1).study.plan
    assert plan is not None
    recipe = plan.space.build({**plan.space.default(), "rank": 32, "batch": 8})
    dora = project(plan.space, recipe, {KIND: "dora"}).stages[0]
    assert dora.adapter.settings["r"] == 32 and dora.optimisation.batch_size == 8


WRONG = [
    (idea(lr=5.0), "outside"),
    (idea(kind="gpart"), "outside"),
    (idea(rank=3.5), "outside"),
    (idea(**{"stages.0.objective.kind": "dpo"}), "not searched"),
    (idea(seed=3), "not searched"),
    (idea(rank=2), "proposed before"),
    (idea(), "edits"),
    ({"hypothesis": 7}, "hypothesis"),
    ("none", "should be a valid dictionary"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG)
def test_one_that_does_not_fit_is_dropped_with_a_note_and_the_rest_is_used(
    tmp_path: Path, wrong: Any, says: str
) -> None:
    advised, warnings = ask(told(4).study, tmp_path, batch(wrong, idea(lr=1e-3), idea(lr=1e-3)))
    (_,), (note, same) = advised.ideas, advised.dropped
    assert says in note and "proposed before" in same and warnings == []


def test_a_model_is_asked_again_only_where_none_is_of_use(tmp_path: Path) -> None:
    bad = batch(idea(lr=5.0), idea(seed=3))
    advised, warnings = ask(told(4).study, tmp_path, bad, batch(idea(lr=1e-3)))
    assert len(advised.ideas) == 1 and advised.dropped == () and warnings == []
    advised, (warned,) = ask(told(4).study, tmp_path, bad, bad, {"ideas": []}, batch(idea(lr=1e-3)))
    assert advised.ideas == () and advised.why in warned and "no idea" in warned


@pytest.mark.parametrize(
    ("missed", "path", "value", "says"),
    [
        (idea(lr=4e-3), LR, 2e-3, "the end of"),
        (idea(lr="3e-4"), LR, 3e-4, ""),
        (idea(rank="4", lr=1e-3), RANK, 4, ""),
        (idea(kind="full", rank=4), KIND, "full", "no effect"),
    ],
)
def test_what_misses_by_little_is_mended(tmp_path: Path, missed: Any, path: str, value: Any, says: str) -> None:
    advised, _ = ask(told(4).study, tmp_path, batch(missed))
    (found,) = advised.ideas
    assert flatten(found.recipe.model_dump(mode="json"))[path] == value
    assert [says in note for note in advised.dropped] == ([True] if says else [])


def test_what_a_model_writes_is_one_line_that_moves_no_cursor(tmp_path: Path) -> None:
    rude = {**idea(lr=1e-3), "hypothesis": "all is\nwell\x1b[2J\x07", "refuted_if": "\x1b]0;x\x07it\tis not"}
    odd = idea(**{"stages\x1b[31m": 1})
    advised, _ = ask(told(4).study, tmp_path, batch(rude, odd))
    assert advised.ideas[0].reason == "all is well; refuted if it is not"
    assert "\x1b" not in advised.dropped[0] and "is not searched" in advised.dropped[0]


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    advised, _ = ask(told(4).study, tmp_path, batch(*(idea(lr=1e-4 * (1.5 + one)) for one in range(7))))
    assert len(advised.ideas) == 5 and len(advised.dropped) == 2 and "the first are kept" in advised.dropped[0]


def test_a_hypothesis_is_kept_and_graded_and_told_to_the_next_question(tmp_path: Path) -> None:
    story = told(4)
    best = story.study.best()
    assert best is not None
    test = {"quantity": "gain", "relation": "<", "value": 0.5, "trial": best.id}
    ideas = batch({**idea(lr=1e-3), "test": test}, {**idea(lr=2e-3), "test": {**test, "trial": "t99"}})
    advised, _ = ask(story.study, tmp_path, ideas)
    story.tell(advised)
    ((first,), _) = turn(story)
    assert isinstance(first.hypothesis, Hypothesis) and first.hypothesis.refuted_if.value == 0.5
    second = story.study.stock.waiting[1].hypothesis
    assert second is not None and second.refuted_if.says() == f"gain over {best.id} <= 0", "code has to be able to tell"
    (trial,) = story.propose([first])
    story.launch(trial)
    story.complete(trial, (best.score or 0) + 0.1)
    story.judge(trial, trial)
    assert grade(story.study, trial).refuted is True
    prompt = ideas_prompt(story.study)
    assert f'{trial}: "attention alone is enough.", refuted if gain over {best.id} < 0.5' in prompt
    assert "hypothesis refuted" in prompt and "Your earlier ideas that were not run" in prompt
    ((claim, test_said, fate), waits) = ideas_table(story.study).rows
    assert (claim, test_said) == ("attention alone is enough.", f"gain over {best.id} < 0.5")
    assert fate == f"run as {trial}: refuted" and waits[-1] == "waits"
    assert [line.text for line in advice_lines(advised)] == [one.reason.replace("t0", "#0") for one in advised.ideas]


def test_a_stock_is_used_up_over_rounds_and_asked_for_when_it_is_empty_or_stale(tmp_path: Path) -> None:
    story = told(4)
    assert ideas_due(story.study)
    story.tell(ask(story.study, tmp_path, batch(idea(lr=1e-3), idea(lr=2e-3)))[0])
    asked, used = 1, list[float]()
    for number in range(16):
        assert not (ideas_due(story.study) and fresh(story.study))
        ideas, _ = turn(story)
        used += [one.recipe.stages[0].optimisation.lr for one in ideas]
        recipe = story.study.proposals["t0"].recipe.reseeded(number)
        (job,) = story.propose(ideas or [Idea(recipe=recipe, origin="sampler", reason="r")])
        assert not ideas_due(story.study), "not before it has begun"
        story.launch(job)
        if ideas_due(story.study):
            story.tell(ev.Advised(by="m", asked_after=len(story.study.proposals)))
            asked += 1
            assert not ideas_due(story.study), "once for each state of the proposals"
    assert used == [1e-3, 2e-3] and asked > 1
    stale = told(4)
    stale.tell(ask(stale.study, tmp_path, batch(idea(lr=1e-3)))[0])
    assert len(fresh(stale.study)) == 1
    last = stale.study.stock.last
    assert last is not None
    stale.tell(last.model_copy(update={"ended": 4 - STALE, "asked_after": 0}))
    assert fresh(stale.study) == [] and turn(stale) == ([], []) and ideas_due(stale.study)


def test_what_was_meant_for_a_trial_that_was_beaten_meanwhile_is_changed_in_the_new_best(tmp_path: Path) -> None:
    story = told(3)
    plan, old = story.study.plan, changed_trial(story.study)
    assert plan is not None and old is not None
    better = plan.space.build({**plan.space.default(), "batch": 32, "lr.lora": 4e-4})
    (best,) = story.propose([Idea(recipe=better, origin="sampler", reason="r")])
    story.launch(best)
    same = idea(**{"lr": 4e-4, "stages.0.optimisation.batch_size": 32})
    asked, _ = ask(story.study, tmp_path, batch(idea(lr=1e-3), same, idea(kind="ia3", lr=5e-3)))
    assert len(asked.ideas) == 3 and {one.parent for one in asked.ideas} == {old}
    story.tell(asked)
    story.complete(best, 0.95)
    assert story.judge(best, old) == best
    assert not ideas_due(story.study), "there is no time to ask before the next is proposed"
    first, other = fresh(story.study)
    assert first.recipe.stages[0].optimisation == better.stages[0].optimisation.model_copy(update={"lr": 1e-3})
    assert first.parent == best and first.reason.endswith(f"; meant for {old}, tried on {best}")
    assert first.hypothesis is not None and first.hypothesis.refuted_if.trial == best
    assert other.recipe.stages[0].adapter.kind == "ia3" and other.recipe.stages[0].optimisation.batch_size == 32
    (made,), dropped = turn(story)
    assert made == first and not dropped
    story.propose([made])
    assert len(story.study.stock.waiting) == 2 and fresh(story.study) == [], "they are asked for anew from here on"


def test_a_short_study_leaves_its_last_trial_to_the_model_and_asks_for_none_after_it() -> None:
    story = Story(space=space(), task=task(), budget=Budget(wall_s=6000, trials=4))
    plan = story.study.plan
    assert plan is not None and plan.trials[1] == 4
    recipes = [plan.space.build({**plan.space.default(), "rank": 2 + i}) for i in range(4)]
    jobs = story.propose([Idea(recipe=recipe, origin="sampler", reason="r") for recipe in recipes[:3]])
    due = []
    for job in jobs:
        due.append(ideas_due(story.study))
        story.run(job, 0.5)
    assert due == [False] * 3
    assert ideas_due(story.study), "all that were approved have begun"
    (last,) = story.propose([Idea(recipe=recipes[3], origin="sampler", reason="r")])
    story.launch(last)
    assert not ideas_due(story.study), "the budget has no trial for them"


def test_what_was_run_meanwhile_is_dropped_with_a_word(tmp_path: Path) -> None:
    story = told(4)
    story.tell(ask(story.study, tmp_path, batch(idea(lr=1e-3), idea(lr=2e-3)))[0])
    (same, other) = story.study.stock.waiting
    story.propose([same.model_copy(update={"origin": "sampler"})])
    ((found,), (dropped,)) = turn(story)
    assert found.recipe == other.recipe and dropped.why == "t4 has the same recipe"
    assert [one.recipe for one in story.study.stock.waiting] == [other.recipe]
    story.propose([found.model_copy(update={"reason": f"{found.reason}; 0.5 of its passes", "recipe": same.recipe})])
    assert story.study.stock.waiting == [], "also where it was made smaller"


def test_the_panel_and_the_model_take_turns(tmp_path: Path) -> None:
    story = told(4)
    (made,) = ask(story.study, tmp_path, batch(idea(lr=3e-3)))[0].ideas
    story.tell(ask(story.study, tmp_path, batch(idea(lr=1e-3)))[0])
    (first,) = planner_ideas(story.study, experiment=lambda study: made)
    assert first.recipe.stages[0].optimisation.lr == 1e-3
    assert planner_ideas(told(4).study, experiment=lambda study: made) == [made], "where the model has none"


def test_what_is_hopeless_is_dropped_with_the_reason_and_not_brought_up_again(tmp_path: Path) -> None:
    story = told(4)
    bad, good, poor, fair = ask(story.study, tmp_path, batch(*(idea(lr=at * 1e-3) for at in (1.0, 2.0, 1.5, 0.5))))[
        0
    ].ideas
    dropped: list[ev.AdviceDropped] = []

    def turn(*experiments: Idea) -> list[Idea]:
        def next_one(study: Study) -> Idea | None:
            return next((one for one in experiments if one.recipe.fingerprint not in study.stock.dropped), None)

        def drop(one: ev.AdviceDropped) -> None:
            dropped.append(one)
            story.tell(one)

        worse = {one.recipe.fingerprint for one in (bad, poor)}
        return planner_ideas(
            story.study,
            experiment=next_one,
            drop=drop,
            hopeless=lambda study, recipe: "it is expected to be worse" if recipe.fingerprint in worse else None,
        )

    story.tell(ask(story.study, tmp_path, batch(idea(lr=1e-3), idea(lr=2e-3)))[0])
    assert [one.recipe for one in turn()] == [good.recipe]
    assert [one.why for one in dropped] == ["it is expected to be worse"] and dropped[
        0
    ].recipe == bad.recipe.fingerprint
    story.tell(ask(story.study, tmp_path, batch(idea(lr=1e-3)))[0])
    assert turn(poor, fair) == [fair], "the panel's next"
    assert [one.recipe for one in dropped[1:]] == [poor.recipe.fingerprint, bad.recipe.fingerprint]
    assert turn(poor) == [] and len(dropped) == 3, "neither is told of twice"
    assert planner_ideas(told(4).study, experiment=lambda study: poor, hopeless=lambda *_: "worse") == []


def test_the_share_is_bounded(tmp_path: Path) -> None:
    story = told(3)
    own = 0
    for number in range(30):
        story.tell(ask(story.study, tmp_path, idea(lr=1e-4 + number * 1e-5))[0])
        ideas, _ = turn(story)
        own += len(ideas)
        recipe = story.study.proposals["t0"].recipe.reseeded(number)
        story.propose(ideas or [Idea(recipe=recipe, origin="sampler", reason="r")])
        assert len(ideas) <= 1 and own <= MOST * len(story.study.proposals)
    assert own >= 8


def test_no_ideas_before_there_is_a_trial_to_change() -> None:
    empty = Story(space=space(), task=task())
    assert not ideas_due(empty.study) and turn(empty) == ([], [])
    assert not ideas_due(told(2).study), "the sampler's start-up comes first"


class Watched(ScriptedBrain):
    """Keeps what it was asked."""

    def say(self, question: Question) -> Heard:
        questions.append(question)
        return super().say(question)


questions: list[Question] = []


def test_a_model_may_look_at_the_study_before_it_answers(tmp_path: Path) -> None:
    story, script = told(4), tmp_path / "script.jsonl"
    history, wrong = (
        {"name": "trial_history", "arguments": {"limit": 1}},
        {"name": "sample_rows", "arguments": {"rows": 99}},
    )
    entries = [{"role": "proposer", "calls": [history, wrong]}, {"role": "proposer", "answer": idea(lr=1e-3)}]
    script.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    questions.clear()
    brain = Watched(script, record=lambda one: None)
    (found,) = advise(story.study, brain, folder=tmp_path, warn=pytest.fail).ideas
    assert found.origin == "planner" and found.recipe.stages[0].optimisation.lr == 1e-3
    assert [tool.name for tool in questions[0].tools] == toolbox.names()
    table, refused = questions[1].past[0].said
    assert "4 of 4 ended trials are like that" in table and "t3: score=" in table
    assert "less than or equal to 20" in refused and "sample_rows" in refused
