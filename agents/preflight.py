"""Tries the first steps of a trial whose memory is near the limit, before the trial is launched.

It is a job of its own in the same sandbox under the same limit, in the journal and charged like any. Where it stands is
read from the journal, so a crash anywhere in between is followed by what would have come.
"""

from __future__ import annotations

from pathlib import Path

from tunewright.agents.feasibility import AT_LEAST, excess, near, rejected
from tunewright.agents.launcher import Errand, Launcher
from tunewright.agents.notebook import Notebook
from tunewright.agents.specification import Specifier, allowed_s, memory_limit, preflight_id, training_inputs
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.outcome import Completed, Failed
from tunewright.domain.proposal import Forecast, Proposal
from tunewright.domain.record import JobRecord
from tunewright.domain.study import Study


class Preflight:
    """The preflights of one study.

    Args:
        folder: the study's.
    """

    def __init__(self, notebook: Notebook, launcher: Launcher, specifier: Specifier, folder: Path) -> None:
        self._notebook, self._launcher, self._specifier, self._folder = notebook, launcher, specifier, folder

    def cleared(self, proposal: Proposal) -> bool:
        """Whether an approved trial may be launched. If not, its preflight is on its way or it has been rejected.

        Raises:
            BudgetError: the rest of the budget does not cover the preflight.
            SandboxError: the sandbox is broken, not the job.
        """
        study = self._notebook.study
        record = study.jobs.get(preflight_id(proposal.id))
        if record is None and not (self._approved(study, proposal) and near(study, self._forecast(study, proposal))):
            return True
        if record is None or not record.ended:
            self._start(study, proposal)
            return False
        found = _passed(study, record, proposal)
        if found is None:
            return True
        passed, reason = found
        decision = rejected(study, proposal.id, self._specifier, by="preflight", reason=reason, passed=passed)
        self._notebook.record(ev.Decided(decision=decision))
        return False

    def _forecast(self, study: Study, proposal: Proposal) -> Forecast:
        """As it is now: more has been measured than when it was proposed."""
        return self._specifier.forecast(study, proposal.recipe)

    def _approved(self, study: Study, proposal: Proposal) -> bool:
        """Whether the trial is what was approved; if it is not, the launcher says so."""
        spec = self._specifier.trial(study, proposal.recipe, proposal.id, allowed_s(proposal.forecast))
        return study.decisions[proposal.id].binds == spec.binding

    def _start(self, study: Study, proposal: Proposal) -> None:
        id = preflight_id(proposal.id)
        seconds = proposal.forecast.preflight_s or proposal.forecast.cost.wall_s
        self._launcher.start(
            Errand(
                self._specifier.preflight(study, proposal.recipe, id, seconds),
                "preflight",
                training_inputs(self._folder),
                study.plan.keep if study.plan is not None else Cost(),
                reserve_s=seconds,
                proposal=proposal.id,
            )
        )


def _passed(study: Study, record: JobRecord, proposal: Proposal) -> tuple[float, str] | None:
    """By how much the limit was passed, and in words; None if it was not, or if something else went wrong, which says
    nothing of memory.
    """
    from tunewright.tools.models.memory import whole_gib

    limit = memory_limit(study)
    match record.outcome:
        case Completed(result=result):
            whole = whole_gib(result.peak_memory_gib)
            passed = excess(study, whole)
            said = f"its first steps took {result.peak_memory_gib:.2f} GiB, so all of it takes up to {whole:.2f} GiB; "
            said += f"{limit:.2f} GiB are allowed"
            return None if passed is None else (passed, said)
        case Failed(fault=fault) if fault.kind == "memory":
            # How much it would have taken is not known: what the forecast says, and a little more than was there.
            likely = excess(study, proposal.forecast.memory_gib.expected)
            return max(likely or 0.0, AT_LEAST), f"its first steps passed the {limit:.2f} GiB that are allowed"
        case _:
            return None
