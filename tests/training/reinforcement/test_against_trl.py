"""The same answers and rewards as TRL's trainers have give the same advantages, losses and gradients.

TRL is handed what was drawn, and does all else itself: advantages, old and reference log-probabilities, masks, the
loss. Between the draw and the loss the policy is moved, so that ratios are not 1 and some tokens are clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conformance.objective_case import ROWS
from tests.training.objectives.conftest import close, gradients
from tests.training.objectives.test_dpo import shake
from tests.training.reinforcement.conftest import drawn

ROWS_USED, GROUP = 3, 4
PAYS = [{"kind": "regex", "pattern": "[a-m]"}, {"kind": "regex", "pattern": "[A-Z]", "weight": 0.4}]
BOTH = {"epsilon": 0.02, "epsilon_high": 0.03}
GRPO = {"epsilon": 0.02, "epsilon_high": 0.03, "loss_type": "grpo", "scale_rewards": "group"}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "grpo": ("grpo", BOTH, GRPO),
    "grpo, batch": ("grpo", {**BOTH, "scale": "batch"}, {**GRPO, "scale_rewards": "batch"}),
    "grpo, cool": ("grpo", {**BOTH, "temperature": 0.8}, {**GRPO, "temperature": 0.8}),
    "grpo, none": ("grpo", {**BOTH, "scale": "none"}, {**GRPO, "scale_rewards": "none"}),
    "dapo": (
        "dapo",
        {**BOTH, "overlong": 0.0},
        {**GRPO, "loss_type": "dapo", "mask_truncated_completions": True},
    ),
    "dr_grpo": ("dr_grpo", BOTH, {**GRPO, "loss_type": "dr_grpo", "scale_rewards": "none"}),
    "lite_ppo": ("lite_ppo", BOTH, {**GRPO, "loss_type": "dapo", "scale_rewards": "batch"}),
    "gspo": (
        "gspo",
        {**BOTH, "epsilon": 0.01, "steps_per_generation": 1},
        {**GRPO, "epsilon": 0.01, "importance_sampling_level": "sequence"},
    ),
    "cispo": ("cispo", {"epsilon_high": 1.02}, {**GRPO, "loss_type": "cispo", "epsilon_high": 1.02}),
    "sapo": (
        "sapo",
        {"tau": 1.0, "tau_negative": 1.3},
        {**GRPO, "loss_type": "sapo", "sapo_temperature_pos": 1.0, "sapo_temperature_neg": 1.3},
    ),
    "rloo": ("rloo", BOTH, {"epsilon": 0.02, "epsilon_high": 0.03}),
}
"""Name -> kind, our settings, TRL's."""


def trainer_of(
    kind: str, start: Path, rollout: Any, tokenizer: Any, beta: float, own: dict[str, Any], folder: Path
) -> Any:
    """TRL's trainer of the policy saved in ``start``, whose answers are these."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

    config, base = (RLOOConfig, RLOOTrainer) if kind == "rloo" else (GRPOConfig, GRPOTrainer)

    class Given(base):  # type: ignore[misc, valid-type]
        def _generate(self, prompts: Sequence[str]) -> Any:
            texts = [""] * len(prompts)
            if kind == "rloo":
                return rollout.prompts, rollout.answers, texts
            return rollout.prompts, rollout.answers, None, texts, None, {}, None, []

    if kind != "rloo":
        own = {**own, "use_bias_correction_kl": False}
    arguments = config(
        output_dir=str(folder), use_cpu=True, report_to="none", bf16=False, gradient_checkpointing=False,
        per_device_train_batch_size=len(rollout), num_generations=GROUP, steps_per_generation=1, num_iterations=2,
        max_completion_length=8, beta=beta, **own,
    )  # fmt: skip
    made = Given(
        model=str(start),
        reward_funcs=lambda **_: list(rollout.rewards),
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": ["a"] * len(rollout)}),
        processing_class=tokenizer,
    )
    made.current_gradient_accumulation_steps = 1
    made.model.train()
    return made


@pytest.mark.parametrize(
    ("case", "beta"),
    [(case, beta) for case in CASES for beta in (0.0, 0.3) if not beta or "," not in case or "cool" in case],
)
def test_it_is_trls(
    make_model: Callable[..., Any], make_learning: Callable[..., Any], tokenizer: Any, case: str, beta: float,
    tmp_path: Path,
) -> None:  # fmt: skip
    kind, ours, theirs = CASES[case]
    policy = make_model("llama")
    policy.lm_head.weight.data[tokenizer.eos_token_id] *= 4  # answers of all lengths
    policy.save_pretrained(tmp_path / "start")
    settings = {**ours, "rewards": PAYS, "group": GROUP, "iterations": 2, "beta": beta}
    learning = make_learning(policy, kind, rows=ROWS["completion"][:8], batch=ROWS_USED, settings=settings)
    shake(policy)  # the reference is where the stage began
    batch = learning.prepare(learning.collate(range(ROWS_USED)), 0)
    rollout = drawn(learning)
    assert not any(rollout.rewards[:GROUP]), "a group to learn nothing from"
    assert 0 < sum(answer[-1] == tokenizer.eos_token_id for answer in rollout.answers[GROUP:]) < 2 * GROUP
    trainer = trainer_of(kind, tmp_path / "start", rollout, tokenizer, beta, theirs, tmp_path)
    trainer.model.load_state_dict(policy.state_dict())
    given = trainer._generate_and_score_completions([{"prompt": "a"}] * len(rollout))
    found = learning.round["advantage"]
    assert torch.allclose(found, given["advantages"], rtol=1e-3, atol=1e-4) and found.any()

    shake(policy, 0.01)
    trainer.model.load_state_dict(policy.state_dict())
    loss, expected = learning.loss(batch) / learning.items(batch), trainer.compute_loss(trainer.model, given)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)
    one, other = gradients(policy, loss), gradients(trainer.model, expected)
    scale = max(float(each.abs().max()) for each in other.values())
    assert scale > 1e-3
    assert close({n: g / scale for n, g in one.items()}, {n: g / scale for n, g in other.items()}, 2e-4)
    if beta and kind != "rloo":  # else we do not read what there is nothing to learn from, and say nothing of it
        said, reported = learning.facts(), {name: values[-1] for name, values in trainer._metrics["train"].items()}
        names = {"reward": "reward", "entropy": "entropy", "kl": "kl"}
        if kind in ("grpo", "dapo", "dr_grpo", "lite_ppo"):
            names["clipped"] = "clip_ratio/region_mean"
        assert {name: said[name] for name in names} == pytest.approx(
            {name: reported[theirs] for name, theirs in names.items()}, rel=1e-4
        )
