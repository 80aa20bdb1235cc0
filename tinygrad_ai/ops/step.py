"""The optimizers' arithmetic: one parameter's update in place, through the backend's table."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..tensor import Tensor


def advance(steps: Tensor) -> int:
    """Counts one more step in the tensor that keeps their number; returns it."""
    count = int(steps.array) + 1
    steps.array.fill(count)
    return count


def fused(name: str, p: Tensor, *tensors: Tensor | None, **numbers: Any) -> None:
    """Runs the kernel `name` on the arrays of p and of others, and notes that they were written."""
    arrays = [None if t is None else t.array for t in tensors]
    getattr(backend.of(p.array), name)(p.array, *arrays, **numbers)
    backend.storage.wrote(p.array)


def fused_all(name: str, params: list[Tensor], *lists: Any, **numbers: Any) -> None:
    """The same for a kernel that takes lists: one call for all parameters of a group."""
    arrays = [[None if t is None else t.array for t in tensors] for tensors in (params, *lists)]
    getattr(backend.common(arrays[0]), name)(*arrays, **numbers)
    backend.storage.wrote(*arrays[0])
