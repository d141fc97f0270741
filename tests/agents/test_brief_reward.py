"""What a brief rewards, and what is rewarded where it says nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunewright.agents.reading import read
from tunewright.domain.errors import UsageError
from tunewright.domain.event import Understood
from tunewright.domain.task import Brief


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [{"prompt": f"what is {number} and one?", "completion": str(number + 1)} for number in range(60)]
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def understood(words: str) -> Understood:
    text = f"Teach tiny to answer the questions in qa.jsonl. {words} At most 2 hours and 12 trials."
    return read(Brief(text=text), None, warn=lambda message: None)


@pytest.mark.parametrize(
    ("words", "plans", "rewards"),
    [
        ("Compare SFT with SFT then GRPO, and reward exact match.", ("sft", "sft > grpo"), ["exact_match"]),
        ("Try GRPO and DAPO after SFT, rewarded by a numeric match.", ("sft > grpo", "sft > dapo"), ["numeric"]),
        ("SFT then RLOO with numeric reward.", ("sft > rloo",), ["numeric"]),
        ("Reward model, then PPO.", ("reward > ppo",), ["reward_model"]),
        ("Reward model then PPO, and GRPO by itself.", ("reward > ppo", "grpo"), ["exact_match"]),
        ("Use Dr. GRPO, Lite PPO and PPO.", ("dr_grpo", "lite_ppo", "ppo"), ["exact_match"]),
        ("Train a reward model.", ("reward",), []),
        ("GRPO; reward what the reasoning-gym verifier says.", ("grpo",), ["reasoning_gym"]),
    ],
)
def test_plans_and_rewards(words: str, plans: tuple[str, ...], rewards: list[str]) -> None:
    wishes = understood(words).wishes
    assert wishes.plans == plans
    assert [reward.kind for reward in wishes.rewards] == rewards


def test_quotes_after_a_name_are_what_it_needs() -> None:
    rewards = understood("GRPO, rewarded by the regular expression `answer: (.*)`.").wishes.rewards
    assert [(reward.kind, reward.settings) for reward in rewards] == [("regex", {"pattern": "answer: (.*)"})]
    rewards = understood('GRPO with an LLM judge: "Is it polite?".').wishes.rewards
    assert [(reward.kind, reward.settings) for reward in rewards] == [("llm_judge", {"criterion": "Is it polite?"})]


def test_a_reward_that_lacks_what_it_needs_is_refused_before_anything_is_spent() -> None:
    with pytest.raises(UsageError, match="'regex' has no pattern") as caught:
        understood("GRPO, rewarded by a regular expression.")
    assert "pattern" in caught.value.hint
    with pytest.raises(UsageError, match="'label' needs a closed set of labels"):
        understood("GRPO, label reward.")
