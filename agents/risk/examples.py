"""Decisions as data to train on: what was known, and what turned out well (SFT), or better and worse (DPO).

TradingGroup's data factory (arXiv 2508.17565) keeps trajectories with a good label for fine-tuning. Here a row is short
enough for a small model, and holds nothing but settings, scores and reasons: no row of data, and what looks like a
secret is taken out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tunewright.agents.brains.recording import NAME as CALLS
from tunewright.agents.brains.secret import scrubbed
from tunewright.agents.risk.decision import Alternative, DecisionRecord
from tunewright.domain.errors import UsageError, boundary
from tunewright.domain.frozen import Json

Format = Literal["sft", "dpo", "both"]
DECISIONS, SFT, DPO = "decisions.jsonl", "sft.jsonl", "dpo.jsonl"
_LEAST_APART = 1e-9


def sft_rows(records: Iterable[DecisionRecord]) -> list[dict[str, Json]]:
    """A row a decision with a good label: ``prompt``, ``completion``, and where it is from."""
    return [
        {"prompt": one.context, "completion": answer(one.action, one.reason), **_source(one)}
        for one in records
        if one.label == "good"
    ]


def dpo_rows(records: Iterable[DecisionRecord]) -> list[dict[str, Json]]:
    """A row a pair of actions in the same context of which one was better beyond noise: ``prompt``, ``chosen``,
    ``rejected``, where it is from, and whether one of the two was never tried (``modelled``). Each pair is there once.
    """
    rows: list[dict[str, Json]] = []
    seen: set[tuple[str, str, str]] = set()
    for one in records:
        for other in one.alternatives:
            pair = _pair(one, other)
            if pair is None:
                continue
            better, worse = pair
            key = (one.inputs, min(better, worse), max(better, worse))
            if better != worse and key not in seen:
                seen.add(key)
                source = {**_source(one), "modelled": other.modelled}
                rows.append({"prompt": one.context, "chosen": better, "rejected": worse, **source})
    return rows


def answer(action: Mapping[str, Json], reason: str) -> str:
    """What a model is trained to answer: JSON of settings, or of an action, and why."""
    said: dict[str, Any] = dict(action) if "action" in action else {"settings": _short(action)}
    return json.dumps({**said, "because": reason}, ensure_ascii=False)


def write(
    found: Mapping[str, tuple[Path, Sequence[DecisionRecord]]], folder: Path, *, form: Format = "both"
) -> dict[str, int]:
    """Writes ``decisions.jsonl`` with every record whole, and the rows to train on; file -> how many lines.

    Args:
        found: study -> its folder, and its decisions.

    Raises:
        UsageError: the folder cannot be written, or one of its files is there already.
    """
    records = [one for _, decided in found.values() for one in decided]
    files: dict[str, list[Any]] = {DECISIONS: [line for where, ds in found.values() for line in _whole(where, ds)]}
    if form in ("sft", "both"):
        files[SFT] = sft_rows(records)
    if form in ("dpo", "both"):
        files[DPO] = dpo_rows(records)
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise UsageError(f"'{folder / there[0]}' is there already", "give a folder of its own with --out")
    with boundary(UsageError, f"write to '{folder}'", "give a folder that can be written with --out"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, lines in files.items():
            text = "".join(json.dumps(_scrubbed(line), ensure_ascii=False) + "\n" for line in lines)
            (folder / name).write_text(text, encoding="utf-8")
    return {name: len(lines) for name, lines in files.items()}


def _whole(folder: Path, records: Sequence[DecisionRecord]) -> list[Any]:
    """Records with the prompt and the raw answer of the call that they name."""
    calls = _calls(folder / CALLS) if any(one.call for one in records) else {}
    lines = []
    for one in records:
        call = calls.get(one.call, {})
        lines.append(
            {**one.model_dump(mode="json"), "prompt": call.get("prompt", ""), "raw_answer": call.get("text", "")}
        )
    return lines


def _calls(path: Path) -> dict[str, dict[str, Any]]:
    """Digest -> call; what a crash has torn is left out, and where there is no file there are none."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            call = json.loads(line)
        except ValueError:
            continue
        if isinstance(call, dict) and isinstance(call.get("digest"), str):
            found[call["digest"]] = call
    return found


def _pair(one: DecisionRecord, other: Alternative) -> tuple[str, str] | None:
    """The better and the worse answer; None where the two are not told apart."""
    if one.reward is None or one.realised_gain is None:
        return None
    mine, theirs = answer(one.action, one.reason), answer(other.action, other.reason)
    if one.kind == "steer":
        apart, ahead = abs(one.reward - other.reward), one.reward > other.reward
        least = _LEAST_APART
    else:
        apart, ahead = abs(one.realised_gain - other.gain), one.realised_gain > other.gain
        least = one.eps or _LEAST_APART
    if apart <= least:
        return None
    return (mine, theirs) if ahead else (theirs, mine)


def _short(action: Mapping[str, Json]) -> dict[str, Json]:
    """Numbers with no more digits than they need, and a first stage that is not named."""
    return {path.removeprefix("stages.0."): _rounded(value) for path, value in action.items()}


def _rounded(value: Json) -> Json:
    if isinstance(value, float):
        return float(f"{value:.3g}")
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def _source(one: DecisionRecord) -> dict[str, Json]:
    return {"study": one.study, "trial": one.trial, "step": one.step, "by": one.agent}


def _scrubbed(value: Json) -> Json:
    if isinstance(value, str):
        return scrubbed(value)
    if isinstance(value, list | tuple):
        return [_scrubbed(one) for one in value]
    if isinstance(value, dict):
        return {name: _scrubbed(one) for name, one in value.items()}
    return value
