"""What the machine is doing, sampled as the curves are written: cheap enough to leave on."""

from __future__ import annotations

import time

from tunewright.tracking.store import Point


def prime() -> None:
    """Starts the interval over which the first sample's processor load is taken."""
    import psutil

    psutil.cpu_percent(None)


def sample(step: int) -> list[Point]:
    """Load of the host's processors and memory, and of each GPU where ``nvidia-ml-py`` is installed."""
    import psutil

    now = time.time()
    found = {
        "system/cpu_percent": psutil.cpu_percent(None),
        "system/host_memory_gib": psutil.virtual_memory().used / 2**30,
    }
    return [Point(name, value, step, now) for name, value in (found | _gpus()).items()]


def _gpus() -> dict[str, float]:
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
        found: dict[str, float] = {}
        for number in range(pynvml.nvmlDeviceGetCount()):
            device = pynvml.nvmlDeviceGetHandleByIndex(number)
            found[f"system/gpu{number}_percent"] = float(pynvml.nvmlDeviceGetUtilizationRates(device).gpu)
            found[f"system/gpu{number}_memory_gib"] = pynvml.nvmlDeviceGetMemoryInfo(device).used / 2**30
    except pynvml.NVMLError:  # no driver, or a device that does not tell
        return {}
    return found
