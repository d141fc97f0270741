"""Progressive depth and clients, as briefs say them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.agents.briefs import TOPICS, read, write
from tests.stories import FORECAST, RUNGS, Story, task
from tests.stories import space as some_space

from tunewright.agents.brief.depth import ALPHA, CLIENTS, DEPTHS, read_depth
from tunewright.agents.brief.text import Text
from tunewright.agents.forecasting import make_space
from tunewright.agents.opening import compared
from tunewright.agents.planning import make_plan
from tunewright.cli.plan import plan_lines
from tunewright.domain import event as ev
from tunewright.domain.depth import Depth
from tunewright.domain.errors import BriefError
from tunewright.domain.task import Wishes


@pytest.mark.parametrize(
    ("words", "wishes"),
    [
        ("Use progressive depth.", {"depths": DEPTHS}),
        ("Use DevFT with 4 clients.", {"depths": DEPTHS, "clients": 4}),
        ("developmental fine-tuning", {"depths": DEPTHS}),
        ("developmental federated tuning over 5 clients", {"depths": DEPTHS, "clients": 5}),
        ("progressive depth in 3 stages", {"depths": (3,)}),
        ("a two-stage progressive depth", {"depths": (2,)}),
        ("Try progressive depth.", {"depths": (*DEPTHS, 1)}),
        ("compare DevFT in 2 stages with full depth", {"depths": (2, 1)}),
        ("progressive depth against the whole model", {"depths": (*DEPTHS, 1)}),
        ("train with and without progressive depth", {"depths": (*DEPTHS, 1)}),
        ("without progressive depth", {}),
        ("Do not use DevFT.", {}),
        ("train with 4 clients, non-IID", {"clients": 4, "alpha": ALPHA}),
        ("federated averaging over 8 clients, Dirichlet 0.3", {"clients": 8, "alpha": 0.3}),
        ("a Dirichlet partition with alpha = 0.1 over 5 clients", {"clients": 5, "alpha": 0.1}),
        ("federated learning", {"clients": CLIENTS}),
        ("no federated learning", {}),
        ("sort the messages of our 12 clients", {}),
        ("complaints from 300 clients", {}),
        ("use a deep model", {}),
    ],
)
def test_what_is_wished_for(words: str, wishes: dict[str, Any]) -> None:
    assert read_depth(Text(words), []) == wishes


def test_what_is_assumed_is_said() -> None:
    notes: list[str] = []
    read_depth(Text("federated learning"), notes)
    assert notes == [f"how many clients train is not said; {CLIENTS} are assumed"]


def test_the_words_are_claimed() -> None:
    text = Text("Use DevFT in 3 stages with 4 clients, Dirichlet 0.3.")
    read_depth(text, [])
    assert text.unused() == ()


@pytest.mark.parametrize(
    "words",
    ["progressive depth in 7 stages", "DevFT in 1 stage", "federated averaging with 5000 clients",
     "with 4 clients, Dirichlet 0"],
)  # fmt: skip
def test_what_cannot_be_is_refused(words: str) -> None:
    with pytest.raises(BriefError, match="cannot be"):
        read_depth(Text(words), [])


def test_it_is_understood_searched_and_shown_in_the_plan(folder: Path) -> None:
    """From the words of a brief to the lines of its plan."""
    write(folder / "a.jsonl", [{"text": f"a {i}", "label": TOPICS[i % 3]} for i in range(60)])
    reading = read(
        "Teach tiny to label a.jsonl with lora, by progressive depth with 3 clients, Dirichlet 0.2. At most 9 minutes."
    )
    assert reading.wishes == Wishes(adapters=("lora",), depths=DEPTHS, clients=3, alpha=0.2) and not reading.unused
    said = next(line.text for line in reading.understood if line.topic == "search")
    assert "progressive depth in 2 or 3 or 4 stages; by 3 simulated clients whose rows differ (Dirichlet 0.2)" in said
    story = Story(space=some_space(), task=reading.task)
    understood = next(one for one in story.events if isinstance(one, ev.Understood))
    story.tell(understood.model_copy(update={"wishes": reading.wishes}))
    story.launch("base", role="base")
    story.complete("base", 0.1, seconds=14)
    made = make_space(story.study, (1.0, 2.0), 2.0)
    depth = made.build(made.default()).stages[0].depth
    assert depth == Depth(stages=2, clients=3, partition="dirichlet", alpha=0.2)
    plan = make_plan(story.study, price=lambda *given: FORECAST, make_space=make_space, now=story.now)
    story.tell(ev.PlanProposed(plan=plan))
    lines = "\n".join(line.text for line in plan_lines(story.study))
    assert "depths {2, 3, 4}" in lines and "local steps {10, 5, 20, 50}" in lines and "beta 0..0.3" in lines
    assert "3 simulated clients train in turn" in lines


def test_without_the_words_there_is_nothing_of_it(folder: Path) -> None:
    write(folder / "a.jsonl", [{"text": f"a {i}", "label": TOPICS[i % 3]} for i in range(60)])
    wishes = read("Teach tiny to label a.jsonl, the messages of our 12 clients. At most 9 minutes.").wishes
    assert (wishes.depths, wishes.clients, wishes.alpha) == ((), 1, None)


@pytest.mark.parametrize(("depths", "rungs"), [((2, 3), True), ((2, 1), False)])
def test_rungs_compare_what_is_equally_deep(depths: tuple[int, ...], rungs: bool) -> None:
    story = Story(space=some_space(), task=task(), rungs=RUNGS)
    understood = next(one for one in story.events if isinstance(one, ev.Understood))
    story.tell(understood.model_copy(update={"wishes": Wishes(adapters=("lora",), depths=depths)}))
    story.launch("base", role="base")
    story.complete("base", 0.1, seconds=14)
    plan = make_plan(story.study, price=lambda *given: FORECAST, make_space=make_space, now=story.now)
    assert bool(plan.rungs) == rungs


def test_the_whole_model_is_tried_too_where_it_is_to_be_compared() -> None:
    assert compared(Wishes(depths=(2, 1))) == {"depth": ("numbers of depths", 2)}
    assert compared(Wishes(depths=(2, 3))) == {}
