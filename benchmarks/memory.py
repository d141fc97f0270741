"""The memory model against what recipes take: predicted and measured peak of each in a fresh process, on the CPU.

    python benchmarks/memory.py [--only NAME ...] [--model DIR] [--keep FILE]

One model of 45M parameters with a vocabulary of 32,768, rows of 64 to 224 tokens of which 48 carry loss. Every recipe
is a job through the entry that a sandbox uses; its peak is the resident set that its result tells. What is predicted is
what a study would forecast before its first trial: from the model's files, the rows' lengths and the base model's
evaluation, which is measured first. The second table has the peak of a recipe with each lever and without.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright.domain.job import CodeIdentity, DataIdentity, EvaluationSpec, Limits, Rungs, SplitIdentity, TrialSpec
from tunewright.domain.outcome import JobResult
from tunewright.domain.recipe import Recipe
from tunewright.domain.task import DataSource, Metric, TaskSpec

SHAPE = {
    "vocab_size": 32768, "hidden_size": 512, "intermediate_size": 1536, "num_attention_heads": 8,
    "num_key_value_heads": 4, "num_hidden_layers": 9, "max_position_embeddings": 2048,
}  # fmt: skip
STEPS, TARGET = 3, 46
"""Of a job, and characters of an answer; a byte is a token."""
PROMPTS = (16, 48, 80, 112, 144, 176)

Case = Mapping[str, Any]


def case(
    adapter: str = "lora", objective: str = "sft", memory: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A recipe's one stage, and under ``format`` what its rows are."""
    how = {"lr": 1e-4, "batch_size": 16, "steps": STEPS, "precision": "fp32"}
    how |= {name: more.pop(name) for name in list(more) if name in ("batch_size", "precision")}
    rows = more.pop("format", "completion")
    settings = {"kind": adapter, **({"rank": more.pop("rank", 16)} if adapter in ("lora", "dora") else {})}
    aim = {"kind": objective, **more}
    stage = {"objective": aim, "adapter": settings, "optimisation": how, "memory": dict(memory or {})}
    return {"format": rows, "stage": stage}


