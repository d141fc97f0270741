"""Whole studies for tests, finished, with the files a report reads."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

from tests.stories import LABELS, Story, space, surface, task

from tunewright.domain import event as ev
from tunewright.domain.budget import Budget
from tunewright.domain.lesson import Evidence, Lesson
from tunewright.domain.outcome import Item, Noise, Verdict
from tunewright.domain.proposal import Idea
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.domain.task import Constraint

SMALL = Constraint(quantity="adapter_bytes", relation="<=", value=5e6)


def finished(
    folder: Path | None = None, *, trials: int = 9, winner: bool = True, seed: int = 0, name: str = "route-01"
) -> Study:
    """A finished study: completed, pruned, failed, rejected and edited trials, verdicts, lessons, a winner or none.

    Args:
        folder: where the files go that a report reads: ``data/val.jsonl`` and ``trials/<job>/out/``. None: no files.
        trials: proposals; from four on one is pruned and one fails, from six on one is rejected and one edited.
        winner: whether one beats the base model beyond noise.
    """
    story = told(trials=trials, winner=winner, seed=seed, name=name)
    if folder is not None:
        write_files(story.study, folder, random.Random(seed))
    return story.study


def told(*, trials: int = 9, winner: bool = True, seed: int = 0, name: str = "route-01") -> Story:
    """The story of ``finished``, with every event in its order."""
    rng = random.Random(seed)
    story = Story(
        name=name,
        space=space(),
        task=task(constraints=(SMALL,)),
        budget=Budget(wall_s=max(1800, 100 * trials), trials=trials + 2, usd=2.0),
        seed=seed,
    )
    base = 0.118
    story.launch("base", role="base")
    story.complete("base", base, seconds=14.0, steps=0, total_steps=0, trainable_parameters=0, adapter_bytes=0)
    incumbent = "base"
    for i in range(trials):
        incumbent = _trial(story, i, incumbent, rng, winner)
    scored = [job for job in story.study.trials if job.score is not None]
    if len(scored) > 1:
        last = scored[-1]
        story.tell(
            ev.Learned(
                at=story.tick(),
                lesson=Lesson(
                    claim="a learning rate near 6e-4 beats the default's 2e-4 for low-rank adapters",
                    conditions=("smollm2-135m", "1,418 training rows"),
                    evidence=(Evidence(trial=last.id, quantity="score", value=round(last.score or 0, 3)),),
                    supporting=(last.id,),
                    contradicting=(scored[0].id,),
                    confidence=0.7,
                ),
            )
        )
    story.tell(ev.SearchEnded(at=story.tick(), reason="what is left of the budget is kept for the finish"))
    chosen = incumbent if winner and incumbent != "base" else None
    if chosen is not None:
        for i in range(2):
            story.launch(f"c{i + 1}", role="confirm", proposal=chosen)
            story.complete(f"c{i + 1}", (story.study.jobs[chosen].score or 0) - 0.004 + 0.009 * i, seconds=62.0)
        story.tell(ev.TestOpened(at=story.tick(), winner=chosen))
        story.launch("test", role="test")
        story.complete("test", (story.study.jobs[chosen].score or 0) - 0.006, seconds=5.0)
        story.launch("test-base", role="test")
        story.complete("test-base", base + 0.006, seconds=5.0)
    for number, job in enumerate(["study", *story.study.jobs]):
        story.tell(ev.Tracked(at=story.tick(0), job=job, run_id=f"{number + 1:02x}" * 16))
    why = (
        f"{chosen} is better than the base model and held on fresh seeds"
        if chosen
        else "no trial is told apart from the base model"
    )
    best = chosen or max((job.id for job in scored), key=lambda id: story.study.jobs[id].score or 0)
    claims = [claim(story, best, against, sure=chosen is not None) for against in ("base", "t0") if against != best]
    noise = Noise(seed_sd=0.006, repeats=2, half_width=0.034, rows=304)
    story.tell(ev.Finished(at=story.tick(), winner=chosen, reason=why, verdicts=tuple(claims), noise=noise))
    story.tell(ev.SessionClosed(at=story.tick(), reason="finished"))
    return story


def claim(story: Story, trial: str, against: str, *, sure: bool) -> Verdict:
    """A verdict of the finish, by the scores of two jobs."""
    mine, theirs = story.study.jobs[trial].score or 0.0, story.study.jobs[against].score or 0.0
    half = 0.03 if sure else 0.2 + abs(mine - theirs)
    gain = mine - theirs
    return Verdict(
        trial=trial,
        against=against,
        answer="better" if gain > half else "undecided",
        gain=gain,
        low=gain - half,
        high=gain + half,
        rows=304,
        method="Student's t over seeds and items",
        seeds=2 if sure else 0,
        comparisons=9,
        p=0.001 if gain > half else 0.4,
    )


def _trial(story: Story, i: int, incumbent: str, rng: random.Random, winner: bool) -> str:
    """Tells the story of trial ``i``; the incumbent after it."""
    recipe, origin, parent = _idea(story, i, rng)
    reason = "the yardstick: every setting at its default" if i == 0 else f"tpe: near t{i - 1}, lr higher"
    idea = Idea.model_validate({"recipe": recipe, "origin": origin, "reason": reason, "parent": parent})
    (job,) = story.propose([idea], approve=i != 4)
    if i == 4:
        story.decide(job, action="reject", reason="full fine-tuning was tried last month")
        return incumbent
    if i == 5:
        lr = {"lr": recipe.stages[0].optimisation.lr * 0.9}
        stage = recipe.stages[0].model_copy(
            update={"optimisation": recipe.stages[0].optimisation.model_copy(update=lr)}
        )
        story.decide(
            job, action="edit", reason="a little gentler", recipe=recipe.model_copy(update={"stages": (stage,)})
        )
        recipe = story.study.recipe_of(job).recipe
    score = surface(recipe) + rng.uniform(-0.01, 0.01) if winner else 0.118 + rng.uniform(-0.02, 0.01)
    if i == 2:
        story.launch(job)
        at, median = (0.31, 0.52) if winner else (0.07, 0.11)
        why = f"{at} at step 75 is below the median {median} of 4 trials at that step"
        story.measure(job, 25, at * 0.7)
        story.measure(job, 75, at)
        story.steer(job, "stop", why)
        story.prune(job, why)
        return incumbent
    if i == 3:
        story.launch(job)
        story.fail(job, "memory", "7.9 of 6.0 GiB; predicted 5.7 to 6.1")
        return incumbent
    story.run(job, score, peak_memory_gib=2.4 + 0.3 * rng.random(), seconds=55 + 10 * rng.random())
    return story.judge(job, incumbent)


def _idea(story: Story, i: int, rng: random.Random) -> tuple[Recipe, str, str | None]:
    plan = story.study.plan
    assert plan is not None
    if i == 0:
        return plan.space.build(plan.space.default()), "default", None
    kind = ("dora", "ia3", "full", "full", "lora", "dora")[(i - 1) % 6]
    lr = {"lora": 4e-4, "dora": 5e-4, "ia3": 4e-3, "full": 3e-5}[kind] * rng.uniform(0.7, 1.5)
    chosen = {
        **plan.space.default(),
        "adapter": kind,
        f"lr.{kind}": lr,
        "rank": rng.choice((4, 8, 16, 32)),
        "targets": rng.choice(("all-linear", "qv")),
        "epochs": rng.choice((2.0, 3.0)),
    }
    return plan.space.build(chosen), "planner" if i == 6 else "sampler", "t0" if i > 1 else None


def write_files(study: Study, folder: Path, rng: random.Random) -> None:
    """``data/val.jsonl``, and each job's ``out/items.jsonl`` and ``out/curve.jsonl``."""
    rows = [(f"{i:016x}", LABELS[i * i % len(LABELS)]) for i in range(304)]
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "val.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "id": key,
                    "source": "messages",
                    "input": f"Message {i}: where is my <b>{label}</b> & why?",
                    "target": label,
                    "meta": {},
                }
            )
            + "\n"
            for i, (key, label) in enumerate(rows)
        )
    )
    for job in study.jobs.values():
        out = folder / "trials" / job.id / "out"
        out.mkdir(parents=True, exist_ok=True)
        if job.score is not None:
            (out / "items.jsonl").write_text(
                "".join(_item(*row, job.score, rng).model_dump_json() + "\n" for row in rows)
            )
        if job.role in ("trial", "confirm"):
            last = 225 if job.score is not None else 75
            curve = (
                f'{{"step": {s}, "loss": {0.4 + 2.6 * math.exp(-s / 60) + rng.uniform(-0.1, 0.1):.4f}}}\n'
                for s in range(1, last + 1)
            )
            (out / "curve.jsonl").write_text("".join(curve))


def _item(key: str, label: str, score: float, rng: random.Random) -> Item:
    right = rng.random() < score
    said = label if right else rng.choice([other for other in LABELS[:3] if other != label])
    return Item(id=key, score=float(right), prediction=said, target=label)
