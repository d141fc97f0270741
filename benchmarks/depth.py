"""Progressive depth against the whole model at as many steps, and what clients send, on the CPU.

    python benchmarks/depth.py [--turns N]

One Llama of eight layers and 1.7M parameters, first trained on rows of another kind, so that its layers have something
in them; then LoRA on rows whose answer is a word of the prompt. Every recipe is a job through the entry that a sandbox
uses; its seconds are those of its steps, its loss is that of the whole model on rows it has not seen. The turns take
the recipes in alternation, each turn with a seed of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.domain.job import CodeIdentity, DataIdentity, Limits, SplitIdentity, TrialSpec
from tunewright.domain.recipe import Recipe
from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.domain.trial_event import trial_event
from tunewright.tools.training.__main__ import main as train

LAYERS, STEPS, FIRST_STEPS = 8, 100, 300
SHAPE = {
    "vocab_size": 260, "hidden_size": 128, "intermediate_size": 384, "num_attention_heads": 4,
    "num_key_value_heads": 4, "num_hidden_layers": LAYERS, "max_position_embeddings": 512,
}  # fmt: skip
WORDS = ("river", "stone", "cloud", "maple", "tiger", "piano", "amber", "violet", "copper", "falcon", "meadow", "lamp")
CLIENTS = {"clients": 4, "local_steps": 10}
CASES: Mapping[str, Mapping[str, Any]] = {
    "whole model": {},
    "2 depths": {"stages": 2},
    "4 depths": {"stages": 4},
    "4 depths, half of the steps whole": {"stages": 4, "full_share": 0.5},
    "whole model, 4 clients": CLIENTS,
    "4 depths, 4 clients": {"stages": 4, **CLIENTS},
    "4 depths, 4 clients, B kept": {"stages": 4, **CLIENTS, "average": "share_a"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as scratch:
        model = make_model(Path(scratch))
        seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in CASES}
        for turn in range(turns):
            for name, depth in CASES.items():
                seen[name].append(run(Path(tempfile.mkdtemp(dir=scratch)), model, stage(depth, STEPS), 1 + turn))
        print(
            "| recipe | seconds | time : whole model | loss | loss : whole model | sent MB |\n|---|---|---|---|---|---|"
        )
        plain = [statistics.median(column) for column in zip(*seen["whole model"], strict=True)]
        for name, found in seen.items():
            seconds, loss, sent = (statistics.median(column) for column in zip(*found, strict=True))
            print(
                f"| {name} | {seconds:.1f} | {seconds / plain[0]:.2f} | {loss:.3f} | {loss / plain[1]:.2f} | "
                f"{sent / 1e6:.1f} |",
                flush=True,
            )


def stage(depth: Mapping[str, Any], steps: int, adapter: Mapping[str, Any] | None = None, lr: float = 1e-3) -> Any:
    how = {"lr": lr, "batch_size": 16, "steps": steps, "precision": "fp32"}
    return {"adapter": dict(adapter or {"kind": "lora", "rank": 16}), "optimisation": how, "depth": dict(depth)}


def make_model(scratch: Path) -> Path:
    """The model of ``SHAPE``, trained to say the words of a prompt again, last one first."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tunewright.tools.models.adapter import attach, merged
    from tunewright.tools.models.load import load_model
    from tunewright.tools.models.resolve import resolve

    torch.manual_seed(0)
    raw, made, job = scratch / "raw", scratch / "model", scratch / "pretraining"
    LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=True)).save_pretrained(raw)
    tokens = list(resolve("tiny", cache=scratch / "cache").path.glob("*token*"))
    for file in tokens:
        shutil.copy(file, raw)
    run(job, raw, stage({}, FIRST_STEPS, {"kind": "full"}), 0, backwards=True)
    merged(attach(load_model(raw)[0], job / "out" / "adapter")).save_pretrained(made)
    for file in tokens:
        shutil.copy(file, made)
    return made


def run(
    folder: Path, model: Path, chosen: Mapping[str, Any], seed: int, *, backwards: bool = False
) -> tuple[float, float, float]:
    """Seconds of the steps, loss on rows unseen, bytes sent."""
    write_job(folder, Recipe.model_validate({"seed": seed, "stages": [chosen]}), backwards)
    code = train([str(folder), "--model", str(model)])  # in this process: a start would take as long as the steps
    assert code == 0, (folder / "out" / "result.json").read_text()
    result = json.loads((folder / "out" / "result.json").read_text())
    lines = (folder / "out" / "events.jsonl").read_text().splitlines()
    events = [trial_event.validate_json(line) for line in lines]
    sent = [event.facts.get("upload_bytes", 0.0) for event in events if event.kind == "progressed"]
    return result["train_s"], result["measurement"]["value"], max(sent, default=0.0)


def rows(count: int, first: int, backwards: bool) -> list[dict[str, Any]]:
    """The answer is all words backwards; or the word that the number before them says."""
    made = []
    for number in range(first, first + count):
        chance = random.Random(number)
        words = chance.sample(WORDS, 4)
        which = chance.randrange(4)
        text = " ".join(words) if backwards else f"{which + 1}: {' '.join(words)}"
        answer = " ".join(reversed(words)) if backwards else words[which]
        made.append({"id": f"{number:016x}", "source": "ab"[which % 2], "input": text, "target": answer, "meta": {}})
    return made


def write_job(folder: Path, recipe: Recipe, backwards: bool) -> None:
    (folder / "in").mkdir(parents=True)
    found = {}
    for split, count, first in (("train", 960, 0), ("val", 96, 10**6)):
        text = "".join(json.dumps(row) + "\n" for row in rows(count, first, backwards))
        (folder / "in" / f"{split}.jsonl").write_text(text)
        found[split] = SplitIdentity(digest=hashlib.sha256(text.encode()).hexdigest(), rows=count)
    task = TaskSpec(
        model="bench", sources=tuple(DataSource(path=f"{name}.jsonl", name=name) for name in "ab"),
        format="completion", input_field="input", target_field="target",
        metric=Metric(name="loss", direction="min"), prompt="{input} ->",
    )  # fmt: skip
    spec = TrialSpec.model_validate({
        "id": "t0", "study": "bench", "task": task, "sandbox": "process", "code": CodeIdentity(version="0", digest="0"),
        "model": {"ref": "bench", "digest": "0", "parameters": 1}, "recipe": recipe,
        "limits": Limits(wall_s=1800, memory_gib=8, threads=1),
        "data": DataIdentity(train=found["train"], val=found["val"], test=found["val"]),
    })  # fmt: skip
    (folder / "spec.json").write_text(spec.model_dump_json())


if __name__ == "__main__":
    main()
