"""A language model that fills every role of the team, for the stub server: it reads its prompts as a model would have
to, and answers in the form that is asked for.

    with OpenAiServer(Team(understood)) as server: ...

``python -m tests.support.team`` serves one until it is stopped, for a person to try ``--llm openai/stub`` against.
"""

from __future__ import annotations

import argparse
import json
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.openai_server import OpenAiServer, Reply, Request

_FACTS = re.compile(r"^- (t\d+): (.*\bstatus=completed.*)$", re.MULTILINE)
_RANGE = re.compile(r"^- (stages\.[\w.]+): ([\d.e+-]+)\.\.([\d.e+-]+)", re.MULTILINE)
_NAMED = re.compile(r"^- ([\w.]+) \(stages\.[\w.]+\): ([\d.e+-]+)\.\.([\d.e+-]+), default ([\d.e+-]+)", re.MULTILINE)


class Team:
    """Answers by the schema's title.

    Args:
        understood: what it makes of the brief, in the form of ``BriefAnswer``.
        questions: what it asks of the user before that.
    """

    def __init__(self, understood: Mapping[str, Any], questions: Sequence[Mapping[str, Any]] = ()) -> None:
        self.understood, self.questions = understood, questions
        self.titles: list[str] = []
        self.ideas = 0

    def __call__(self, request: Request) -> Reply:
        prompt = str(request["messages"][0]["content"])
        if prompt.startswith(("Name a colour", "Call the function")):
            reply = Reply('{"hue": "red", "size": 3}')
            return Reply(None, calls=[("note", '{"word": "ready"}')]) if "tools" in request else reply
        title = self._title(request, prompt)
        self.titles.append(title)
        answer: dict[str, Any] = getattr(self, f"_{title}")(prompt)
        return Reply(json.dumps(answer))

    def _title(self, request: Request, prompt: str) -> str:
        """With tools no schema is sent: the role is then known by the prompt."""
        named = request.get("response_format", {}).get("json_schema", {}).get("name")
        if named:
            return str(named)
        for words, title in _BY_PROMPT.items():
            if words in prompt:
                return title
        raise AssertionError(f"nobody knows what this asks for: {prompt[:200]}")

    def _BriefAnswer(self, prompt: str) -> dict[str, Any]:
        return {**self.understood, "questions": [] if "You have asked before" in prompt else list(self.questions)}

    def _PlanAnswer(self, prompt: str) -> dict[str, Any]:
        ranges = {name: tuple(map(float, ends)) for name, *ends in _NAMED.findall(prompt)}
        rates = sorted(name for name in ranges if name.startswith("lr"))
        answer: dict[str, Any] = {"summary": "Rates first: this task is small. The rest is left to the search."}
        if rates:
            _, high, default = ranges[rates[0]]
            reason = "rates far below the default learn little on few rows"
            change = {"action": "narrow", "name": rates[0], "low": default / 2, "high": high, "reason": reason}
            guess = min(2 * default, high)
            answer["changes"] = [change]
            answer["priors"] = [{"name": rates[0], "value": guess, "confidence": 0.5, "reason": "few rows, many steps"}]
        test = {"quantity": "gain", "relation": "<", "value": 0.02, "trial": "base"}
        claim = "training helps this model on this task at all"
        answer["hypotheses"] = [{"claim": claim, "refuted_if": "the best gains less than 0.02", "test": test}]
        return answer | {"expected_gain": 0.2, "assumptions": ["rows to come look like these"]}

    def _IdeasAnswer(self, prompt: str) -> dict[str, Any]:
        paths = {path: (float(low), float(high)) for path, low, high in _RANGE.findall(prompt)}
        path = next(path for path in sorted(paths) if path.endswith(".lr"))
        low, high = paths[path]
        cites = re.findall(r"\bl-[0-9a-f]{8}\b", prompt)[:1]
        ideas = []
        for share in (0.55, 0.65, 0.75, 0.85):
            self.ideas += 1
            rate = low * (high / low) ** (share + 0.001 * self.ideas)
            ideas.append(
                {
                    "hypothesis": f"a rate of {rate:.2g} learns this task faster",
                    "edits": [{"path": path, "value": rate}],
                    "refuted_if": "it gains less than 0.01 over t0",
                    "test": {"quantity": "gain", "relation": "<", "value": 0.01, "trial": "t0"},
                    "cites": cites,
                }
            )
        return {"ideas": ideas}

    def _ExplanationAnswer(self, prompt: str) -> dict[str, Any]:
        fact = re.findall(r"^- (f\d+) ", prompt, re.MULTILINE)[0]
        return {"sentences": [{"says": "The rows that are right now were wrong before.", "cites": [fact]}]}

    def _ReflectionAnswer(self, prompt: str) -> dict[str, Any]:
        facts = self._facts(prompt)
        graded = re.findall(r"^- (t\d+):? .*?(gain|loss|no difference)", prompt, re.MULTILINE)
        return {
            "outcome": graded[-1][1] if graded else "no difference",
            "key_insight": "the trials that ended well can be told from the base",
            "evidence": facts[-1:],
        }

    def _FindingAnswer(self, prompt: str) -> dict[str, Any]:
        facts = self._facts(prompt)
        if not facts:
            return {"found": False}
        says = f"{facts[-1]['trial']} was completed, so the trouble is in its settings"
        return {"found": True, "says": says, "cause": "learning rate", "weight": 0.4, "evidence": facts[-1:]}

    def _JudgeAnswer(self, prompt: str) -> dict[str, Any]:
        paths = {path: (float(low), float(high)) for path, low, high in _RANGE.findall(prompt)}
        path = next((path for path in sorted(paths) if path.endswith(".lr")), None)
        if path is None:
            return {}
        self.ideas += 1
        low, high = paths[path]
        value = low * (high / low) ** (0.6 + 0.002 * self.ideas)
        test = {"quantity": "gain", "relation": "<", "value": 0.01, "trial": "t0"}
        says = "a rate in the upper half holds"
        return {"experiment": {"hypothesis": says, "edits": [{"path": path, "value": value}], "refuted_if": test}}

    @staticmethod
    def _facts(prompt: str) -> list[dict[str, Any]]:
        return [{"trial": trial, "quantity": "status", "value": "completed"} for trial, _ in _FACTS.findall(prompt)]


