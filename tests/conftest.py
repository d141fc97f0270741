"""What holds for every test."""

from __future__ import annotations

import os

# Before torch is imported: on models as small as the tests', a second thread costs more than it does.
os.environ.setdefault("OMP_NUM_THREADS", "1")
