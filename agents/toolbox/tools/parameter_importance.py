"""Which settings the score hung on, and which way: fANOVA over the completed trials, with each setting's own trend."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from pydantic import Field

from tunewright.agents.outcome_facts import TrialFacts, ended_trials, searched_paths
from tunewright.agents.toolbox.tool import Arguments, StudyTool
from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Frozen, Json
from tunewright.domain.path import label
from tunewright.domain.space import is_number
from tunewright.domain.study import Study

METHOD = "fANOVA (Hutter, Hoos and Leyton-Brown 2014) by Optuna: a random forest of 32 trees fitted to the scores"
_VALUES = 5


class ParameterImportanceArguments(Arguments):
    most: int = Field(8, ge=1, le=30, description="How many settings, the most important first.")


class SettingImportance(Frozen):
    """One setting."""

    name: str
    share: float
    """Of the variance of the score that the forest explains."""
    trend: str
    """How the score goes with it over the trials that were run."""


class ImportanceResult(Frozen):
    """Every setting that varied."""

    trials: int
    settings: tuple[SettingImportance, ...]


class ParameterImportanceTool(StudyTool[ParameterImportanceArguments, ImportanceResult]):
    name = "parameter_importance"
    description = (
        "Which settings the validation score hung on over the completed trials: each one's share of the variance by "
        "fANOVA, and how the score went with its values. Of use to decide what to vary and what to leave. It says "
        "what went together among the trials that were run, which a sampler chose, and not what causes what."
    )
    Arguments = ParameterImportanceArguments

    def run(self, study: Study, folder: Path, arguments: ParameterImportanceArguments) -> ImportanceResult:
        from tunewright.search.importance import LEAST_TRIALS, importance

        scored = [one for one in ended_trials(study) if one.score is not None]
        if len(scored) < LEAST_TRIALS:
            raise UsageError(
                f"{len(scored)} trials have a score, and importance needs {LEAST_TRIALS} or more",
                "look at them with trial_history instead",
            )
        shares = importance(study)
        if not shares:
            raise UsageError(
                "the trials' scores or settings do not differ, so no setting can be told from another",
                "look at them with trial_history instead",
            )
        paths: dict[str, list[str]] = defaultdict(list)
        for path in searched_paths(study):
            paths[label(path)].append(path)
        return ImportanceResult(
            trials=len(scored),
            settings=tuple(
                SettingImportance(name=name, share=share, trend=_trend(scored, paths.get(name, [])))
                for name, share in list(shares.items())[: arguments.most]
            ),
        )

    def said(self, result: ImportanceResult) -> str:
        lines = [f"share of the score's variance over {result.trials} scored trials; method: {METHOD}"]
        lines += [f"{one.name}: {one.share:.0%}" + (f"; {one.trend}" if one.trend else "") for one in result.settings]
        if result.trials < 20:
            lines.append("with fewer than 20 trials shares are rough")
        return "\n".join(lines)


def _trend(trials: Sequence[TrialFacts], paths: Sequence[str]) -> str:
    """Numbers by their rank correlation with the score, choices by their mean scores."""
    pairs = [
        (value, one.score)
        for one in trials
        for path in paths
        if one.score is not None and (value := one.get(path)) is not None
    ]
    if not pairs:
        return ""
    if all(is_number(value) for value, _ in pairs) and len({value for value, _ in pairs}) > _VALUES:
        from scipy.stats import spearmanr

        rho = float(spearmanr([value for value, _ in pairs], [score for _, score in pairs]).statistic)
        return "" if math.isnan(rho) else f"rank correlation with the score {rho:+.2f} over {len(pairs)} trials"
    by_value: dict[str, list[float]] = defaultdict(list)
    for value, score in pairs:
        by_value[_shown(value)].append(score)
    ranked = sorted(by_value.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:_VALUES]
    return "mean score " + ", ".join(f"{fmean(scores):.4g} at {value} ({len(scores)})" for value, scores in ranked)


def _shown(value: Json) -> str:
    return f"{value:g}" if is_number(value) else str(value)[:60]


TOOL = ParameterImportanceTool()
