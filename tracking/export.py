"""Hands a run's trained weights out: a PEFT folder (or a whole model) with a card that says what it is.

Nothing is overwritten, and the folder appears whole or not at all.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from tunewright.domain.errors import TrackingError, UsageError, boundary
from tunewright.domain.job import TrialSpec
from tunewright.domain.outcome import JobResult
from tunewright.tracking.bundle import read_spec, trial_run
from tunewright.tracking.store import RunRecord, RunStore

ADAPTER_CODE = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{base}")
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{base}"), "{folder}")"""

_MODEL_CODE = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{base}")
model = AutoModelForCausalLM.from_pretrained("{folder}")"""


def export(run_id: str, destination: Path, store: RunStore, *, base: Callable[[str], str] = str) -> Path:
    """Writes the weights of a completed trial to ``destination``.

    Args:
        run_id: of a trial, whole or its first six characters or more.
        destination: a folder that is not there yet, or is empty.
        base: the study's name of the model -> what ``transformers`` loads it by; an alias is none of its names.

    Returns:
        ``destination``.

    Raises:
        UsageError: the destination holds something, or the run is not of a completed trial.
        TrackingError: the store does not answer, or lacks the weights.
    """
    must_be_free(destination)
    run = trial_run(run_id, store)
    with appearing(destination, "adapter") as scratch:
        spec = read_spec(run, scratch, store)
        adapter = store.download(run.id, "adapter", scratch)
        result = store.download(run.id, "result.json", scratch)
        if adapter is None or result is None:
            raise TrackingError(f"run {run.id} has no trained weights", "give the run of another completed trial")
        is_adapter = (adapter / "adapter_config.json").exists()
        if is_adapter:
            _name_base(adapter / "adapter_config.json", base(spec.model.ref))
        facts = _facts(run, spec, JobResult.model_validate_json(result.read_bytes()), store)
        loading = (ADAPTER_CODE if is_adapter else _MODEL_CODE).format(
            base=base(spec.model.ref), folder=destination.name
        )
        card = write_card("model_card", facts | _kind(is_adapter, spec) | {"code": loading})
        (adapter / "README.md").write_text(card, encoding="utf-8")
    return destination


def must_be_free(destination: Path) -> None:
    """Raises:
    UsageError: something is there that would be overwritten.
    """
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise UsageError(
            f"'{destination}' exists and is not an empty folder", "choose another folder; nothing was changed"
        )


@contextmanager
def appearing(destination: Path, name: str) -> Iterator[Path]:
    """A scratch folder in which the folder ``name`` is made; it becomes ``destination`` if the block ends well.

    Raises:
        UsageError: the destination holds something, or cannot be written.
    """
    must_be_free(destination)
    with boundary(UsageError, f"write to '{destination}'", "choose a folder that can be written"):
        destination.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}-"))
    try:
        yield scratch
        made = scratch / name
        made.chmod(0o755)
        if destination.exists():
            destination.rmdir()
        made.rename(destination)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _name_base(config: Path, ref: str) -> None:
    """Names the base model so that PEFT finds it: PEFT has written the sandbox's own path of it."""
    known = json.loads(config.read_text(encoding="utf-8"))
    known["base_model_name_or_path"] = ref
    config.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_card(template: str, facts: Mapping[str, Any]) -> str:
    """The text of a model card from one of the templates."""
    import jinja2

    source = resources.files("tunewright.tracking").joinpath(f"templates/{template}.md").read_text(encoding="utf-8")
    # Markdown, not HTML: there is nothing to escape.
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=False)
    return environment.from_string(source).render(facts)


def _kind(is_adapter: bool, spec: TrialSpec) -> dict[str, Any]:
    """The words for an adapter or for a whole model, and the front matter that model hubs read."""
    import yaml

    kinds = [stage.adapter.kind for stage in spec.recipe.stages]
    front = {
        "base_model": spec.model.ref,
        "library_name": "peft" if is_adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["tunewright", *dict.fromkeys([*kinds, *(stage.objective.kind for stage in spec.recipe.stages)])],
    }
    what = f"A {kinds[-1]} adapter" if is_adapter else "A full fine-tune"
    return {"front": yaml.safe_dump(front, sort_keys=False).strip(), "what": what}


def _facts(run: RunRecord, spec: TrialSpec, result: JobResult, store: RunStore) -> dict[str, Any]:
    task, data = spec.task, spec.data
    better = "Higher" if task.metric.direction == "max" else "Lower"
    minutes = result.train_s / 60
    return {
        "title": f"{spec.model.ref}: {spec.study}",
        "base": spec.model.ref,
        "study": spec.study,
        "trial": spec.id,
        "run_id": run.id,
        "task": f"`{task.input_field}` -> `{task.target_field}` ({task.format}), at most {task.max_length} tokens.",
        "prompt": task.prompt,
        "template": task.template,
        "labels": task.labels,
        "metric": task.metric.name,
        "direction": f"{better} is better.",
        "scores": _scores(run, spec, result, store),
        "cost": f"{result.steps} steps over {result.tokens:,} tokens in {minutes:.1f} minutes on {result.device} in "
        f"{result.precision}; {result.trainable_parameters:,} trainable parameters.",
        "settings": {name: value for name, value in sorted(run.params.items()) if _is_setting(name, value)},
        "data": [
            (name, split.digest, split.rows) for name in ("train", "val", "test") for split in [getattr(data, name)]
        ],
        "model_digest": spec.model.digest,
        "adapter_digest": result.adapter_digest,
    }


def _is_setting(name: str, value: str) -> bool:
    return name.startswith(("stages.", "seed")) and value not in ("[]", "{}")


def _scores(run: RunRecord, spec: TrialSpec, result: JobResult, store: RunStore) -> list[dict[str, Any]]:
    """Validation of this run; base model and sealed test as the study's run has them, the test for its winner alone."""
    study = store.get(run.parent or "")
    metric, known = spec.task.metric.name, study.metrics if study else {}
    found = result.measurement
    rows = [_row("validation", found.value, found.low, found.high, found.rows)] if found else []
    if study and f"test/{metric}" in known and study.tags.get("tunewright.winner.run") == run.id:
        low, high = known.get(f"test/{metric}_low"), known.get(f"test/{metric}_high")
        rows.append(_row("test (sealed, read once)", known[f"test/{metric}"], low, high, spec.data.test.rows))
    if f"base/{metric}" in known:
        rows.append(_row("validation, base model", known[f"base/{metric}"], None, None, spec.data.val.rows))
    return rows


def _row(on: str, value: float, low: float | None, high: float | None, rows: int) -> dict[str, Any]:
    interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
    return {"on": on, "value": value, "interval": interval, "rows": rows}
