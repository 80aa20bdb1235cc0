"""Products of matrices and vectors."""

from __future__ import annotations

from typing import Any

from ..autograd.op import op
from ..errors import ShapeError
from ..tensor import methods
from .shape import reshape, transpose

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "dot", "ger", "inner", "matmul", "mm",
    "mv", "outer", "vdot",
]  # fmt: skip


@op(dtypes="same")
def _matmul(be, a, b):
    """y = a @ b;   ga = g @ bᵀ,  gb = aᵀ @ g"""
    return be.matmul(a, b)


@_matmul.vjp
def _(g, a, b, needs):
    ga = _matmul(g, transpose(b, -2, -1)) if needs[0] else None
    if not needs[1]:
        return ga, None
    if b.ndim == 2 and a.ndim > 2:  # one product instead of a batch that is summed
        return ga, _matmul(
            transpose(reshape(a, (-1, a.shape[-1])), 0, 1), reshape(g, (-1, g.shape[-1]))
        )
    return ga, _matmul(transpose(a, -2, -1), g)


def matmul(input: Any, other: Any) -> Any:
    """The matrix product: vectors count as a row on the left and as a column on the right,
    dimensions before the last two broadcast. ShapeError if the inner sizes differ.
    """
    a, b = input, other
    if not a.ndim or not b.ndim:
        raise ShapeError(
            "matmul expects at least one dimension on both sides, got a 0-d tensor", "a * b"
        )
    inner = b.shape[-2 if b.ndim > 1 else -1]
    if a.shape[-1] != inner:
        raise ShapeError(
            f"matmul expected inner sizes to agree, got {tuple(a.shape)} @ {tuple(b.shape)}",
            _suggestion(a, b),
        )
    rows = a if a.ndim > 1 else reshape(a, (1, -1))
    columns = b if b.ndim > 1 else reshape(b, (-1, 1))
    y = _matmul(rows, columns)
    if a.ndim > 1 and b.ndim > 1:
        return y
    keep = (
        list(y.shape[:-2])
        + ([y.shape[-2]] if a.ndim > 1 else [])
        + ([y.shape[-1]] if b.ndim > 1 else [])
    )
    return reshape(y, keep)


def _suggestion(a: Any, b: Any) -> str | None:
    if b.ndim > 1 and a.shape[-1] == b.shape[-1]:
        return "a @ b.mT fits"
    if a.ndim > 1 and b.ndim > 1 and a.shape[-2] == b.shape[-2]:
        return "a.mT @ b fits"
    return None


def _ranked(name: str, a: Any, b: Any, ranks: tuple[int, int]) -> Any:
    if (a.ndim, b.ndim) != ranks:
        raise ShapeError(
            f"{name} expects {ranks[0]} and {ranks[1]} dimensions, got {a.ndim} and {b.ndim}",
            "matmul",
        )
    return matmul(a, b)


def mm(input: Any, mat2: Any) -> Any:
    """(n, m) times (m, p)."""
    return _ranked("mm", input, mat2, (2, 2))


def bmm(input: Any, mat2: Any) -> Any:
    """(b, n, m) times (b, m, p)."""
    if input.ndim == mat2.ndim == 3 and input.shape[0] != mat2.shape[0]:
        raise ShapeError(f"bmm expects equal batch sizes, got {input.shape[0]} and {mat2.shape[0]}")
    return _ranked("bmm", input, mat2, (3, 3))


def mv(input: Any, vec: Any) -> Any:
    """(n, m) times (m)."""
    return _ranked("mv", input, vec, (2, 1))


def dot(input: Any, tensor: Any) -> Any:
    """The inner product of two vectors."""
    return _ranked("dot", input, tensor, (1, 1))


def inner(input: Any, other: Any) -> Any:
    """Products summed over the last dimension of both."""
    if not input.ndim or not other.ndim:
        return input * other
    y = matmul(
        reshape(input, (-1, input.shape[-1])),
        transpose(reshape(other, (-1, other.shape[-1])), 0, 1),
    )
    return reshape(y, (*input.shape[:-1], *other.shape[:-1]))


def outer(input: Any, vec2: Any) -> Any:
    """All products of two vectors' elements."""
    if input.ndim != 1 or vec2.ndim != 1:
        raise ShapeError(f"outer expects two vectors, got {input.ndim} and {vec2.ndim} dimensions")
    return reshape(input, (-1, 1)) * vec2


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta input + alpha mat1 @ mat2"""
    if beta == alpha == 1 and (mat1.ndim, mat2.ndim, input.ndim) == (2, 2, 1):
        from .linear import linear

        return linear(mat1, transpose(mat2, 0, 1), input)
    return _scaled(input, beta) + _scaled(mm(mat1, mat2), alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta input + alpha mat @ vec"""
    return _scaled(input, beta) + _scaled(mv(mat, vec), alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta input + alpha vec1 ⊗ vec2"""
    return _scaled(input, beta) + _scaled(outer(vec1, vec2), alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta input + alpha batch1 @ batch2"""
    return _scaled(input, beta) + _scaled(bmm(batch1, batch2), alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta input + alpha Σ batch1 @ batch2"""
    from .reduce import sum

    return _scaled(input, beta) + _scaled(sum(bmm(batch1, batch2), 0), alpha)


def _scaled(x: Any, factor: float) -> Any:
    return x if factor == 1 else x * factor


ger, vdot = outer, dot
methods(ger=outer, vdot=dot)
methods(addbmm, addmm, addmv, addr, baddbmm, bmm, dot, inner, matmul, mm, mv, outer)
