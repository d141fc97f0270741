"""What a reviewer types, as answers: ``all``, ``1,2``, ``t3``, ``plan``, ``PATH=VALUE``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunewright.domain.errors import UsageError

if TYPE_CHECKING:
    from tunewright.domain.review import Answer

_JOIN = "\n"
_ASSIGNMENT = re.compile(r"^[A-Za-z_][\w.]*=")


def fold_edits(arguments: list[str]) -> list[str]:
    """Makes ``--edit 2 a=1 b=2`` one option with one value, since an option here takes a fixed count.

    Example:
        >>> fold_edits(["review", "s", "--edit", "2", "a.b=1", "c=2", "--json"])
        ['review', 's', '--edit', '2\\na.b=1\\nc=2', '--json']
    """
    folded: list[str] = []
    left = list(arguments)
    while left:
        word = left.pop(0)
        folded.append(word)
        if word == "--edit" and left and not left[0].startswith("-"):
            parts = [left.pop(0)]
            # What follows at once is meant as an assignment, and is refused as one where it is none.
            while left and (_ASSIGNMENT.match(left[0]) or (len(parts) == 1 and not left[0].startswith("-"))):
                parts.append(left.pop(0))
            folded.append(_JOIN.join(parts))
    return folded


def targets_of(words: str, waiting: Sequence[str]) -> list[str]:
    """The targets that ``words`` names: ``all``, ``plan``, or ids separated by commas or spaces.

    Raises:
        UsageError: a word names nothing that waits for review.
    """
    named: list[str] = []
    for word in re.split(r"[,\s]+", words.strip()):
        if word == "all":
            named += waiting
            continue
        target = f"t{word.lstrip('#')}" if word.lstrip("#").isdigit() else word
        if target not in waiting:
            raise UsageError(
                f"'{word or words}' does not wait for review",
                f"waiting: {', '.join(map(number_of, waiting)) or 'nothing'}",
            )
        named.append(target)
    return list(dict.fromkeys(named))


def number_of(target: str) -> str:
    """What a person types for a target, and sees in the table: ``1`` for ``t1``."""
    from tunewright.cli.words import label  # its types are slow to make, and --help needs none

    return label(target).removeprefix("#")


def answers_of(
    waiting: Sequence[str],
    *,
    approve: Sequence[str] = (),
    reject: Sequence[str] = (),
    reasons: Sequence[str] = (),
    edit: Sequence[str] = (),
    answer: Sequence[str] = (),
) -> list[Answer]:
    """The answers that the options of ``tunewright review`` stand for; all others go before ``all``.

    Raises:
        UsageError: a target does not wait, is answered twice, or a rejection has no reason.
    """
    from tunewright.domain.review import Answer

    answers: dict[str, Answer] = {}

    def add(answer: Answer) -> None:
        if answer.target in answers:
            raise UsageError(
                f"'{answer.target}' is answered twice: {answers[answer.target].action} and {answer.action}",
                "give each run one answer; edits of one run go behind one --edit",
            )
        answers[answer.target] = answer

    for text in answer:
        target, said = read_answer(text, waiting)
        add(Answer(target=target, action="answer", text=said))
    for text in edit:
        target, edits = read_edit(text, waiting)
        add(Answer(target=target, action="edit", edits=edits, reason=" ".join(reasons) if not reject else ""))
    for words, reason in zip(reject, _reasons(reject, reasons), strict=True):
        for target in targets_of(words, waiting):
            add(Answer(target=target, action="reject", reason=reason))
    for words in approve:
        for target in targets_of(words, waiting):
            if words.strip() != "all" or target not in answers:
                add(Answer(target=target, action="approve"))
    return list(answers.values())


def _reasons(reject: Sequence[str], reasons: Sequence[str]) -> list[str]:
    """One reason for each ``--reject``: its own, or the one that is given for all."""
    given = [reason.strip() for reason in reasons if reason.strip()]
    if not reject:
        return []
    if len(given) == 1:
        return given * len(reject)
    if len(given) != len(reject):
        raise UsageError(
            f"a rejection owes a reason: --reject is given {len(reject)} times, --reason {len(given)} times",
            'for example: --reject 3 --reason "too large for the target device"',
        )
    return given


def read_answer(text: str, waiting: Sequence[str]) -> tuple[str, str]:
    """``q1=TEXT`` as a question and its answer.

    Raises:
        UsageError: no such question waits, or there is no ``=``.
    """
    target, equals, said = text.partition("=")
    name = target.strip() if target.strip() in waiting else f"q{target.strip()}"
    if not equals or name not in waiting or not name.startswith("q"):
        raise UsageError(
            f"'{text}' answers no question that waits",
            f"waiting: {', '.join(map(number_of, waiting)) or 'nothing'}; an answer is QUESTION=TEXT",
        )
    return name, said.strip()


def read_edit(text: str, waiting: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """``2``, a line break and ``PATH=VALUE`` lines, as a target and its edits.

    Raises:
        UsageError: no such target, or no assignment.
    """
    target, *assignments = text.split(_JOIN)
    if not assignments:
        raise UsageError(
            f"--edit {target} changes nothing", f"for example: --edit {target} stages.0.optimisation.lr=1e-4"
        )
    found = targets_of(target, waiting)
    if len(found) != 1 or found == ["plan"]:
        raise UsageError(f"--edit takes the number of one run, not '{target}'", "approve or reject a plan as a whole")
    return found[0], dict(read_assignment(one) for one in assignments)


def read_assignment(text: str) -> tuple[str, Any]:
    """``stages.0.optimisation.lr=1e-4`` as path and value; the value is read as YAML, never evaluated.

    Raises:
        UsageError: it has no ``=`` or no path.
    """
    from tunewright.cli.yaml import read_value

    path, equals, value = text.partition("=")
    if not equals or not path.strip() or not value.strip():
        raise UsageError(f"'{text}' is not PATH=VALUE", "for example: stages.0.optimisation.lr=1e-4")
    return path.strip(), read_value(value)
