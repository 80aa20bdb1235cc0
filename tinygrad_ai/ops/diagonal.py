"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd.op import op
from ..errors import ArgumentError, ShapeError
from ..tensor import methods, wrap
from .arguments import axis
from .reduce import sum
from .shape import movedim, ravel

__all__ = [
    "diag", "diag_embed", "diagflat", "diagonal", "diagonal_scatter", "trace", "tril",
    "tril_indices", "triu", "triu_indices",
]  # fmt: skip


@op(view=True)
def _diagonal(be, x, *, offset, dim1, dim2):
    """y = diagonal(x, offset, dim1, dim2);   gx = undiagonal(g, offset, dim1, dim2, x_shape)"""
    return be.diagonal(x, offset, dim1, dim2)


@_diagonal.vjp
def _(g, x_shape, *, offset, dim1, dim2):
    return _undiagonal(g, offset=offset, dim1=dim1, dim2=dim2, shape=x_shape)


@op
def _undiagonal(be, x, *, offset, dim1, dim2, shape):
    """y = undiagonal(x, offset, dim1, dim2, shape);   gx = diagonal(g, offset, dim1, dim2)

    Zeros with x on a diagonal.
    """
    y = be.zeros(shape, x.dtype)
    place = be.diagonal(be.arange(y.size).reshape(shape), offset, dim1, dim2)
    y.reshape(-1)[place] = x
    return y


@_undiagonal.vjp
def _(g, *, offset, dim1, dim2):
    return _diagonal(g, offset=offset, dim1=dim1, dim2=dim2)


@op
def _tril(be, x, *, diagonal):
    """y = tril(x, diagonal);   gx = tril(g, diagonal)"""
    return be.tril(x, diagonal)


@_tril.vjp
def _(g, *, diagonal):
    return _tril(g, diagonal=diagonal)


@op
def _triu(be, x, *, diagonal):
    """y = triu(x, diagonal);   gx = triu(g, diagonal)"""
    return be.triu(x, diagonal)


@_triu.vjp
def _(g, *, diagonal):
    return _triu(g, diagonal=diagonal)


def tril(input: Any, diagonal: int = 0) -> Any:
    """The part on and below a diagonal of matrices; the rest is 0."""
    return _tril(_matrices(input, "tril"), diagonal=diagonal)


def triu(input: Any, diagonal: int = 0) -> Any:
    """The part on and above a diagonal of matrices; the rest is 0."""
    return _triu(_matrices(input, "triu"), diagonal=diagonal)


def _matrices(x: Any, name: str) -> Any:
    if x.ndim < 2:
        raise ShapeError(f"{name} expects two dimensions or more, got {x.ndim}")
    return x


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two dimensions, as a new last dimension; shares memory."""
    if input.ndim < 2:
        raise ShapeError(f"diagonal expects two dimensions or more, got {input.ndim}")
    first, second = axis(dim1, input.ndim), axis(dim2, input.ndim)
    if first == second:
        raise ArgumentError(f"diagonal expects two different dimensions, got {dim1} and {dim2}")
    return _diagonal(input, offset=offset, dim1=first, dim2=second)


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the last dimension of `input` on a diagonal."""
    size = input.shape[-1] + abs(offset)
    shape = (*input.shape[:-1], size, size)
    n = len(shape)
    y = _undiagonal(input, offset=offset, dim1=n - 2, dim2=n - 1, shape=shape)
    return movedim(y, (n - 2, n - 1), (axis(dim1, n), axis(dim2, n)))


def diag(input: Any, diagonal: int = 0) -> Any:
    """A matrix with a vector on its diagonal, or the diagonal of a matrix."""
    if input.ndim not in (1, 2):
        raise ShapeError(
            f"diag expects a vector or a matrix, got {input.ndim} dimensions", "diagonal"
        )
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    return _diagonal(input, offset=diagonal, dim1=0, dim2=1)


def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with all elements on its diagonal."""
    return diag_embed(ravel(input), offset)


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """input with src on a diagonal."""
    kept = input - _undiagonal(
        diagonal(input, offset, dim1, dim2), offset=offset, dim1=axis(dim1, input.ndim),
        dim2=axis(dim2, input.ndim), shape=tuple(input.shape),
    )  # fmt: skip
    return kept + _undiagonal(
        src, offset=offset, dim1=axis(dim1, input.ndim), dim2=axis(dim2, input.ndim),
        shape=tuple(input.shape),
    )  # fmt: skip


def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise ShapeError(f"trace expects a matrix, got {input.ndim} dimensions")
    return sum(_diagonal(input, offset=0, dim1=0, dim2=1))


def tril_indices(row: int, col: int, offset: int = 0, *, device: Any = None) -> Any:
    """(2, n): the places on and below a diagonal of a (row, col) matrix."""
    places = backend.numpy.stack(backend.numpy.tril_indices(row, offset, col))
    return wrap(backend.moved(places, device or "cpu"))


def triu_indices(row: int, col: int, offset: int = 0, *, device: Any = None) -> Any:
    """(2, n): the places on and above a diagonal of a (row, col) matrix."""
    places = backend.numpy.stack(backend.numpy.triu_indices(row, offset, col))
    return wrap(backend.moved(places, device or "cpu"))


methods(diag, diag_embed, diagflat, diagonal, diagonal_scatter, trace, tril, triu)
