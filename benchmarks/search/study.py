"""Plays whole studies over recorded trainings: by the program's strategy and scheduler, or by Optuna alone."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course import Course
from world import Look, Play, World

from tunewright.domain import event as ev
from tunewright.domain.budget import Budget, Cost
from tunewright.domain.job import CodeIdentity, Rungs
from tunewright.domain.outcome import Completed, Failed, Fault, JobResult, Measurement, Paused
from tunewright.domain.precedent import Kin
from tunewright.domain.prior import Prior
from tunewright.domain.proposal import Decision, Forecast, Idea, Plan, Proposal, Range
from tunewright.domain.protocols import Scheduler
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.domain.task import Brief, DataSource, Metric, TaskSpec
from tunewright.search.optuna import OptunaStrategy
from tunewright.search.pruning import open_scheduler

MOST_TRIALS = 3
"""Of a study, in the time that a training of the table's default takes."""


def by_optuna(
    world: World, sampler: Any, pruner: Any, budget_s: float, seed: int, rungs: tuple[float, ...] = ()
) -> Course:
    """A study as Optuna's own loop would have it, from the first trial that ours has too. A fault is a failed trial,
    which its samplers leave out.
    """
    import optuna

    from tunewright.search import distributions

    # Hyperband's brackets depend on the name.
    study = optuna.create_study(study_name=f"replay-{seed}", direction="maximize", sampler=sampler, pruner=pruner)
    course = Course()
    study.enqueue_trial(distributions.encode(world.space.default(), world.space)[0])
    while _goes_on(course, world, budget_s):
        began = time.process_time()
        trial = study.ask()
        recipe = world.space.build(distributions.suggest(trial, world.space))
        course.asked_s += time.process_time() - began
        play = world.play(recipe, _seed(world, seed, trial.number), rungs)
        course.launched += 1
        if play.fault:
            course.infeasible += 1
            course.spent_s += play.failed_s
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        for look in play.looks[:-1]:
            course.items += look.rows
            trial.report(look.score, round(4 * look.epochs))
            if trial.should_prune():
                course.spent_s += look.spent_s
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            course.spent_s += play.cost_s
            course.items += play.looks[-1].rows
            study.tell(trial, play.looks[-1].score)
            course.ended(play.looks[-1].score, recipe, world.truth(recipe))
    return course


def by_us(world: World, sampler: str, pruner: str, budget_s: float, seed: int, rungs: tuple[float, ...] = ()) -> Course:
    """A study by the program's strategy and scheduler, one trial at a time."""
    return played(world, sampler, pruner, budget_s, seed, rungs).course


