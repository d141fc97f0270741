"""The tuners that PEFT does not have, one file each, registered into it."""

import peft  # noqa: F401  its import registers every tuner, and must not happen in the middle of one
