"""What tests of questions share: a study on disk that gets as far as its reading, by the real nodes and graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.stories import CODE

from tunewright.agents.brains.recording import Call
from tunewright.agents.brains.scripted import ScriptedBrain
from tunewright.agents.clarifying import filed, understood
from tunewright.agents.graph import build
from tunewright.agents.nodes.clarification import make_clarification
from tunewright.agents.notebook import Notebook
from tunewright.agents.reading import read
from tunewright.agents.routing import Step, next_step
from tunewright.agents.specification import Specifier
from tunewright.agents.state import State
from tunewright.domain import event as ev
from tunewright.domain.review import Answer
from tunewright.domain.study import Study
from tunewright.domain.task import Brief
from tunewright.tracking.journal import Journal

TEXT = "Teach tiny to sort what people say in talk.jsonl. At most 20 minutes and 6 trials."
READ: dict[str, Any] = {
    "model": "tiny", "files": ["talk.jsonl"], "format": "label", "input_field": "said", "target_field": "mood",
    "budget": {"wall_minutes": 15},
}  # fmt: skip
METRIC = {
    "text": "Do rare moods matter as much as common ones?", "about": "metric", "why": "It decides the metric.",
    "assumption": "accuracy over all rows", "options": ["accuracy", "macro F1"],
}  # fmt: skip
SEARCH = {"text": "May every adapter be tried?", "about": "search", "why": "", "assumption": "yes, all of them"}
Reply = Callable[[Study, Sequence[str]], Sequence[Answer] | None]


def says(**answers: str) -> Reply:
    """Answers each question that is asked by its id; nothing stands for the assumption."""
    return lambda study, targets: [Answer(target=one, action="answer", text=answers.get(one, "")) for one in targets]


class Desk:
    """Sessions over one study, each with a script of the planner's answers.

    Args:
        script: what the language model says; without one the rules read.
    """

    def __init__(self, folder: Path, *script: Any, text: str = TEXT) -> None:
        self.folder = next(place for at in range(99) if not (place := folder / f"study-{at}").exists())
        self.folder.mkdir()
        self._script = self.folder / "script.jsonl"
        entries = [{"role": "planner", "answer": one, "tokens": 9} for one in script]
        self._script.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        self.modelled = bool(script)
        self.calls: list[Call] = []
        self.told: list[ev.Event] = []
        self.asked: list[tuple[str, ...]] = []
        with Journal(self.folder) as journal:
            journal.append(ev.StudyCreated(study="s", brief=Brief(text=text), options=ev.StudyOptions(), code=CODE))

    @property
    def prompts(self) -> list[str]:
        return [call.prompt for call in self.calls]

    def session(
        self, reply: Reply | None = None, recorded: Mapping[str, str] | None = None, *, attended: bool | None = None
    ) -> Study:
        """Goes on until the brief is understood, or somebody is waited for."""
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(self.folder))
            notebook = Notebook(journal, self._observe)
            notebook.record(ev.SessionOpened(pid=1, host="h"))
            asked_before = notebook.study.model_calls
            brain = ScriptedBrain(self._script, record=notebook.record, keep=self._keep, asked=asked_before)

            def planner(state: State) -> State:
                found = understood(notebook, lambda study: self._read(study, brain, notebook))
                if found is not None:
                    notebook.record(found)
                return state

            def route() -> Step:
                return "end" if notebook.study.task is not None else next_step(notebook.study)

            there = reply is not None if attended is None else attended
            clarification = make_clarification(notebook, there, lambda study: recorded or {})
            graph = build({"planner": planner, "clarification": clarification}, route, self.folder / "graph.sqlite")
            stack.callback(graph.close)
            specifier = Specifier(code=CODE, image=None, forecast=_never, check=_never)
            while asked := graph.run("s"):
                self.asked.append(asked)
                given = reply(notebook.study, asked) if reply is not None else None
                if given is None:
                    break
                for one in filed(notebook.study, given, specifier):
                    notebook.record(one)
            notebook.record(ev.SessionClosed(reason="done for now"))
            return notebook.study

    def _read(self, study: Study, brain: ScriptedBrain, notebook: Notebook) -> ev.Understood:
        assert study.brief is not None

        def warn(message: str) -> None:
            notebook.record(ev.Warned(message=message))

        return read(study.brief, brain if self.modelled else None, warn=warn, doubts=study.doubts)

    def _keep(self, call: Call) -> str:
        self.calls.append(call)
        return "0"

    def _observe(self, one: object) -> None:
        self.told.append(one)  # type: ignore[arg-type]  a notebook without a sandbox is told events alone


def _never(*_: object) -> Any:
    raise AssertionError("nothing is priced while a brief is read")
