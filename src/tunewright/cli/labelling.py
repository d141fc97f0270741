"""The command ``label``: pairs on the screen, answers from the keyboard, and what each of them taught."""

from __future__ import annotations

import sys

from tunewright import app
from tunewright import settings as settings_
from tunewright.cli import words
from tunewright.cli.line import Line
from tunewright.cli.output import GO_ON, console, only_json, print_json
from tunewright.cli.view import View
from tunewright.domain.errors import TunewrightError, UsageError
from tunewright.domain.plain import visible
from tunewright.tools.preference.annotator import Annotator, Question
from tunewright.tools.preference.annotators.human import HumanAnnotator
from tunewright.tools.preference.loop import Taught
from tunewright.tools.preference.options import Labelled, LabelOptions, Standing

INTERRUPTED = 130


def label(data: str, pairs: str, *, model: str, annotator: str, options: LabelOptions, json: bool) -> int:
    """Labels until it is enough, and says what came of it."""
    screen = _Screen(View(console(stderr=True)))
    who: str | Annotator = annotator
    if annotator == "human":
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(
                "there is no terminal at which a person could be asked",
                "let --annotator name another: reference, program:COMMAND or llm:MODEL",
            )
        who = HumanAnnotator(screen.ask, screen.show, screen.say)
        screen.question = options.question
    with only_json(json):
        try:
            labelled = app.label(
                data,
                pairs,
                model=model,
                annotator=who,
                options=options,
                settings=settings_.load(),
                observer=screen.view,
                told=screen.told,
            )
        except KeyboardInterrupt:
            screen.say("stopped: the same command goes on")
            return INTERRUPTED
        except UsageError:
            raise
        except TunewrightError as error:
            error.add_note(f"{GO_ON}every answer so far; the same command goes on")
            raise
    if json:
        print_json(labelled)
    else:
        View(console(stderr=False)).say(*closing_lines(labelled))
    return 0


def closing_lines(labelled: Labelled) -> list[Line]:
    """The last block: what there is, how sure it is, and what to type next."""
    count = labelled.labels - labelled.ties
    beside = [
        f"{labelled.ties} ties" if labelled.ties else "",
        f"{labelled.skipped} skipped" if labelled.skipped else "",
    ]
    told = "".join(f", {one}" for one in beside if one)
    lines = [Line(f"{count} in {labelled.pairs}{told}", "pairs", tone="good" if count else "plain")]
    lines.append(Line(", ".join(f"{name} {number}" for name, number in labelled.by.items()), "by"))
    lines.append(Line(sure_words(labelled), "sure"))
    if labelled.foreseeable:
        lines.append(Line(f"{labelled.foreseen} of {labelled.foreseeable} answers were expected", "foreseen"))
    if labelled.cost.llm_tokens:
        usd = f", ${labelled.cost.usd:.2f}" if labelled.cost.usd else ""
        lines.append(Line(f"{words.amount('llm_tokens', labelled.cost.llm_tokens)}{usd}", "spent"))
    if labelled.left:
        why = "the budget is reached; a larger --budget" if labelled.ended == "budget" else "the same command"
        lines.append(Line(f"{why} goes on", "next"))
    return lines


def sure_words(standing: Standing) -> str:
    """``0.81 on the 376 pairs left``: the share of them that it expects to foresee."""
    if standing.sure is None:
        return "every pair was asked for"
    return f"{standing.sure:.2f} on the {_some(standing.left, 'pair')} left"


def _some(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


class _Screen:
    """What a person sees while pairs are labelled."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.question: str | None = None
        """What is asked; None where nobody at the terminal is."""

    def show(self, question: Question) -> None:
        """One pair, without a word of what the program believes: that would lead."""
        self.view.console.print()
        head = self.question if question.number == 1 and self.question else ""
        blocks = (("prompt", question.prompt), ("1", question.first), ("2", question.second))
        self.view.say(Line(head, f"#{question.number}", tone="faint"))
        for name, text in blocks:
            # An answer is data: what it holds must not be able to paint over the other one.
            rows = visible(text).split("\n")
            self.view.say(*(Line(row, name if not number else " ") for number, row in enumerate(rows)))

    def ask(self, prompt: str) -> str:
        """Shows the prompt and reads a line."""
        self.view.console.print(prompt, end="", soft_wrap=True)
        return input()

    def say(self, text: str) -> None:
        self.view.say(Line(text))

    def told(self, one: Taught) -> None:
        """What an answer taught, after it is given."""
        answered, standing = one.answered, one.standing
        if one.undone:
            text = "taken back"
        elif answered.choice == "skip":
            text = f"skipped{': ' + answered.reason if answered.reason else ''}"
        else:
            chance = answered.before.probability if answered.choice == "1" else 1 - answered.before.probability
            what = "a tie" if answered.choice == "tie" else f"expected with {chance:.2f}"
            text = f"{what}, taught {answered.bits:.2f} bits"
        self.view.say(Line(f"{text}; sure {sure_words(standing)}", f"label {standing.labels}", tone="faint"))