CASES: dict[str, Case] = {
    "lora": case(),
    "lora, batch 4": case(batch_size=4),
    "lora, batch 32": case(batch_size=32),
    "lora, rank 128": case(rank=128),
    "lora, loss on all": case(loss_on="all"),
    "lora, bf16": case(precision="bf16"),
    "dora": case("dora"),
    "ia3": case("ia3"),
    "full": case("full"),
    "full, bf16": case("full", precision="bf16"),
    "last_k": case("last_k"),
    "lora, dpo": case(objective="dpo", format="preference", batch_size=8),
    "lora, orpo": case(objective="orpo", format="preference", batch_size=8),
    "lora, kto": case(objective="kto", format="preference", batch_size=8),
    "lora, reward": case(objective="reward", format="preference", batch_size=8),
    "lora, cpt packed": case(objective="cpt", format="text"),
    "lora, micro-batch 2": case(memory={"micro_batch": 2}),
    "lora, dpo, micro-batch 2": case(objective="dpo", format="preference", batch_size=8, memory={"micro_batch": 2}),
    "lora, checkpoint 1": case(memory={"checkpoint_every": 1}),
    "lora, checkpoint 2": case(memory={"checkpoint_every": 2}),
    "lora, offload": case(memory={"offload": True}),
    "lora, compact": case(memory={"compact": True}),
    "lora, checkpoint 1, compact": case(memory={"checkpoint_every": 1, "compact": True}),
    "lora, offload, compact": case(memory={"offload": True, "compact": True}),
    "lora, all four": case(memory={"micro_batch": 2, "checkpoint_every": 1, "offload": True, "compact": True}),
    "full, compact": case("full", memory={"compact": True}),
    "lora, bf16, 32 bits": case(precision="bf16", memory={"base_bits": 32}),
    "lora, loss on all, vocabulary 1024": case(loss_on="all", memory={"vocabulary": 1024}),
    "full, adafactor": case("full", memory={"optimiser": "adafactor"}),
    "full, checkpoint 1": case("full", memory={"checkpoint_every": 1}),
    "full, adafactor, micro-batch 1": case("full", memory={"optimiser": "adafactor", "micro_batch": 1}),
}
LEVERS = (
    ("micro-batch 2", "lora", "lora, micro-batch 2"),
    ("checkpoint_every 2", "lora", "lora, checkpoint 2"),
    ("checkpoint_every 1", "lora", "lora, checkpoint 1"),
    ("offload", "lora", "lora, offload"),
    ("compact", "lora", "lora, compact"),
    ("checkpoint_every 1, beside compact", "lora, compact", "lora, checkpoint 1, compact"),
    ("offload, beside compact", "lora, compact", "lora, offload, compact"),
    ("all four", "lora", "lora, all four"),
    ("16 bits", "lora, bf16, 32 bits", "lora, bf16"),
    ("vocabulary 1024", "lora, loss on all", "lora, loss on all, vocabulary 1024"),
    ("loss on the answer alone", "lora, loss on all", "lora"),
    ("adafactor", "full", "full, adafactor"),
    ("checkpoint_every 1, full", "full", "full, checkpoint 1"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(CASES), help="names of recipes")
    parser.add_argument("--model", type=Path, help="another model's directory")
    parser.add_argument("--keep", type=Path, help="a file that what was measured is written to, and read from again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), given.model, given.keep)
        print("| recipe | predicted MiB | measured MiB | predicted / measured |\n|---|---|---|---|")
        for name in given.only:
            measured, predicted = bench.measured(name), bench.predicted(name)
            print(f"| {name} | {predicted:,.0f} | {measured:,.0f} | {predicted / measured:.2f} |", flush=True)
        print("\n| lever | without MiB | with MiB | spared MiB |\n|---|---|---|---|")
        for lever, without, having in LEVERS:
            if {without, having} <= set(given.only):
                before, after = bench.measured(without), bench.measured(having)
                print(f"| {lever} | {before:,.0f} | {after:,.0f} | {before - after:,.0f} |")


class Bench:
    """A folder of jobs for one model.

    Args:
        model: its directory; the model of ``SHAPE`` if it is not given.
        keep: a file of what was measured.
    """

    def __init__(self, folder: Path, model: Path | None, keep: Path | None) -> None:
        self.folder, self.keep = folder, keep
        self.model = model or make_model(folder / "model")
        self.seen: dict[str, Any] = json.loads(keep.read_text()) if keep is not None and keep.exists() else {}

    def measured(self, name: str) -> float:
        """MiB that the recipe took at most."""
        if name not in self.seen:
            stage = CASES[name]["stage"]
            recipe = Recipe.model_validate({"seed": 1, "stages": [stage]})
            self._remember(name, self._run("training", CASES[name]["format"], recipe))
        return float(self.seen[name]["peak_memory_gib"]) * 1024

    def predicted(self, name: str) -> float:
        """MiB that a study would expect of it."""
        from tunewright.tools.models.estimate import Estimator, Speed, token_lengths
        from tunewright.tools.models.facts import facts

        trained = rows("completion", 48)
        lengths = token_lengths(self.model, [row["input"] + row["target"] for row in trained], 512)
        answers = token_lengths(self.model, [row["target"] for row in trained], 512)
        if "base" not in self.seen:
            self._remember("base", self._run("evaluation", "completion", None))
        base = JobResult.model_validate(self.seen["base"])
        estimator = Estimator(facts(self.model), lengths, train_rows=48, val_rows=12, answers=answers)
        recipe = Recipe.model_validate({"seed": 1, "stages": [CASES[name]["stage"]]})
        return estimator.forecast(recipe, Speed(base, base_wall_s=10.0), Rungs()).memory_gib.expected * 1024

    def _remember(self, name: str, result: JobResult) -> None:
        self.seen[name] = result.model_dump(mode="json")
        if self.keep is not None:
            self.keep.write_text(json.dumps(self.seen, indent=1))

    def _run(self, job: str, form: str, recipe: Recipe | None) -> JobResult:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        write_job(folder, form, recipe)
        command = [sys.executable, "-m", f"tunewright.tools.{job}", str(folder), "--model", str(self.model)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return JobResult.model_validate_json((folder / "out" / "result.json").read_text())


def make_model(folder: Path) -> Path:
    """The model of ``SHAPE`` with the tokenizer of ``tiny``."""
    import shutil

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tunewright.tools.models.resolve import resolve

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=True)).save_pretrained(folder)
    tiny = resolve("tiny", cache=folder.parent / "cache").path
    for file in tiny.glob("*token*"):
        shutil.copy(file, folder)
    return folder


def rows(form: str, count: int) -> list[dict[str, Any]]:
    """Rows of a format; their prompts have the lengths of ``PROMPTS`` in turn."""
    made = []
    for number in range(count):
        text = (f"{number} " * 100)[: PROMPTS[number % len(PROMPTS)]]
        good, bad = ((f"{word}{number} " * 40)[:TARGET] for word in ("good", "bad"))
        row = {"id": f"{number:016x}", "source": "a", "input": text, "target": good, "meta": {}}
        if form == "preference":
            row["rejected"] = bad
        elif form == "text":
            row |= {"input": "", "target": text + good, "raw": True}
        made.append(row)
    return made


def write_job(folder: Path, form: str, recipe: Recipe | None) -> None:
    """A training, or the base model's evaluation, as a sandbox finds it."""
    import hashlib

    (folder / "in").mkdir(parents=True)
    splits: Sequence[tuple[str, str, int]] = (("train", form, 48), ("val", "completion", 12))
    if recipe is None:
        splits = (("data", "completion", 12),)
    found = {}
    for split, format_, count in splits:
        text = "".join(json.dumps(row) + "\n" for row in rows(format_, count))
        (folder / "in" / f"{split}.jsonl").write_text(text)
        found[split] = SplitIdentity(digest=hashlib.sha256(text.encode()).hexdigest(), rows=count)
    task = TaskSpec(
        model="bench", sources=(DataSource(path="a.jsonl", name="a", format=form),), format="completion",
        input_field="input", target_field="target", metric=Metric(name="loss", direction="min"), prompt="{input}",
    )  # fmt: skip
    shared: dict[str, Any] = {
        "id": "t0", "study": "bench", "task": task, "sandbox": "process", "code": CodeIdentity(version="0", digest="0"),
        "model": {"ref": "bench", "digest": "0", "parameters": 1},
        "limits": Limits(wall_s=900, memory_gib=16, threads=2),
    }  # fmt: skip
    if recipe is None:
        spec: Any = EvaluationSpec(**shared, split="val", data=found["data"], precision="fp32")
    else:
        data = DataIdentity(train=found["train"], val=found["val"], test=found["val"])
        spec = TrialSpec(**shared, recipe=recipe, data=data)
    (folder / "spec.json").write_text(spec.model_dump_json())


if __name__ == "__main__":
    main()
