"""``python -m tunewright.tools.training.reward_worker``: judges what it is asked on stdin, until stdin ends.

The first line opens a reward, each further one holds answers; ``reward_process`` is the other side.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunewright.domain.errors import TunewrightError
from tunewright.domain.recipe import Reward
from tunewright.domain.task import TaskSpec
from tunewright.tools.contract import FaultError
from tunewright.tools.training.registry import reward, settings
from tunewright.tools.training.reward import Answers, Court, Judge
from tunewright.tools.training.reward_process import Trouble, judged


def main() -> int:
    """Serves one reward."""
    say = _line_out()
    judge: Judge | None = None
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if judge is not None:
            say(_reply(judge, Answers(**asked)))
            continue
        try:
            judge = _opened(asked)
        except TunewrightError as error:
            say({"usage": (error.message, error.hint)})
            return 0
        except (Exception, SystemExit) as error:
            say(
                {"usage": (f"the reward '{asked['choice']['kind']}' cannot begin: {type(error).__name__}: {error}", "")}
            )
            return 0
        say({"opened": True})
    return 0


def _line_out() -> Callable[[Mapping[str, Any]], None]:
    """The way back to the training. What a reward prints goes to stderr: it must not be taken for an answer."""
    back = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def say(reply: Mapping[str, Any]) -> None:
        back.write(json.dumps(reply).encode() + b"\n")
        back.flush()

    return say


def _opened(asked: Mapping[str, Any]) -> Judge:
    sys.path[:] = asked["path"]
    choice = Reward.model_validate(asked["choice"])
    method = reward(choice.kind)
    stages = Path(asked["stages"]) if asked["stages"] else None
    court = Court(TaskSpec.model_validate(asked["task"]), device=asked["device"], stages=stages)
    return method.open(settings(method, choice), court)


def _reply(judge: Judge, answers: Answers) -> dict[str, Any]:
    try:
        return {"values": judged(judge, answers)}
    except FaultError as error:
        return {"fault": (error.fault.kind, error.fault.message)}
    except Trouble as error:
        return {"trouble": (error.kind, error.message)}


if __name__ == "__main__":
    sys.exit(main())
