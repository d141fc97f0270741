"""What is written of a study and its jobs: tags, params and points, as pure functions of the facts.

Words are those of the domain. Tags carry the prefix ``tunewright.``; params are the recipe's own paths, so
that a param can be typed into an edit as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from tunewright.domain.errors import TrackingError
from tunewright.domain.frozen import Json, content_hash, flatten
from tunewright.domain.job import EvaluationSpec, TrialSpec, job_spec
from tunewright.domain.lineage import ancestors, branch
from tunewright.domain.outcome import Failed, JobResult, Outcome, Pruned, Verdict
from tunewright.domain.path import label
from tunewright.domain.recipe import Recipe
from tunewright.domain.study import Study
from tunewright.domain.summary import summarise
from tunewright.domain.trial_event import Measured, Progressed, TrialEvent, trial_event
from tunewright.tracking.store import Point, RunStatus

PREFIX = "tunewright."
STUDY = "study"
"""The job name of the parent run."""

_CURVES = ("loss", "lr", "grad_norm", "tokens")
_POINTS = 100
_TAG_LENGTH = 5000  # MLflow's limits: 8,000 a tag, 6,000 a param, 250 a key
_PARAM_LENGTH = 5000
_KEY_LENGTH = 250


def study_key(study: Study) -> str:
    """What tells this study from one of the same name in another home that uses the same server."""
    return content_hash(study.created.model_dump(mode="json"))[:16] if study.created else study.name


def identity_tags(study: Study, job: str) -> dict[str, str]:
    """The tags a run is found by."""
    return _tags({"study": study.name, "key": study_key(study), "job": job})


def job_tag(job: str) -> dict[str, str]:
    """The tag that runs of this job have in every study."""
    return _tags({"job": job})


def study_tags(study: Study) -> dict[str, str]:
    """What is known of the study by now."""
    task, data, model, plan = study.task, study.data, study.model, study.plan
    facts: dict[str, Json] = {
        "brief": study.brief.text if study.brief else None,
        "task.model": task.model if task else None,
        "task.format": task.format if task else None,
        "task.metric": f"{task.metric.name} ({task.metric.direction})" if task else None,
        "model.digest": model.digest if model else None,
        "plan.binding": plan.binding if plan else None,
        "plan.by": plan.by if plan else None,
        "code.version": study.created.code.version if study.created else None,
    }
    if data:
        facts |= {f"data.{name}.digest": getattr(data, name).digest for name in ("train", "val", "test")}
    if study.budget:
        facts |= {f"budget.{name}": cap for name, cap in study.budget.model_dump(exclude_none=True).items()}
    options = study.options.model_dump(mode="json", exclude_none=True, exclude={"prices"})
    return _tags(facts | {f"option.{name}": value for name, value in options.items() if value not in ({}, "")})


def ending_tags(study: Study) -> dict[str, str]:
    """How the study ended."""
    if study.finished is None:
        return {}
    winner, noise = study.finished.winner, study.finished.noise
    claims = {
        "base" if one.against == "base" else "default": one
        for one in study.finished.verdicts
        if one.against in ("base", study.default)
    }
    return _tags(
        {
            "winner": winner,
            "winner.run": study.runs.get(winner) if winner else None,
            "reason": study.finished.reason,
            "search.ended": study.search_ended,
            "noise": noise.says() if noise else None,
            **{f"claim.{against}": f"{one.trial} is {one.says()}" for against, one in claims.items()},
            "front": ", ".join(one.trial for one in summarise(study).front),
        }
    )


def study_metrics(study: Study) -> dict[str, float]:
    """The summary: scores of base model, best trial and winner, the sealed test, and what it cost."""
    found: dict[str, float] = {f"cost/{name}": value for name, value in study.spent().model_dump().items()}
    if study.task is None:
        return found
    metric = study.task.metric.name
    best, winner, base = study.best(), study.jobs.get(_winner(study)), study.base
    if base and base.score is not None:
        found[f"base/{metric}"] = base.score
    if best and best.score is not None:
        found[f"best/{metric}"] = best.score
    if winner and winner.score is not None:
        found[f"val/{metric}"] = winner.score
    test = result_of(study.jobs["test"].outcome) if "test" in study.jobs else None
    found |= _noise(study)
    if test and test.measurement:
        found |= _measured(f"test/{metric}", test.measurement.value, test.measurement.low, test.measurement.high)
    return found


def _noise(study: Study) -> dict[str, float]:
    """The noise floor, and the gains that stand above it or do not."""
    if study.finished is None:
        return {}
    found: dict[str, float] = {}
    if study.finished.noise is not None:
        found["noise/half_width"] = study.finished.noise.half_width
        if study.finished.noise.seed_sd is not None:
            found["noise/seed_sd"] = study.finished.noise.seed_sd
    for one in study.finished.verdicts:
        if one.trial == study.finished.winner:
            against = "base" if one.against == "base" else "default"
            found |= _measured(f"gain/{against}", one.gain, one.low, one.high)
    return found


def job_params(spec: TrialSpec | EvaluationSpec) -> dict[str, str]:
    """The recipe by its paths, the task's basics, and the threads that sums of floats depend on."""
    task = spec.task
    found: dict[str, Json] = flatten(spec.recipe.model_dump(mode="json")) if isinstance(spec, TrialSpec) else {}
    found |= {f"task.{name}": getattr(task, name) for name in ("model", "format", "template", "max_length")}
    found |= {"task.metric": task.metric.name, "limits.threads": spec.limits.threads}
    if isinstance(spec, EvaluationSpec):
        found["split"] = spec.split
    return {name[:_KEY_LENGTH]: _text(value)[:_PARAM_LENGTH] for name, value in found.items() if value is not None}


