"""The two ops the walk itself needs: broadcasting, and its undoing. Each is the other's rule."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..tensor import Node
from .op import op


@op(view=True)
def broadcast_to(be: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    """y = broadcast(x, shape);   gx = sum_to(g, x_shape)"""
    return be.expanded(x, shape)


@broadcast_to.vjp
def _(g: Any, x_shape: Any) -> Any:
    return sum_to(g, shape=x_shape)


@op
def sum_to(be: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    """y = sum_to(x, shape);   gx = broadcast(g, x_shape)"""
    lead = x.ndim - len(shape)
    if lead < 0 or any([s not in (1, n) for s, n in zip(shape, x.shape[lead:], strict=True)]):
        raise ShapeError(f"{shape} cannot have been broadcast to {x.shape}")
    axes = [lead + i for i, s in enumerate(shape) if s == 1 and x.shape[lead + i] != 1]
    return be.sum(x, axis=(*range(lead), *axes)).reshape(shape)


@sum_to.vjp
def _(g: Any, x_shape: Any) -> Any:
    return broadcast_to(g, shape=x_shape)


def fit(gx: Any, parent: Node, node: Node) -> Any:
    """A gradient summed over the axes along which its input was broadcast."""
    try:
        return sum_to(gx, shape=parent.shape)
    except ShapeError:
        raise ShapeError(
            f"the rule of {node.op.name} gave a gradient of shape {gx.shape} "
            f"for an input of shape {parent.shape}",
        ) from None
