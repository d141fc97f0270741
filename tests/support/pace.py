"""Trials that last as long as language models have something to say: when an answer comes is no matter of speed."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tunewright.agents.advice.asking import ROLE
from tunewright.agents.advice.turns import ideas_due
from tunewright.agents.beside.left import owed
from tunewright.agents.reflection.experiments import next_experiment
from tunewright.domain import event as ev
from tunewright.domain.live import Live, Said
from tunewright.domain.study import Study


class Pace:
    """An observer of a study in the replay sandbox with the option ``until``.

    Args:
        folder: for the files that let jobs end.
        hasty: jobs that wait for nobody.
    """

    def __init__(self, folder: Path, hasty: Collection[str] = ()) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.hasty, self.study = folder, hasty, Study()

    @property
    def options(self) -> dict[str, str]:
        """Of the sandbox."""
        return {"until": str(self.folder)}

    def __call__(self, one: ev.Event | Live | Said) -> None:
        if isinstance(one, Live | Said):
            return
        self.study.fold(one)
        due = self.due()
        for job in self.study.running:
            if not due or job.id in self.hasty:
                (self.folder / job.id).touch()

    def due(self) -> bool:
        """Whether a language model has something to say."""
        study = self.study
        asked = study.options.model_of(ROLE) is not None and ideas_due(study, next_experiment)
        return asked or owed(study)
