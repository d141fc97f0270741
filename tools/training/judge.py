"""Asks a language model for a mark: one question to an OpenAI-compatible server, and what it said read strictly."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from tunewright.tools.contract import FaultError

TRIES = 3
PAUSE_S = 0.5
"""Between tries; twice as long each time."""
MOST = 10.0
_MARK = re.compile(r"SCORE:\s*(\d+(?:\.\d+)?)")
_REPLY_BYTES = 1 << 22


class _Again(Exception):
    """A try that failed in a way that another may not."""

    def __init__(self, kind: Any, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


@dataclass(frozen=True)
class Examiner:
    """A model behind an address, and what it marks by."""

    url: str
    """Up to and with ``/v1``."""
    model: str
    criterion: str
    timeout_s: float
    max_tokens: int
    key: str = field(default="", repr=False)

    def mark(self, question: str, answer: str, reference: str | None, row: str) -> float:
        """From 0 to 1.

        Args:
            reference: a good answer to compare with; None for none.
            row: the row's id, for the faults.

        Raises:
            FaultError: ``infra``: the server cannot be reached or is out of order; ``config``: it refuses, or the model
                gives no mark in three tries.
        """
        known = {} if reference is None else {"reference": reference}
        given = json.dumps({"question": question, "answer": answer, **known}, ensure_ascii=False)
        for number in range(1, TRIES + 1):
            try:
                return _marked(self._asked(given))
            except _Again as error:
                if number == TRIES:
                    message = f"{error.message}, in {TRIES} tries, for the answer to row {row}"
                    raise FaultError(error.kind, f"{message}{self._hint(error.kind)}") from error
                time.sleep(PAUSE_S * 2 ** (number - 1))
        raise AssertionError("unreachable")

    def _hint(self, kind: str) -> str:
        if kind != "infra":
            return "; take a model that keeps to the form"
        return "; a sandbox has no network, and a judge must be reachable from where the trial runs"

    def _asked(self, given: str) -> str:
        """What the model says to this."""
        body = {
            "model": self.model,
            "messages": [{"role": "system", "content": prompt(self.criterion)}, {"role": "user", "content": given}],
            "temperature": 0,
            "max_tokens": self.max_tokens,
        }
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        try:
            with _OPENER.open(request, timeout=self.timeout_s) as reply:
                said = json.loads(reply.read(_REPLY_BYTES))["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error) from error
        except (OSError, ValueError, LookupError, TypeError) as error:
            reason = getattr(error, "reason", None) or str(error) or type(error).__name__
            raise _Again("infra", f"got no answer from {self.url}: {reason}") from error
        if not isinstance(said, str):
            raise _Again("config", f"got no text from '{self.model}' at {self.url}")
        return said

    def _refused(self, error: urllib.error.HTTPError) -> Exception:
        said = error.read(200).decode("utf-8", "replace").strip()
        message = f"was answered {error.code} {error.reason} by {self.url}{': ' + said if said else ''}"
        if error.code == 429 or error.code >= 500:
            return _Again("infra", message)
        return FaultError("config", f"{message}; check url, model '{self.model}' and TUNEWRIGHT_JUDGE_KEY")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another address would be given the key."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def prompt(criterion: str) -> str:
    """What the judge is told: ``prompts/judge.md``."""
    from jinja2 import Environment, StrictUndefined

    source = (files("tunewright.tools.training") / "prompts" / "judge.md").read_text(encoding="utf-8")
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(source).render(criterion=criterion)


def _marked(said: str) -> float:
    """The mark on the last line, over the highest."""
    lines = said.strip().splitlines()
    found = _MARK.fullmatch(lines[-1].strip()) if lines else None
    if not found or float(found[1]) > MOST:
        raise _Again(
            "config", f"got no last line 'SCORE: N' with N from 0 to {MOST:g} from the judge, but {said[-60:]!r}"
        )
    return float(found[1]) / MOST
