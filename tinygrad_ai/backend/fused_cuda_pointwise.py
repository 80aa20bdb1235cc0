"""Activations and dropout on a GPU: one pass over memory each.

16-bit numbers are computed with in float32 and rounded once, when they are stored.
"""

from __future__ import annotations

from typing import Any

from . import kernels
from .fused_cuda import Fused, group
from .native import flat


@group
class Pointwise(Fused):
    """Functions of single elements."""

    entries = ("activate", "act_grad", "dropout")

    def __init__(self, be: Any, module: Any) -> None:
        super().__init__(be, module)
        self.acts = {name: getattr(module.Act, name or "none") for name in kernels.ACTS}

    def activate(self, plain: Any, x: Any, act: str) -> Any:
        dtype = self.dtype(x := flat(x))
        if dtype is None:
            return plain(x, act)
        y = self.be.empty(x.shape, x.dtype)
        self.module.activate(
            dtype, self.address(x), self.address(y), x.size, self.acts[act], self.stream()
        )
        return y

    def act_grad(self, plain: Any, g: Any, v: Any, act: str) -> Any:
        dtype = self.dtype(g := flat(g), v := flat(v)) if g.shape == v.shape else None
        if dtype is None:
            return plain(g, v, act)
        gx = self.be.empty(g.shape, g.dtype)
        self.module.activate_grad(
            dtype, *[self.address(a) for a in (g, v, gx)], g.size, self.acts[act], self.stream()
        )
        return gx

    def dropout(self, plain: Any, x: Any, keep: Any, scale: float) -> Any:
        fits = x.shape == keep.shape and keep.dtype == bool
        dtype = self.dtype(x := flat(x)) if fits else None
        if dtype is None:
            return plain(x, keep, scale)
        y, keep = self.be.empty(x.shape, x.dtype), flat(keep)
        self.module.dropout(
            dtype, *[self.address(a) for a in (x, keep, y)], x.size, scale, self.stream()
        )
        return y
