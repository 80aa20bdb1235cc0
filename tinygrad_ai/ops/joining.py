"""Tensors put together and taken apart along a dimension."""

from __future__ import annotations

from typing import Any

from ..autograd.op import op
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, methods
from .arguments import axis, raw
from .create import zeros_shaped
from .indexing import _getitem
from .shape import _atleast, atleast_2d, atleast_3d, reshape, unsqueeze

__all__ = [
    "cat", "chunk", "column_stack", "concat", "concatenate", "dsplit", "dstack", "hsplit",
    "hstack", "narrow", "row_stack", "select", "split", "split_with_sizes", "stack",
    "tensor_split", "unbind", "vsplit", "vstack",
]  # fmt: skip


@op(dtypes="promote")
def _cat(be, *xs, dim):
    """y = cat(xs, dim);   gxs = pieces(g, xs, dim)"""
    return be.concatenate(xs, axis=dim)


@_cat.vjp
def _(g, xs_shape, *, dim):
    return tuple(_pieces(g, [shape[dim] for shape in xs_shape], dim))


@op(view=True)
def _split(be, x, *, sizes, dim):
    """y = split(x, sizes, dim);   gx = cat(g, dim)"""
    return tuple(_pieces(x, sizes, dim))


@_split.vjp
def _(g, x_shape, *, sizes, dim):
    known = next(piece for piece in g if piece is not None)
    shapes = [(*x_shape[:dim], n, *x_shape[dim + 1 :]) for n in sizes]
    return cat(
        [zeros_shaped(known, s) if p is None else p for p, s in zip(g, shapes, strict=True)], dim
    )


def _pieces(x: Any, sizes: Any, dim: int) -> list[Any]:
    pieces, start = [], 0
    for n in sizes:
        index = (slice(None),) * dim + (slice(start, start + n),)
        pieces.append(_getitem(x, index=index))
        start += n
    return pieces


def cat(tensors: Any, dim: int = 0) -> Any:
    """Tensors one after the other along dim; the other sizes must agree."""
    given = list(tensors)
    if not given:
        raise ArgumentError("cat expects at least one tensor")
    full = [x for x in given if tuple(x.shape) != (0,)] or given[:1]
    i = axis(dim, full[0].ndim)
    rests = {tuple(x.shape[:i] + x.shape[i + 1 :]) + (x.ndim,) for x in full}
    if len(rests) > 1 or not full[0].ndim:
        shapes = ", ".join([str(tuple(x.shape)) for x in full])
        raise ShapeError(f"cat expects equal sizes except along dim {dim}, got {shapes}")
    return _cat(*full, dim=i)


def stack(tensors: Any, dim: int = 0) -> Any:
    """Tensors of one shape along a new dimension."""
    given = list(tensors)
    if len({tuple(x.shape) for x in given}) > 1:
        shapes = ", ".join([str(tuple(x.shape)) for x in given])
        raise ShapeError(f"stack expects tensors of one shape, got {shapes}")
    if not given:
        raise ArgumentError("stack expects at least one tensor")
    i = axis(dim, given[0].ndim + 1)
    return _cat(*[unsqueeze(x, i) for x in given], dim=i)


def hstack(tensors: Any) -> Any:
    """Side by side: along dimension 1, for vectors along 0."""
    given = [_atleast(x, 1) for x in tensors]
    return cat(given, 0 if given[0].ndim == 1 else 1)


def vstack(tensors: Any) -> Any:
    """On top of each other; vectors count as rows."""
    return cat([atleast_2d(x) for x in tensors], 0)


def dstack(tensors: Any) -> Any:
    """Along the third dimension."""
    return cat([atleast_3d(x) for x in tensors], 2)


def column_stack(tensors: Any) -> Any:
    """Side by side; vectors count as columns."""
    return hstack([reshape(x, (-1, 1)) if x.ndim < 2 else x for x in tensors])


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of one size (the last may be smaller), or of the sizes listed."""
    i = axis(dim, tensor.ndim)
    total, size = tensor.shape[i], split_size_or_sections
    if isinstance(size, int):
        if size < 1 and total:
            raise ArgumentError(f"split expects a positive size, got {size}")
        sizes = [size] * (total // size if size else 0)
        sizes += [total - sum(sizes)] if total > sum(sizes) or not sizes else []
    else:
        sizes = list(size)
        if sum(sizes) != total or min(sizes, default=0) < 0:
            raise ArgumentError(f"split expects sizes that sum to {total}, got {sizes}")
    if not isinstance(tensor, Tensor):
        return tuple(_pieces(tensor, sizes, i))
    return tuple(_split(tensor, sizes=tuple(sizes), dim=i))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` pieces of equal size, the last one smaller."""
    if chunks < 1:
        raise ArgumentError(f"chunk expects a positive number of chunks, got {chunks}")
    total = input.shape[axis(dim, input.ndim)]
    size = -(-total // chunks)
    return split(input, size, dim) if size else split(input, [0] * chunks, dim)


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of sizes as equal as can be, or cut at the given indices."""
    i = axis(dim, input.ndim)
    total, wish = input.shape[i], raw(indices_or_sections)
    wish = wish.tolist() if hasattr(wish, "tolist") else wish
    if isinstance(wish, int):
        small, extra = divmod(total, wish)
        return split(input, [small + (k < extra) for k in range(wish)], i)
    cuts = [0, *[min(max(c + total if c < 0 else c, 0), total) for c in wish], total]
    return tuple([narrow(input, i, a, max(b - a, 0)) for a, b in zip(cuts, cuts[1:])])


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Pieces side by side: tensor_split along dim 1, of a vector along dim 0."""
    return tensor_split(input, indices_or_sections, 0 if input.ndim == 1 else 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Pieces below each other: tensor_split along dim 0."""
    return tensor_split(input, indices_or_sections, 0)


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """tensor_split along dim 2."""
    return tensor_split(input, indices_or_sections, 2)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along dim, without that dimension."""
    i = axis(dim, input.ndim)
    shape = tuple(input.shape[:i]) + tuple(input.shape[i + 1 :])
    return tuple([reshape(piece, shape) for piece in split(input, 1, i)]) if input.shape[i] else ()


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """The slice start : start + length along dim."""
    i = axis(dim, input.ndim)
    first = start + input.shape[i] if start < 0 else start
    if not 0 <= first <= first + length <= input.shape[i]:
        raise ArgumentError(
            f"narrow: {start} to {start + length} is outside dimension {dim} "
            f"of {tuple(input.shape)}"
        )
    return _getitem(input, index=(slice(None),) * i + (slice(first, first + length),))


def select(input: Any, dim: int, index: int) -> Any:
    """The slice at one index along dim, without that dimension."""
    return input[(slice(None),) * axis(dim, input.ndim) + (int(index),)]


concat = concatenate = cat
row_stack, split_with_sizes = vstack, split
methods(chunk, dsplit, hsplit, narrow, select, split, tensor_split, unbind, vsplit)
methods(split_with_sizes=split)
