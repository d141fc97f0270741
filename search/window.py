"""What a sampler is shown of a long study: its best trials and its newest, so that the time for an idea is bounded.

Optuna's TPE goes over every trial once for each group of settings: 4 ms an idea at trial 10 and 33 ms at trial 500, in
a space of 12 dimensions. A trial that is not shown is still in the file. Imported only where Optuna is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optuna.storages import JournalStorage

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

GOOD = 25
"""Best trials that are always shown: TPE takes a tenth of its trials for good, and never more than so many."""


class WindowedStorage(JournalStorage):  # type: ignore[misc]  # Optuna's types are not read here, see pyproject.toml
    """Optuna's journal, which can be looked at through a window."""

    _hidden: frozenset[int] = frozenset()

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        """As Optuna has it, without what is hidden."""
        trials: list[FrozenTrial] = super().get_all_trials(study_id, deepcopy=deepcopy, states=states)
        return [trial for trial in trials if trial.number not in self._hidden] if self._hidden else trials

    @contextmanager
    def window(self, study_id: int, shown: int) -> Iterator[None]:
        """Shows the best ``GOOD`` and the newest of the others, ``shown`` in all, to whoever asks meanwhile."""
        from optuna.study import StudyDirection
        from optuna.trial import TrialState

        ended = self.get_all_trials(study_id, deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        highest = self.get_study_directions(study_id)[0] == StudyDirection.MAXIMIZE
        self._hidden = hidden(ended, shown, highest_first=highest)
        try:
            yield
        finally:
            self._hidden = frozenset()


def hidden(ended: Sequence[FrozenTrial], shown: int, *, highest_first: bool) -> frozenset[int]:
    """Numbers of the trials that are left out.

    Args:
        ended: completed and pruned trials, oldest first.
        shown: how many are shown at most; more than ``GOOD``.
    """
    from optuna.trial import TrialState

    if len(ended) <= shown:
        return frozenset()
    allowed = [trial for trial in ended if trial.state == TrialState.COMPLETE and not _passes_limits(trial)]
    allowed.sort(key=lambda trial: trial.value or 0.0, reverse=highest_first)  # of equals the oldest, as in TPE
    good = {trial.number for trial in allowed[:GOOD]}
    others = [trial.number for trial in ended if trial.number not in good]
    return frozenset(others[: len(ended) - shown])


def _passes_limits(trial: FrozenTrial) -> bool:
    return any(excess > 0 for excess in trial.constraints.values())
