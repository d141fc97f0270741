"""litellm itself: imported late, because it takes seconds, and told to be quiet."""

from __future__ import annotations

import logging
import os
from typing import Any


def litellm_library() -> Any:
    """The module; no fetch of prices, no banner, no .env."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm
