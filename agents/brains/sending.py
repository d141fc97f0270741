"""Sends one request to a provider until it is answered, refused or given up: held in the ledger before, paced by the
model's token bucket, repeated with one idempotency key, and settled whatever happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tunewright.agents.brains.account import Account
from tunewright.agents.brains.bucket import Bucket
from tunewright.agents.brains.library import litellm_library
from tunewright.agents.brains.price import Bound, bound
from tunewright.agents.brains.recording import Call
from tunewright.agents.brains.retry import ATTEMPTS, Fault, backoff, fault_of, headers_of
from tunewright.agents.brains.secret import first_line
from tunewright.domain.budget import Cost
from tunewright.domain.errors import AccessError, BrainError, BudgetError, ServerError
from tunewright.domain.frozen import Json

_LEAST_S = 1.0
"""A call is not begun with less time than this."""
_DOWN = "is the server up? check the api base"
_SLOW = "for a slow server set TUNEWRIGHT_LLM_TIMEOUT_S higher, or TUNEWRIGHT_LLM_MAX_TOKENS lower"
_HINTS = {
    401: "set the provider's key in the environment, such as OPENAI_API_KEY",
    402: "the account has no money left",
    403: "the key in the environment may not use this model",
    404: "check the model's name and the api base, such as OPENAI_API_BASE",
    429: "the account has no money left",
}


class RequestRefusedError(Exception):
    """The server does not take this kind of request."""


@dataclass(frozen=True)
class Patience:
    """How long is waited."""

    timeout_s: float = 60.0
    """For one attempt."""
    patience_s: float = 180.0
    """For one call with all its attempts and waits."""
    left: Callable[[], float] = field(default=lambda: float("inf"))
    """Seconds that the budget leaves."""
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Sent:
    """An answered request."""

    response: Any
    call: Call
    held: str
    bound: Bound


class Sender:
    """Sends requests to one model. Threads may share it."""

    def __init__(self, model: str, account: Account, bucket: Bucket, patience: Patience) -> None:
        self.model, self._account, self._bucket, self._patience = model, account, bucket, patience

    def send(self, call: Call, body: dict[str, Json], *, attempts: int = ATTEMPTS) -> Sent:
        """The server's answer. It is not settled: that is due when it has been looked at.

        Args:
            call: what is known of the call before it is made.
            body: messages, ``max_tokens``, and what else litellm is told.

        Raises:
            RequestRefusedError: the server takes no request of this kind.
            ServerError: it does not answer within the bounds; of this kind, ``AccessError``: it lets us not in.
            BrainError: it says what nothing that is known helps against.
            BudgetError: the budget does not cover the call.
        """
        library, most = litellm_library(), bound(self.model, body)
        deadline = self._deadline()
        held = ""
        for attempt in range(1, attempts + 1):
            call = call.model_copy(update={"attempt": attempt, "at": time.time()})
            held = held or self._account.hold(call.role, self.model, most)
            self._wait(self._bucket.take(most.tokens), deadline, held, call, "its rate limit is used up")
            try:
                response = self._completion(library, body, call.key, deadline)
            except Exception as error:  # whatever a provider's client raises has to become one of ours
                fault, why = fault_of(error), first_line(error)
                self._bucket.learn(headers_of(error))
                failed = call.model_copy(update={"answered": False, "why": why, "ended": time.time()})
                if fault.billed:
                    self._account.settle(held, failed.model_copy(update={"cost": most.cost}))
                    held = ""
                else:
                    self._bucket.give_back(most.tokens)
                if fault.meaning != "again" or attempt == attempts:
                    self._over(fault, held, failed)
                    raise self._final(fault, why) from None
                if not fault.billed:
                    self._account.note(failed)
                wait = backoff(attempt, call.key) if fault.wait_s is None else fault.wait_s
                self._wait(wait, deadline, held, failed, why)
            else:
                self._bucket.learn(_headers(response))
                return Sent(response, call, held, most)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def settle(self, sent: Sent, call: Call) -> None:
        """Records what an answer cost; ``call`` is ``sent.call`` with what came."""
        self._bucket.give_back(sent.bound.tokens - call.cost.llm_tokens)
        self._account.settle(sent.held, call)

    def _completion(self, library: Any, body: dict[str, Json], key: str, deadline: float) -> Any:
        return library.completion(
            model=self.model,
            timeout=min(self._patience.timeout_s, max(_LEAST_S, deadline - time.monotonic())),
            temperature=0,
            num_retries=0,
            max_retries=0,
            drop_params=True,
            extra_headers={"Idempotency-Key": key},
            _skip_mcp_handler=True,  # the tools are ours; litellm's own handler needs packages that we do not
            **body,
        )

    def _deadline(self) -> float:
        """Of one call, on the monotonic clock."""
        left = self._patience.left()
        if left < _LEAST_S:
            raise BudgetError("the time of the budget does not cover a call to the language model")
        return time.monotonic() + min(self._patience.patience_s, left)

    def _wait(self, seconds: float, deadline: float, held: str, call: Call, why: str) -> None:
        if seconds <= 0:
            return
        if time.monotonic() + seconds > deadline:
            self._over(Fault("again", billed=False), held, call.model_copy(update={"answered": False, "why": why}))
            raise self._silent(f"{why}; the next try is {seconds:.0f} s away, which is longer than is waited")
        try:
            self._patience.sleep(seconds)
        except BaseException:
            self._over(Fault("again", billed=False), held, call.model_copy(update={"answered": False, "why": why}))
            raise

    def _over(self, fault: Fault, held: str, failed: Call) -> None:
        """Gives back what is held for a call that is given up and was not billed."""
        if held or not fault.billed:
            self._account.release(held, failed.model_copy(update={"cost": Cost()}))

    def _final(self, fault: Fault, why: str) -> Exception:
        """What a final error means. ``from None`` wherever it is raised: the provider's own carries the request with
        its headers."""
        match fault.meaning:
            case "refused":
                return RequestRefusedError(why)
            case "no access":
                hint = _HINTS.get(fault.status or 0, "check the model's name: PROVIDER/MODEL")
                return AccessError(f"'{self.model}' cannot be asked: {why}", hint)
            case "again":
                return self._silent(why, _SLOW if fault.status in (408, 504) else _DOWN)
            case _:
                return BrainError(f"'{self.model}' cannot be asked: {why}", "check the model's name: PROVIDER/MODEL")

    def _silent(self, why: str, hint: str = _DOWN) -> ServerError:
        return ServerError(f"'{self.model}' did not answer: {why}", hint)


def _headers(response: Any) -> dict[str, str]:
    hidden = getattr(response, "_hidden_params", None) or {}
    found = hidden.get("additional_headers") or {}
    return {str(name).lower(): str(value) for name, value in found.items()}
