"""What every training imports, once: before the job, or in the fork server before any job.

Imports and nothing else: a tensor operation would start thread pools, which do not survive a fork.
"""

from __future__ import annotations

import gc
import os

# Read when the libraries are imported: a trial has no network and must not wait for one.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import datasets
import peft
import torch
import transformers
import transformers.models.gpt2.modeling_gpt2
import transformers.models.llama.modeling_llama
import trl

import tunewright.tools.evaluation.__main__
from tunewright.tools.training import trial

LOADED = (
    trial,
    datasets.Dataset,
    peft.PeftModel,
    torch.optim.AdamW,
    transformers.AutoModelForCausalLM,
    transformers.AutoTokenizer,
    trl.SFTConfig,
    trl.SFTTrainer,
    tunewright.tools.evaluation.__main__,
)
"""Named here because these packages import their parts when first asked for."""

# All that lives now lives as long as the process. Without this every collection walks through a million objects of
# the libraries (0.3 s, several times a trial), and a fork would copy the pages it touches.
gc.freeze()
