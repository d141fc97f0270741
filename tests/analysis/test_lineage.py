"""The search is shown as a tree that holds every proposal once, also where its parent lies in another branch."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stories import Story, planned, small_space, space, task

from tunewright.cli.table import detail_lines
from tunewright.domain import event as ev
from tunewright.domain.job import Rungs
from tunewright.domain.lineage import ancestors, branch, decisions
from tunewright.domain.proposal import Idea
from tunewright.domain.space import Assignment
from tunewright.tools.analysis.lineage import WHOLE, Node, tree
from tunewright.tools.analysis.report import write_report
from tunewright.tracking.entry import job_tags


def idea(parent: str | None = None, **changes: object) -> Idea:
    point: Assignment = space().default()
    if "adapter" in changes:
        point = space().default(adapter=changes["adapter"])
    recipe = space().build({**point, **changes})
    return Idea(recipe=recipe, origin="sampler" if parent else "default", reason="near", parent=parent)


def ids(nodes: list[Node]) -> list[str]:
    """Of every trial in the tree, folded ones too."""
    found = []
    for node in nodes:
        found += [node.id] if node.id else []
        found += ids(node.children) + ids(node.folded)
    return found


@pytest.fixture
def story() -> Story:
    """Two branches: dora's trials descend from the default's, and one lora from a dora."""
    told = Story(space=space(), task=task())
    told.launch("base", role="base")
    told.complete("base", 0.1)
    told.propose([idea()])
    told.run("t0", 0.6)
    told.judge("t0", "base")
    told.propose([idea("t0", **{"lr.lora": 4e-4})])
    told.run("t1", 0.7)
    told.judge("t1", "t0")
    told.propose([idea("t1", adapter="dora", rank=16)])
    told.launch("t2")
    told.measure("t2", 25, 0.3)
    told.prune("t2")
    told.propose([idea("t2", targets="qv")])
    told.decide("t3", action="reject", reason="no")
    return told


def test_trials_hang_under_their_parent_in_the_branch_of_their_decisions(story: Story, tmp_path: Path) -> None:
    lora, dora = tree(story.study)
    assert (lora.words, lora.trials, lora.score) == ("adapter lora", 2, "0.700")
    assert (dora.words, dora.trials, dora.score) == ("adapter dora, targets all-linear", 1, "\N{EN DASH}")
    linear, qv = lora.children
    (default,) = linear.children
    assert (default.id, default.verdict, default.rungs) == ("t0", "better than base", "0.360 0.510")
    assert "lora" in default.words and "2e-4" in default.words, "the default is shown whole"
    (child,) = default.children
    assert (child.id, child.words, child.parent) == ("t1", "lr 4e-4", "")
    (other,) = dora.children
    assert (other.id, other.parent, other.kind, other.score) == ("t2", "t1", "pruned", "0.300")
    assert "rank 16" in other.words and "adapter" not in other.words, "the branch says the adapter"
    (rejected,) = qv.children
    assert (rejected.kind, rejected.parent, qv.trials) == ("rejected", "t2", 0)
    markdown, html = (path.read_text() for path in write_report(story.study, tmp_path, importance={}))
    for said in ("better than base", "0.360 0.510", "adapter dora, targets all-linear", "from t1"):
        assert said in markdown and said in html


def test_a_long_search_shows_what_led_to_its_best_and_folds_the_rest_of_each_branch(story: Story) -> None:
    for number in range(4, WHOLE + 40):
        story.propose([idea("t1" if number % 2 else "t2", adapter="dora", **{"lr.dora": 1e-4 + number * 1e-6})])
        story.run(f"t{number}", 0.75 if number == 30 else 0.5)
    found = tree(story.study)
    assert sorted(ids(found)) == sorted(story.study.proposals), "each stands there once"
    dora = next(node for node in found if node.words.startswith("adapter dora"))
    assert dora.good and dora.hidden == len(dora.folded) > 30
    (t2,) = [node for node in dora.children if node.id == "t2"]
    assert "t30" in [node.id for node in t2.children], "a pruned trial that led to the best is on its path"
    assert {node.parent for node in dora.folded} <= {"t1", "t2"}, "what was cut off names its parent"


def test_depth_and_branch_are_told_of_any_proposal_and_no_circle_hangs(story: Story) -> None:
    assert ancestors(story.study, "t3") == ("t2", "t1", "t0")
    assert ancestors(story.study, "t0") == ()
    assert [(d.name, value) for d, value in branch(space(), idea().recipe) or ()] == [
        ("adapter", "lora"),
        ("targets", "all-linear"),
    ]
    story.propose([idea("t4")])
    assert ancestors(story.study, "t4") == ()
    assert list(decisions(space())) == ["adapter", "targets"]


def test_where_nothing_is_decided_the_trials_stand_alone_and_a_stranger_has_a_branch() -> None:
    told = Story(space=small_space(), task=task(), rungs=Rungs())
    told.propose([planned(Story(space=space(), task=task()))])
    assert ids(tree(told.study)) == ["t0"]


def test_the_run_of_a_trial_says_where_it_stands_in_the_tree(story: Story) -> None:
    story.tell(ev.Tracked(at=story.tick(), job="t1", run_id="run1"))
    story.propose([idea("t2", adapter="ia3")])
    tags = job_tags(story.study, "t2")
    named = {name.removeprefix("tunewright.recipe."): value for name, value in tags.items()}
    assert (named["parent"], named["parent.run"], named["depth"]) == ("t1", "run1", "2")
    assert named["branch"] == "adapter=dora/targets=all-linear"
    assert job_tags(story.study, "t4")["tunewright.recipe.branch"] == "adapter=ia3"
    lines = [row for line in detail_lines(story.study, "t4") for row in line.rows()]
    assert any(row.split() == ["from", "#2,", "of", "#1,", "of", "#0"] for row in lines)
