"""Any provider or local server, through litellm. Keys and api bases come from the environment, as litellm reads them.

A structured answer is asked for in three ways, one a try, each weaker and more widely understood than the one
before: a JSON schema the server enforces, a JSON object with the schema in the prompt, plain text with the schema
in the prompt. What does not fit is sent back with the reason.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from tunewright.agents.brains.answer import TRIES, BadAnswerError, parse
from tunewright.agents.brains.guard import Guard
from tunewright.domain.budget import Cost
from tunewright.domain.errors import AnswerError, BrainError
from tunewright.domain.event import ModelAsked
from tunewright.domain.frozen import Json

_T = TypeVar("_T", bound=BaseModel)
Form = Literal["schema", "object", "plain"]
_FORMS: tuple[Form, ...] = ("schema", "object", "plain")

_CALLS = 4
"""Times one question is sent while the server is busy or broken."""
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_REFUSALS = {
    401: "set the provider's key in the environment, such as OPENAI_API_KEY",
    403: "the key in the environment may not use this model",
    404: "check the model's name and the api base, such as OPENAI_API_BASE",
}
_SECRET_NAME = re.compile(r"key|token|secret|password|credential", re.IGNORECASE)
_SECRET = re.compile(r"\b(?:sk|pk|hf|gsk|xai)[-_][\w-]{6,}|(?i:bearer)\s+\S+")
_CHARACTERS_A_TOKEN = 3
"""For a bound before the call: texts have four and more, other scripts and code fewer."""


class LitellmBrain:
    """A model by its litellm name.

    Args:
        model: such as ``openai/gpt-4o-mini``, ``anthropic/claude-sonnet-4-5`` or ``ollama/qwen3``.
        record: is told every answer's cost, valid or not.
        guard: is asked before every call.
        timeout_s: for one call.
        patience_s: for one question with all its repetitions and waits.
        max_tokens: the longest answer.
    """

    def __init__(
        self,
        model: str,
        *,
        record: Callable[[ModelAsked], None],
        guard: Guard = lambda tokens, usd: None,
        timeout_s: float = 60.0,
        patience_s: float = 180.0,
        max_tokens: int = 2048,
    ) -> None:
        self.name = model
        self._record = record
        self._guard = guard
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._max_tokens = max_tokens
        self._forms = list(_FORMS)
        """Forms that the server has not refused."""

    def structured(self, role: str, prompt: str, schema: type[_T]) -> _T:
        """An answer that fits ``schema``, in at most ``TRIES`` answers.

        Raises:
            AnswerError: no answer fits.
            BrainError: the server gives none.
            BudgetError: the budget does not cover the call.
        """
        shape = schema.model_json_schema()
        said: list[tuple[str, str]] = []
        for number in range(TRIES):
            response = self._answer(number, prompt, shape, said)
            text = _text(response)
            try:
                answer = parse(text, schema)
            except BadAnswerError as error:
                self._tell(role, prompt, response, valid=False)
                complaint = "it was cut off; be shorter" if _cut_off(response) else str(error)
                said.append((text, complaint))
            else:
                self._tell(role, prompt, response, valid=True)
                return answer
        raise AnswerError(f"no valid answer from '{self.name}' in {TRIES} tries", f"the last one: {said[-1][1][:300]}")

    def _answer(self, number: int, prompt: str, shape: Json, said: list[tuple[str, str]]) -> Any:
        """One answer, in the strongest form left for this try; a form that the server refuses is not a try."""
        while True:
            form = self._forms[min(number, len(self._forms) - 1)]
            messages = _messages(form, prompt, shape, said)
            try:
                return self._call(messages, form, shape)
            except _FormRefusedError as refusal:
                if form == "plain":
                    raise BrainError(f"'{self.name}' refuses the request: {refusal}") from None
                self._forms.remove(form)

    def _call(self, messages: list[dict[str, str]], form: Form, shape: Json) -> Any:
        litellm = _litellm()
        self._guard(*self._bound(litellm, messages))
        deadline = time.monotonic() + self._patience_s
        for attempt in range(1, _CALLS + 1):
            try:
                return litellm.completion(
                    model=self.name,
                    messages=messages,
                    timeout=min(self._timeout_s, max(1.0, deadline - time.monotonic())),
                    max_tokens=self._max_tokens,
                    temperature=0,
                    num_retries=0,
                    max_retries=0,
                    drop_params=True,
                    **_response_format(form, shape),
                )
            except Exception as error:  # whatever a provider's client raises has to become one of ours
                wait = _wait(error, attempt)
                if wait is None:
                    raise self._refused(error) from None
                if attempt == _CALLS or time.monotonic() + wait > deadline:
                    raise BrainError(
                        f"'{self.name}' did not answer: {_said(error)}", "is the server up? check the api base"
                    ) from None
                time.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _refused(self, error: Exception) -> Exception:
        """What a final refusal means: another form may do, or nothing will. ``from None`` wherever it is raised:
        the provider's exception carries the request with its headers."""
        status = getattr(error, "status_code", None)
        if status in (400, 422) and "ContextWindow" not in type(error).__name__ and "Provider NOT" not in str(error):
            return _FormRefusedError(_said(error))
        hint = _REFUSALS.get(status if isinstance(status, int) else 0, "check the model's name: PROVIDER/MODEL")
        return BrainError(f"'{self.name}' cannot be asked: {_said(error)}", hint)

    def _bound(self, litellm: Any, messages: list[dict[str, str]]) -> tuple[int, float | None]:
        """The most that a call can cost: tokens, and dollars or None where the price is not known."""
        asked = sum(len(message["content"]) for message in messages) // _CHARACTERS_A_TOKEN + 50
        try:
            prices = litellm.cost_per_token(model=self.name, prompt_tokens=asked, completion_tokens=self._max_tokens)
        except Exception:  # litellm has no one error for a model it has no price of
            return asked + self._max_tokens, None
        return asked + self._max_tokens, float(sum(prices))

    def _tell(self, role: str, prompt: str, response: Any, *, valid: bool) -> None:
        usage = getattr(response, "usage", None)
        tokens = int(getattr(usage, "total_tokens", 0) or 0)
        if tokens == 0:  # a server that does not count is counted by its characters, never as free
            tokens = (len(prompt) + len(_text(response))) // _CHARACTERS_A_TOKEN
        try:
            usd = float(_litellm().completion_cost(completion_response=response, model=self.name))
        except Exception:  # no price is known; under a dollar budget the guard has refused the call
            usd = 0.0
        self._record(ModelAsked(role=role, model=self.name, cost=Cost(llm_tokens=tokens, usd=usd), valid=valid))


