"""An event in words: the lines that stay on the screen. Pure, so that what people read can be tested.

Nothing is said twice: a trial's result is told with its verdict, the plan and the runs by ``View.show``, the end
by the closing block.
"""

from __future__ import annotations

from tunewright.cli import words
from tunewright.cli.advice import advice_lines
from tunewright.cli.learning import learning_lines
from tunewright.cli.line import LABEL, Line
from tunewright.cli.questions import clarified_lines
from tunewright.domain import event as ev
from tunewright.domain.goal import GROUP_LOSSES
from tunewright.domain.live import Live, Said
from tunewright.domain.outcome import Completed, Failed, Paused, Pruned
from tunewright.domain.path import label
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study
from tunewright.domain.task import TaskSpec
from tunewright.domain.trial_event import Measured, Noted
from tunewright.tools.analysis.words import goal_words, number_words, quantity_amount, quantity_name, recipe_words

_HEAD = 44
"""Columns of a run's number and recipe, so that scores of one study stand under each other."""


def lines_for(one: ev.Event | Live | Said, study: Study) -> list[Line]:  # noqa: PLR0912  one arm an event
    """What ``one`` says to a person. ``study`` has taken it in already."""
    match one:
        case ev.StudyCreated():
            return [Line(one.study, "study")]
        case ev.Understood():
            return _understood(one, study)
        case ev.Clarified():
            return clarified_lines(one)
        case ev.DataFrozen():
            return _data(one)
        case ev.ModelFound():
            return [Line(f"{one.model.ref}, {words.parameters(one.model.parameters)} parameters", "model")]
        case ev.Decided():
            return _decided(one, study)
        case ev.JobRecovered():
            return [Line(f"{name_of(one.job, study)}   was running when the last process died; its time is counted")]
        case ev.JobPromoted():
            return [Line(f"{name_of(one.job, study)}   promoted: {one.reason}")]
        case ev.JobEnded():
            return _ended(one, study)
        case ev.Judged():
            return [_verdict(one, study)]
        case ev.Explained() | ev.Recalled() | ev.Learned() | ev.Weighed() | ev.Reflected():
            return learning_lines(one, study)
        case ev.Advised() | ev.AdviceDropped():
            return advice_lines(one)
        case ev.ModelProbed():
            return [Line(words.ability(one), "llm")]
        case ev.ModelsChosen():
            return [Line(f"from here on {words.models(study.options)}", "llm")]
        case ev.StyleChanged():
            return [Line(f"{one.style}: {one.reason}", "style")]
        case ev.SearchEnded():
            return [Line(one.reason, "search ended")]
        case ev.TestOpened():
            return [Line(f"opened for {words.label(one.winner)}, once", "sealed test")]
        case ev.Warned():
            return [Line(f"! {one.message}", tone="warn")]
        case Live(event=Noted(level="warning") as note):
            return [Line(f"! {words.label(one.job)}: {note.message}", tone="warn")]
        case _:
            return []


def progress_for(one: ev.Event | Live | Said, study: Study) -> list[Line]:
    """What a live screen shows and a log has to be told: steps of the set-up, starts, rungs."""
    match one:
        case Said():
            return [Line(one.message, "...", tone="faint")]
        case ev.JobLaunched(role="confirm"):
            return [Line(f"{words.label(one.proposal or one.job)} on a fresh seed", "confirming", tone="faint")]
        case ev.JobLaunched(role="preflight", proposal=str(trial)):
            said = "its memory may not fit: its first steps are tried"
            return [Line(f"{name_of(trial, study)}   {said}", tone="faint")]
        case ev.JobLaunched(role="trial"):
            return [Line(f"{name_of(one.job, study)}   started{_why_started(one, study)}", tone="faint")]
        case Live(event=Measured(final=False) as rung):
            measurement = rung.measurement
            head = name_of(one.job, study)
            return [Line(f"{head}   {words.measured(measurement)} at step {measurement.step}", tone="faint")]
        case _:
            return []


def name_of(job: str, study: Study) -> str:
    """``#4 dora r16 lr 6e-4``, padded; the bare id of a job that has no recipe of its own."""
    if job in study.proposals:
        return f"{f'{words.label(job)} {recipe_words(study.recipe_of(job).recipe)}':<{_HEAD}}"
    return f"{words.label(job):<{_HEAD}}"


def _why_started(one: ev.JobLaunched, study: Study) -> str:
    job = study.jobs[one.job]
    if job.promotions and one.attempt == job.earlier + 1:
        return f" again from step {job.measurements[-1].step}"
    if one.attempt > 1:
        return f", attempt {one.attempt}"
    proposal = study.proposals.get(one.job)
    if proposal is None:
        return ""
    if study.recipe_of(one.job).recipe != proposal.recipe:
        return f": edited in review ({proposal.idea.origin})"
    return f": {words.labelled(proposal.idea.reason)} ({proposal.idea.origin}{_expected(one.job, study)})"


def _expected(trial: str, study: Study) -> str:
    """Such as ``; +0.012 at 34 % by surrogate``: the forecast that counts."""
    told = study.forecasts.get(trial)
    hope = next((hope for hope in told.hopes if hope.by == told.counted), None) if told is not None else None
    return f"; {hope.gain:+.3f} at {100 * hope.chance:.0f} % by {hope.by}" if hope is not None else ""


