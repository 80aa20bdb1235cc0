"""Activations, dropout and embeddings on a GPU: one pass over memory each.

16-bit numbers are computed with in float32 and rounded once, when they are stored.
"""

from __future__ import annotations

from typing import Any

from . import kernels
from .fused_cuda import Fused, group
from .native import flat

FEW = 4096  # places that are brought into order by comparing each with all


@group
class Elements(Fused):
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


@group
class Embedding(Fused):
    """Rows of a table. The gradient adds in the order of the places: the same bits each time."""

    entries = ("embedding", "embedding_grad")

    def embedding(self, plain: Any, w: Any, index: Any) -> Any:
        dtype = self.dtype(w := flat(w)) if w.ndim == 2 else None
        if dtype is None:
            return plain(w, index)
        index = flat(index.astype("int64", copy=False))
        y = self.be.empty((*index.shape, w.shape[1]), w.dtype)
        self.module.embedding(
            dtype, self.address(w), w.shape[0], self.address(index), self.address(y), index.size,
            w.shape[1], self.stream(),
        )  # fmt: skip
        return y

    def order(self, places: Any) -> Any:
        """The places' numbers in a stable order: by our kernel where they are few, else CuPy's."""
        if places.size > FEW:
            return self.be.argsort(places)
        order = self.be.empty(places.shape, "int64")
        self.module.embedding_order(
            self.address(places), places.size, self.address(order), self.stream()
        )
        return order

    def embedding_grad(
        self, plain: Any, g: Any, index: Any, padding: int | None, by_frequency: bool, rows: int
    ) -> Any:
        dtype = self.dtype(g := flat(g))
        if dtype is None:
            return plain(g, index, padding, by_frequency, rows)
        width = g.shape[-1]
        places = flat(index.astype("int64", copy=False)).reshape(-1)
        order = self.order(places)
        gw = self.be.zeros((rows, width), g.dtype)
        self.module.embedding_grad(
            dtype, *[self.address(a) for a in (g, places, order, gw)], rows, places.size, width,
            -1 if padding is None else padding, by_frequency, self.stream(),
        )  # fmt: skip
        return gw
