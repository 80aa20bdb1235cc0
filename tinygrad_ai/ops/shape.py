"""The same numbers in another shape or order. Most results share their input's memory."""

from __future__ import annotations

import math
from typing import Any

from .. import backend
from ..autograd.broadcast import broadcast_to as _broadcast_to
from ..autograd.op import op
from ..backend.dtypes import named
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, methods
from .arguments import axes, axis, resolved, sizes

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_shapes", "broadcast_tensors",
    "broadcast_to", "flatten", "flip", "fliplr", "flipud", "meshgrid", "moveaxis", "movedim",
    "numel", "permute", "ravel", "repeat_interleave", "reshape", "roll", "rot90", "squeeze",
    "swapaxes", "swapdims", "t", "tile", "transpose", "unflatten", "unsqueeze",
]  # fmt: skip


@op(view=True)
def _reshape(be, x, *, shape):
    """y = reshape(x, shape);   gx = reshape(g, x_shape)"""
    return x.reshape(shape)


@_reshape.vjp
def _(g, x_shape):
    return reshape(g, x_shape)


@op(view=True)
def _permute(be, x, *, dims):
    """y = permute(x, dims);   gx = permute(g, argsort(dims))"""
    return x.transpose(dims)


@_permute.vjp
def _(g, *, dims):
    return _permute(g, dims=tuple(sorted(range(len(dims)), key=dims.__getitem__)))


@op(view=True)
def _flip(be, x, *, dims):
    """y = flip(x, dims);   gx = flip(g, dims)"""
    return be.flip(x, dims)


@_flip.vjp
def _(g, *, dims):
    return flip(g, dims)


@op
def _roll(be, x, *, shifts, dims):
    """y = roll(x, shifts, dims);   gx = unroll(g, shifts, dims)"""
    return be.roll(x, shifts, dims)


@_roll.vjp
def _(g, *, shifts, dims):
    return _roll(g, shifts=tuple([-s for s in shifts]), dims=dims)


def reshape(input: Any, shape: Any) -> Any:
    """`input` in another shape with as many elements; one size may be -1. A view if it can be."""
    return _reshape(input, shape=resolved(sizes((shape,)), math.prod(input.shape)))


def _view(self: Tensor, *shape: Any) -> Any:
    """As reshape, but always in the same memory: ShapeError if the strides do not allow it."""
    if len(shape) == 1 and hasattr(shape[0], "itemsize"):
        return _view_as_type(self, shape[0])
    result = reshape(self, sizes(shape))
    if self.array.size and backend.storage.root(result.array) is not backend.storage.root(
        self.array
    ):
        raise ShapeError(
            f"a view of shape {sizes(shape)} is impossible with strides {self.array.strides}",
            "use x.reshape(...)",
        )
    return result


def _view_as_type(self: Tensor, dtype: Any) -> Tensor:
    """The same bytes read as another dtype; not differentiable."""
    made = self.detach()  # type: ignore[attr-defined]
    made.array = self.array.view(named(dtype))
    return made


def permute(input: Any, dims: Any) -> Any:
    """The dimensions in another order: result dimension i is dimension dims[i] of `input`."""
    order = tuple([axis(d, input.ndim) for d in dims])
    if sorted(order) != list(range(input.ndim)):
        raise ArgumentError(f"expected each of {input.ndim} dimensions once, got {tuple(dims)}")
    return _permute(input, dims=order)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    order = list(range(input.ndim))
    if order:
        i, j = axis(dim0, input.ndim), axis(dim1, input.ndim)
        order[i], order[j] = order[j], order[i]
    return _permute(input, dims=tuple(order))


def t(input: Any) -> Any:
    """The transpose of a matrix; vectors and numbers as they are."""
    if input.ndim > 2:
        raise ShapeError(f"t() expects at most 2 dimensions, got {input.ndim}", "x.mT or x.permute")
    return _permute(input, dims=tuple(range(input.ndim))[::-1])


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Dimensions moved to other places, the rest in their order."""
    pairs = zip(
        *[v if isinstance(v, (tuple, list)) else (v,) for v in (source, destination)], strict=True
    )
    places = {axis(d, input.ndim): axis(s, input.ndim) for s, d in pairs}
    rest = iter([i for i in range(input.ndim) if i not in places.values()])
    return _permute(
        input,
        dims=tuple([places.get(i, -1) if i in places else next(rest) for i in range(input.ndim)]),
    )


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without dimensions of size 1: all of them, or those named."""
    chosen = axes(dim, input.ndim) if dim != () else ()
    shape = [n for i, n in enumerate(input.shape) if n != 1 or i not in chosen]
    return _reshape(input, shape=tuple(shape))


