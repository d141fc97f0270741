"""Whether a training, done again, gave the same: bit-identical, within tolerance, or from which step on not.

``check_identity`` says beforehand what differs between then and now, ``compare`` afterwards what came of it.
The verdict rests on the loss at every step and on the adapter's digest, not on the checks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tunewright.domain.errors import TrackingError
from tunewright.domain.frozen import Frozen, short
from tunewright.domain.job import CodeIdentity
from tunewright.domain.outcome import JobResult
from tunewright.tracking import identity
from tunewright.tracking.bundle import Bundle, Curve, fetch, read_curve

__all__ = ["Bundle", "Check", "Reproduction", "check_identity", "compare", "fetch"]

Answer = Literal["bit-identical", "within-tolerance", "different"]


class Check(Frozen):
    """One thing compared before training."""

    name: Literal["code", "data", "model", "env"]
    ok: bool
    detail: str


class Reproduction(Frozen):
    """What came of training again."""

    run_id: str
    verdict: Answer
    first_different_step: int | None
    """The first step whose loss differs, or that only one of the two has; None if the curves are identical."""
    steps: int
    """Steps whose losses are recorded."""
    score: float | None
    recorded_score: float
    tolerance: float
    """How far the scores may lie apart to be within tolerance."""
    curve_identical: bool
    adapter_identical: bool
    adapter_digest: str | None
    checks: tuple[Check, ...] = ()


def check_identity(
    bundle: Bundle, *, code: CodeIdentity, model_digest: str, environment: Sequence[str] | None = None
) -> list[Check]:
    """Compares code, data, model and environment now with what the run recorded. Changes nothing.

    Args:
        code: the code as it is now.
        model_digest: of the model found on this machine.
        environment: ``name==version`` of each distribution now; by default this process's.
    """
    now = identity.environment_lock() if environment is None else environment
    return [_code(bundle.spec.code, code), _data(bundle), _model(bundle, model_digest), _environment(bundle, now)]


def compare(bundle: Bundle, out: Path, *, checks: Sequence[Check] = (), tolerance: float | None = None) -> Reproduction:
    """Compares a new training's ``out/`` with the recorded one.

    Args:
        tolerance: how far the scores may lie apart; by default half the width of the recorded score's
            95 % interval, and nothing where there is none.

    Raises:
        TrackingError: ``out/`` holds no result of a training that ended well.
    """
    result = _result(out)
    curve = read_curve(out / "curve.jsonl")
    step = first_difference(bundle.curve, curve)
    adapter = bundle.result.adapter_digest is not None and result.adapter_digest == bundle.result.adapter_digest
    score = result.measurement.value if result.measurement else None
    allowed = _tolerance(bundle.result) if tolerance is None else tolerance
    verdict: Answer = "different"
    if step is None and adapter:
        verdict = "bit-identical"
    elif score is not None and abs(score - bundle.score) <= allowed:
        verdict = "within-tolerance"
    return Reproduction(
        run_id=bundle.run_id,
        verdict=verdict,
        first_different_step=step,
        steps=len(bundle.curve),
        score=score,
        recorded_score=bundle.score,
        tolerance=allowed,
        curve_identical=step is None,
        adapter_identical=adapter,
        adapter_digest=result.adapter_digest,
        checks=tuple(checks),
    )


def first_difference(recorded: Curve, again: Curve) -> int | None:
    """The first step at which the losses are not the same number; not-a-number is the same as itself."""
    for step in sorted(recorded.keys() | again.keys()):
        a, b = recorded.get(step), again.get(step)
        if a is None or b is None or not (a == b or (math.isnan(a) and math.isnan(b))):
            return step
    return None


def _tolerance(result: JobResult) -> float:
    found = result.measurement
    if found is None or found.low is None or found.high is None:
        return 0.0
    return (found.high - found.low) / 2


def _result(out: Path) -> JobResult:
    path = out / "result.json"
    try:
        result = JobResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrackingError(f"the reproduction left no readable '{path}'", "see the log beside it") from error
    if result.status != "done":
        why = f": {result.fault.message}" if result.fault else ""
        raise TrackingError(f"the reproduction ended {result.status}{why}", f"its files are in {out}")
    return result


def _code(then: CodeIdentity, now: CodeIdentity) -> Check:
    if then.digest != now.digest:
        places = f"{_place(then)} then, {_place(now)} now"
        return Check(name="code", ok=False, detail=f"sources differ: {places}")
    if then.git_commit is None or now.git_commit is None:
        return Check(name="code", ok=True, detail=f"same sources, version {now.version}")
    same = "same commit" if then.git_commit == now.git_commit else "same sources at another commit"
    return Check(name="code", ok=True, detail=f"{same}, {'changes beside them' if now.git_dirty else 'clean tree'}")


def _place(code: CodeIdentity) -> str:
    commit = f" at {short(code.git_commit)}" if code.git_commit else ""
    return f"version {code.version}{commit}{' with changes' if code.git_dirty else ''}"


def _data(bundle: Bundle) -> Check:
    wanted = bundle.spec.data
    found = {
        "train": _sha256(bundle.train) == wanted.train.digest,
        "val": _sha256(bundle.val) == wanted.val.digest,
        "test": bundle.test_digest == wanted.test.digest,
    }
    wrong = [name for name, same in found.items() if not same]
    detail = f"digests match ({sum(found.values())} of {len(found)})"
    return Check(name="data", ok=not wrong, detail=detail + (f", not {', '.join(wrong)}" if wrong else ""))


def _model(bundle: Bundle, digest: str) -> Check:
    wanted = bundle.spec.model.digest
    same = digest == wanted
    detail = "digest matches" if same else f"digest {short(digest)} is not {short(wanted)} of '{bundle.spec.model.ref}'"
    return Check(name="model", ok=same, detail=detail)


def _environment(bundle: Bundle, now: Sequence[str]) -> Check:
    installed = dict(_pin(line) for line in now)
    recorded = [_pin(line) for line in bundle.environment]
    changed = [
        f"{name} {version} is now {installed.get(name, 'missing')}"
        for name, version in recorded
        if installed.get(name) != version
    ]
    decisive = [line for line in changed if line.split()[0] in identity.DECISIVE]
    detail = f"{len(recorded) - len(changed)} of {len(recorded)} pins match"
    first = (decisive or changed)[:3]
    return Check(name="env", ok=not changed, detail=detail + (": " + ", ".join(first) if first else ""))


def _pin(line: str) -> tuple[str, str]:
    name, _, version = line.partition("==")
    return name, version


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
