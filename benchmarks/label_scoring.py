"""Label scoring of 1,000 items with 20 labels against one forward pass an item and a label.

    python benchmarks/label_scoring.py [--model DIR] [--items 1000] [--plain-items 40] [--repeats 3]

Both run in the same process on the same items, taking turns, in fp32; the ratio is of the medians. The plain way takes
hours for 1,000 items of a real model, so by default both are timed on 40 of them, which leaves our side less to
batch; our time for all is measured and printed too, and nothing is scaled. The plain way is not made slower than it
has to be: it computes no logits but those it reads, and encodes each prompt once. It fails if the two do not predict
the same labels.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tunewright.domain.task import DataSource, Metric, TaskSpec
from tunewright.settings import load as settings
from tunewright.tools.evaluation.measure import measure
from tunewright.tools.models.load import load_model
from tunewright.tools.models.prompt import encode_prompt, label_ids
from tunewright.tools.models.resolve import resolve

LABELS = (
    "account closure", "account opening", "billing error", "billing question", "card lost", "card not working",
    "delivery late", "delivery missing", "exchange rate", "gift card", "loan application", "loan repayment",
    "password reset", "phone number change", "refund delayed", "refund request", "subscription change",
    "technical problem", "transfer failed", "transfer pending",
)  # fmt: skip
_WORDS = (
    "please", "my", "the", "card", "was", "not", "when", "I", "tried", "to", "pay", "for", "an", "order", "last",
    "week", "and", "now", "it", "says", "pending", "again", "could", "you", "check", "why", "money", "transfer",
    "account", "number", "changed", "still", "waiting", "two", "days", "help", "app", "error",
)  # fmt: skip


def main() -> int:
    given = _arguments()
    torch.set_num_threads(given.threads)
    model, tokenizer = load_model(given.model or _default_model(), device="cpu")
    task = TaskSpec(
        model="benchmark",
        sources=(DataSource(path="none", name="none"),),
        format="label",
        input_field="text",
        target_field="label",
        metric=Metric(name="accuracy"),
        labels=LABELS,
        prompt="Message: {input}\nTopic:",
    )
    rows = _rows(given.items)
    sample = rows[: given.plain_items]

    def ours(which: list[dict[str, Any]]) -> list[str]:
        return [item.prediction for item in measure(model, tokenizer, which, task, step=0)[1]]

    ours(rows[:8])  # neither side pays for what happens once
    times: dict[str, list[float]] = {"all": [], "ours": [], "plain": []}
    for turn in range(given.repeats):
        _timed(times["all"], lambda: ours(rows))
        mine = _timed(times["ours"], lambda: ours(sample))
        theirs = _timed(times["plain"], lambda: _plain(model, tokenizer, sample, task))
        latest = ", ".join(f"{name} {seconds[-1]:.1f} s" for name, seconds in times.items())
        print(f"turn {turn + 1} of {given.repeats}: {latest}", file=sys.stderr, flush=True)
    agree = sum(a == b for a, b in zip(mine, theirs, strict=True))
    middle = {name: statistics.median(seconds) for name, seconds in times.items()}
    print(
        f"label scoring, {len(LABELS)} labels, {sum(p.numel() for p in model.parameters()):,} parameters, "
        f"threads: {torch.get_num_threads()}, medians of {given.repeats}\n"
        f"  {len(sample)} items: {middle['plain']:.1f} s plain, {middle['ours']:.1f} s ours: "
        f"{middle['plain'] / middle['ours']:.1f} times faster; {agree} of {len(sample)} predictions agree\n"
        f"  {len(rows)} items: {middle['all']:.1f} s ours"
    )
    # Two sums of floats in another order may part where two labels are level.
    return 0 if agree >= 0.995 * len(sample) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model directory; by default smollm2-135m if cached, else tiny")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--plain-items", type=int, default=40, help="items that both sides are timed on")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _default_model() -> Path:
    cache = settings().cache
    cached = (cache / "models" / "smollm2-135m").is_dir()
    return resolve("smollm2-135m" if cached else "tiny", cache=cache).path


def _rows(count: int) -> list[dict[str, Any]]:
    """Messages of 5 to 25 words."""
    draw = random.Random(0)
    return [
        {
            "id": f"{i:016x}",
            "source": "none",
            "input": " ".join(draw.choice(_WORDS) for _ in range(draw.randint(5, 25))),
            "target": draw.choice(LABELS),
            "meta": {},
        }
        for i in range(count)
    ]


@torch.no_grad()
def _plain(model: Any, tokenizer: Any, rows: list[dict[str, Any]], task: TaskSpec) -> list[str]:
    """By the book: one forward pass an item and a label, the sum of the label's token log-likelihoods."""
    labels = [ids[:-1] for ids in label_ids(task, tokenizer)]
    predictions = []
    for row in rows:
        prompt = encode_prompt(row, task, tokenizer)
        sums = []
        for label in labels:
            ids = torch.tensor([prompt + label])
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(label) + 1).logits[0]
            chosen = logits[:-1].log_softmax(-1)
            sums.append(float(chosen[torch.arange(len(label)), torch.tensor(label)].sum()))
        predictions.append(task.labels[sums.index(max(sums))])
    return predictions


def _timed(seconds: list[float], work: Callable[[], list[str]]) -> list[str]:
    began = time.perf_counter()
    found = work()
    seconds.append(time.perf_counter() - began)
    return found


if __name__ == "__main__":
    sys.exit(main())
