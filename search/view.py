"""The study as Optuna sees it: one trial a proposal in a journal file, brought up to date from our own journal.

A view: the file may be lost, torn or stale at any time and is then written anew from the study. What the sampler
thought of and nobody proposed is told as failed, which every sampler leaves out of account.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.domain.space import Assignment, Space
from tunewright.domain.study import Study
from tunewright.search import distributions
from tunewright.search.evidence import BRANCH, PARENT
from tunewright.search.goal import GOALS, WEIGHTS
from tunewright.search.history import Entry
from tunewright.search.standing import Standing, Standings

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

PROPOSAL, BINDING, STANDING, ASKED, REASON, ROWS = "proposal", "binding", "standing", "asked", "reason", "rows"
"""User attributes of an Optuna trial."""


@dataclass
class _Mirrored:
    """An Optuna trial and the proposal as it was last told."""

    trial_id: int
    binding: str
    standing: str


class OptunaView:
    """One Optuna study in one file, kept open. Used by one process, which the study's own journal sees to.

    Args:
        path: the file; made if it is not there.
        study: names it and gives the direction.
        space: where proposals lie.
    """

    def __init__(self, path: Path, study: Study, space: Space) -> None:
        self._path, self._space, self._name = path, space, study.name
        direction = study.task.metric.direction if study.task is not None else "max"
        self._direction = {"max": "maximize", "min": "minimize"}[direction]
        path.parent.mkdir(parents=True, exist_ok=True)
        _trim(path)
        self._standings = Standings()
        self._mirrored: dict[str, _Mirrored] = {}
        self._last = -1
        """Number of the newest trial that a proposal has."""
        try:
            self._open()
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError):  # what no journal of Optuna holds
            self._begin_anew()
        if self._optuna.direction.name.lower() != self._direction:
            self._begin_anew()

    def sync(self, study: Study, entries: Sequence[Entry]) -> str:
        """Tells Optuna what it does not know yet. What is new is all that costs.

        Returns:
            A mark of what the study says: the same for the same facts, whatever the file went through.
        """
        if not self._mirrored.keys() <= study.proposals.keys():  # a file of another study, or of one begun anew
            self._begin_anew()
        marks: list[str] = []
        for entry in entries:
            now = self._standings.of(study, entry)
            marks.append(f"{entry.id} {entry.binding} {now.says}")
            known = self._mirrored.get(entry.id)
            if known is None:
                self._adopt_or_add(entry, now)
            elif (known.binding, known.standing) != (entry.binding, now.says):
                self._update(known, entry, now)
        mark = hashlib.sha256("\n".join(marks).encode()).hexdigest()
        for trial in self._thought_of():
            if not str(trial.user_attrs.get(ASKED)).startswith(mark):
                self.drop(trial.number, "never proposed")
        return mark

    def thought(self, asked: str) -> tuple[int, Assignment] | None:
        """What the sampler answered to the same question before, if that was never proposed: number and point."""
        for trial in self._thought_of():
            if trial.user_attrs.get(ASKED) == asked:
                point = distributions.decode(trial.params, self._space)
                return None if point is None else (trial.number, point)
        return None

    def think(self, asked: str, sampler: BaseSampler, *, shown: int | None = None) -> tuple[int, Assignment]:
        """Asks ``sampler`` for a trial and its point. The trial stays open until it is proposed or dropped.

        Args:
            shown: trials that the sampler may look at, the best and the newest; by default all.
        """
        self._optuna.sampler = sampler
        with self._storage.window(self._study_id, shown) if shown else nullcontext():
            trial = self._optuna.ask()
            trial.set_user_attr(ASKED, asked)
            point = distributions.suggest(trial, self._space)
        trial_id = self._trial_id(trial.number)
        for key in self._storage.get_trial(trial_id).system_attrs:
            # TPE notes values of dimensions that turned out inactive; a rebuilt view could not know them.
            if key.startswith("tpe:relative_params"):
                self._storage.set_trial_system_attr(trial_id, key, "")
        return trial.number, point

    def lineage(self, number: int) -> tuple[str, str | None]:
        """Why a trial's branch was chosen, where the sampler says so, and the proposal it derives from."""
        attrs = self._storage.get_trial(self._trial_id(number)).system_attrs
        parent = attrs.get(PARENT)
        if parent is None:
            return attrs.get(BRANCH, ""), None
        return attrs.get(BRANCH, ""), self._storage.get_trial(self._trial_id(parent)).user_attrs.get(PROPOSAL) or None

    def weights(self, number: int) -> str:
        """What a trial's idea was to be best by, where the sampler weighs several goals; else nothing."""
        return str(self._storage.get_trial(self._trial_id(number)).system_attrs.get(WEIGHTS, ""))

    def drop(self, number: int, reason: str) -> None:
        """Closes a trial that will not be proposed."""
        from optuna.trial import TrialState

        trial_id = self._trial_id(number)
        self._storage.set_trial_user_attr(trial_id, REASON, reason)
        self._storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def _adopt_or_add(self, entry: Entry, now: Standing) -> None:
        params = distributions.encode(entry.point, self._space)[0] if entry.point is not None else {}
        twin = next((trial for trial in self._thought_of() if trial.params == params), None)
        if twin is not None and twin.number > self._last:
            self._last = twin.number
            self._mirror(entry, now, self._trial_id(twin.number))
            return
        # In the journal's order always, because samplers weigh trials by age: an idea that was overtaken is copied.
        self._add(entry, now, {} if twin is None else dict(twin.system_attrs))
        if twin is not None:
            self.drop(twin.number, "proposed out of its order; see its copy")

    def _update(self, known: _Mirrored, entry: Entry, now: Standing) -> None:
        trial = self._storage.get_trial(known.trial_id)
        if not trial.state.is_finished() and known.binding == entry.binding:
            self._mirror(entry, now, known.trial_id)
            return
        # Edited after it was told, or retried after an infra fault: Optuna's past cannot be changed, only replaced.
        if not trial.state.is_finished():
            self._storage.set_trial_user_attr(known.trial_id, PROPOSAL, "")
            self.drop(trial.number, "edited in review")
        self._add(entry, now, {})

    def _mirror(self, entry: Entry, now: Standing, trial_id: int) -> None:
        """Writes attributes, rungs and, if it has ended, the end of a running trial."""
        for key, value in self._attributes(entry, now).items():
            self._storage.set_trial_user_attr(trial_id, key, value)
        told = self._storage.get_trial(trial_id).intermediate_values
        for step, value in now.rungs.items():
            if told.get(step) != value:
                self._storage.set_trial_intermediate_value(trial_id, step, value)
        if now.state.is_finished():
            for key, value in now.constraint_attributes().items():
                self._storage.set_trial_system_attr(trial_id, key, value)
            self._storage.set_trial_state_values(trial_id, now.state, now.values)
        self._mirrored[entry.id] = _Mirrored(trial_id, entry.binding, now.says)

    def _add(self, entry: Entry, now: Standing, system_attrs: dict[str, Any]) -> None:
        attributes = self._attributes(entry, now)
        template = now.as_trial(entry.point, self._space, user_attrs=attributes, system_attrs=system_attrs)
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=template)
        self._last = self._storage.get_trial_number_from_id(trial_id)
        self._mirrored[entry.id] = _Mirrored(trial_id, entry.binding, now.says)

    def _attributes(self, entry: Entry, now: Standing) -> dict[str, Any]:
        reason = {REASON: now.reason} if now.reason else {}
        rows: dict[str, Any] = {ROWS: now.rows} if now.rows else {}
        rows |= {GOALS: dict(now.goals)} if now.goals else {}
        return {PROPOSAL: entry.id, BINDING: entry.binding, STANDING: now.says, **now.attributes, **reason, **rows}

    def _thought_of(self) -> list[FrozenTrial]:
        """Open trials that no proposal has, oldest first."""
        from optuna.trial import TrialState

        running = self._storage.get_all_trials(self._study_id, deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in running if not trial.user_attrs.get(PROPOSAL)]

    def _trial_id(self, number: int) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number))

    def _open(self) -> None:
        import optuna
        from optuna.storages.journal import JournalFileBackend

        from tunewright.search.window import WindowedStorage

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage = WindowedStorage(JournalFileBackend(str(self._path), lock_obj=_OneWriter()))
        self._optuna = optuna.create_study(
            study_name=self._name, storage=self._storage, direction=self._direction, load_if_exists=True
        )
        self._study_id = self._storage.get_study_id_from_name(self._name)
        self._mirrored, self._last = {}, -1
        for trial in self._storage.get_all_trials(self._study_id, deepcopy=False):
            attrs = trial.user_attrs
            if attrs.get(PROPOSAL):
                # A later trial of the same proposal replaced the earlier. One that is open was not told its end,
                # even if a crash came after that was noted.
                rungs = len(trial.intermediate_values)
                said = attrs[STANDING] if trial.state.is_finished() else f"running {rungs}"
                self._mirrored[attrs[PROPOSAL]] = _Mirrored(self._trial_id(trial.number), attrs[BINDING], said)
                self._last = trial.number

    def _begin_anew(self) -> None:
        self._path.unlink(missing_ok=True)
        self._open()


def _trim(path: Path) -> None:
    """Takes off a last line that a crash left torn, which Optuna would append to."""
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])


class _OneWriter:
    """No lock: the study's journal is locked already, and a stale lock file would hold a resume up for 30 s."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None
