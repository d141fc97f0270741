"""Step time and peak memory of each adapter against stock LoRA with as many trained parameters.

One model of 31M parameters, one batch, fp32. Time: turns of one step each are taken by both sides in alternation
in one process, and the medians compared. Memory: a fresh process a side, its peak over what it held before the
adapter was put on. LoRA's rank is the one whose parameter count is nearest; rank 1 where a method trains less than
that. What happens once (a probe of rows, a decomposition) is in neither, and told apart; ``--page`` compares PAGE's
probe, which decides a placement, with a run of 100 steps.

"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from tunewright.domain.errors import UsageError
from tunewright.domain.recipe import Adapter, Optimisation
from tunewright.tools.contract import peak_memory_gib
from tunewright.tools.training.method import Start
from tunewright.tools.training.registry import adapter as find_adapter
from tunewright.tools.training.registry import adapters

VOCABULARY, HIDDEN, INTERMEDIATE, LAYERS, HEADS, KEY_VALUE_HEADS = 8192, 512, 1536, 9, 8, 4
ROWS, TOKENS, RUN_STEPS = 8, 64, 100
AIM, AIMS = 1.5, {"gpart": 2.5, "boostlora": float("inf")}
SETTINGS = {"sdslora": {"warmup_steps": 1}}
"""So that the steps measured are those after its activation, which are most of a training."""
OURS = ("sdslora", "gpart", "cera", "matryoshka", "headtune", "moa", "bottleneck", "unipool", "boostlora")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="*", default=adapters())
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--page", action="store_true", help="only what PAGE's probe costs of a run of 100 steps")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(memory_of(Adapter.model_validate_json(given.side))))
        return
    if given.page:
        print(f"PAGE: {page_share(given.steps):.1%} of {RUN_STEPS} LoRA steps of {ROWS} rows (aim: at most 5 %)")
        return
    line = "| {:16} | {:>10} | {:>9} | {:>6} | {:>6} | {:>7} | {} |"
    print(line.format("kind", "parameters", "LoRA rank", "time", "memory", "build s", "aim"))
    print("|---|---|---|---|---|---|---|")
    for kind in given.kinds:
        try:
            row = compare(kind, given.steps)
        except UsageError as error:
            print(line.format(kind, "-", "-", "-", "-", "-", error.message))
            continue
        held = "" if kind not in OURS else "holds" if row["time"] <= AIMS.get(kind, AIM) else "missed"
        numbers = (f"{row['parameters']:,}", row["rank"], f"{row['time']:.2f}", f"{row['memory']:.2f}")
        print(line.format(kind, *numbers, f"{row['build_s']:.1f}", held), flush=True)


def compare(kind: str, steps: int) -> dict[str, Any]:
    """Ratios of one kind's medians to those of its LoRA."""
    chosen = Adapter(kind=kind, placement=find_adapter(kind).placements[0], **SETTINGS.get(kind, {}))
    ours = Side(chosen)
    rank = max(1, min(256, round(ours.parameters / per_rank())))
    stock = Adapter(kind="lora", rank=rank)
    theirs = Side(stock)
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(steps + 2):
        for name, side in (("theirs", theirs), ("ours", ours)):
            seconds = side.step(turn)
            if turn >= 2:  # the first steps also allocate
                times[name].append(seconds)
    memory = [apart(chosen), apart(stock)]
    return {
        "parameters": ours.parameters,
        "rank": rank,
        "time": statistics.median(times["ours"]) / statistics.median(times["theirs"]),
        "memory": memory[0] / memory[1],
        "build_s": ours.build_s,
    }


def page_share(turns: int) -> float:
    """Time of scoring all modules by PAGE's probe, over a run of 100 steps of LoRA; medians of turns in alternation."""
    from tunewright.tools.training.page import page_scores

    trained, model, start = Side(Adapter(kind="lora", rank=8)), base_model(), Start(seed=1, steps=RUN_STEPS, rows=rows)
    probes, steps = [], []
    for turn in range(turns + 2):
        seconds = trained.step(turn)
        began = time.perf_counter()
        page_scores(model, start)
        if turn >= 2:  # the first turns also allocate
            probes.append(time.perf_counter() - began)
            steps.append(seconds)
    return statistics.median(probes) / (RUN_STEPS * statistics.median(steps))


def per_rank() -> int:
    """LoRA's parameters for one rank on every linear module."""
    key_value = HIDDEN * KEY_VALUE_HEADS // HEADS
    return LAYERS * (2 * 2 * HIDDEN + 2 * (HIDDEN + key_value) + 3 * (HIDDEN + INTERMEDIATE))


class Side:
    """A model in training with one adapter, as a stage trains it."""

    def __init__(self, chosen: Adapter) -> None:
        import torch

        from tunewright.tools.training.trainer import make_optimiser

        torch.set_num_threads(2)
        self.torch = torch
        method, begin = find_adapter(chosen.kind), Start(seed=1, steps=50, rows=rows)
        model = base_model()
        began = time.perf_counter()
        self.model = method.build(model, chosen, begin).train()
        self.loop = method.loop(self.model, chosen, begin)
        self.build_s = time.perf_counter() - began
        plan = Optimisation(lr=1e-3, steps=50, precision="fp32", schedule="constant", warmup_ratio=0)
        self.optimiser, _ = make_optimiser(self.model, plan, 50, lambda name: method.lr_factor(name, chosen))
        self.parameters = sum(weight.numel() for weight in self.model.parameters() if weight.requires_grad)

    def step(self, number: int) -> float:
        """Seconds of one optimiser step."""
        began = time.perf_counter()
        self.loop.before_step(number)
        batch = self.loop.batch(dict(rows(ROWS)[0]))
        logits = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        logits = logits[:, -batch["input_ids"].shape[1] :][:, :-1].flatten(0, 1)
        loss = self.torch.nn.functional.cross_entropy(logits, batch["labels"][:, 1:].flatten())
        penalty = self.loop.penalty()
        (loss if penalty is None else loss + penalty).backward()
        self.loop.after_backward(number)
        self.optimiser.step()
        self.loop.after_step(number, self.optimiser)
        self.optimiser.zero_grad()
        return time.perf_counter() - began


def base_model() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE}
    heads = {"num_attention_heads": HEADS, "num_key_value_heads": KEY_VALUE_HEADS, "num_hidden_layers": LAYERS}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=True))


def rows(count: int) -> list[Mapping[str, Any]]:
    import torch

    random = torch.Generator().manual_seed(2)
    ids = torch.randint(1, VOCABULARY, (ROWS, TOKENS), generator=random)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    return [batch] * max(1, count // ROWS)


def memory_of(chosen: Adapter) -> float:
    """MiB that building and three steps added to this process's peak."""
    base_model()
    before = peak_memory_gib()
    side = Side(chosen)
    for number in range(3):
        side.step(number)
    return (peak_memory_gib() - before) * 1024


def apart(chosen: Adapter) -> float:
    command = [sys.executable, __file__, "--side", chosen.model_dump_json()]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