def unsqueeze(input: Any, dim: int) -> Any:
    """With a new dimension of size 1 at `dim`."""
    i = axis(dim, input.ndim + 1)
    return _reshape(input, shape=(*input.shape[:i], 1, *input.shape[i:]))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions start_dim to end_dim as one."""
    first, last = axis(start_dim, input.ndim), axis(end_dim, input.ndim)
    if first > last:
        raise ArgumentError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = input.shape
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """One dimension split into several; one of the sizes may be -1."""
    i = axis(dim, input.ndim)
    inner = resolved(tuple(sizes), input.shape[i])
    return _reshape(input, shape=(*input.shape[:i], *inner, *input.shape[i + 1 :]))


def ravel(input: Any) -> Any:
    """All elements in one dimension."""
    return reshape(input, (-1,)) if 0 not in input.shape else reshape(input, (0,))


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape these shapes broadcast to; ShapeError if they do not."""
    result: list[int] = []
    for places in zip(
        *[reversed((1,) * (max(map(len, shapes)) - len(s)) + tuple(s)) for s in shapes], strict=True
    ):
        wide = [n for n in places if n != 1]
        if len(set(wide)) > 1:
            raise ShapeError(f"shapes {' and '.join(map(str, shapes))} do not broadcast")
        result.append(wide[0] if wide else 1)
    return tuple(reversed(result))


def broadcast_to(input: Any, size: Any) -> Any:
    """`input` repeated, without copying, to a larger shape; -1 keeps a size."""
    size = sizes((size,))
    lead = len(size) - input.ndim
    shape = tuple(
        [input.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(size)]
    )
    fits = lead >= 0 and all(
        m in (1, n) for m, n in zip(input.shape, shape[max(lead, 0) :], strict=False)
    )
    if not fits or -1 in shape:
        raise ShapeError(f"a tensor of shape {input.shape} cannot be expanded to {size}")
    return _broadcast_to(input, shape=shape)


def _expand(self: Tensor, *size: Any) -> Any:
    """`self` repeated, without copying, to a larger shape; -1 keeps a size."""
    return broadcast_to(self, sizes(size))


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """All tensors expanded to their common shape."""
    shape = broadcast_shapes(*[x.shape for x in tensors])
    return tuple([broadcast_to(x, shape) for x in tensors])


def tile(input: Any, dims: Any) -> Any:
    """`input` repeated dims[i] times along dimension i."""
    dims = sizes((dims,))
    shape = (1,) * (len(dims) - input.ndim) + tuple(input.shape)
    dims = (1,) * (len(shape) - len(dims)) + dims
    x = reshape(input, [k for n in shape for k in (1, n)])
    x = broadcast_to(x, [k for r, n in zip(dims, shape, strict=True) for k in (r, n)])
    return reshape(x, [r * n for r, n in zip(dims, shape, strict=True)])


def _repeat(self: Tensor, *repeats: Any) -> Any:
    """As tile; needs a count for every dimension."""
    if len(sizes(repeats)) < self.ndim:
        raise ShapeError(f"repeat needs {self.ndim} counts or more, got {len(sizes(repeats))}")
    return tile(self, sizes(repeats))


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Any:
    """Every element (along dim) repeated in place; without dim the input is flattened."""
    x, i = (ravel(input), 0) if dim is None else (input, axis(dim, input.ndim))
    counts = repeats.tolist() if hasattr(repeats, "tolist") else repeats
    counts = counts if isinstance(counts, list) else [counts]
    counts = counts * x.shape[i] if len(counts) == 1 else counts
    if len(counts) != x.shape[i]:
        raise ShapeError(f"expected 1 or {x.shape[i]} repeats, got {len(counts)}")
    index = [k for k, n in enumerate(counts) for _ in range(n)]
    places = backend.asarray(index, "int64")
    if isinstance(x, Tensor):
        places = backend.beside(x.array, places)
    return x[(slice(None),) * i + (places,)]