_BY_PROMPT = {
    "You read the brief": "BriefAnswer",
    "You plan": "PlanAnswer",
    "ideas, the best first": "IdeasAnswer",
    "You explain where": "ExplanationAnswer",
    "You read the outcomes": "ReflectionAnswer",
    "You are the judge": "JudgeAnswer",
    "Say whether your side": "FindingAnswer",
}


def main() -> None:
    """Serves a team that understands a brief about one file of labelled rows; the address is on the first line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--file", default="examples/routing/data/messages.jsonl")
    parser.add_argument("--text", default="text", help="the field with the input")
    parser.add_argument("--label", default="label", help="the field with the label")
    parser.add_argument("--minutes", type=int, default=13)
    parser.add_argument("--trials", type=int, default=4)
    given = parser.parse_args()
    understood = {
        "model": "smollm2-135m", "files": [given.file], "format": "label", "input_field": given.text,
        "target_field": given.label, "metric": "accuracy",
        "budget": {"wall_minutes": given.minutes, "trials": given.trials},
    }  # fmt: skip
    question = {
        "text": "Do all labels count alike, however rare?", "about": "metric", "why": "It decides the metric.",
        "assumption": "every message counts alike: accuracy", "options": ["accuracy", "macro_f1"],
    }  # fmt: skip
    with OpenAiServer(Team(understood, [question])) as server:
        print(f"OPENAI_API_BASE={server.base} OPENAI_API_KEY=none", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