def spec_tags(spec: TrialSpec | EvaluationSpec) -> dict[str, str]:
    """Digests of everything the job was made of."""
    facts: dict[str, Json] = {
        "sandbox": spec.sandbox,
        "image": spec.image,
        "model.digest": spec.model.digest,
        "code.digest": spec.code.digest,
        "code.version": spec.code.version,
        "git.commit": spec.code.git_commit,
        "git.dirty": spec.code.git_dirty,
    }
    if isinstance(spec, TrialSpec):
        facts |= {f"data.{name}.digest": getattr(spec.data, name).digest for name in ("train", "val", "test")}
        facts["spec.binding"] = spec.binding
    else:
        facts |= {f"data.{spec.split}.digest": spec.data.digest, "adapter.digest": spec.adapter_digest}
    return _tags(facts)


def job_tags(study: Study, job: str) -> dict[str, str]:
    """Role, lineage, decision, verdict and outcome, as far as they are known."""
    record, proposal, decision = study.jobs.get(job), study.proposals.get(job), study.decisions.get(job)
    facts: dict[str, Json] = {"metric": study.task.metric.name if study.task else None}
    if record:
        facts |= {"role": record.role, "binding": record.binding, "attempts": record.attempts}
    if proposal:
        idea = study.recipe_of(job).idea
        facts |= {"origin": idea.origin, "reason": idea.reason, "recipe.parent": idea.parent}
        facts["recipe.parent.run"] = study.runs.get(idea.parent) if idea.parent else None
        facts["recipe.fingerprint"] = idea.recipe.fingerprint
        facts |= {"recipe.depth": len(ancestors(study, job)), "recipe.branch": _branch(study, idea.recipe)}
    if record and record.role == "confirm" and record.proposal:
        facts |= {"repeats": record.proposal, "repeats.run": study.runs.get(record.proposal)}
    if record and job in study.barred:
        facts["barred"] = study.barred[job]
    if decision:
        facts |= {f"decision.{name}": getattr(decision, name) for name in ("action", "by", "reason", "binds")}
    if record and record.outcome:
        facts |= _outcome_facts(record.outcome)
    judged = [verdict for verdict in study.verdicts if verdict.trial == job]
    return _tags(facts) | (verdict_tags(judged[-1]) if judged else {})


def _branch(study: Study, recipe: Recipe) -> str | None:
    """The decisions that a recipe is made of, such as ``adapter=dora/targets=qv``; None where it is of no branch."""
    found = branch(study.plan.space, recipe) if study.plan else None
    return "/".join(f"{label(choice.path)}={_text(value)}" for choice, value in found) if found else None


def verdict_tags(verdict: Verdict) -> dict[str, str]:
    """The evaluator's judgement of a trial."""
    return _tags({"verdict": verdict.says(), "verdict.answer": verdict.answer, "verdict.against": verdict.against})


