"""The linear layer's entries on a GPU: our kernels in the place of the plain ones.

The products are CuPy's, which is cuBLAS, unless `products(True)` says otherwise: which is faster
where has not been measured yet. The slope of an activation and the sums of a bias's gradient are
one kernel of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import kernels, precision
from .fused_cuda import Fused, group
from .kernels import rows

_products = False


@contextmanager
def products(ours: bool) -> Iterator[None]:
    """Inside the block our kernels multiply matrices, or CuPy's do."""
    global _products
    before, _products = _products, ours
    try:
        yield
    finally:
        _products = before


@group
class Linear(Fused):
    """y = f(x wᵀ + b) and what its rule needs."""

    entries = ("linear", "linear_z", "linear_grad_x", "linear_grad_w", "act_grad")

    def __init__(self, be: Any, module: Any) -> None:
        super().__init__(be, module)
        self.acts = {name: getattr(module.Act, name or "none") for name in kernels.ACTS}

    def product(
        self, layout: str, a: Any, b: Any, bias: Any, act: str | None, keep: bool = False
    ) -> Any:
        """f(a b + bias), and a b + bias if it is to be kept; None for what we do not multiply."""
        dtype = self.dtype(a, b, bias)
        if not _products or dtype is None:
            return None
        m, k = a.shape if layout != "tn" else a.shape[::-1]
        n = b.shape[0] if layout == "nt" else b.shape[1]
        y = self.be.empty((m, n), a.dtype)
        z = self.be.empty((m, n), a.dtype) if keep else None
        tensor_cores = a.itemsize == 2 or (
            a.itemsize == 4 and precision.get_float32_matmul_precision() != "highest"
        )
        way = self.module.Way.tensor_core if tensor_cores else self.module.Way.blocked
        self.module.product(
            way, getattr(self.module.Layout, layout), dtype, self.address(a), self.address(b),
            self.address(bias), self.address(y), self.address(z), m, n, k, self.acts[act],
            self.stream(),
        )  # fmt: skip
        return (y, z) if keep else y

    def through(self, g: Any, v: Any, act: str | None, sums: bool) -> Any:
        """g f'(v) of matrices, and the sums of its columns if asked; None if it is not for us."""
        dtype = self.dtype(g, v)
        if dtype is None or (v is not None and v.shape != g.shape):
            return None
        count, width = g.shape
        gz = self.be.empty(g.shape, g.dtype) if act is not None else None
        gb = self.be.empty((width,), g.dtype) if sums else None
        room = self.module.act_grad_space(dtype, count, width) if sums else 0
        space = self.be.empty((max(room, 1),), "uint8")
        self.module.act_grad(
            dtype, self.address(g), self.address(v), self.address(gz), self.address(gb),
            self.address(space), count, width, self.acts[act], self.stream(),
        )  # fmt: skip
        return (g if gz is None else gz), gb

    def linear(self, plain: Any, x: Any, w: Any, b: Any, act: str | None) -> Any:
        y = self.product("nt", rows(x), w, b, act)
        return plain(x, w, b, act) if y is None else y.reshape(*x.shape[:-1], w.shape[0])

    def linear_z(self, plain: Any, x: Any, w: Any, b: Any, act: str) -> Any:
        found = self.product("nt", rows(x), w, b, act, keep=True)
        if found is None:
            return plain(x, w, b, act)
        return tuple([y.reshape(*x.shape[:-1], w.shape[0]) for y in found])

    def linear_grad_x(self, plain: Any, g: Any, v: Any, w: Any, act: str | None) -> Any:
        gz = g if act is None else self.be.act_grad(g, v, act)
        y = self.product("nn", rows(gz), w, None, None)
        return plain(gz, None, w, None) if y is None else y.reshape(*g.shape[:-1], w.shape[1])

    def linear_grad_w(self, plain: Any, g: Any, v: Any, x: Any, act: str | None) -> Any:
        found = self.through(rows(g), v if v is None else rows(v), act, sums=True)
        if found is None:
            return plain(g, v, x, act)
        gz, gb = found
        gw = self.product("tn", gz, rows(x), None, None)
        return self.be.matmul(gz.T, rows(x)) if gw is None else gw, gb

    def act_grad(self, plain: Any, g: Any, v: Any, act: str) -> Any:
        if not g.size or g.shape != v.shape:
            return plain(g, v, act)
        found = self.through(g.reshape(1, -1), v.reshape(1, -1), act, sums=False)
        return plain(g, v, act) if found is None else found[0].reshape(g.shape)
