"""Any provider or local server, through litellm. Keys and api bases come from the environment, as litellm reads them.

A structured answer is asked for in three ways, one a try, each weaker and more widely understood than the one
before: a JSON schema the server enforces, a JSON object with the schema in the prompt, plain text with the schema
in the prompt. What does not fit is sent back with the reason.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from tunewright.agents.brains.account import Account, Intend, Keep, Record, free
from tunewright.agents.brains.bucket import Bucket
from tunewright.agents.brains.dialogue import CannotCallError, Exchange, Heard, Question, ask, converse
from tunewright.agents.brains.guard import Guard
from tunewright.agents.brains.price import answer_tokens, bill
from tunewright.agents.brains.recording import Call, ToolCall, ToolRun, question_hash
from tunewright.agents.brains.retry import ATTEMPTS
from tunewright.agents.brains.secret import clean
from tunewright.agents.brains.sending import Patience, RequestRefusedError, Sender, Sent
from tunewright.agents.brains.toolbox import schemas
from tunewright.domain.errors import BrainError
from tunewright.domain.frozen import Json, content_hash
from tunewright.domain.model_calls import AnswerForm
from tunewright.domain.tool import Tool

_T = TypeVar("_T", bound=BaseModel)
FORMS: tuple[AnswerForm, ...] = ("schema", "object", "plain")
_SAID = 1_500
_WRITTEN = 4_000
"""Characters of a complaint, and of an answer that is complained about, that are sent back."""


class LitellmBrain:
    """A model by its litellm name.

    Args:
        model: such as ``openai/gpt-4o-mini``, ``anthropic/claude-sonnet-4-5`` or ``ollama/qwen3``.
        record: is told every answer's cost, valid or not.
        guard: is asked before every call.
        intend: is told what is held for a call before it is made.
        keep: is given every call with all that was said.
        bucket: the model's rate limits; by default what the server tells.
        patience: how long is waited; or by its parts ``timeout_s`` and ``patience_s``.
        max_tokens: the longest answer.
        nonce: role -> what tells this question from the same question asked before: repetitions of a call after a crash
            have to have the same, so that a server that keeps to idempotency keys bills it once.
    """

    def __init__(
        self,
        model: str,
        *,
        record: Record,
        guard: Guard = free,
        intend: Intend | None = None,
        keep: Keep | None = None,
        bucket: Bucket | None = None,
        patience: Patience | None = None,
        timeout_s: float = 60.0,
        patience_s: float = 180.0,
        max_tokens: int = 2048,
        nonce: Callable[[str], str] | None = None,
    ) -> None:
        self.name = model
        patience = patience or Patience(timeout_s, patience_s)
        self._sender = Sender(model, Account(record, guard, intend, keep), bucket or Bucket(), patience)
        self._max_tokens = max_tokens
        self._nonce = nonce or (lambda role: uuid.uuid4().hex)
        self.forms = list(FORMS)
        """Forms that the server has not refused, the strongest first."""
        self.calls_functions = True
        """Whether functions can be called; taken for true until the server says otherwise."""

    def structured(self, role: str, prompt: str, schema: type[_T]) -> _T:
        """An answer that fits ``schema``, in at most ``TRIES`` answers.

        Raises:
            AnswerError: no answer fits.
            ServerError: the server gives none, for longer than is waited.
            BrainError: it says what nothing helps against.
            BudgetError: the budget does not cover the call.
        """
        return ask(self, role, prompt, schema)

    def converse(self, role: str, prompt: str, schema: type[_T], tools: Sequence[Tool], *, rounds: int = 6) -> _T:
        """An answer that fits ``schema``, after the model has looked at what it wants to. See ``Brain.converse``."""
        return converse(self, role, prompt, schema, tools, rounds=rounds)

    def can_call(self, role: str) -> bool:
        return self.calls_functions

    def say(self, question: Question) -> Heard:
        """One answer: in the strongest form left for this try; a form that the server refuses is not a try."""
        if question.tools:
            try:
                return self.try_form(question, None)
            except RequestRefusedError:
                self.calls_functions = False
                raise CannotCallError from None
        while True:
            form = self.forms[min(len(question.past), len(self.forms) - 1)]
            try:
                return self.try_form(question, form)
            except RequestRefusedError as refusal:
                if form == "plain":
                    raise BrainError(f"'{self.name}' refuses the request: {refusal}") from None
                self.forms.remove(form)

    def try_form(
        self, question: Question, form: AnswerForm | None, *, most: int | None = None, attempts: int = ATTEMPTS
    ) -> Heard:
        """One answer in one form.

        Args:
            form: None to offer the question's tools.
            most: tokens of the answer.

        Raises:
            RequestRefusedError: the server does not take it.
        """
        body = _body(question, form) | {"max_tokens": most or self._max_tokens}
        call = Call(
            question=question_hash(question.role, self.name, question.prompt),
            role=question.role,
            model=self.name,
            prompt=question.prompt,
            piece=question.piece.id,
            source=question.piece.source,
            about=question.piece.about,
            said=question.past[-1].said if question.past else (),
            form=form or "tools",
            key=content_hash([self._nonce(question.role), self.name, body])[:32],
        )
        return self._heard(self._sender.send(call, body, attempts=attempts), body)

    def _heard(self, sent: Sent, body: Json) -> Heard:
        text, calls = _text(sent.response), _calls(sent.response)
        written = json.dumps([body, text, [call.arguments for call in calls]], ensure_ascii=False)
        cut_off = bool(sent.response.choices) and sent.response.choices[0].finish_reason == "length"
        came = {"text": text, "calls": calls, "cut_off": cut_off, "cost": bill(self.name, sent.response, written)}
        came |= {"wrote": answer_tokens(sent.response), "ended": time.time()}

        def settle(valid: bool, ran: tuple[ToolRun, ...]) -> None:
            self._sender.settle(sent, sent.call.model_copy(update=came | {"valid": valid, "ran": ran}))

        return Heard(text, calls, cut_off, settle)


def _body(question: Question, form: AnswerForm | None) -> dict[str, Json]:
    """The messages and what the answer is held to."""
    if form is None:
        messages = [{"role": "user", "content": question.prompt}]
        for exchange in question.past:
            messages += _called(exchange)
        return {"messages": messages, "tools": schemas(question.tools)}
    shape = question.schema.model_json_schema()
    prompt = question.prompt
    if form != "schema":
        prompt += "\n\nAnswer with one JSON object and nothing else. It has to fit this JSON schema:\n" + json.dumps(
            shape, ensure_ascii=False
        )
    messages = [{"role": "user", "content": prompt}]
    for exchange in question.past:
        messages.append({"role": "assistant", "content": exchange.heard.text[:_WRITTEN] or "(nothing)"})
        complaint = exchange.said[0][:_SAID]
        again = f"That does not fit: {complaint}. Answer again, with the corrected JSON object alone."
        messages.append({"role": "user", "content": again})
    return {"messages": messages} | _response_format(form, shape)


def _called(exchange: Exchange) -> list[dict[str, Json]]:
    """A round of calls, as the chat API wants it said again."""
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in exchange.heard.calls
    ]
    results = zip(exchange.heard.calls, exchange.said, strict=True)
    return [
        {"role": "assistant", "content": exchange.heard.text[:_WRITTEN] or None, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": call.id, "content": said} for call, said in results),
    ]


def _response_format(form: AnswerForm, shape: Json) -> dict[str, Json]:
    if form == "schema":
        named = {"name": shape.get("title", "answer"), "schema": shape}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    return {"response_format": {"type": "json_object"}} if form == "object" else {}


def _text(response: Any) -> str:
    content = response.choices[0].message.content if response.choices else ""
    return clean(content) if isinstance(content, str) else ""


def _calls(response: Any) -> tuple[ToolCall, ...]:
    found = (response.choices[0].message.tool_calls or ()) if response.choices else ()
    return tuple(
        ToolCall(
            id=clean(str(call.id or f"call_{number}"))[:100],
            name=clean(str(call.function.name or "")),
            arguments=clean(str(call.function.arguments or "")),
        )
        for number, call in enumerate(found)
    )
