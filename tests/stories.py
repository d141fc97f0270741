"""A study told event by event, for tests: as the program would write it, in memory, with nothing trained.

Scores come from ``surface``, which rewards one adapter, a middling rank and one learning rate an adapter.
Whole studies are told in ``studies.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tunewright.domain import event as ev
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.job import CodeIdentity, DataIdentity, ModelIdentity, Rungs, SplitIdentity
from tunewright.domain.job_event import Role
from tunewright.domain.outcome import Completed, Failed, Fault, FaultKind, JobResult, Measurement, Pruned, Verdict
from tunewright.domain.profile import DataProfile, SourceProfile
from tunewright.domain.proposal import Decision, Forecast, Idea, Origin, Plan, Proposal, Range
from tunewright.domain.recipe import Recipe
from tunewright.domain.space import Choice, Condition, Dimension, Float, Int, Simplex, Space
from tunewright.domain.study import Study
from tunewright.domain.task import Brief, Constraint, DataSource, Metric, TaskSpec

LABELS = ("billing", "delivery", "refund", "returns", "warranty")
BRIEF = Brief(
    text="Teach smollm2-135m to route the messages in data/messages.jsonl to their topic. "
    "Maximise accuracy, keep the adapter under 5 MB. At most 30 minutes and 12 trials."
)
CODE = CodeIdentity(
    version="0.1.0",
    digest="c" * 64,
    packages={"torch": "2.9.0", "peft": "0.21.2"},
    git_commit="d" * 40,
    git_dirty=False,
)
DATA = DataIdentity(
    train=SplitIdentity(digest="1" * 64, rows=1418),
    val=SplitIdentity(digest="2" * 64, rows=304),
    test=SplitIdentity(digest="3" * 64, rows=304),
)
MODEL = ModelIdentity(ref="smollm2-135m", digest="4" * 64, parameters=134_515_008)
PROFILE = DataProfile(
    sources=(SourceProfile(name="messages", rows=2026, skipped=("data/messages.jsonl line 812: expected ','",)),),
    rows=2026,
    duplicates=11,
    characters=(48, 120, 611),
    labels=dict.fromkeys(LABELS, 405),
    warnings=("3 labels have fewer than 5 rows in val: their accuracy will be noisy",),
)
FORECAST = Forecast(
    seconds=Range(expected=62, low=55, high=80),
    memory_gib=Range(expected=2.6, low=2.4, high=2.8),
    cost=Cost(wall_s=80, device_s=80, usd=0.02, trials=1),
)
RUNGS = Rungs(steps=(25, 75), rows=100)
BUDGET = Budget(wall_s=1800, trials=12)
OPTIMISATION = "stages.0.optimisation"
ADAPTER = "stages.0.adapter"


def space(*, sources: Sequence[str] = ("messages",)) -> Space:
    """Adapters with their own learning rates, a rank where there is one, batch, epochs, and a mix of sources."""
    low_rank = (Condition(name="adapter", values=("lora", "dora")),)
    dimensions: list[Dimension] = [
        Choice(name="adapter", path=f"{ADAPTER}.kind", options=("lora", "dora", "ia3", "full"), default="lora"),
        Int(name="rank", path=f"{ADAPTER}.r", low=2, high=64, log=True, default=8, when=low_rank),
        Choice(
            name="targets",
            path=f"{ADAPTER}.placement",
            options=("all-linear", "attention", "qv"),
            default="all-linear",
            when=low_rank,
        ),
        *(
            Float(
                name=f"lr.{kind}",
                path=f"{OPTIMISATION}.lr",
                low=low,
                high=high,
                log=True,
                default=default,
                when=(Condition(name="adapter", values=(kind,)),),
            )
            for kind, low, high, default in (
                ("lora", 5e-5, 2e-3, 2e-4),
                ("dora", 5e-5, 2e-3, 2e-4),
                ("ia3", 5e-4, 2e-2, 3e-3),
                ("full", 1e-6, 2e-4, 2e-5),
            )
        ),
        Choice(name="batch", path=f"{OPTIMISATION}.batch_size", options=(8, 16, 32), default=16),
        Choice(name="epochs", path=f"{OPTIMISATION}.epochs", options=(1.0, 2.0, 3.0), default=2.0),
        Choice(name="schedule", path=f"{OPTIMISATION}.schedule", options=("constant", "cosine"), default="cosine"),
    ]
    if len(sources) > 1:
        share = 1 / len(sources)
        mix = Simplex(name="mix", path="stages.0.data.weights", parts=tuple(sources), default=(share,) * len(sources))
        dimensions.append(mix)
    return Space(template={"seed": 0, "stages": [{"objective": {"kind": "sft"}}]}, dimensions=tuple(dimensions))


def small_space() -> Space:
    """Six recipes and no more."""
    lora = (Condition(name="adapter", values=("lora",)),)
    return Space(
        template={"stages": [{"optimisation": {"lr": 1e-4, "epochs": 1.0}}]},
        dimensions=(
            Choice(name="adapter", path=f"{ADAPTER}.kind", options=("lora", "full"), default="lora"),
            Int(name="rank", path=f"{ADAPTER}.r", low=1, high=5, default=2, when=lora),
        ),
    )


def task(
    *, direction: str = "max", sources: Sequence[str] = ("messages",), constraints: Sequence[Constraint] = ()
) -> TaskSpec:
    """Routing five labels by accuracy, or the loss if less is better."""
    return TaskSpec(
        model="smollm2-135m",
        sources=tuple(DataSource(path=f"data/{name}.jsonl", name=name) for name in sources),
        format="label",
        input_field="text",
        target_field="label",
        labels=LABELS,
        metric=Metric.model_validate({"name": "accuracy" if direction == "max" else "loss", "direction": direction}),
        constraints=tuple(constraints),
    )


def surface(recipe: Recipe) -> float:
    """A scripted score in (0, 1): best at dora, rank 16 and a learning rate of 6e-4, smooth around it."""
    stage = recipe.stages[0]
    kind = stage.adapter.kind
    best_lr = {"lora": 5e-4, "dora": 6e-4, "ia3": 6e-3, "full": 4e-5}.get(kind, 5e-4)
    off = math.log10(stage.optimisation.lr / best_lr)
    rank = math.log2(float(stage.adapter.settings.get("r") or 8) / 16)
    height = {"lora": 0.80, "dora": 0.84, "ia3": 0.62, "full": 0.76}.get(kind, 0.7)
    shorter = 0.03 * (3 - float(stage.optimisation.epochs or 3))
    return max(0.05, height - 0.30 * off**2 - 0.012 * rank**2 - shorter)


class Story:
    """Writes a study's events, folds each into ``study``, and keeps them in ``events``. Time passes by itself."""

    def __init__(
        self,
        *,
        name: str = "route-01",
        space: Space,
        task: TaskSpec,
        sampler: str = "tpe",
        pruner: str = "median",
        rungs: Rungs = RUNGS,
        budget: Budget = BUDGET,
        seed: int = 0,
        started: float = 1_790_000_000.0,
    ) -> None:
        self.study = Study()
        self.events: list[ev.Event] = []
        self.now = started
        self._add(ev.StudyCreated(at=self.tick(), study=name, brief=BRIEF, options=ev.StudyOptions(), code=CODE))
        self._add(ev.SessionOpened(at=self.tick(), pid=4121, host="workstation"))
        self._add(
            ev.Understood(at=self.tick(0.3), task=task, budget=budget, notes=("adapter <= 5 MB is a constraint",))
        )
        self._add(ev.DataFrozen(at=self.tick(1), data=DATA, profile=PROFILE))
        self._add(ev.ModelFound(at=self.tick(1), model=MODEL))
        self._add(
            ev.PlanProposed(
                at=self.tick(),
                plan=Plan(
                    task=task,
                    budget=budget,
                    space=space,
                    sampler=sampler,
                    pruner=pruner,
                    seed=seed,
                    rungs=rungs,
                    trials=(9, budget.trials or 12),
                    confirm_seeds=2,
                    keep=Cost(wall_s=240, device_s=240),
                    expect=Cost(wall_s=1600, device_s=1600),
                    memory_gib=3.1,
                    notes=("full fine-tuning fits into memory", "no language model is in use"),
                ),
            )
        )
        assert self.study.plan is not None
        binds = self.study.plan.binding
        decision = Decision(target="plan", action="approve", by="person", binds=binds, at=self.tick(5))
        self._add(ev.Decided(at=self.now, decision=decision))

    def tick(self, seconds: float = 0.1) -> float:
        """Lets time pass; the time it is then."""
        self.now += seconds
        return self.now

    def propose(self, ideas: Sequence[Idea], *, approve: bool = True) -> list[str]:
        """Proposes ideas as one batch, numbered on; approves them. The new ids."""
        first = len(self.study.proposals)
        proposals = tuple(
            Proposal(id=f"t{first + i}", idea=idea, forecast=FORECAST, binding=idea.recipe.fingerprint)
            for i, idea in enumerate(ideas)
        )
        self._add(ev.Proposed(at=self.tick(), proposals=proposals))
        if approve:
            for proposal in proposals:
                self.decide(proposal.id)
        return [proposal.id for proposal in proposals]

    def decide(self, target: str, *, action: str = "approve", reason: str = "", recipe: Recipe | None = None) -> None:
        """A person's decision. An edit is given the recipe it ends with."""
        binds = None if action == "reject" else (recipe or self.study.proposals[target].recipe).fingerprint
        given = {"target": target, "action": action, "by": "person", "reason": reason, "binds": binds, "recipe": recipe}
        self._add(ev.Decided(at=self.tick(0.5), decision=Decision.model_validate({**given, "at": self.now})))

    def launch(self, job: str, *, role: Role = "trial", attempt: int = 1, proposal: str | None = None) -> None:
        binding = self.study.recipe_of(job).binding if job in self.study.proposals else "0" * 64
        proposal = job if job in self.study.proposals else proposal
        reserved = Cost(wall_s=150, device_s=150)
        self._add(
            ev.JobLaunched(
                at=self.tick(),
                job=job,
                role=role,
                binding=binding,
                attempt=attempt,
                reserved=reserved,
                proposal=proposal,
            )
        )

    def measure(self, job: str, step: int, value: float, *, rows: int = 100, seconds: float = 8.0) -> Measurement:
        """The job reaches a rung."""
        steps = self.study.plan.rungs.steps if self.study.plan is not None else ()
        rung = steps.index(step) if step in steps else None
        measurement = Measurement(value=value, rows=rows, step=step, rung=rung, seconds=1.2)
        self._add(ev.JobMeasured(at=self.tick(seconds), job=job, measurement=measurement))
        return measurement

    def steer(self, job: str, action: str, reason: str) -> None:
        given = {"at": self.tick(0), "job": job, "action": action, "reason": reason}
        self._add(ev.JobSteered.model_validate(given))

    def complete(self, job: str, score: float, *, rows: int = 304, seconds: float = 60.0, **result: object) -> None:
        """The job ends well, with a final measurement."""
        half = 1.96 * math.sqrt(max(score * (1 - score), 0.01) / rows)
        final = Measurement(
            value=score, rows=rows, step=225, seconds=3.0, low=max(0.0, score - half), high=min(1.0, score + half)
        )
        done = {
            "status": "done",
            "measurement": final,
            "steps": 225,
            "total_steps": 225,
            "tokens": 96_000,
            "train_s": seconds * 0.85,
            "eval_s": 5.0,
            "setup_s": 1.0,
            "peak_memory_gib": 2.9,
            "trainable_parameters": 921_600,
            "adapter_bytes": 2_460_000,
            "adapter_digest": "a" * 64,
        }
        if self.study.jobs[job].role in ("base", "test"):  # an evaluation trains nothing
            done |= {"steps": 0, "total_steps": 0, "train_s": 0.0, "trainable_parameters": 0, "adapter_bytes": 0}
        done |= result
        outcome = Completed(result=JobResult.model_validate(done), cost=_cost(seconds))
        self._add(ev.JobEnded(at=self.tick(seconds), job=job, outcome=outcome))

    def prune(
        self, job: str, reason: str = "0.31 at step 75 is below the median 0.52 of 4 trials at that step"
    ) -> None:
        last = self.study.jobs[job].measurements[-1]
        self._add(ev.JobEnded(at=self.tick(2), job=job, outcome=Pruned(reason=reason, last=last, cost=_cost(18.0))))

    def fail(self, job: str, kind: FaultKind, message: str) -> None:
        fault = Fault(kind=kind, message=message, step=1)
        self._add(ev.JobEnded(at=self.tick(6), job=job, outcome=Failed(fault=fault, cost=_cost(6.0))))

    def judge(self, trial: str, against: str, *, half: float = 0.03) -> str:
        """The evaluator's verdict by their scores; the incumbent from here on."""
        mine, theirs = self.study.jobs[trial].score, self.study.jobs[against].score
        assert self.study.task is not None and mine is not None and theirs is not None
        gain = self.study.task.metric.gain(mine, theirs)
        answer = "better" if gain > half else "worse" if gain < -half else "undecided"
        verdict = Verdict.model_validate(
            {
                "trial": trial,
                "against": against,
                "answer": answer,
                "gain": gain,
                "low": gain - half,
                "high": gain + half,
                "rows": 304,
                "method": "paired bootstrap, 10000 resamples",
            }
        )
        incumbent = trial if answer == "better" else against
        self._add(ev.Judged(at=self.tick(), verdict=verdict, incumbent=incumbent))
        return incumbent

    def run(self, job: str, score: float, **result: object) -> None:
        """Launches, passes both rungs and completes."""
        self.launch(job)
        assert self.study.plan is not None
        for i, step in enumerate(self.study.plan.rungs.steps):
            self.measure(job, step, score * (0.6 + 0.25 * i))
        self.complete(job, score, **result)

    def tell(self, one: ev.Event) -> None:
        """Any other event."""
        self._add(one)

    def _add(self, one: ev.Event) -> None:
        self.events.append(one)
        self.study.fold(one)


def play(
    story: Story,
    ask: Callable[[Study, int], list[Idea]],
    *,
    trials: int,
    batch: int = 1,
    score: Callable[[Recipe], float] = surface,
) -> list[Idea]:
    """A plain search: asks, proposes, runs and completes until ``trials`` are run or there are no more ideas."""
    played: list[Idea] = []
    while len(played) < trials:
        ideas = ask(story.study, min(batch, trials - len(played)))
        if not ideas:
            break
        for job, idea in zip(story.propose(ideas), ideas, strict=True):
            story.run(job, score(idea.recipe))
        played += ideas
    return played


def planned(story: Story, *, origin: Origin = "planner") -> Idea:
    """An idea with a recipe of its own, near the default."""
    assert story.study.plan is not None
    searched, number = story.study.plan.space, len(story.study.proposals)
    recipe = searched.build({**searched.default(), "lr.lora": 1e-4 * (1 + number / 100)})
    return Idea(recipe=recipe, origin=origin, reason="the planner's idea")


def _cost(seconds: float) -> Cost:
    return Cost(wall_s=seconds, device_s=seconds, usd=seconds / 3600 * 0.8)
