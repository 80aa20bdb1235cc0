"""Softmax, cross entropy, layer norm and embeddings on a GPU: one launch for each, or a few.

16-bit numbers are computed with in float32 and rounded once, when they are stored.
"""

from __future__ import annotations

import math
from typing import Any

from .capture import may_wait
from .fused_cuda import Fused, group
from .kernels_nn import check_labels
from .native import flat

FEW = 4096  # places that are brought into order by comparing each with all


@group
class Softmax(Fused):
    """Along the last dimension; along others the plain entry."""

    entries = ("softmax", "log_softmax", "softmax_grad", "log_softmax_grad")

    def value(self, plain: Any, x: Any, dim: int, log: bool) -> Any:
        dtype = self.dtype(x := flat(x)) if dim == x.ndim - 1 else None
        if dtype is None:
            return plain(x, dim)
        y = self.be.empty(x.shape, x.dtype)
        self.module.softmax(
            dtype, log, self.address(x), self.address(y), math.prod(x.shape[:-1]), x.shape[-1],
            self.stream(),
        )  # fmt: skip
        return y

    def grad(self, plain: Any, g: Any, y: Any, dim: int, log: bool) -> Any:
        if dim != y.ndim - 1 or g.shape != y.shape:
            return plain(g, y, dim)
        dtype = self.dtype(g := flat(g), y := flat(y))
        if dtype is None:
            return plain(g, y, dim)
        gx = self.be.empty(y.shape, y.dtype)
        self.module.softmax_grad(
            dtype, log, self.address(g), self.address(y), self.address(gx),
            math.prod(y.shape[:-1]), y.shape[-1], self.stream(),
        )  # fmt: skip
        return gx

    def softmax(self, plain: Any, x: Any, dim: int) -> Any:
        return self.value(plain, x, dim, False)

    def log_softmax(self, plain: Any, x: Any, dim: int) -> Any:
        return self.value(plain, x, dim, True)

    def softmax_grad(self, plain: Any, g: Any, y: Any, dim: int) -> Any:
        return self.grad(plain, g, y, dim, False)

    def log_softmax_grad(self, plain: Any, g: Any, y: Any, dim: int) -> Any:
        return self.grad(plain, g, y, dim, True)


@group
class CrossEntropy(Fused):
    """Labels are looked at once, in the forward pass, and not while a graph is captured: there a
    wrong one makes its row NaN."""

    entries = ("cross_entropy", "cross_entropy_grad")

    def cross_entropy(
        self, plain: Any, x: Any, target: Any, weight: Any, ignore: int, reduction: str
    ) -> Any:
        dtype = self.dtype(x := flat(x), weight) if x.size else None
        if dtype is None:
            return plain(x, target, weight, ignore, reduction)
        rows, classes = x.shape
        if may_wait():
            check_labels(target, classes, ignore)
        target = flat(target.astype("int64", copy=False))
        loss = self.be.empty((rows,), x.dtype)
        total = None if reduction == "none" else self.be.empty((), x.dtype)
        self.module.cross_entropy(
            dtype, self.address(x), self.address(target), self.address(weight), ignore,
            self.address(loss), self.address(total), reduction == "mean", rows, classes,
            self.stream(),
        )  # fmt: skip
        return loss if total is None else total

    def cross_entropy_grad(
        self, plain: Any, g: Any, x: Any, target: Any, weight: Any, ignore: int, reduction: str
    ) -> Any:
        dtype = self.dtype(g := flat(g), x := flat(x), weight) if x.size else None
        if dtype is None:
            return plain(g, x, target, weight, ignore, reduction)
        rows, classes = x.shape
        target = flat(target.astype("int64", copy=False))
        y = self.be.empty(x.shape, x.dtype)
        space = self.be.empty((self.module.cross_entropy_grad_space,), "uint8")
        self.module.cross_entropy_grad(
            dtype, self.address(g), g.ndim, self.address(x), self.address(target),
            self.address(weight), ignore, self.address(y), reduction == "mean", rows, classes,
            self.address(space), self.stream(),
        )  # fmt: skip
        return y


@group
class LayerNorm(Fused):
    """Along the last dimension, and the sums of its gradients over all rows."""

    entries = ("layer_norm", "layer_norm_grad")

    def layer_norm(self, plain: Any, x: Any, w: Any, b: Any, eps: float) -> tuple[Any, Any, Any]:
        dtype = self.dtype(x := flat(x), w, b) if x.size else None
        if dtype is None:
            found: tuple[Any, Any, Any] = plain(x, w, b, eps)
            return found
        *lead, width = x.shape
        y = self.be.empty(x.shape, x.dtype)
        mean, rstd = (self.be.empty((*lead, 1), x.dtype) for _ in range(2))
        self.module.layer_norm(
            dtype, *[self.address(a) for a in (x, w, b, y, mean, rstd)], math.prod(lead), width,
            eps, self.stream(),
        )  # fmt: skip
        return y, mean, rstd

    def layer_norm_grad(
        self, plain: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any
    ) -> tuple[Any, Any, Any]:
        g, x, mean, rstd = (flat(a) for a in (g, x, mean, rstd))
        dtype = self.dtype(g, x, w, mean, rstd) if x.size and g.shape == x.shape else None
        if dtype is None:
            found: tuple[Any, Any, Any] = plain(g, x, w, mean, rstd)
            return found
        count, width = math.prod(x.shape[:-1]), x.shape[-1]
        gx = self.be.empty(x.shape, x.dtype)
        gw, gb = (self.be.empty((width,), x.dtype) for _ in range(2))
        space = self.be.empty((self.module.layer_norm_grad_space(dtype, count, width),), "uint8")
        self.module.layer_norm_grad(
            dtype, *[self.address(a) for a in (g, x, w, mean, rstd, gx, gw, gb, space)], count,
            width, self.stream(),
        )  # fmt: skip
        return gx, gw, gb


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