class _FormRefusedError(Exception):
    """The server does not take this form of a request."""


def _messages(form: Form, prompt: str, shape: Json, said: list[tuple[str, str]]) -> list[dict[str, str]]:
    if form != "schema":
        prompt += "\n\nAnswer with one JSON object and nothing else. It has to fit this JSON schema:\n" + json.dumps(
            shape, ensure_ascii=False
        )
    messages = [{"role": "user", "content": prompt}]
    for text, complaint in said:
        messages.append({"role": "assistant", "content": text[:4000] or "(nothing)"})
        again = f"That does not fit: {complaint[:1500]}. Answer again, with the corrected JSON object alone."
        messages.append({"role": "user", "content": again})
    return messages


def _response_format(form: Form, shape: Json) -> dict[str, Json]:
    if form == "schema":
        named = {"name": shape.get("title", "answer"), "schema": shape}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    return {"response_format": {"type": "json_object"}} if form == "object" else {}


def _text(response: Any) -> str:
    return response.choices[0].message.content or "" if response.choices else ""


def _cut_off(response: Any) -> bool:
    return bool(response.choices) and response.choices[0].finish_reason == "length"


def _wait(error: Exception, attempt: int) -> float | None:
    """Seconds until the same call may be worth another try; None if it never is."""
    status = getattr(error, "status_code", None)
    if status not in _TRANSIENT or "insufficient_quota" in str(error):
        return None
    headers = getattr(error, "litellm_response_headers", None) or {}
    asked = headers.get("retry-after", "")
    if re.fullmatch(r"\d+(?:\.\d+)?", asked):
        return float(asked)
    try:  # the header's other form is a date
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return float(min(20, 4 ** (attempt - 1)))


def _said(error: Exception) -> str:
    """The first line of an error, without anything that may be a secret."""
    lines = str(error).strip().splitlines()
    line = re.sub(r"^litellm\.\w+: ", "", lines[0])[:300] if lines else type(error).__name__
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 6:
            line = line.replace(value, "***")
    return _SECRET.sub("***", line)


def _litellm() -> Any:
    """litellm, imported late (it takes seconds) and told to be quiet: no fetch of prices, no banner, no .env."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm
