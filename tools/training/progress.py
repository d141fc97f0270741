"""One job in progress: what it was given, how far it is, and what it says of itself."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tunewright.domain.job import TrialSpec
from tunewright.domain.outcome import Item, JobResult, Measurement
from tunewright.domain.trial_event import Measured, Progressed, Scored
from tunewright.tools.contract import Output, peak_memory_gib
from tunewright.tools.data.rows import Row
from tunewright.tools.evaluation.measure import measure
from tunewright.tools.models.precision import Computed, resolve_precision
from tunewright.tools.training.checkpoint import Counters
from tunewright.tools.training.curve import Curve
from tunewright.tools.training.stop import Stop

_SCORES = 1000
"""Of a ``Scored`` event at most: a line of events is at most 64 KiB long."""
_EVERY_S = 0.5
"""Between two ``Progressed`` events. The curve holds every step."""


@dataclass
class Progress:
    """Shared by the stages of a job."""

    spec: TrialSpec
    output: Output
    stop: Stop
    began: float
    """By ``time.perf_counter``."""
    device: str
    """``cpu``, or ``cuda: NAME``."""
    precision: Computed = "fp32"
    val: Sequence[Row] = ()
    tokenizer: Any = None
    base: Callable[[], Any] | None = None
    """Loads the model that the first stage begins with, anew and frozen."""
    counters: Counters = field(default_factory=Counters)
    total_steps: int = 0
    trainable: int = 0
    setup_s: float | None = None
    curve: Curve | None = None
    _said: float = 0.0

    @property
    def folder(self) -> Any:
        """The job's ``out/``."""
        return self.output.folder

    def compute_in(self, precision: str) -> None:
        """Settles what ``auto`` means on this device."""
        self.precision = resolve_precision(precision, self.device.partition(":")[0])

    def ready(self) -> None:
        """The set-up is over; only the first call counts."""
        if self.setup_s is None:
            self.setup_s = time.perf_counter() - self.began

    def waited(self, seconds: float) -> None:
        """Part of the set-up was done after the first step, which is a later stage's."""
        if self.setup_s is not None:
            self.setup_s += seconds

    def stepped(self, loss: float, tokens: int, seconds: float) -> None:
        """An optimiser step was taken."""
        self.counters.step += 1
        self.counters.tokens += tokens
        self.counters.train_s += seconds
        if self.curve is not None and math.isfinite(loss):  # JSON has no NaN; the fault tells its step
            self.curve.add(self.counters.step, loss)

    def say(self, loss: float, lr: float | None, grad_norm: float | None, facts: Mapping[str, float]) -> None:
        """Tells the host of the last step, if it is the last of all or half a second since it was told."""
        now = time.perf_counter()
        if now - self._said < _EVERY_S and self.counters.step < self.total_steps:
            return
        self._said = now
        self.output.event(
            Progressed(
                step=self.counters.step,
                of=self.total_steps,
                loss=loss,
                lr=lr,
                grad_norm=grad_norm,
                tokens=self.counters.tokens,
                elapsed_s=self.counters.train_s + self.counters.eval_s + (self.setup_s or 0.0),
                memory_gib=peak_memory_gib(),
                facts={name: value for name, value in facts.items() if math.isfinite(value)},
            )
        )

    @property
    def at_rung(self) -> bool:
        """Whether the step just taken is to be followed by a measurement. The end is measured apart."""
        return self.counters.step in self._looks

    @property
    def _looks(self) -> dict[int, int]:
        """Step -> number of its rung."""
        return self.spec.rungs.looks(self.spec.recipe, self.total_steps)

    def measured_before(self) -> bool:
        """Whether an earlier attempt has measured at this step already."""
        for line in (self.folder / "events.jsonl").read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
                if event["kind"] == "measured" and event["measurement"]["step"] == self.counters.step:
                    return True
            except (ValueError, KeyError, TypeError):
                continue  # torn by a crash
        return False

    def measure(self, model: Any, *, final: bool) -> tuple[Measurement, list[Item]]:
        """Scores validation, a part of it at a rung, and tells the host.

        Raises:
            Interrupted: it is time to stop.
        """
        rows = self.val if final else self.val[: self.spec.rungs.rows]
        began = time.perf_counter()
        try:
            found = measure(
                model,
                self.tokenizer,
                rows,
                self.spec.task,
                step=self.counters.step,
                precision=self.precision,
                progress=self.stop.check,
                tell=self._teller(len(rows), began) if final else None,
            )
        finally:
            self.counters.eval_s += time.perf_counter() - began
        rung = None if final else self._looks.get(self.counters.step)
        measurement = found[0].model_copy(update={"rung": rung})
        self.output.event(Measured(measurement=measurement, final=final))
        return measurement, found[1]

    def _teller(self, of: int, began: float) -> Callable[[Sequence[Item]], None]:
        """Tells the host how each row was scored, in their order, so that it can stop what cannot win any more."""
        done = 0

        def tell(items: Sequence[Item]) -> None:
            nonlocal done
            scores = [item.score for item in items]
            taken_s = time.perf_counter() - began
            for at in range(0, len(scores), _SCORES):
                some = tuple(scores[at : at + _SCORES])
                if all(map(math.isfinite, some)):  # else the host sees the gap, and compares no further
                    self.output.event(Scored(step=self.counters.step, first=done, of=of, scores=some, seconds=taken_s))
                done += len(some)
            self.stop.check(done, of)

        return tell

    def share(self) -> None:
        """What is recalled was done by another job: its steps count, its time was paid for there."""
        self.counters.shared = self.counters.step
        self.counters.shared_s += self.counters.train_s + self.counters.eval_s
        self.counters.train_s = self.counters.eval_s = 0.0

    def result(self, status: Literal["done", "paused", "failed"], **more: Any) -> JobResult:
        """What is known so far."""
        return JobResult(
            status=status,
            steps=self.counters.step,
            total_steps=self.total_steps,
            shared_steps=self.counters.shared,
            shared_s=self.counters.shared_s,
            tokens=self.counters.tokens,
            train_s=self.counters.train_s,
            eval_s=self.counters.eval_s,
            setup_s=self.setup_s if self.setup_s is not None else time.perf_counter() - self.began,
            peak_memory_gib=peak_memory_gib(),
            trainable_parameters=self.trainable,
            curve_digest=self.curve.digest if self.curve is not None else None,
            device=self.device,
            precision=self.precision,
            **more,
        )

    def keep(self, name: str) -> None:
        """Writes the counters beside a finished stage, for an attempt that starts after it."""
        self.output.write(name, json.dumps(asdict(self.counters)))

    def recall(self, name: str) -> None:
        """Takes the counters up that ``keep`` wrote."""
        self.counters = Counters(**json.loads((self.folder / name).read_text(encoding="utf-8")))