def job_metrics(study: Study, job: str) -> dict[str, float]:
    """What the job measured and cost at its end."""
    record = study.jobs.get(job)
    if record is None or record.outcome is None:
        return {}
    found: dict[str, float] = {f"cost/{name}": value for name, value in record.settled.model_dump().items()}
    result = result_of(record.outcome)
    if result is None:
        return found
    names = ("steps", "train_s", "eval_s", "setup_s", "peak_memory_gib", "trainable_parameters", "adapter_bytes")
    found |= {name: getattr(result, name) for name in names}
    if result.measurement and study.task:
        where = f"{'test' if record.role == 'test' else 'val'}/{study.task.metric.name}"
        found |= _measured(where, result.measurement.value, result.measurement.low, result.measurement.high)
    return found


def curve(events: Iterable[TrialEvent], metric: str, split: str = "val") -> Iterator[Point]:
    """Points of the curves, thinned by step to a hundred or two a curve; ``curve.jsonl`` keeps them all.

    The thinning looks at the step alone, so the same events always give the same points.
    """
    for one in events:
        if isinstance(one, Progressed):
            if one.step % max(1, one.of // _POINTS) and one.step not in (1, one.of):
                continue
            for name in _CURVES:
                value = getattr(one, name)
                if value is not None:
                    yield Point(name, float(value), one.step, one.at)
            if one.memory_gib:
                yield Point("system/memory_gib", one.memory_gib, one.step, one.at)
        elif isinstance(one, Measured):
            yield Point(f"{split}/{metric}", one.measurement.value, one.measurement.step, one.at)


def read_events(path: Path) -> list[TrialEvent]:
    """The events of ``out/events.jsonl``; a line that is none, such as a torn one, is left out."""
    found: list[TrialEvent] = []
    if not path.exists():
        return found
    for line in path.read_bytes().splitlines():
        try:
            found.append(trial_event.validate_json(line))
        except ValidationError:
            continue  # the sandbox has already warned of it
    return found


def read_spec(folder: Path) -> TrialSpec | EvaluationSpec | None:
    """The specification in a job's folder, or None if it has not been staged.

    Raises:
        TrackingError: it cannot be read.
    """
    path = folder / "spec.json"
    if not path.exists():
        return None
    try:
        return job_spec.validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise TrackingError(f"'{path}' is no job specification", "stage the job again") from error


def result_of(outcome: Outcome | None) -> JobResult | None:
    """The job's own result, where the outcome has one."""
    return getattr(outcome, "result", None)


def run_status(outcome: Outcome | None) -> RunStatus:
    """MLflow's word for it: what stopped before its end was killed, and goes on if it was paused."""
    match outcome:
        case None:
            return "RUNNING"
        case Failed():
            return "FAILED"
        case _ if outcome.status == "completed":
            return "FINISHED"
        case _:
            return "KILLED"


def _winner(study: Study) -> str:
    return (study.finished.winner if study.finished else None) or ""


def _outcome_facts(outcome: Outcome) -> dict[str, Json]:
    facts: dict[str, Json] = {"status": outcome.status, "stopped": getattr(outcome, "reason", None)}
    if isinstance(outcome, Pruned):
        facts["stopped.score"] = outcome.last.value
        if outcome.partial is not None:
            part = outcome.partial
            facts |= {"stopped.rows": f"{part.measurement.rows} of {part.of}", "stopped.estimate": part.estimate}
    if isinstance(outcome, Failed):
        facts |= {"fault": outcome.fault.kind, "fault.message": outcome.fault.message, "fault.step": outcome.fault.step}
    result = result_of(outcome)
    if result:
        facts |= {name: getattr(result, name) for name in ("adapter_digest", "curve_digest", "device", "precision")}
    return facts


def _measured(name: str, value: float, low: float | None, high: float | None) -> dict[str, float]:
    found = {name: value}
    if low is not None and high is not None:
        found |= {f"{name}_low": low, f"{name}_high": high}
    return found


def _tags(facts: Mapping[str, Json]) -> dict[str, str]:
    found = {f"{PREFIX}{name}": _text(value)[:_TAG_LENGTH] for name, value in facts.items() if value is not None}
    return {name: value for name, value in found.items() if value}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
