"""Questions about dtypes, asked of tensors."""

from __future__ import annotations

from typing import Any

from ..backend import dtypes
from .arguments import raw

__all__ = ["can_cast", "result_type"]


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype of an operation on two tensors or numbers."""
    return dtypes.result_type(raw(tensor1), raw(tensor2))


def can_cast(from_: Any, to: Any) -> bool:
    """Whether PyTorch's rules let one dtype become another: never to a lower category."""
    return dtypes.category(dtypes.named(to)) >= dtypes.category(dtypes.named(from_))
