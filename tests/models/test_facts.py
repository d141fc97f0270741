"""What the files say is what a loaded model is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tunewright.domain.errors import ModelError, UnknownNameError, UsageError
from tunewright.tools.models.facts import facts
from tunewright.tools.models.placement import PLACEMENTS, linear_modules, select, suffixes, target_modules
from tunewright.tools.models.resolve import Found


@pytest.mark.parametrize("which", ["tiny", "gpt2"])
def test_parameters_and_linear_layers_are_the_loaded_models(which: str, request: pytest.FixtureRequest) -> None:
    from transformers import AutoModelForCausalLM

    found = request.getfixturevalue(which)
    path = found.path if isinstance(found, Found) else found
    model, known = AutoModelForCausalLM.from_pretrained(path), facts(path)
    assert known.parameters == sum(weight.numel() for weight in model.parameters())
    modules = dict(model.named_modules())
    ours = {linear.name: linear for linear in known.linears}
    for name in linear_modules(model):
        module = modules[name]
        linear = next(linear for key, linear in ours.items() if name.endswith(key))
        sizes = (getattr(module, "in_features", None) or module.nx, getattr(module, "out_features", None) or module.nf)
        assert (linear.inputs, linear.outputs) == sizes
    assert len(ours) == len(linear_modules(model))


def test_an_untied_head_is_counted(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    config = LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=False)
    model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path, max_shard_size="4KB")  # several files
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    known = facts(tmp_path)
    assert known.parameters == model.num_parameters()
    assert not any("lm_head" in linear.name or "embed" in linear.name for linear in known.linears)
    assert (known.heads, known.kv_heads, known.tied) == (2, 1, False)


def test_facts_need_no_torch(tiny: Found) -> None:
    code = (
        "import sys; from pathlib import Path; from tunewright.tools.models.facts import facts; "
        f"facts(Path({str(tiny.path)!r})); import tunewright.tools.models.resolve, tunewright.tools.models.estimate; "
        "import tunewright.tools.training.space; print({'torch', 'transformers', 'peft', 'trl'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("content", [b"", b"12345678", b"\x05\x00\x00\x00\x00\x00\x00\x00{bad}", b"\xff" * 64])
def test_weights_that_are_none_are_refused(content: bytes, tiny: Found, tmp_path: Path) -> None:
    shutil.copytree(tiny.path, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="safetensors"):
        facts(tmp_path / "m")


def test_weights_cut_short_are_refused(tiny: Found, tmp_path: Path) -> None:
    shutil.copytree(tiny.path, tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelError, match="cut short"):
        facts(tmp_path / "m")


@pytest.mark.parametrize("text", ["[]", "{", "{}", json.dumps({"model_type": "t5"})])
def test_a_configuration_of_something_else_is_refused(text: str, tiny: Found, tmp_path: Path) -> None:
    shutil.copytree(tiny.path, tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        facts(tmp_path / "m")


def test_placements_of_gpt2_do_not_mix_layers_of_one_name(gpt2: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(gpt2)
    assert target_modules(model, "attention") == ["attn.c_proj", "c_attn"]
    assert target_modules(model, "mlp") == ["c_fc", "mlp.c_proj"]
    assert target_modules(model, "qv") == ["c_attn"]
    assert target_modules(model, "all-linear") == ["c_attn", "c_fc", "c_proj"]


def test_placements_of_a_llama(tiny: Found) -> None:
    names = [linear.name for linear in facts(tiny.path).linears]
    ends = {where: {name.rpartition(".")[2] for name in select(names, where)} for where in PLACEMENTS}
    assert ends["attention"] == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert ends["mlp"] == {"gate_proj", "up_proj", "down_proj"}
    assert ends["qv"] == {"q_proj", "v_proj"}
    assert ends["all-linear"] == ends["attention"] | ends["mlp"]


def test_suffixes_mean_exactly_what_was_chosen() -> None:
    names = ["a.x.p", "b.x.p", "c.p", "d.xp"]
    found = suffixes(["a.x.p", "c.p"], names)
    matched = [name for name in names if any(name == end or name.endswith("." + end) for end in found)]
    assert matched == ["a.x.p", "c.p"]


def test_a_placement_that_finds_nothing_is_an_error() -> None:
    with pytest.raises(UsageError, match="finds no linear"):
        select(["layers.0.ssm.in_proj"], "mlp")
    with pytest.raises(UnknownNameError, match="heads"):
        select(["a"], "heads")
