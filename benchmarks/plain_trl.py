"""The script an engineer would write by hand for one recipe: TRL, PEFT, nothing of ours.

    python benchmarks/plain_trl.py --model DIR --data FOLDER --recipe recipe.json --out DIR

Trains on ``FOLDER/train.jsonl``, evaluates the loss on ``FOLDER/val.jsonl`` with the trainer's own ``evaluate``
and saves the adapter. Prints one JSON object: seconds and peak memory.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path


def main() -> None:
    started = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--model", "--data", "--recipe", "--out"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()

    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    recipe = json.loads(Path(given.recipe).read_text())
    stage = recipe["stages"][0]
    how, adapter = stage["optimisation"], stage["adapter"]
    files = {split: str(Path(given.data) / f"{split}.jsonl") for split in ("train", "val")}
    data = load_dataset("json", data_files=files, cache_dir=str(Path(given.out) / "cache"))
    data = data.map(
        lambda row: {"prompt": recipe["prompt"].replace("{input}", row["input"]), "completion": " " + row["target"]},
        remove_columns=data["train"].column_names,
    )
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32)
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=data["train"],
        eval_dataset=data["val"],
        peft_config=LoraConfig(
            r=adapter["rank"],
            lora_alpha=adapter["alpha"],
            target_modules="all-linear",
            use_dora=adapter["kind"] == "dora",
            use_rslora=adapter["kind"] == "rslora",
            task_type="CAUSAL_LM",
        ),
        args=SFTConfig(
            output_dir=given.out,
            learning_rate=how["lr"],
            lr_scheduler_type=how["schedule"],
            per_device_train_batch_size=how["batch_size"],
            per_device_eval_batch_size=32,
            max_steps=recipe["steps"],
            completion_only_loss=True,
            bf16=recipe["precision"] == "bf16",
            use_cpu=not torch.cuda.is_available(),
            seed=recipe["seed"],
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
    )
    trainer.train()
    loss = trainer.evaluate()["eval_loss"]
    trainer.save_model(given.out)
    status = Path("/proc/self/status").read_text()  # ru_maxrss would be inherited from whoever started this
    peak = int(status.split("VmHWM:")[1].split()[0]) / 2**20
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_memory_gib": peak, "eval_loss": loss}))


if __name__ == "__main__":
    main()