def _understood(one: ev.Understood, study: Study) -> list[Line]:
    task, options = one.task, study.options
    better = "higher" if task.metric.direction == "max" else "lower"
    caps = [words.limits(one.budget)]
    caps += [f"{quantity_name(c.quantity)} {c.relation} {_limit(c.quantity, c.value)}" for c in task.constraints]
    lines = [
        Line(_task(task), "understood", "task"),
        Line(task.model, sub="model"),
        Line(f"{task.metric.name}, {better} is better", sub="metric"),
        Line(", ".join(caps), sub="limits"),
    ]
    if task.goals:
        lines.append(Line(goal_words(task.goals), sub="then"))
    if one.wishes.rewards:
        lines.append(Line(", ".join(reward.kind for reward in one.wishes.rewards), sub="rewards"))
    lines += [Line(note, sub="note") for note in one.notes]
    unused = [] if options.asks_models else ["a language model (set --llm to let one plan)"]
    unused += [] if options.gpus else ["a GPU (set --gpus 1 to train on one)"]
    return lines + ([Line("; ".join(unused), "not in use")] if unused else [])


def _task(task: TaskSpec) -> str:
    files = ", ".join(source.path for source in task.sources)
    match task.format:
        case "label":
            return f"label `{task.input_field}` -> `{task.target_field}` ({files})"
        case "completion":
            return f"complete `{task.input_field}` -> `{task.target_field}` ({files})"
        case "chat":
            return f"answer as in the chats of `{task.input_field}` ({files})"
        case "preference":
            return f"prefer `{task.target_field}` after `{task.input_field}` ({files})"
        case "judged":
            return f"answer `{task.input_field}` as the good ones of `{task.target_field}` do ({files})"
        case "text":
            return f"go on as in `{task.target_field}` ({files})"


def _limit(quantity: str, value: float) -> str:
    return f"{value:g}" if quantity in GROUP_LOSSES else quantity_amount(quantity, value)


def _data(one: ev.DataFrozen) -> list[Line]:
    data, profile = one.data, one.profile
    parts = [f"{data.train.rows:,} train / {data.val.rows:,} val / {data.test.rows:,} test"]
    parts += [f"{len(profile.labels)} labels"] if profile.labels else []
    parts += [f"{profile.duplicates} duplicates kept together"] if profile.duplicates else []
    lines = [Line(", ".join([*parts, "test sealed"]), "data")]
    skipped = [row for source in profile.sources for row in source.skipped]
    if skipped:
        more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        lines.append(Line(f"! left out: {skipped[0]}{more} (all in the report)", indent=LABEL, tone="warn"))
    return lines + [Line(f"! {warning}", indent=LABEL, tone="warn") for warning in profile.warnings]


def _decided(one: ev.Decided, study: Study) -> list[Line]:
    decision = one.decision
    if decision.action == "approve":
        return []
    if decision.target == "plan":
        return [Line(f"rejected by {decision.by}: {decision.reason}", "plan", tone="bad")]
    head = name_of(decision.target, study)
    if decision.action == "edit":
        before = study.proposals[decision.target].recipe
        changes = decision.recipe.differences(before) if decision.recipe else {}
        said = ", ".join(
            f"{label(path)} {number_words(theirs)} -> {number_words(mine)}" for path, (mine, theirs) in changes.items()
        )
        price = decision.forecast
        now = f"; now {words.clock(price.seconds.expected)}, {words.gib(price.memory_gib.expected)}" if price else ""
        return [Line(f"{head}   edited: {said}{now}")]
    who = {"gate": "cannot run", "preflight": "does not fit"}.get(decision.by, f"rejected by {decision.by}")
    return [Line(f"{head}   {who}: {decision.reason}", tone="warn")]


def _ended(one: ev.JobEnded, study: Study) -> list[Line]:
    job, outcome = study.jobs[one.job], one.outcome
    if job.role == "preflight":
        return _tried(job, one, study)
    head = name_of(one.job, study)
    match outcome:
        case Completed(result=result) if job.role in ("base", "confirm") and result.measurement is not None:
            if job.role == "confirm":
                return [Line(f"{words.measured(result.measurement)} on a fresh seed", "confirmed")]
            metric = study.task.metric.name if study.task else "score"
            took = words.duration(outcome.cost.wall_s)
            return [Line(f"{metric} {words.measured(result.measurement)} on val, {took}", "base model")]
        case Pruned():
            return [Line(f"{head}   stopped at step {outcome.last.step}: {outcome.reason}", tone="warn")]
        case Paused() if job.waiting:
            return [Line(f"{head}   {job.rest}", tone="faint")]
        case Paused():
            return [Line(f"{head}   paused: {outcome.reason}", tone="warn")]
        case Failed(fault=fault):
            where = f" at step {fault.step}" if fault.step is not None else ""
            return [Line(f"{head}   {fault.kind} fault{where}: {fault.message}", tone="bad")]
        case _:
            return []


def _tried(job: JobRecord, one: ev.JobEnded, study: Study) -> list[Line]:
    """How a preflight ended; that a trial does not fit is told with the decision."""
    head = name_of(job.proposal or job.id, study)
    match one.outcome:
        case Completed(result=result):
            return [Line(f"{head}   its first steps took {words.gib(result.peak_memory_gib)}", tone="faint")]
        case Failed(fault=fault) if fault.kind != "memory":
            return [Line(f"{head}   its first steps say nothing of memory: {fault.message}", tone="warn")]
        case Paused(reason=reason):
            return [Line(f"{head}   its first steps were broken off: {reason}", tone="warn")]
        case _:
            return []


def _verdict(one: ev.Judged, study: Study) -> Line:
    verdict = one.verdict
    job = study.jobs.get(verdict.trial)
    outcome = job.outcome if job else None
    measurement = outcome.result.measurement if isinstance(outcome, Completed) else None
    score = words.measured(measurement) if measurement else ""
    said = words.labelled(verdict.says())
    new = one.incumbent == verdict.trial
    head = name_of(verdict.trial, study)
    end = "   new best" if new else f"   not taken: {one.note}" if one.note else ""
    return Line(f"{head}   {score}   {said}{end}", tone="good" if new else "plain")
