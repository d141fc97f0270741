"""What a language model thinks of the answer, by a rubric. Zheng et al., arXiv 2306.05685, section 3.1: single answer
grading, with a reference where there is one.

The paper's traps hold here: judges prefer long answers and their own kind. The form of the mark, and that an answer is
quoted as data, are ours. A judge costs what its server costs, and the same recipe may be marked otherwise tomorrow.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from tunewright.domain.errors import UsageError
from tunewright.domain.outcome import FaultKind
from tunewright.domain.task import TaskSpec
from tunewright.tools.training.judge import PAUSE_S, TRIES, Examiner
from tunewright.tools.training.method import MethodConfig
from tunewright.tools.training.reward import Answers, Court, Judge, RewardMethod


class LlmJudgeConfig(MethodConfig):
    """Who judges, and by what."""

    url: str = ""
    """Address of an OpenAI-compatible server, up to ``/v1``. Empty: the environment's ``TUNEWRIGHT_JUDGE_URL``. A key
    is read from ``TUNEWRIGHT_JUDGE_KEY`` alone: settings are recorded."""
    model: str = ""
    """The model's name there. Empty: the environment's ``TUNEWRIGHT_JUDGE_MODEL``."""
    criterion: str = "Is the answer correct, complete and to the point? Longer is not better."
    """What makes an answer good; the rest of the prompt is ``tools/training/prompts/judge.md``."""
    reference: bool = True
    """Whether the judge sees the row's target as a good answer."""
    timeout_s: float = Field(60.0, gt=0)
    """What one question may take; after three that failed the trial ends with a fault."""
    concurrency: int = Field(4, ge=1, le=64)
    """Questions that are asked at the same time."""
    max_tokens: int = Field(512, gt=0)
    """What the judge may say, its reasons included."""


class LlmJudge(RewardMethod):
    """From 0 to 1. For what no program can check; where one can, take the program."""

    kind = "llm_judge"
    summary = "what a language model on a server thinks of the answer, 0 to 1"
    source = "arXiv 2306.05685"
    names = ("LLM judge", "LLM-as-a-judge", "language model as judge")
    Config = LlmJudgeConfig
    quoted = "criterion"
    hang: FaultKind = "infra"

    def check(self, settings: Any, task: TaskSpec | None) -> None:
        """An address, if it is given, must be one."""
        if settings.url and (
            urlsplit(settings.url).scheme not in ("http", "https") or not urlsplit(settings.url).netloc
        ):
            raise UsageError(f"'{settings.url}' is no address of a server", "give one such as http://127.0.0.1:8000/v1")

    def patience(self, settings: Any, answers: int) -> float:
        """Every question may fail twice."""
        once = float(settings.timeout_s) + 2 * PAUSE_S * TRIES
        return 30.0 + TRIES * once * math.ceil(answers / int(settings.concurrency))

    def open(self, settings: Any, court: Court) -> Judge:
        """Asks nothing yet."""
        examiner = Examiner(
            url=_given(settings.url, "url", "TUNEWRIGHT_JUDGE_URL"),
            model=_given(settings.model, "model", "TUNEWRIGHT_JUDGE_MODEL"),
            criterion=settings.criterion,
            timeout_s=settings.timeout_s,
            max_tokens=settings.max_tokens,
            key=os.environ.get("TUNEWRIGHT_JUDGE_KEY", ""),
        )

        def judge(answers: Answers) -> list[float]:
            with ThreadPoolExecutor(settings.concurrency) as pool:
                asked = [
                    pool.submit(examiner.mark, prompt, text, row["target"] if settings.reference else None, row["id"])
                    for prompt, text, row in zip(answers.prompts, answers.texts, answers.rows, strict=True)
                ]
                try:
                    return [one.result() for one in asked]
                finally:
                    pool.shutdown(wait=False, cancel_futures=True)  # one fault is enough

        return judge


def _given(setting: str, name: str, variable: str) -> str:
    found = setting or os.environ.get(variable, "")
    if not found:
        raise UsageError(f"the reward 'llm_judge' has no {name}", f"set {name}, or {variable} where the trial runs")
    return found


METHOD = LlmJudge()
