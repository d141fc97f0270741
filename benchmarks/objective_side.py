"""One side of a comparison of ``objectives.py``, in a process of its own that takes its steps when it is told to.

Reads an order from its first line of input. Before each of the steps that are timed together it writes a line of JSON
with the time since it was last told to go on, and waits for a line; at the end it writes a line with its peak
memory. Ours is a trial as a sandbox runs it; theirs is a trainer of TRL's, or the plain loop of ``plain_ppo.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from objective_case import ALPHA, ANSWERED, LR, RANK, Case, Order, paid, recipe_of, rows_for_trl, rows_of, specification

from tunewright.tools.contract import Output, peak_memory_gib
from tunewright.tools.training.progress import Progress
from tunewright.tools.training.stop import Stop


class Gate:
    """Where a side waits for its turn.

    Args:
        every: steps between two waits.
        total: after which there is none.
    """

    def __init__(self, every: int, total: int, out: Any) -> None:
        self.every, self.total, self.out = every, total, out
        self.released = times()

    def arrive(self, step: int) -> None:
        """Called before each step."""
        if step % self.every or step >= self.total:
            return
        self.say(**{name: now - self.released[name] for name, now in times().items()})
        sys.stdin.readline()
        self.released = times()

    def say(self, **what: Any) -> None:
        """Writes a line."""
        self.out.write(json.dumps(what) + "\n")
        self.out.flush()


def times() -> dict[str, float]:
    """By the clock, and of all this process's threads on a processor."""
    return {"seconds": time.perf_counter(), "cpu": time.process_time()}


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    order = Order.load(sys.stdin.readline())
    gate = Gate(order.case.steps, order.total, out)
    run = {"ours": ours, "ppo": by_hand}.get(order.side.by, trl)
    told = run(order, gate)
    gate.say(peak_mib=peak_memory_gib() * 1024, **told)


def ours(order: Order, gate: Gate) -> dict[str, Any]:
    """A trial in our trainer."""
    import tunewright.tools.training.preload  # noqa: F401  as every trial does
    from tunewright.tools.training.trial import prepare, run_trial

    case, folder = order.case, Path(order.folder)
    rows = rows_of(case, order.total * case.rows + case.kept, _vocabulary(order))
    shown = Case("val", order.side, order.side)
    stage = recipe_of(order.side.settings, case.rows, order.total)
    spec = specification(case.form, rows, rows_of(shown, 1, _vocabulary(order)), [stage], folder / "in")
    clock = ReferenceClock(folder)

    class Paced(Progress):
        def ready(self) -> None:
            super().ready()
            gate.arrive(self.counters.step)

    progress = Paced(spec=spec, output=clock, stop=clock.stop, began=time.perf_counter(), device=prepare(spec.limits))
    progress.compute_in("fp32")
    result = run_trial(progress, folder, Path(order.model))
    return {"parameters": result.trainable_parameters, "reference": clock.spent}


class ReferenceClock(Output):
    """The output of a job that knows how long its reference was read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reading = False
        self.began = self.spent = {"seconds": 0.0, "cpu": 0.0}
        clock = self

        class Watched(Stop):
            def check(self, done: int, of: int) -> None:
                if clock.reading:
                    clock.spent = {name: now - clock.began[name] for name, now in times().items()}
                    clock.reading = done < of

        self.stop = Watched()

    def note(self, message: str, *args: Any, **more: Any) -> None:
        """Looks for the line that is said before the reference is read."""
        if message.startswith("the reference"):
            self.reading, self.began = True, times()
        super().note(message, *args, **more)


def trl(order: Order, gate: Gate) -> dict[str, Any]:
    """One of TRL's trainers, with the settings of ours and otherwise its defaults."""
    _quiet()
    from peft import LoraConfig
    from transformers import AutoTokenizer, TrainerCallback

    case, name = order.case, order.side.by
    config, trainer = _trl_classes(name)

    class Paced(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            gate.arrive(state.global_step)

    sequences = case.rows * (order.side.settings["num_generations"] if case.rolls else 1)
    lengths = {"max_completion_length": ANSWERED} if case.rolls else {"max_length": 512}
    arguments = config(
        output_dir=order.folder, per_device_train_batch_size=sequences, max_steps=order.total, learning_rate=LR,
        lr_scheduler_type="constant", use_cpu=True, bf16=False, gradient_checkpointing=False, seed=1,
        report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True,
        **lengths, **order.side.settings,
    )  # fmt: skip
    rewards = {"reward_funcs": lambda completions, **_: paid(completions)} if case.rolls else {}
    made = trainer(
        model=_given(name, order.model),
        args=arguments,
        train_dataset=rows_for_trl(case, order.total * case.rows, _vocabulary(order)),
        processing_class=AutoTokenizer.from_pretrained(order.model),
        peft_config=LoraConfig(
            r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules="all-linear",
            task_type="SEQ_CLS" if name == "Reward" else "CAUSAL_LM",
        ),
        callbacks=[Paced()],
        **rewards,
    )  # fmt: skip
    made.train()
    return {"parameters": sum(weight.numel() for weight in made.model.parameters() if weight.requires_grad)}


def by_hand(order: Order, gate: Gate) -> dict[str, Any]:
    """The plain loop of PPO."""
    _quiet()
    from plain_ppo import PlainPpo

    rows = order.case.rows
    prompts = [row["input"] for row in rows_of(order.case, order.total // order.case.steps * rows, _vocabulary(order))]
    how = {**order.side.settings, "lr": LR, "rank": RANK, "alpha": ALPHA, "answer": ANSWERED}
    loop = PlainPpo(order.model, how, paid)
    loop.train(prompts, rows, order.total, gate.arrive)
    return {"parameters": sum(weight.numel() for weight in loop.trained)}


def _quiet() -> None:
    """As a trial is: offline, with two threads, without advice."""
    import warnings

    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TRL_EXPERIMENTAL_SILENCE": "1"}
    import torch

    torch.set_num_threads(2)
    warnings.simplefilter("ignore")


def _trl_classes(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    import importlib

    home = f"trl.experimental.{name.lower()}" if name in ("ORPO", "CPO") else "trl"
    module = importlib.import_module(home)
    return getattr(module, f"{name}Config"), getattr(module, f"{name}Trainer")


def _given(name: str, model: str) -> Any:
    """TRL loads a model by its path, but where a trainer cannot."""
    if name not in ("ORPO", "CPO"):
        return model
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model)


def _vocabulary(order: Order) -> int:
    found: Mapping[str, Any] = json.loads((Path(order.model) / "config.json").read_text())
    return int(found["vocab_size"])


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
