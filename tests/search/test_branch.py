"""UCT over the tree of decisions: hand-computed choices, widening, faults and what runs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from tunewright.search.branch import Branches, Visit
from tunewright.search.decision import Leaf, Path, leaf_at, path_of

KIND = CategoricalDistribution(["a", "b", "c", "d"])
PLACE = CategoricalDistribution(["x", "y"])


class Tree:
    """Kinds, of which only ``b`` has a place to decide."""

    def decision(self, path: Path) -> tuple[str, CategoricalDistribution] | None:
        made = dict(path)
        if "kind" not in made:
            return "kind", KIND
        return ("place", PLACE) if made["kind"] == "b" and "place" not in made else None

    def rest(self, path: Path) -> Mapping[str, BaseDistribution]:
        return {"lr": FloatDistribution(0, 1)}

    def parameters(self) -> Mapping[str, BaseDistribution]:
        return {"kind": KIND, "place": PLACE, "lr": FloatDistribution(0, 1)}

    def default(self, name: str) -> Any:
        return {"kind": "b", "place": "y"}.get(name)

    def coordinate(self, name: str) -> str:
        return name


def at(kind: str, *worths: float | None) -> list[Visit]:
    return [Visit((("kind", kind),), worth) for worth in worths]


def no_promise(path: Path) -> float:
    return 0.0


def test_the_default_is_opened_first_and_then_what_promises_most() -> None:
    assert Branches(Tree(), []).descend(no_promise).path == (("kind", "b"), ("place", "y"))
    tried = [Visit((("kind", "b"), ("place", "y")), 0.5)]
    found = Branches(Tree(), tried, widening=(2.0, 0.5)).descend(lambda path: float(dict(path)["kind"] == "d"))
    assert found.path == (("kind", "d"),) and found.reason == "d unexplored"


def test_a_root_of_the_visits_is_open() -> None:
    visits = at("a", *[0.5] * 4)
    assert Branches(Tree(), visits, widening=(1.0, 0.5)).descend(no_promise).path != (("kind", "a"),)
    open_two = at("a", 0.5, 0.5) + at("c", 0.5, 0.5)
    kept = Branches(Tree(), open_two, widening=(1.0, 0.5)).descend(no_promise).path
    assert dict(kept)["kind"] in ("a", "c"), "four visits have two options open"
    wide = Branches(Tree(), [*open_two, *at("a", 0.5)], widening=(1.0, 0.5)).descend(no_promise).path
    assert dict(wide)["kind"] in ("b", "d"), "five have three"


def test_the_choice_is_worth_of_the_better_half_plus_what_was_little_tried() -> None:
    visits = at("a", 0.9, 0.1, 0.1, 0.1) + at("c", 0.4, 0.4) + at("d", 0.0) + at("b", 0.0)
    bonus = 0.3
    scores = {
        "a": (0.9 + 0.1) / 2 + bonus * math.sqrt(math.log(9) / 4),
        "c": 0.4 + bonus * math.sqrt(math.log(9) / 2),
    }
    assert scores["a"] == pytest.approx(0.7223, abs=1e-4) and scores["c"] == pytest.approx(0.7144, abs=1e-4)
    found = Branches(Tree(), visits, exploration=bonus, widening=(4.0, 0.0)).descend(no_promise)
    assert found.path == (("kind", "a"),) and found.reason == "a again (4 of 8)"
    curious = Branches(Tree(), visits, exploration=0.4, widening=(4.0, 0.0)).descend(no_promise)
    assert curious.path[0] == ("kind", "c")


def test_a_fault_of_the_recipe_counts_against_its_branch_and_a_run_under_way_as_a_visit() -> None:
    even = at("a", 0.6) + at("c", 0.6)
    wide = {"widening": (2.0, 0.0)}
    assert Branches(Tree(), [*even, *at("a", 0.0)], **wide).descend(no_promise).path == (("kind", "c"),)  # type: ignore[arg-type]  # options by name
    assert Branches(Tree(), [*even, *at("a", None)], **wide).descend(no_promise).path == (("kind", "c"),)  # type: ignore[arg-type]  # likewise


def test_a_shortlist_has_several_leaves_each_once() -> None:
    visits = at("a", 0.6) + at("c", 0.5) + at("d", 0.4) + [Visit((("kind", "b"), ("place", "x")), 0.3)]
    found = Branches(Tree(), visits).shortlist(no_promise, 6)
    paths = [one.path for one in found]
    assert len(paths) == len(set(paths)) >= 3
    counts = {said for one in found for said in re.findall(r"of (\d+)", one.reason)}
    assert counts <= {"1", "4"}, "only what trials visited is told"


def test_a_leaf_has_the_decisions_that_were_left_open_at_their_default() -> None:
    leaf = leaf_at(Tree(), (("kind", "b"),))
    assert leaf == Leaf(
        (("kind", "b"), ("place", "y")), {"kind": KIND, "place": PLACE}, {"lr": FloatDistribution(0, 1)}
    )
    assert path_of(Tree(), {"kind": "a", "lr": 0.5}) == (("kind", "a"),)
