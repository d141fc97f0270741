"""Makes model directories: ``python -m tunewright.tools.models.convert (tiny FOLDER | gguf FILE FOLDER)``.

Runs in a process of its own (``convert``), since it needs torch and the host does not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewright.domain.errors import ModelError, TunewrightError, boundary

_SEED = 20261122
_TIMEOUT_S = 900


def convert(*arguments: str) -> None:
    """Runs this module to its end in a process of its own, quietly and without a network.

    Raises:
        ModelError: it failed; the message is its last line.
    """
    command = [sys.executable, "-m", __name__, *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    with boundary(ModelError, "make the model", "run it again; it starts anew"):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        raise ModelError(f"making the model failed: {said[-1][:300]}", "check free memory and disk space")


def main(argv: Sequence[str]) -> int:
    """Exit code 0, or 1 with the reason as the last line of stderr."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    try:
        match argv:
            case ["tiny", folder]:
                make_tiny(Path(folder))
            case ["gguf", file, folder]:
                from_gguf(Path(file), Path(folder))
            case _:
                raise ModelError("usage: convert (tiny FOLDER | gguf FILE FOLDER)")
    except TunewrightError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def from_gguf(file: Path, folder: Path) -> None:
    """Converts a GGUF file to fp32 safetensors with tokenizer and chat template, and checks the copy.

    Raises:
        ModelError: the copy does not compute what the original does, or lacks its chat template.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"gguf_file": file.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **source)
    quantised = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **source).eval()
    # A model that still says it is quantised cannot be saved, and would be dequantised again when loaded.
    del quantised.config.quantization_config
    model = type(quantised)(quantised.config)
    model.load_state_dict(quantised.state_dict())
    _save(model, tokenizer, folder)
    with torch.no_grad():
        ids = torch.tensor([tokenizer("The capital of France is").input_ids])
        expected = quantised(ids).logits
        copy = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
        if not torch.equal(copy(ids).logits, expected) or not expected.isfinite().all():
            raise ModelError("the converted model does not compute what the original does")
    saved = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if saved.chat_template != tokenizer.chat_template or saved.eos_token_id != tokenizer.eos_token_id:
        raise ModelError("the converted tokenizer lost its chat template or its end token")


def make_tiny(folder: Path) -> None:
    """A Llama of 115,264 parameters, the same bytes on every machine."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            if weight.dim() < 2:
                weight.fill_(1.0)
                continue
            # Whole numbers scaled by powers of two and one product: exact, so no CPU rounds them differently.
            # Vectorised normal deviates are not, nor is the order in which a library fills its layers.
            whole = torch.randint(-(2**20), 2**20, weight.shape, generator=generator)
            weight.copy_(whole.float() / 2**20 * (3.0 / weight.shape[1]) ** 0.5)
    _save(model, tokenizer, folder)


def _byte_tokenizer() -> Any:
    """One token a byte, four special tokens, a plain chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["<pad>", "<bos>", "<eos>", "<turn>"]
    vocabulary = specials + sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(vocabulary)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        additional_special_tokens=["<turn>"],
        model_max_length=1024,
    )
    tokenizer.chat_template = (
        "{{ '<bos>' }}{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '<turn>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    return tokenizer


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Saves both without the versions and paths of this machine, so that equal models have equal digests."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for name in ("config.json", "generation_config.json"):
        file = folder / name
        if file.exists():
            document = json.loads(file.read_text(encoding="utf-8"))
            kept = {k: v for k, v in document.items() if k not in ("transformers_version", "_name_or_path")}
            file.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
