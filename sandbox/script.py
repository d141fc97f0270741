"""Faults on demand, for a replay: which recipe fails, and how."""

from __future__ import annotations

import operator
import re
from typing import Any, Literal, get_args

from tunewright.domain.errors import UsageError
from tunewright.domain.frozen import Frozen, flatten
from tunewright.domain.job import EvaluationSpec, TrialSpec
from tunewright.domain.outcome import FaultKind

OPERATORS = {">": operator.gt, "<": operator.lt, "=": operator.eq}
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RULE = re.compile(rf"^\s*([\w.]+)\s*(?:([<>=])\s*({NUMBER})|(=)\s*([^\s:]+))\s*:\s*(\w+)\s*$")
ScriptedFault = FaultKind | Literal["killed"]
KINDS = (*get_args(FaultKind), "killed")
HINT = "write for example fault='lr>0.01:config, adapter.kind=full:memory, job=evaluation:infra'"


class FaultRule(Frozen):
    """A job whose ``path`` compares so fails with ``kind``; ``killed`` is an end without a word."""

    path: str
    relation: str
    value: str
    kind: ScriptedFault

    def strikes(self, spec: TrialSpec | EvaluationSpec) -> bool:
        """``path`` is the end of a path in the specification, such as ``lr`` or ``adapter.kind``."""
        fields = flatten(spec.model_dump(mode="json"))
        return any(self._compares(found) for at, found in fields.items() if f".{at}".endswith(f".{self.path}"))

    def _compares(self, found: Any) -> bool:
        if isinstance(found, int | float) and re.fullmatch(NUMBER, self.value):
            return bool(OPERATORS[self.relation](found, float(self.value)))
        return self.relation == "=" and str(found) == self.value


def parse_faults(text: str) -> tuple[FaultRule, ...]:
    """The rules of the option ``fault``.

    Raises:
        UsageError: a rule that cannot be read.
    """
    rules = []
    for part in text.split(","):
        found = RULE.match(part)
        if not found or found[6] not in KINDS:
            raise UsageError(f"'{part.strip()}' is no fault of a replay; kinds are {', '.join(KINDS)}", HINT)
        relation, value = (found[2], found[3]) if found[2] else (found[4], found[5])
        fields = {"path": found[1], "relation": relation, "value": value, "kind": found[6]}
        rules.append(FaultRule.model_validate(fields))
    return tuple(rules)
