"""The one operation for which PEFT's BOFT compiles a CUDA extension, in plain torch.

Without the extension PEFT goes down to one butterfly factor in silence, so the same settings would be another method
on another machine. With this in its place there is nothing to compile, and every device computes the same.
"""

from __future__ import annotations

from typing import Any


class BlockDiagonal:
    """What the extension's module offers: PEFT calls these two by name."""

    def forward(self, blocks: Any) -> tuple[Any]:
        """Block-diagonal matrices (N, D b, D b) of blocks (N, D, b, b)."""
        count, many, side, _ = blocks.shape
        whole = blocks.new_zeros(count, many, side, many, side)
        whole.diagonal(dim1=1, dim2=3).copy_(blocks.permute(0, 2, 3, 1))
        return (whole.view(count, many * side, many * side),)

    def backward(self, gradient: Any, blocks: Any) -> tuple[Any]:
        """The gradient's diagonal blocks, (N, D, b, b)."""
        count, many, side, _ = blocks.shape
        parts = gradient.reshape(count, many, side, many, side)
        return (parts.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2).contiguous(),)


def install() -> None:
    """Gives it to PEFT, unless the extension was compiled before."""
    from peft.tuners.boft import layer

    if layer._FBD_CUDA is None:
        layer._FBD_CUDA = BlockDiagonal()
