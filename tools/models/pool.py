"""Which modules share a pool of experts, by their names and shapes alone."""

from __future__ import annotations

from tunewright.tools.models.placement import layer_of


def pool_of(name: str, inputs: int, outputs: int, layers_per_pool: int) -> str:
    """What a module's pool is called: modules of one shape and one group of layers have the same.

    Args:
        name: the module's.
        layers_per_pool: adjacent layers that share a pool; 0 is all of them.
    """
    layer = layer_of(name)
    group = "all" if not layers_per_pool else "none" if layer is None else str(layer // layers_per_pool)
    return f"{inputs}x{outputs}/{group}"
