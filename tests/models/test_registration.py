"""PEFT's private enum and its tables, as ``registration`` needs them: this fails loudly when PEFT changes them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tunewright.tools.models.registration import register, tuners

ORDERS = (
    "import peft, tunewright",
    "import tunewright, peft",
    "import tunewright; from peft import PeftModel",
    "from peft import PeftModel; import tunewright",
    "import tunewright, peft.utils",
    "import tunewright, importlib.util; importlib.util.find_spec('peft')",
)
SEEN = "from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as m; from peft.utils import PeftType; print(*m)"
FORKED = f"""
import os, sys
import torch, transformers  # what takes long, and is not what the order is of
assert not {{"peft", "tunewright"}} & sys.modules.keys()
for order in {ORDERS!r}:
    print(order, flush=True)
    child = os.fork()
    if not child:
        exec(order + "; {SEEN}")
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_peft_knows_every_tuner_whatever_is_imported_first() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[::2] == list(ORDERS)
    for order, seen in zip(lines[::2], lines[1::2], strict=True):
        assert set(tuners()) <= {name.lower().rpartition(".")[2] for name in seen.split()}, order


def test_importing_tunewright_imports_nothing_heavy() -> None:
    heavy = "'torch','peft','transformers','pydantic','typer','mlflow','optuna','litellm'"
    code = f"import sys, tunewright; print(sorted(m for m in ({heavy}) if m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_registering_twice_changes_nothing() -> None:
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
    from peft.utils import PeftType

    register()
    before = dict(PEFT_TYPE_TO_TUNER_MAPPING), list(PeftType)
    register()
    assert (dict(PEFT_TYPE_TO_TUNER_MAPPING), list(PeftType)) == before


@pytest.mark.parametrize("name", tuners())
def test_a_registered_type_is_a_member_like_any_other(name: str) -> None:
    import copy
    import pickle

    from peft.utils import PeftType

    register()
    member = PeftType(name.upper())
    assert member is PeftType[name.upper()] and member.value == name.upper() and member == name.upper()
    assert pickle.loads(pickle.dumps(member)) is member and copy.deepcopy(member) is member
    assert f"{member!r}" == f"<PeftType.{name.upper()}: '{name.upper()}'>"
