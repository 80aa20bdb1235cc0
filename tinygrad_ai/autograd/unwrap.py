"""What stands behind an op's arguments: arrays, nodes, and the backend that owns them."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Node, Tensor


def unwrap(args: tuple[Any, ...]) -> tuple[list[Any], tuple[Node | None, ...], Any, bool]:
    """Arrays, nodes, the backend (None without Tensors), and whether dtypes need a look."""
    arrays, parents, mixed = [], [], False
    dtype = kind = None
    for a in args:
        if isinstance(a, Tensor):
            array = a.array
            if kind is None:
                kind, dtype = type(array), array.dtype
                mixed = dtype.kind != "f"
            elif array.dtype is not dtype:
                mixed = True
            if type(array) is not kind:
                backend.common([t.array for t in args if isinstance(t, Tensor)])
                mixed = True  # single numbers on the CPU go to the GPU of the others
            arrays.append(array)
            parents.append(a.node)
        else:
            mixed = mixed or hasattr(a, "dtype")
            arrays.append(a)
            parents.append(None)
    return arrays, tuple(parents), None if kind is None else backend.TABLE[kind], mixed
