"""What every reward must hold. Subclasses give the fixture ``kind``; what a kind needs to be tried is in ``CASES``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.host import heavy
from tests.training.rewards.courts import answers, task

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Reward
from tunewright.tools.training.card import settings_of
from tunewright.tools.training.registry import reward
from tunewright.tools.training.reward import Answers, Court, RewardMethod
from tunewright.tools.training.scoreboard import check_rewards, open_rewards

TEXTS = (
    "sky",
    "",
    " 42.5 ",
    '{"a": [1]}',
    "<think>so</think><answer>sky</answer>",
    "\ud800\0 \N{GRINNING FACE}",
    "w " * 3000,
)
LABELS = ("sea", "sky")


class Letters:
    """A tokenizer: a token a letter."""

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [ord(letter) for letter in text]


@dataclass(frozen=True)
class Case:
    """How one kind is tried."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """What has no default that works."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Columns of its rows."""
    target: str = "sky"
    opens: bool = True
    """Whether it can judge without a server or an earlier stage."""


CASES: dict[str, Case] = {
    "regex": Case(settings={"pattern": "sky"}),
    "numeric": Case(target="42.5"),
    "llm_judge": Case(opens=False),
    "reward_model": Case(opens=False),
    "unit_tests": Case(meta={"tests": ["assert True", "assert False"]}),
    "reasoning_gym": Case(meta={"dataset": "basic_arithmetic", "entry_metadata": {}}),
}
"""Kind -> how it is tried, where not all is as usual."""


class RewardConformance:
    """Inherit it and give the fixture ``kind``."""

    @pytest.fixture
    def method(self, kind: str) -> RewardMethod:
        return reward(kind)

    @pytest.fixture
    def case(self, kind: str) -> Case:
        return CASES.get(kind, Case())

    @pytest.fixture
    def choice(self, kind: str, case: Case) -> Reward:
        return Reward.model_validate({"kind": kind, **case.settings})

    @pytest.fixture
    def given(self, case: Case) -> Answers:
        return answers(TEXTS, case.target, meta=[case.meta])

    @pytest.fixture
    def court(self) -> Court:
        return Court(task(format="label", labels=LABELS), tokenizer=Letters())

    def test_says_what_it_is_and_where_it_comes_from(self, method: RewardMethod, kind: str) -> None:
        assert method.kind == kind and method.summary and method.source and method.names
        assert method.span[0] < method.span[1]
        assert method.patience(method.Config(), 8) >= method.patience(method.Config(), 1) > 0
        assert all(setting["about"] for setting in settings_of(method.Config))
        assert not {"kind", "weight"} & method.Config.model_fields.keys(), "a recipe has these beside the settings"

    def test_the_host_can_ask_it_without_torch(self, kind: str, case: Case) -> None:
        asked = (
            "from tunewright.domain.recipe import Reward\n"
            "from tunewright.tools.training.scoreboard import check_rewards\n"
            f"check_rewards([Reward.model_validate({ {'kind': kind, **case.settings}!r})])"
        )
        assert heavy(asked) == []

    def test_unknown_settings_are_refused(self, kind: str) -> None:
        with pytest.raises(UsageError, match="no setting 'no_such'"):
            check_rewards([Reward.model_validate({"kind": kind, "no_such": 1})])

    def test_any_text_is_worth_a_number_within_its_span(
        self, method: RewardMethod, choice: Reward, given: Answers, court: Court, case: Case
    ) -> None:
        if not case.opens:
            pytest.skip("it needs a server or a stage before it, which its own tests have")
        with open_rewards([choice], court) as board:
            found = board(given).total
        assert len(found) == len(TEXTS)
        assert all(method.span[0] <= value <= method.span[1] for value in found)

    def test_equal_answers_are_worth_the_same_in_any_company(
        self, choice: Reward, given: Answers, court: Court, case: Case
    ) -> None:
        if not case.opens:
            pytest.skip("it needs a server or a stage before it, which its own tests have")
        with open_rewards([choice], court) as board:
            together = board(given).total
            one = slice(4, 5)
            alone = board(Answers(given.prompts[one], given.texts[one], given.rows[one])).total
        with open_rewards([choice], court) as board:
            assert board(given).total == together
        assert alone == together[one]
