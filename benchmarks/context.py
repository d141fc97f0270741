"""What a language model's two questions of a round cost the study itself, however long its history is.

    python benchmarks/context.py [--trials 100 500 2000 10000]

A round asks for an idea and for lessons. Each question holds the study's history compressed to its budget of tokens.
Told are processor seconds of one thread for both questions, the median of several rounds, each with one trial more than
the round before; the tokens of the larger question; and the memory that making them takes at its peak. Aim: below 0.2 s
at 500 trials, tokens below the budget, and neither time nor memory growing with the history but by what it takes to
look at each trial once.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from pathlib import Path

from journal import events

from tunewright.agents.advice.asking import ideas_prompt
from tunewright.agents.context.tokens import tokens
from tunewright.agents.context.told import PROMPT_TOKENS
from tunewright.agents.reflection.case import Case
from tunewright.agents.reflection.reflector import reflection_prompt
from tunewright.agents.routing import unreflected
from tunewright.domain.event import Proposed
from tunewright.domain.study import Study

AIM_S = 0.2
ROUNDS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 500, 2_000, 10_000])
    for trials in parser.parse_args().trials:
        seconds, most, peak = measured(trials)
        print(
            f"{trials:>6,} trials: {seconds:.3f} s a round (aim at 500: {AIM_S} s), {most:,} of {PROMPT_TOKENS:,} "
            f"tokens, peak {peak / 2**20:.1f} MiB"
        )


def measured(trials: int) -> tuple[float, int, int]:
    """Seconds of a round, tokens of the larger question, and bytes at the peak."""
    study, taken, largest = Study(), [], 0
    begun = 0
    for event in events("long", trials + ROUNDS + 2):
        if isinstance(event, Proposed):
            begun += 1
            if begun > trials:
                before = time.process_time()
                prompts = questions(study)
                taken.append(time.process_time() - before)
                largest = max(largest, *map(tokens, prompts))
        study.fold(event)
    tracemalloc.start()
    questions(study)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The first round imports what it needs, and looks at all trials' settings.
    return statistics.median(taken[1:]), largest, peak


def questions(study: Study) -> tuple[str, str]:
    """Both questions of a round."""
    case = Case(study, Path(), tuple(unreflected(study)))
    return ideas_prompt(study), reflection_prompt(case)


if __name__ == "__main__":
    main()
