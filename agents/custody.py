"""What the host does with a job's folder before it reads it."""

from __future__ import annotations

from tunewright.agents.audit import forged
from tunewright.agents.notebook import Notebook
from tunewright.domain.event import Warned
from tunewright.domain.job import Job
from tunewright.domain.outcome import Fault, JobResult
from tunewright.domain.study import Study
from tunewright.sandbox.strays import sweep


def tell_strays(notebook: Notebook, job: Job) -> None:
    """Removes what is no plain file from the folder of a job that has ended, and says so in the journal."""
    if job.out.is_dir() and (found := sweep(job.out)):
        notebook.record(Warned(message=f"{job.spec.id} left what is no plain file, which was removed unread: {found}"))


def believed(study: Study, job: Job, result: JobResult) -> JobResult:
    """The result, or where its numbers are not its items' a fault of the recipe, whose methods wrote them."""
    why = forged(study, job.folder.parents[1], job.spec, result)
    if not why:
        return result
    fault = Fault(kind="config", message=f"its result was not taken: {why}")
    return result.model_copy(update={"status": "failed", "measurement": None, "fault": fault})
