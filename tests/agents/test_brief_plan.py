"""Objectives in a brief: what follows what, and what stands beside what."""

from __future__ import annotations

import pytest

from tunewright.agents.brief.naming import Naming
from tunewright.agents.brief.plan import read_plans
from tunewright.agents.brief.text import Text
from tunewright.domain.errors import BriefError

OBJECTIVES = {
    "cpt": Naming(("CPT", "continued pre-training", "continual pre-training")),
    "sft": Naming(("SFT", "supervised fine-tuning")),
    "dft": Naming(("DFT",)),
    "dpo": Naming(("DPO", "direct preference optimisation")),
    "grpo": Naming(("GRPO",)),
    "dapo": Naming(("DAPO",)),
    "dr_grpo": Naming(("Dr.GRPO", "Dr. GRPO")),
    "ppo": Naming(("PPO",)),
}


@pytest.mark.parametrize(
    ("words", "plans"),
    [
        ("Try GRPO and DAPO after SFT.", ("sft > grpo", "sft > dapo")),
        ("SFT then GRPO against SFT alone and DAPO", ("sft > grpo", "sft", "dapo")),
        ("Compare SFT -> GRPO, plain SFT, and DAPO.", ("sft > grpo", "sft", "dapo")),
        ("First continued pre-training, then supervised fine-tuning.", ("cpt > sft",)),
        ("CPT before SFT or SFT only", ("cpt > sft", "sft")),
        ("cpt > sft > dpo", ("cpt > sft > dpo",)),
        ("SFT followed by PPO vs Dr. GRPO", ("sft > ppo", "dr_grpo")),
        ("compare sft, dft and dpo", ("sft", "dft", "dpo")),
        ("Use DPO. Do not use PPO.", ("dpo",)),
        ("SFT then DPO, no GRPO", ("sft > dpo",)),
        ("GRPO on top of SFT", ("sft > grpo",)),
        ("Maximise accuracy.", ()),
        ("without DPO", ()),
    ],
)
def test_words_become_plans(words: str, plans: tuple[str, ...]) -> None:
    assert read_plans(Text(words), OBJECTIVES, []) == plans


def test_what_stages_are_trained_on_may_stand_between_them() -> None:
    text = Text("First CPT on manual.txt, then SFT on qa.jsonl, against SFT on qa.jsonl alone.")
    for file in ("manual.txt", "qa.jsonl", "qa.jsonl"):
        at = text.rest.index(file)
        text.claim(at, at + len(file))
    assert read_plans(text, OBJECTIVES, []) == ("cpt > sft", "sft")


def test_what_cannot_be_a_recipe_is_said() -> None:
    with pytest.raises(BriefError, match="at most 4"):
        read_plans(Text("cpt -> sft -> dpo -> grpo -> ppo"), OBJECTIVES, [])
    with pytest.raises(BriefError, match="twice"):
        read_plans(Text("sft -> dpo -> sft"), OBJECTIVES, [])


def test_what_is_read_is_claimed() -> None:
    text = Text("Try GRPO after SFT on rows.jsonl")
    read_plans(text, OBJECTIVES, [])
    assert "GRPO" not in text.rest and "SFT" not in text.rest and "rows.jsonl" in text.rest
