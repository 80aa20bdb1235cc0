"""Ops with several outputs: each output has a node of its own, whose gradient is a part."""

from __future__ import annotations

from typing import Any

from ..backend import storage
from ..tensor import Node, Tensor, wrap


class Part:
    """The gradient of one of several outputs, on its way to their node."""

    __slots__ = ("g", "index")
    shape = None  # never a node's shape: the walk joins it

    def __init__(self, index: int, g: Any) -> None:
        self.index, self.g = index, g

    def join(self, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients of all outputs with this one added."""
        i, before = self.index, parts[self.index]
        return (*parts[:i], self.g if before is None else before + self.g, *parts[i + 1 :])


class Pick:
    """Stands on the tape between an op with several outputs and each one of them."""

    name = "pick"
    keeps_arrays = False
    plain = False  # the walk calls pull

    def pull(self, node: Node, g: Any, graph: bool, needs: Any = None) -> Part:
        return Part(node.attrs["index"], g)


PICK = Pick()


def outputs(node: Node, y: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """The Tensors of a node with several outputs; those that are integers have no gradient."""
    node.shape = tuple([a.shape for a in y])
    return tuple([pick(node, i, a) if a.dtype.kind in "fV" else wrap(a) for i, a in enumerate(y)])


def pick(node: Node, index: int, array: Any) -> Tensor:
    """One of several outputs, with a node of its own."""
    one = Node()
    one.op, one.parents, one.attrs = PICK, (node,), {"index": index}
    one.id, one.shape, one.place = storage.tick(), array.shape, node.place
    return wrap(array, one)
