"""What the fork server imports once, so that a forked trial starts at once.

Imports and nothing else: a tensor operation would start thread pools, which do not survive a fork.
"""

from __future__ import annotations

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

import tunewright.tools.evaluation.measure
import tunewright.tools.models.adapter
import tunewright.tools.training.trial

LOADED = (datasets, peft, torch, transformers, trl, tunewright)
_EAGER = (transformers.AutoModelForCausalLM, transformers.AutoTokenizer, trl.SFTConfig, trl.SFTTrainer)
"""Named here because these packages import their parts when first asked for."""
