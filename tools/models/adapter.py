"""A finished adapter: how it is saved, put back on its base model, merged, and known by its bytes.

A folder is one of four kinds. PEFT's own format has ``adapter_config.json``. The others have a ``tunewright.json``:
``full`` is a whole model folder, ``part`` holds some of a model's weights, ``stages`` holds one folder for each stage
of a recipe, each relative to the model that the stages before it made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tunewright.domain.errors import ModelError
from tunewright.tools.models.reward_head import carry_head, load_head
from tunewright.tools.models.safetensors import read_header

MARKER = "tunewright.json"
_PART = "_tunewright_part"
"""Attribute of a model: the names of the weights that were trained in place."""


def save_adapter(model: Any, folder: Path, *, base: str) -> None:
    """Saves what was trained into the empty folder ``folder``.

    In PEFT's format; where it is no adapter, the part of the model that ``keep_part`` named, or the whole.

    Args:
        base: what the base model is called; a path of this machine would make equal adapters differ.
    """
    if hasattr(model, "peft_config"):
        for config in model.peft_config.values():
            config.base_model_name_or_path = base
        # A form for a model card, not filled in, which would take longer to write than the adapter.
        model.create_or_update_model_card = _no_card
        # False: nothing but the adapter is trained, and PEFT would ask the hub for the vocabulary's size.
        model.save_pretrained(folder, save_embedding_layers=False)
        del model.create_or_update_model_card
    elif part := getattr(model, _PART, ()):
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: weight.detach().contiguous() for name, weight in model.named_parameters() if name in part}
        save_file(weights, folder / "weights.safetensors", metadata={"format": "pt"})
        (folder / MARKER).write_text(json.dumps({"kind": "part", "base": base}), encoding="utf-8")
    else:
        model.save_pretrained(folder)
        (folder / MARKER).write_text(json.dumps({"kind": "full"}), encoding="utf-8")


def _no_card(folder: str) -> None: ...


def keep_part(model: Any, names: Collection[str]) -> Any:
    """The model, of which ``save_adapter`` will save these weights alone; ``merged`` makes it forget that.

    Args:
        names: as in ``named_parameters``; none of them tied.
    """
    setattr(model, _PART, frozenset(names))
    return model


def attach(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """The base model with the adapter of ``folder`` on it, frozen and in evaluation mode. ``model`` is used up.

    Of a reward model it carries the head (``reward_head``).

    Args:
        trainable: leave the adapter as it was before its training ended, to go on with it. PEFT's format only.

    Raises:
        ModelError: the folder holds no adapter, or one of another model.
    """
    kind = kind_of(folder)
    if kind == "stages":
        stages = _policies(folder)
        for stage in stages[:-1]:
            model = merged(attach(model, stage))
        return attach(model, stages[-1])
    try:
        if kind == "peft":
            from peft import PeftModel

            from tunewright.tools.models.dora import factored

            model = factored(PeftModel.from_pretrained(model, str(folder), is_trainable=trainable).eval())
            carry_head(model, load_head(model, folder))
            return model
        _load_weights(model, folder, whole=kind == "full")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"the adapter does not fit the model: {cause[:300]}", "use it with the model it was trained on"
        ) from error
    return model.requires_grad_(False).eval()


def prompted(model: Any) -> bool:
    """Whether its adapter puts trained positions before the input instead of changing its layers."""
    configs = getattr(model, "peft_config", {}).values()
    return any(getattr(config, "is_prompt_learning", False) for config in configs)


def merged(model: Any) -> Any:
    """The model with its adapter added into the weights; a model without one as it is."""
    model.__dict__.pop(_PART, None)
    return model.merge_and_unload() if hasattr(model, "peft_config") else model


def detached(model: Any) -> Any:
    """The model without its adapter and its reward head, as it was before."""
    carry_head(model, None)
    return model.unload() if hasattr(model, "peft_config") else model


def trainable_again(model: Any) -> None:
    """Makes the adapter of a finished stage trainable, as ``attach(trainable=True)`` leaves it."""
    model.set_adapter(model.active_adapter)


def mark_stages(folder: Path, policies: Sequence[int]) -> None:
    """Makes ``folder``, which holds a folder for each stage, an adapter.

    Args:
        policies: the stages that make the model what it is; of the others only what they measure is kept.
    """
    (folder / MARKER).write_text(json.dumps({"kind": "stages", "policies": list(policies)}), encoding="utf-8")


def kind_of(folder: Path) -> str:
    """``peft``, ``full``, ``part`` or ``stages``.

    Raises:
        ModelError: the folder holds no adapter.
    """
    if (folder / "adapter_config.json").is_file():
        return "peft"
    try:
        kind = str(json.loads((folder / MARKER).read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError):
        kind = ""
    if kind not in ("full", "part", "stages"):
        raise ModelError(f"'{folder.name}' holds no adapter", "give a folder that a finished trial wrote (out/adapter)")
    return kind


def digest_adapter(folder: Path) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, 64 hexadecimal characters.

    Independent of file layout and of everything in the folder that is no tensor.
    """
    whole = hashlib.sha256()
    if kind_of(folder) == "stages":
        for stage in _stages(folder):
            whole.update(digest_adapter(stage).encode())
        return whole.hexdigest()
    entries = [(tensor, file) for file in folder.glob("*.safetensors") for tensor in read_header(file)]
    for tensor, file in sorted(entries, key=lambda entry: entry[0].name):
        whole.update(f"{tensor.name}\0{tensor.dtype}\0{tensor.shape}\0".encode())
        with file.open("rb") as stream:
            stream.seek(tensor.start)
            left = tensor.end - tensor.start
            while left:
                block = stream.read(min(left, 2**20))
                whole.update(block)
                left -= len(block)
    return whole.hexdigest()


def adapter_bytes(folder: Path) -> int:
    """Size of everything in the folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _policies(folder: Path) -> list[Path]:
    """The folders of the stages that make the model, in turn."""
    named = json.loads((folder / MARKER).read_text(encoding="utf-8")).get("policies")
    return [stage for stage in _stages(folder) if named is None or int(stage.name) in named]


def _stages(folder: Path) -> list[Path]:
    return sorted((entry for entry in folder.iterdir() if entry.is_dir()), key=lambda entry: int(entry.name))


def _load_weights(model: Any, folder: Path, *, whole: bool) -> None:
    """Copies saved weights into ``model``, tensor by tensor, so that no second copy is held.

    Args:
        whole: there must be one for every parameter.
    """
    import torch
    from safetensors import safe_open

    own = model.state_dict()
    seen = set()
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(str(file), framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  safe_open is no mapping
                with torch.no_grad():
                    own[name].copy_(tensors.get_tensor(name))
                seen.add(name)
    missing = {name for name, _ in model.named_parameters()} - seen
    if not seen or (whole and missing):
        raise ValueError(f"no weights for {min(missing)}")
