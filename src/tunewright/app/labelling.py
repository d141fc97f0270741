"""Labels pairs of answers, those first that teach most. Needs a model and the data; no study."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright import settings as settings_
from tunewright.app.shelf import quiet
from tunewright.app.wiring import find_model
from tunewright.domain.errors import UsageError, unknown_name
from tunewright.domain.frozen import content_hash
from tunewright.domain.live import Observer, Said
from tunewright.settings import Settings

if TYPE_CHECKING:
    from tunewright.agents.nodes.planner import FoundModel
    from tunewright.tools.evaluation.inference import Progress
    from tunewright.tools.preference.annotator import Annotator
    from tunewright.tools.preference.annotators.function import Compare
    from tunewright.tools.preference.candidate import Candidates, Read
    from tunewright.tools.preference.journal import Journal
    from tunewright.tools.preference.laplace import Array
    from tunewright.tools.preference.loop import Taught
    from tunewright.tools.preference.options import Labelled, LabelOptions
    from tunewright.tools.preference.store import Store

ANNOTATORS = ("human", "reference", "reference:SCORER", "program:COMMAND", "llm:MODEL")
_PACE_S = 15.0
"""Between two lines that say how far a slow step is."""


def label(
    data: str | Path,
    pairs: str | Path,
    *,
    model: str,
    annotator: str | Annotator | Compare,
    options: LabelOptions | None = None,
    settings: Settings | None = None,
    observer: Observer = quiet,
    told: Callable[[Taught], object] = quiet,
) -> Labelled:
    """Asks an annotator for one pair after the other, and writes what it prefers into ``pairs``.

    Every answer is on disk before the next is asked for. Called again with the same data and pairs it goes on.

    Args:
        data: prompts, each with two or more answers; or prompts alone, which ``model`` answers then.
        pairs: a ``.jsonl`` of format ``preference``; what else a session keeps is in a folder beside it.
        model: a directory, a hub name or an alias. Its last layer says what an answer is like.
        annotator: ``reference``, ``reference:SCORER``, ``program:COMMAND``, ``llm:MODEL``; a function of prompt, first
            and second answer that returns ``1``, ``2`` or ``tie``; or an ``Annotator``.
        told: is called after every answer; must not raise.

    Raises:
        UsageError: data, model, annotator or ``pairs`` cannot be used; nothing is left behind.
        AnnotatorError: the annotator failed; what it labelled before is kept. So it is with a ``BrainError``.
    """
    from tunewright.tools.preference.journal import Journal
    from tunewright.tools.preference.options import LabelOptions
    from tunewright.tools.preference.store import folder_of

    settings, options, pairs = settings or settings_.load(), options or LabelOptions(), Path(pairs).expanduser()
    folder = folder_of(pairs)
    read = _read(str(data), options)
    open_annotator = _annotators(annotator, read, options)

    def say(line: str) -> None:
        observer(Said(line))

    found = find_model(model, settings, say)
    with Journal(folder) as journal:
        return _Session(pairs, read, found, options, journal, observer).run(open_annotator, told)


class _Session:
    """One call of ``label``, once everything it was given is known to be usable."""

    def __init__(
        self, pairs: Path, read: Read, found: FoundModel, options: LabelOptions, journal: Journal, observer: Observer
    ) -> None:
        from tunewright.tools.preference.store import Store
        from tunewright.tools.preference.template import task_of

        self.pairs, self.read, self.found, self.options = pairs, read, found, options
        self.journal, self.observer = journal, observer
        self.store: Store = Store(journal.path.parent)
        self.task = task_of(
            found.identity.ref, pairs.name, template=options.template, max_new_tokens=options.max_new_tokens
        )
        self.model = cache(self._load)

    def run(self, open_annotator: Callable[[int], Annotator], told: Callable[[Taught], object]) -> Labelled:
        from tunewright.tools.preference.belief import Belief
        from tunewright.tools.preference.features import standardised
        from tunewright.tools.preference.loop import Loop
        from tunewright.tools.preference.options import Labelled
        from tunewright.tools.preference.pair_file import PairFile
        from tunewright.tools.preference.pool import Pool

        history = self.journal.history
        candidates = self._begun()
        counts = [len(one.answers) for one in candidates]
        features = standardised(self._features(candidates), counts, dimensions=self.options.dimensions)
        belief = Belief(Pool.of(features, counts), self.options.lam, history.labels)
        prompts = [one.prompt for one in candidates for _ in one.answers]
        file = PairFile(self.pairs, prompts, [answer for one in candidates for answer in one.answers])
        loop = Loop(self.journal, file, candidates, belief, self.options)
        known = f"; {len(history.labels)} labelled before" if history.labels else ""
        found = f"{_some(len(counts), 'prompt')} with {sum(counts)} answers make {_some(len(belief.pool), 'pair')}"
        self._say(f"{found}{known}")
        ended = loop.run(open_annotator(history.calls), told)
        return Labelled(
            **dict(loop.standing()),
            pairs=str(self.pairs),
            session=str(self.journal.path.parent),
            ended=ended,
            prompts=len(counts),
            answers=sum(counts),
            by=dict(Counter(one.by for one in history.answered)),
            lam=belief.lam,
            cost=history.paid,
        )

    def _begun(self) -> tuple[Candidates, ...]:
        """The candidates: those of the first session, or in the first what was read or is drawn now."""
        from tunewright.tools.preference.journal import Began, now
        from tunewright.tools.preference.store import check_origin

        began, origin = self.journal.history.began, self._origin()
        if began is not None:
            check_origin(began, origin, self.pairs)
            return self.store.candidates(began)
        if self.pairs.exists() and self.pairs.stat().st_size:
            raise UsageError(
                f"'{self.pairs}' is there already, and no labelling that could go on", "give another --pairs"
            )
        candidates = self.read.candidates if self.read.answered else self._drawn()
        self.journal.append(Began(at=now(), origin=origin, candidates=self.store.freeze(candidates)))
        return candidates

    def _origin(self) -> dict[str, str]:
        content = [(one.prompt, one.answers, one.target) for one in self.read.candidates]
        origin = {"data": content_hash(content)}
        if not self.read.answered:
            drawn = self.options.model_dump(
                include={"samples", "prompts", "temperature", "max_new_tokens", "template", "seed"}
            )
            origin |= {"model": self.found.identity.digest, **{name: str(value) for name, value in drawn.items()}}
        return origin

    def _drawn(self) -> tuple[Candidates, ...]:
        from tunewright.tools.models.precision import resolve_precision
        from tunewright.tools.preference.candidate import comparable
        from tunewright.tools.preference.sampling import sample

        options, chosen = self.options, list(self.read.candidates)
        if len(chosen) > options.prompts:
            chosen = random.Random(options.seed).sample(chosen, options.prompts)
        self._say(f"drawing {options.samples} answers to each of {len(chosen)} prompts")
        sampled = sample(
            *self.model(),
            chosen,
            self.task,
            count=options.samples,
            temperature=options.temperature,
            seed=options.seed,
            precision=resolve_precision(),
            progress=self._paced("drawn {} of {} answers"),
        )
        usable = comparable(sampled, f"'{self.found.identity.ref}' gave no prompt two different answers")
        if usable.alone:
            self._say(f"{usable.alone} of the prompts got the same answer each time and are left out")
        return usable.candidates

    def _features(self, candidates: Sequence[Candidates]) -> Array:
        from tunewright.tools.models.precision import resolve_precision
        from tunewright.tools.preference.features import hidden_features

        options = self.options
        origin = {
            "candidates": self.journal.history.began.candidates if self.journal.history.began else "",
            "model": self.found.identity.digest,
            "pooling": options.pooling,
            "template": options.template,
        }

        def make() -> Array:
            return hidden_features(
                *self.model(),
                candidates,
                self.task,
                pooling=options.pooling,
                precision=resolve_precision(),
                progress=self._paced("read {} of {} answers"),
            )

        return self.store.features(origin, make)

    def _load(self) -> tuple[Any, Any]:
        from tunewright.tools.models.load import load_model

        return load_model(self.found.path)

    def _say(self, line: str) -> None:
        self.observer(Said(line))

    def _paced(self, words: str) -> Progress:
        """Says now and then how far a slow step is; nothing about a quick one."""
        said = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal said
            if done < total and time.monotonic() - said >= _PACE_S:
                said = time.monotonic()
                self._say(words.format(done, total))

        return progress


def _some(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _read(data: str, options: LabelOptions) -> Read:
    from tunewright.tools.preference.candidate import read_candidates

    named = {"prompt": options.prompt_field, "answers": options.answers_field, "target": options.target_field}
    fields = {what: name for what, name in named.items() if name is not None}
    return read_candidates(data, fields=fields, skip_bad_rows=options.skip_bad_rows)


def _annotators(annotator: str | Annotator | Compare, read: Read, options: LabelOptions) -> Callable[[int], Annotator]:
    """Makes the annotator, given how often a language model was asked in earlier sessions.

    Raises:
        UsageError: it cannot be had.
    """
    from tunewright.tools.preference.annotators.function import FunctionAnnotator
    from tunewright.tools.preference.annotators.program import ProgramAnnotator
    from tunewright.tools.preference.annotators.reference import ReferenceAnnotator

    if not isinstance(annotator, str):
        given: Annotator = FunctionAnnotator(annotator) if callable(annotator) else annotator
        return lambda asked: given
    kind, _, rest = annotator.partition(":")
    made: Annotator
    match kind:
        case "reference":
            judge = ReferenceAnnotator(rest)
            judge.check(read.candidates)
            made = judge
        case "program":
            made = ProgramAnnotator(rest)
        case "llm":
            return _llm(rest, options)
        case "human" if not rest:
            raise UsageError("a person is asked at a terminal", "use tunewright label, or give a function as annotator")
        case _:
            raise unknown_name("annotator", annotator, ANNOTATORS)
    return lambda asked: made


def _llm(name: str, options: LabelOptions) -> Callable[[int], Annotator]:
    from tunewright.agents.comparing import open_comparer
    from tunewright.tools.preference.annotators.llm import LlmAnnotator

    if not name:
        raise UsageError("'llm:' names no language model", "for example: --annotator llm:openai/gpt-4o-mini")
    if options.budget is None:
        raise UsageError(
            "a language model that labels needs a limit: each label may cost money", "say for example: --budget 100"
        )
    open_comparer(name, question=options.question)  # a script that cannot be read is told about before anything else
    return lambda asked: LlmAnnotator(name, open_comparer(name, question=options.question, asked=asked))
