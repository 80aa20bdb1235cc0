"""Attention on a GPU: our kernels in the place of the plain ones, which keep a matrix of scores.

Arrays may lie in any way that has whole steps, as heads do that a layer split from its rows. What
the kernels are not made for (heads of more than 128 numbers, or that need more shared memory than
the GPU has; more than six leading dimensions, several dtypes, nothing to attend to) the plain
entries do.
"""

from __future__ import annotations

from typing import Any

from .fused_cuda import Fused, group

NOTHING: tuple[int, list[int]] = (0, [])
MOST_LEAD = 6


@group
class Attention(Fused):
    """softmax(scale q kᵀ + bias) v and its gradients."""

    entries = ("attention", "attention_grad")

    def __init__(self, be: Any, module: Any) -> None:
        super().__init__(be, module)
        self.shared: dict[int, int] = {}

    def stack(self, x: Any, shape: tuple[int, ...]) -> tuple[int, list[int]] | None:
        """Address and steps of x, seen in a shape it can be broadcast to; None if it cannot."""
        missing = len(shape) - x.ndim
        if missing < 0 or not x.ndim or any([step % x.itemsize for step in x.strides]):
            return None
        if any([n not in (1, want) for n, want in zip(x.shape, shape[missing:])]):
            return None
        steps = [0 if n == 1 else s // x.itemsize for n, s in zip(x.shape, x.strides)]
        steps[-1] = 1 if x.shape[-1] == shape[-1] == 1 else steps[-1]
        return self.address(x), [0] * missing + steps

    def inputs(
        self, q: Any, k: Any, v: Any, bias: Any, keep: Any
    ) -> tuple[Any, tuple[int, ...], list[Any], tuple[int, ...]] | None:
        """The dtype, the leading sizes, the five stacks and (rows, keys, inner, outer); None for
        what the kernels are not made for."""
        if not 2 <= q.ndim == k.ndim == v.ndim <= MOST_LEAD + 2 or not q.size * k.size * v.size:
            return None
        lead, (rows, inner), (keys, outer) = q.shape[:-2], q.shape[-2:], v.shape[-2:]
        names = {str(a.dtype) for a in (q, k, v, bias) if a is not None}
        dtype = self.dtypes.get(names.pop()) if len(names) == 1 else None
        fits = k.shape == (*lead, keys, inner) and v.shape[:-2] == lead
        if dtype is None or not fits or max(inner, outer) > self.module.most_inner:
            return None
        if self.module.attention_shared(dtype, inner, outer) > self.most_shared(q.device.id):
            return None
        if keep is not None and keep.dtype.itemsize != 1:
            return None
        square = (*lead, rows, keys)
        wanted = [(q, q.shape), (k, k.shape), (v, v.shape), (bias, square), (keep, square)]
        stacks = [NOTHING if a is None else self.stack(a, shape) for a, shape in wanted]
        return None if None in stacks else (dtype, lead, stacks, (rows, keys, inner, outer))

    def most_shared(self, device: int) -> int:
        """Bytes of shared memory that a block of this GPU may ask for."""
        if device not in self.shared:
            attributes = self.be.xp.cuda.Device(device).attributes
            self.shared[device] = int(attributes["MaxSharedMemoryPerBlockOptin"])
        return self.shared[device]

    def beside(self, x: Any, *shape: int) -> Any:
        """A new array whose dimensions but the last lie in memory in the order of x's."""
        order = sorted(range(x.ndim - 1), key=lambda d: -x.strides[d]) + [x.ndim - 1]
        y = self.be.empty(tuple([shape[d] for d in order]), x.dtype)
        return y.transpose([order.index(d) for d in range(x.ndim)])

    def log_sums(self, q: Any) -> Any:
        """Their dtype: 16 bits are too few."""
        return self.be.result_type(q.dtype, "float32")

    def attention(
        self, plain: Any, q: Any, k: Any, v: Any, bias: Any, scale: float, causal: bool, keep: Any,
        grow: float,
    ) -> Any:  # fmt: skip
        found = self.inputs(q, k, v, bias, keep)
        if found is None:
            return plain(q, k, v, bias, scale, causal, keep, grow)
        dtype, lead, stacks, sizes = found
        y = self.beside(q, *lead, sizes[0], sizes[3])
        lse = self.be.empty((*lead, sizes[0]), self.log_sums(q))
        self.module.attention(
            dtype, lead, *stacks, self.stack(y, y.shape), self.address(lse), sizes, scale, causal,
            grow, self.stream(),
        )  # fmt: skip
        return y, lse

    def attention_grad(
        self, plain: Any, g: Any, q: Any, k: Any, v: Any, bias: Any, y: Any, lse: Any, scale: float,
        causal: bool, keep: Any, grow: float, with_scores: bool,
    ) -> Any:  # fmt: skip
        found = self.inputs(q, k, v, bias, keep)
        if (
            found is None
            or not g.dtype == y.dtype == q.dtype
            or g.shape != y.shape
            or lse.dtype != self.log_sums(q)
            or not lse.flags.c_contiguous
        ):
            return plain(g, q, k, v, bias, y, lse, scale, causal, keep, grow, with_scores)
        dtype, lead, stacks, sizes = found
        if g.strides[-1] != g.itemsize:
            g = g.copy()  # of a sum: one number, seen many times
        grads = [self.beside(x, *x.shape) for x in (q, k, v)]
        if with_scores:
            grads.append(self.be.empty((*lead, *sizes[:2]), q.dtype))
        places = [self.stack(x, x.shape) for x in (y, g, *grads)]
        space = self.be.empty((self.module.attention_grad_space(dtype, lse.size, 1),), "uint8")
        self.module.attention_grad(
            dtype, lead, *stacks, places[0], self.address(lse), sizes, scale, causal, grow,
            *places[1:], *([] if with_scores else [NOTHING]), self.address(space), self.stream(),
        )  # fmt: skip
        return tuple(grads)