def played(
    world: World,
    sampler: str,
    pruner: str,
    budget_s: float,
    seed: int,
    rungs: tuple[float, ...] = (),
    kin: tuple[Kin, ...] = (),
    priors: tuple[Prior, ...] = (),
    sampler_seed: int | None = None,
) -> Replay:
    """Likewise, with the study itself.

    Args:
        kin: earlier studies that it begins from.
        priors: a planner's best guesses of settings.
        sampler_seed: by default the study's.
    """
    folder = Path(tempfile.mkdtemp(prefix="search-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        replay = Replay(
            world,
            OptunaStrategy(
                folder / "optuna.journal", sampler=sampler, seed=seed if sampler_seed is None else sampler_seed
            ),
            open_scheduler(pruner),
            budget_s,
            seed,
            rungs,
            kin,
            priors,
        )
        replay.run()
        return replay
    finally:
        shutil.rmtree(folder)


def _goes_on(course: Course, world: World, budget_s: float) -> bool:
    """Time is left, and trials are: what fails at its first step costs hardly any time, and could go on for ever."""
    return course.spent_s < budget_s and course.launched < MOST_TRIALS * budget_s / world.default_s


@dataclass
class _Job:
    recipe: Recipe
    play: Play
    looks: int = 0
    """Passed already."""


@dataclass
class Replay:
    """A study of ours while it is played."""

    world: World
    strategy: OptunaStrategy
    scheduler: Scheduler
    budget_s: float
    seed: int
    rungs: tuple[float, ...]
    kin: tuple[Kin, ...] = ()
    priors: tuple[Prior, ...] = ()
    study: Study = field(default_factory=Study)
    course: Course = field(default_factory=Course)
    jobs: dict[str, _Job] = field(default_factory=dict)

    def run(self) -> Course:
        self._begin()
        while _goes_on(self.course, self.world, self.budget_s):
            job = self._timed(self._next)
            if job is None:
                break
            self._tell(ev.JobLaunched(job=job, role="trial", binding=job, reserved=Cost(), proposal=job))
            self._play(job)
        return self.course

    def _begin(self) -> None:
        task = TaskSpec(
            model="recorded", sources=(DataSource(path="rows.jsonl", name="rows"),), format="label", input_field="text",
            target_field="label", metric=Metric(name="accuracy"), labels=self.world.table.labels,
        )  # fmt: skip
        trials = 40
        plan = Plan(
            task=task, budget=Budget(wall_s=self.budget_s), space=self.world.space, seed=0,
            rungs=Rungs(epochs=self.rungs), trials=(trials, trials), keep=Cost(), expect=Cost(), memory_gib=1.0,
            kin=self.kin, priors=self.priors,
        )  # fmt: skip
        options = ev.StudyOptions(memory_gib=self.world.limit_gib if self.world.limit_gib < math.inf else None)
        self._tell(
            ev.StudyCreated(
                study="replay", brief=Brief(text="replay"), options=options, code=CodeIdentity(version="0", digest="0")
            )
        )
        self._tell(ev.Understood(task=task, budget=plan.budget))
        self._tell(ev.PlanProposed(plan=plan))

    def _next(self) -> str | None:
        """The job that goes on, or a new one."""
        promotion = self.scheduler.promote(self.study)
        if promotion is not None:
            self._tell(ev.JobPromoted(job=promotion.job, reason=promotion.reason))
            return promotion.job
        ideas = self.strategy.ask(self.study, 1)
        if not ideas:
            closing = self.scheduler.promote(self.study, closing=True)
            return closing.job if closing is not None else None
        job = f"t{len(self.jobs)}"
        self._propose(job, ideas[0])
        return job

    def _propose(self, job: str, idea: Idea) -> None:
        play = self.world.play(idea.recipe, _seed(self.world, self.seed, len(self.jobs)), self.rungs)
        self.jobs[job] = _Job(idea.recipe, play)
        cost = Cost(wall_s=play.cost_s)
        seconds = Range(expected=play.record.seconds, low=play.record.seconds, high=play.record.seconds)
        memory = Range(expected=play.memory_gib, low=play.memory_gib, high=play.memory_gib)
        forecast = Forecast(seconds=seconds, memory_gib=memory, cost=cost)
        self._tell(ev.Proposed(proposals=(Proposal(id=job, idea=idea, forecast=forecast, binding=job),)))
        self._tell(ev.Decided(decision=Decision(target=job, action="approve", by="policy", binds=job)))
        self.course.launched += 1

    def _play(self, job: str) -> None:
        now = self.jobs[job]
        paid = now.play.looks[now.looks - 1].spent_s - now.play.setup_s if now.looks else 0.0
        if now.play.fault:
            self.course.infeasible += 1
            self.course.spent_s += now.play.failed_s
            kind: Any = now.play.fault
            fault = Fault(kind=kind, message=f"{kind} fault", step=1)
            self._tell(ev.JobEnded(job=job, outcome=Failed(fault=fault, cost=Cost(wall_s=now.play.failed_s))))
            return
        for look in now.play.looks[now.looks : -1]:
            now.looks += 1
            self.course.items += look.rows
            measurement = _measurement(look, self.rungs.index(look.epochs))
            self._tell(ev.JobMeasured(job=job, measurement=measurement))
            steering = self._timed(lambda m=measurement: self.scheduler.decide(self.study, job, m))
            if steering.action != "continue":
                spent = look.spent_s - paid
                self.course.spent_s += spent
                outcome = Paused(reason=steering.reason, cost=Cost(wall_s=spent), waits="promotion")
                self._tell(ev.JobEnded(job=job, outcome=outcome))
                return
        spent, last = now.play.cost_s - paid, now.play.looks[-1]
        self.course.spent_s += spent
        self.course.items += last.rows
        result = JobResult(status="done", measurement=_measurement(last, None), peak_memory_gib=now.play.memory_gib)
        self._tell(ev.JobEnded(job=job, outcome=Completed(result=result, cost=Cost(wall_s=spent))))
        self.course.ended(last.score, now.recipe, self.world.truth(now.recipe))

    def _timed(self, call: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = call()
        self.course.asked_s += time.process_time() - began
        return found

    def _tell(self, one: ev.Event) -> None:
        self.study.fold(one.model_copy(update={"at": self.course.spent_s}))


def _measurement(look: Look, rung: int | None) -> Measurement:
    step = round(1000 * look.epochs)
    return Measurement(
        value=look.score, rows=look.rows, step=step, rung=rung, seconds=0.0, low=look.low, high=look.high
    )


def _seed(world: World, seed: int, number: int) -> int:
    """Trainings of a study take turns at the recorded seeds."""
    return world.table.seeds[(seed + number) % len(world.table.seeds)]
