"""Parameter: a tensor that a module trains."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor, leaf


class Parameter(Tensor):
    """A leaf that requires a gradient, in the memory of `data`; modules register it by itself."""

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        self.array = data.array if isinstance(data, Tensor) else Tensor(data).array
        self.node = leaf(self.array) if requires_grad else None

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
