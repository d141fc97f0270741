"""The router of LRPO: by hand, on a bandit, and in rollouts."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.training.reinforcement.conftest import ONE_WORD, trained

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Objective
from tunewright.tools.training.registry import objective
from tunewright.tools.training.reinforcement.router import RolloutArmRouter, Routing

NEVER, ALWAYS = {"kind": "regex", "pattern": "$^x"}, {"kind": "regex", "pattern": "^"}
FIRST = {"rewards": [{"kind": "regex", "pattern": "a"}], "group": 4}


def test_before_it_has_seen_anything_all_arms_are_alike() -> None:
    assert RolloutArmRouter(4, Routing()).chances("any") == pytest.approx([0.25] * 4)


def test_an_update_by_hand() -> None:
    router = RolloutArmRouter(3, Routing(alpha=0.1, every=2, tau=1.0, tau_decay=0.5, explore=0.2, explore_decay=0.5))
    router.learn(["x"] * 4, [0, 0, 1, 2], [1.0, 0.0, 2.0, 0.5])
    assert router.worth == {}, "not yet"
    router.learn(["x", "y"], [2, 1], [2.5, 7.0])
    # means 0.5, 2, 1.5: centre 4/3, deviation sqrt(((5/6)^2 + (2/3)^2 + (1/6)^2) / 3)
    deviation = math.sqrt(((5 / 6) ** 2 + (2 / 3) ** 2 + (1 / 6) ** 2) / 3)
    expected = [0.1 * gap / deviation for gap in (-5 / 6, 2 / 3, 1 / 6)]
    assert router.worth["x"] == pytest.approx(expected, rel=1e-4)
    assert router.worth["y"] == [0.0, 0.0, 0.0], "one arm alone stands nowhere"
    tau, explore = 0.3, 0.05  # after two rounds tau would be 0.25, and has a floor
    weights = [math.exp(worth / tau) for worth in router.worth["x"]]
    assert router.chances("x") == pytest.approx([(1 - explore) * w / sum(weights) + explore / 3 for w in weights])
    assert router.chances("y") == pytest.approx([1 / 3] * 3)

    router.learn(["x"], [0], [9.0])
    router.learn(["x"], [1], [8.0])
    assert router.worth["x"] == pytest.approx(
        [0.9 * expected[0] + 0.1, 0.9 * expected[1] - 0.1, expected[2]], rel=1e-4
    ), "what was seen before counts no more; an arm that was not drawn stays where it is"


def test_it_finds_the_arm_that_pays_on_each_topic() -> None:
    router, chance = RolloutArmRouter(3, Routing(every=1)), random.Random(2)
    pays = {"sea": (0.2, 0.8, 0.2), "sky": (0.8, 0.2, 0.2)}
    for _ in range(60):
        topics, arms, rewards = [], [], []
        for topic, chances in pays.items():
            for arm in router.draw(topic, 8, 2, chance):
                topics.append(topic)
                arms.append(arm)
                rewards.append(float(chance.random() < chances[arm]))
        router.learn(topics, arms, rewards)
    for topic, best in (("sea", 1), ("sky", 0)):
        chances = router.chances(topic)
        assert chances[best] > 0.6 and max(chances[:best] + chances[best + 1 :]) < 0.3


def test_the_first_of_a_group_are_asked_as_ever() -> None:
    router, chance = RolloutArmRouter(3, Routing(explore=0.0, tau=0.3)), random.Random(1)
    router.worth["x"] = [-3.0, 3.0, -3.0]
    for _ in range(20):
        arms = router.draw("x", 8, 2, chance)
        assert arms == [0, 0, 1, 1, 1, 1, 1, 1]
    assert router.draw("x", 1, 2, chance) == [0]


def test_what_it_knows_survives() -> None:
    router = RolloutArmRouter(2, Routing(every=2))
    for _ in range(3):
        router.learn(["x", "x"], [0, 1], [0.0, 1.0])
    again = RolloutArmRouter(2, Routing(every=2))
    again.restore(router.state())
    for one in (router, again):
        one.learn(["x", "x"], [0, 1], [1.0, 0.0])
    assert again.worth == router.worth and again.chances("x") == router.chances("x")
    assert again.worth["x"] != pytest.approx([-0.1, 0.1]), "the update that was half seen took place"


def test_with_one_arm_it_is_grpo(make_speaker: Callable[..., Any], make_learning: Callable[..., Any]) -> None:
    given = {**FIRST, "beta": 0.1, "iterations": 2}
    found = []
    for kind, own in (("lrpo", {**given, "arms": [{}]}), ("grpo", given)):
        model = make_speaker("ab")
        learning = make_learning(model, kind, batch=2, task=ONE_WORD, settings=own)
        rewards = list(trained(model, learning, 6))
        found.append((rewards, learning.facts()["kl"], model.get_output_embeddings().weight))
    (one, kl, weights), (other, its_kl, its_weights) = found
    assert one == other and kl == its_kl > 0
    assert torch.equal(weights, its_weights) and weights.any()


def test_the_table_moves_to_the_better_way_of_asking(
    make_speaker: Callable[..., Any], make_learning: Callable[..., Any]
) -> None:
    arms = [{}, {"says": "Well?", "must": NEVER}, {"says": "So?", "must": ALWAYS, "bias": -1.0}]
    settings = {**FIRST, "group": 8, "own": 2, "arms": arms, "every": 1, "alpha": 0.5}
    learning = make_learning(make_speaker("ab"), "lrpo", batch=2, settings=settings)
    for step in range(6):
        learning.prepare(learning.collate([0, 1]), step)
    before, worse, better = learning.router.worth["a"]
    assert worse < before < better
    assert learning.router.chances("a")[2] > 0.5
    facts = learning.facts()
    assert facts["arm.0"] >= 2 / 8 and sum(facts[f"arm.{arm}"] for arm in range(3)) == pytest.approx(1)


def test_an_answer_that_does_not_keep_to_its_way_earns_exactly_nothing(
    make_speaker: Callable[..., Any], make_learning: Callable[..., Any]
) -> None:
    arms = [{"bias": 0.25}, {"says": "Say b.", "must": {"kind": "regex", "pattern": "b"}, "bias": -3.0}]
    settings = {"rewards": [ALWAYS], "group": 8, "own": 1, "arms": arms}
    learning = make_learning(make_speaker("ab"), "lrpo", batch=2, task=ONE_WORD, settings=settings)
    rollout, _ = learning.drawn(0)
    token = learning.data.form.tokenizer.encode("b", add_special_tokens=False)
    seen = set()
    for arm, answer, reward in zip(rollout.arms, rollout.answers, rollout.rewards, strict=True):
        kept = arm == 0 or answer == token
        seen.add((arm, kept))
        assert reward == (0.75 if arm == 0 else 4.0 if kept else 0.0)
    assert seen == {(0, True), (1, True), (1, False)}


@pytest.mark.parametrize("form", ["label", "completion", "chat", "preference"])
def test_a_way_of_asking_stands_before_the_input(
    make_speaker: Callable[..., Any], make_learning: Callable[..., Any], form: str
) -> None:
    arms = [{}, {"says": "Think step by step."}]
    learning = make_learning(make_speaker("ab"), "lrpo", form=form, settings={**FIRST, "arms": arms})
    decode, row = learning.data.form.tokenizer.decode, learning.data.rows[0]
    plain, asked = decode(learning.put(row, 0, 0)), decode(learning.put(row, 1, 0))
    assert f"Think step by step.\n{row['input']}" in asked
    assert asked.replace("Think step by step.\n", "") == plain == decode(learning.data.encoded[0].prompt)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"arms": [{"says": "Well?"}]}, "first of LRPO's arms"),
        ({"own": 9}, "own is 9, and a group has 8"),
        ({"arms": [{}, {"must": {"kind": "regex"}}]}, "no pattern"),
    ],
)
def test_what_cannot_be_is_refused(own: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        objective("lrpo").check(Objective.model_validate({"kind": "lrpo", **own}))
    assert raised.value.hint
