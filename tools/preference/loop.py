"""Seed pairs, fit, choose, label, fit again: the loop, which can be left at any moment and taken up again.

The paper's (arXiv 2511.04286): the cycle of fitting a reward with its uncertainty, choosing by it, and asking. Ours:
how a pair is chosen (see ``acquisition``), that the posterior is fitted after every label, and that everything is a
fold over the journal: the same seed and answers give the same pairs, however often the loop was stopped in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tunewright.domain.errors import AnnotatorError
from tunewright.domain.frozen import Frozen
from tunewright.tools.preference.acquisition import choose
from tunewright.tools.preference.annotator import Annotator, Question, Reply
from tunewright.tools.preference.belief import Belief
from tunewright.tools.preference.candidate import Candidates
from tunewright.tools.preference.journal import Answered, Chosen, Journal, Pair, Undone, now
from tunewright.tools.preference.options import Course, Ending, Standing
from tunewright.tools.preference.pair_file import PairFile


class Taught(Frozen):
    """One answer, and where the labelling stands after it."""

    answered: Answered
    undone: bool = False
    """Whether it was taken back rather than given."""
    standing: Standing


class Loop:
    """Labels the pairs of some candidates.

    Args:
        journal: open.
        file: the view of it.
        belief: over the candidates' answers, with the journal's labels.
    """

    def __init__(
        self, journal: Journal, file: PairFile, candidates: Sequence[Candidates], belief: Belief, course: Course
    ) -> None:
        self._journal, self._file, self._belief, self._course = journal, file, belief, course
        self._of_answer = [(one, text) for one in candidates for text in one.answers]
        pool = belief.pool
        self._number = {pair: n for n, pair in enumerate(zip(pool.first.tolist(), pool.second.tolist(), strict=True))}
        file.restore(journal.history)

    def run(self, annotator: Annotator, told: Callable[[Taught], object] = lambda one: None) -> Ending:
        """Asks until it is enough. Interrupted or killed, it has kept every answer.

        Args:
            told: is called after every answer; must not raise.

        Raises:
            TunewrightError: the annotator cannot answer, or an answer cannot be written.
        """
        history = self._journal.history
        while self._course.budget is None or len(history.labels) < self._course.budget:
            if not history.queue and not self._choose():
                return "exhausted"
            pair = history.queue[0]
            reply = annotator.answer(self._question(pair))
            if reply.choice == "quit":
                return "stopped"
            if reply.choice == "undo" and not history.answered:
                raise AnnotatorError(f"'{annotator.name}' takes an answer back, and there is none")
            told(self._undo() if reply.choice == "undo" else self._take(pair, reply, annotator.name))
        return "budget"

    def standing(self) -> Standing:
        """Where the labelling stands."""
        answered = self._journal.history.answered
        left = self._open()
        foreseen = [one.foreseen for one in answered if one.foreseen is not None]
        return Standing(
            labels=sum(one.label is not None for one in answered),
            ties=sum(one.choice == "tie" for one in answered),
            skipped=sum(one.choice == "skip" for one in answered),
            left=int(left.sum()),
            sure=self._belief.sure(left),
            foreseen=sum(foreseen),
            foreseeable=len(foreseen),
            bits=sum(one.bits for one in answered),
        )

    def _open(self) -> NDArray[np.bool_]:
        """(M,) whether each pair was not asked for; what is chosen and not yet answered is open."""
        left = np.ones(len(self._belief.pool), dtype=np.bool_)
        left[[self._numbered(one.pair) for one in self._journal.history.answered]] = False
        return left

    def _numbered(self, pair: Pair) -> int:
        return self._number[min(pair), max(pair)]

    def _choose(self) -> bool:
        """Puts the next pairs into the queue; False if there is none."""
        history, course = self._journal.history, self._course
        chance = np.random.default_rng([course.seed, history.rounds])
        first = max(0, course.initial - len(history.answered))
        count = first or course.batch
        if course.budget is not None:
            count = min(count, course.budget - len(history.labels))
        pairs = choose(
            self._belief.posterior,
            self._belief.pool,
            self._open(),
            chance,
            count=count,
            alpha=course.alpha,
            acquire="random" if first else course.acquire,
        )
        if not pairs:
            return False
        pool = self._belief.pool
        both = [(int(pool.first[pair]), int(pool.second[pair])) for pair in pairs]
        # Which is shown first is drawn, so that who prefers a place is noise and no bias.
        self._journal.append(Chosen(pairs=tuple(pair if chance.random() < 0.5 else pair[::-1] for pair in both)))
        return True

    def _question(self, pair: Pair) -> Question:
        (one, first), (_, second) = (self._of_answer[answer] for answer in pair)
        history = self._journal.history
        return Question(
            prompt=one.prompt,
            first=first,
            second=second,
            row=one.row,
            number=len(history.labels) + 1,
            undoable=bool(history.answered),
        )

    def _take(self, pair: Pair, reply: Reply, by: str) -> Taught:
        answered = Answered(
            at=now(),
            by=by,
            pair=pair,
            choice=reply.choice,
            reason=reply.reason,
            before=self._belief.guess(*pair),
            cost=reply.cost,
            calls=reply.calls,
        )
        if answered.label is not None:
            answered = answered.model_copy(update={"bits": self._belief.learn(answered.label)})
        self._journal.append(answered)
        self._file.add(answered)
        return Taught(answered=answered, standing=self.standing())

    def _undo(self) -> Taught:
        answered = self._journal.history.answered[-1]
        self._journal.append(Undone(at=now()))
        self._file.retract(answered)
        if answered.label is not None:
            self._belief.forget()
        return Taught(answered=answered, undone=True, standing=self.standing())
