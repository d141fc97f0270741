"""Makes PEFT know our tuners, so that ``PeftModel.from_pretrained`` loads what a study exported.

PEFT looks methods up in an enum and four dicts. ``register_peft_method`` fills the dicts and is public; the enum is
closed, so a member is added to it by hand. ``tests/models/test_registration.py`` fails if PEFT changes either.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from tunewright.tools.models import butterfly


def tuners() -> list[str]:
    """The files of ``tuners/``, sorted; each has a ``Config`` and a ``Model``."""
    return sorted(file.stem for file in (Path(__file__).parent / "tuners").glob("*.py") if file.stem != "__init__")


def register() -> None:
    """Adds every tuner to PEFT, and what its BOFT wants compiled; a second call changes nothing."""
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
    from peft.utils import PeftType, register_peft_method

    for name in tuners():
        member = _member(PeftType, name.upper())
        if member not in PEFT_TYPE_TO_TUNER_MAPPING:
            module = importlib.import_module(f"tunewright.tools.models.tuners.{name}")
            register_peft_method(name=name, config_cls=module.Config, model_cls=module.Model)
    butterfly.install()


def _member(enum: type, name: str) -> object:
    """The member of a string enum, added to it if it is new, in the steps the ``enum`` module itself takes."""
    members = enum.__members__  # type: ignore[attr-defined]  # an Enum has it
    if name in members:
        return members[name]
    member: object = str.__new__(enum, name)
    for attribute, value in (("_name_", name), ("_value_", name), ("__objclass__", enum)):
        object.__setattr__(member, attribute, value)
    object.__setattr__(member, "_sort_order_", len(members))
    type.__setattr__(enum, name, member)
    enum._member_names_.append(name)  # type: ignore[attr-defined]  # the enum's own tables
    enum._member_map_[name] = member  # type: ignore[attr-defined]  # the enum's own tables
    enum._value2member_map_[name] = member  # type: ignore[attr-defined]  # the enum's own tables
    return member