def flip(input: Any, dims: Any) -> Any:
    """In reverse order along dims."""
    return _flip(input, dims=axes(dims, input.ndim) if dims != () else ())


def fliplr(input: Any) -> Any:
    """Columns in reverse order."""
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """Rows in reverse order."""
    return flip(input, 0)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Moved cyclically by `shifts` along dims, or as one row of elements."""
    if dims is None or dims == ():
        return reshape(roll(ravel(input), shifts, 0), input.shape)
    shifts, dims = [v if isinstance(v, (tuple, list)) else (v,) for v in (shifts, dims)]
    if len(shifts) != len(dims):
        raise ArgumentError(f"expected a shift for each of {len(dims)} dims, got {len(shifts)}")
    return _roll(input, shifts=tuple(shifts), dims=tuple([axis(d, input.ndim) for d in dims]))


def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Turned k quarter turns in the plane of two dimensions."""
    first, second = axis(dims[0], input.ndim), axis(dims[1], input.ndim)
    if first == second:
        raise ArgumentError(f"rot90 needs two different dimensions, got {tuple(dims)}")
    if k % 4 == 2:
        return flip(input, (first, second))
    turned = transpose(input, first, second) if k % 2 else input
    return flip(turned, first if k % 4 == 1 else second) if k % 4 else turned[...]


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Vectors expanded into coordinate arrays; "xy" exchanges the first two dimensions."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"expected indexing 'ij' or 'xy', got {indexing!r}")
    shape = [math.prod(v.shape) for v in given]
    grids = [
        broadcast_to(reshape(v, [-1 if j == i else 1 for j in range(len(shape))]), shape)
        for i, v in enumerate(given)
    ]
    swap = indexing == "xy" and len(given) > 1
    return tuple([transpose(g, 0, 1) for g in grids] if swap else grids)


def _atleast(input: Any, rank: int) -> Any:
    return (
        reshape(input, (1,) * (rank - input.ndim) + tuple(input.shape))
        if input.ndim < rank
        else input
    )


def atleast_1d(input: Any) -> Any:
    """The tensor; a number as a vector of one."""
    return _atleast(input, 1)


def atleast_2d(input: Any) -> Any:
    """The tensor; what has fewer dimensions as a matrix of one row."""
    return _atleast(input, 2)


def atleast_3d(input: Any) -> Any:
    """Vectors become (1, n, 1), matrices (m, n, 1)."""
    return unsqueeze(_atleast(input, 2), -1) if input.ndim < 3 else input


def numel(input: Any) -> int:
    """The number of elements."""
    return math.prod(input.shape)


def _size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or one size of it."""
    return self.shape if dim is None else self.shape[axis(dim, self.ndim)]


def _mT(self: Tensor) -> Any:
    if self.ndim < 2:
        raise ShapeError(f"mT needs two dimensions or more, got {self.ndim}")
    return transpose(self, -2, -1)


moveaxis, swapaxes, swapdims = movedim, transpose, transpose

methods(flatten, fliplr, flipud, movedim, numel, ravel, repeat_interleave, rot90, roll)
methods(squeeze, t, transpose, unflatten, unsqueeze, broadcast_to)
methods(moveaxis=movedim, swapaxes=transpose, swapdims=transpose)
methods(reshape=lambda self, *shape: reshape(self, sizes(shape)))
methods(flip=lambda self, *dims: flip(self, sizes(dims)))
methods(permute=lambda self, *dims: permute(self, sizes(dims)))
methods(tile=lambda self, *dims: tile(self, sizes(dims)))
methods(view=_view, expand=_expand, repeat=_repeat, size=_size)
methods(view_as=lambda self, other: _view(self, other.shape))
methods(reshape_as=lambda self, other: reshape(self, other.shape))
methods(expand_as=lambda self, other: broadcast_to(self, other.shape))
methods(dim=lambda self: self.ndim, ndimension=lambda self: self.ndim)
methods(nelement=numel)
methods(T=property(lambda self: permute(self, range(self.ndim)[::-1])))
methods(mT=property(_mT))
