"""Trains the finalists again on fresh seeds, side by side where there are slots, as far as the budget goes."""

from __future__ import annotations

from pathlib import Path

from tunewright.agents.launcher import Errand, Launcher
from tunewright.agents.notebook import Notebook, Stop
from tunewright.agents.repeat import Repeat, Scores, finalists, repeats, scored
from tunewright.agents.routing import free_slots
from tunewright.agents.specification import Specifier, allowed_s, training_inputs
from tunewright.domain import event as ev
from tunewright.domain.budget import Cost
from tunewright.domain.errors import BudgetError
from tunewright.domain.proposal import Forecast


class Confirmation:
    """The fresh seeds of one study.

    Args:
        keep: what has to be left when they have ended.
    """

    def __init__(
        self, notebook: Notebook, launcher: Launcher, specifier: Specifier, folder: Path, stop: Stop, keep: Cost
    ) -> None:
        self._notebook, self._launcher, self._specifier = notebook, launcher, specifier
        self._folder, self._stop, self._keep = folder, stop, keep

    def run(self) -> None:
        """Runs what is due and not done; what the machine failed is tried again. Returns at a stop with it paused."""
        study = self._notebook.study
        if study.plan is None or not scored(study):
            return
        scores = Scores(study, self._folder)
        due = list(repeats(study, scores, finalists(study, scores)))
        while due and not self._stop.requested:
            launched = [repeat for repeat in due if not self._ended(repeat) and self._launched(repeat)]
            while self._notebook.study.running:
                self._launcher.wait()
            due = [repeat for repeat in launched if not self._ended(repeat)]

    def _ended(self, repeat: Repeat) -> bool:
        record = self._notebook.study.jobs.get(repeat.job)
        return record is not None and record.ended

    def _launched(self, repeat: Repeat) -> bool:
        """Whether it was begun; if not, the budget does not cover it, which is said where the plan counted on it."""
        errand = self._errand(repeat)
        while not self._stop.requested:
            if not free_slots(self._notebook.study):
                self._launcher.wait()
                continue
            try:
                self._launcher.start(errand)
            except BudgetError as error:
                if self._notebook.study.running:
                    self._launcher.wait()  # what that gives back may be enough
                    continue
                if repeat.planned:
                    self._notebook.record(ev.Warned(message=f"confirmation {repeat.job} was left out: {error.message}"))
                return False
            return True
        return False

    def _errand(self, repeat: Repeat) -> Errand:
        study = self._notebook.study
        recipe = study.recipe_of(repeat.trial).recipe
        recipe = recipe.reseeded(recipe.seed + repeat.seed)
        forecast = self._specifier.forecast(study, recipe)
        return Errand(
            self._specifier.trial(study, recipe, repeat.job, self._allowed(forecast, repeat.job)),
            "confirm",
            training_inputs(self._folder),
            self._keep,
            reserve_s=forecast.cost.wall_s,
            proposal=repeat.trial,
        )

    def _allowed(self, forecast: Forecast, job_id: str) -> float:
        """It may run as long as it was first given, so that a resumed one has the same specification."""
        begun = self._launcher.staged(job_id) if job_id in self._notebook.study.jobs else None
        return begun.limits.wall_s if begun is not None else allowed_s(forecast)
