"""The risk desk beside the proposer: it tells the style, sizes ideas and forecasts proposals. What may be spent it does
not say: that is the ledger's, asked by the proposer's gate and again at every launch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tunewright.agents.notebook import Notebook
from tunewright.agents.risk.forecaster import Forecaster
from tunewright.agents.risk.sizing import sized
from tunewright.agents.risk.style import change_of_style
from tunewright.domain.proposal import Idea, Proposal
from tunewright.domain.protocols import Strategy
from tunewright.domain.study import Study


class RiskDesk:
    """Of one session.

    Args:
        strategy: gives the study's sampler, which is asked what it would have proposed.
    """

    def __init__(self, notebook: Notebook, strategy: Callable[[Study], Strategy]) -> None:
        self._notebook, self._strategy, self._forecaster = notebook, strategy, Forecaster()

    def open(self) -> None:
        """Tells a change of style that is due."""
        change = change_of_style(self._notebook.study)
        if change is not None:
            self._notebook.record(change)

    def sized(self, ideas: Sequence[Idea]) -> list[Idea]:
        """The ideas as large as losses allow, if the study is to size them."""
        study = self._notebook.study
        return [sized(study, idea) for idea in ideas] if study.options.sizing else list(ideas)

    def instead(self, ideas: Sequence[Idea]) -> Idea | None:
        """What the sampler proposes, or would have, beside a planner's idea; None where there is no such idea."""
        if not any(idea.origin == "planner" for idea in ideas):
            return None
        own = next((idea for idea in ideas if idea.origin == "sampler"), None)
        study = self._notebook.study
        return own or next(iter(self._strategy(study).ask(study, 1)), None)

    def forecast(self, proposals: Sequence[Proposal], instead: Idea | None) -> None:
        """Writes down what is expected of each proposal."""
        for told in self._forecaster(self._notebook.study, proposals, instead):
            self._notebook.record(told)
