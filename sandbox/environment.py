"""The environment of a job: an allow-list, so that no key or token of the user's reaches it."""

from __future__ import annotations

import os
from collections.abc import Mapping

HOST_PLACES = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "CUDA_HOME")
"""Where this host keeps programs, libraries and code: nothing to an image that brings its own."""
INHERITED = (
    *HOST_PLACES, "LANG", "LC_ALL", "TZ",
    # what changes a number on the same machine: lost, a reproduction would differ from its original
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG",
)  # fmt: skip


def job_environment(*, threads: int, home: str, temporary: str, devices: str) -> dict[str, str]:
    """All that a job sees of the world, the same in every sandbox.

    Args:
        threads: for each of the libraries that count them on their own.
        home: a directory that the job may write.
        temporary: a directory that the job may write.
        devices: GPUs it may see, as CUDA names them; empty for none.
    """
    count = str(threads)
    return {
        **inherited(os.environ),
        "HOME": home,
        "TMPDIR": temporary,
        "USER": "tunewright",
        "LOGNAME": "tunewright",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONFAULTHANDLER": "1",
        # Asking whether there is a GPU must not start CUDA: it would not survive the fork.
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        # Threads that wait for each other sleep soon instead of spinning: beside another busy process spinning cost
        # up to forty times the time here, and on a quiet machine the short spin costs nothing.
        "GOMP_SPINCOUNT": "1000",
        "CUDA_VISIBLE_DEVICES": devices,
    }


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of ``environment`` that jobs may see."""
    return {name: environment[name] for name in INHERITED if name in environment}
