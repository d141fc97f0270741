"""The critics: each looks at the trials under discussion from one side. One file each; adding one is adding a file.

They are asked on trouble or disagreement only (see ``panel``), answer by rules, and, where a language model has their
role, by that as well. ``critic`` names the role of all that have no model of their own. Sides after MAR (arXiv
2512.20845), whose critics are personas; ours are causes.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from tunewright.agents.reflection.critics.critic import Critic

ROLE = "critic"


@cache
def critics() -> tuple[Critic, ...]:
    """Every critic, by name."""
    names = sorted(module.name for module in iter_modules(__path__) if module.name != "critic")
    return tuple(import_module(f"{__name__}.{name}").CRITIC for name in names)
