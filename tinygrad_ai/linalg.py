"""PyTorch's `linalg` namespace: norms, inverses, determinants, decompositions, powers."""

from __future__ import annotations

import math
from typing import Any

from .errors import ArgumentError, ShapeError
from .ops.create import eye
from .ops.decompositions import _svd, cholesky, det, eigh, inverse, qr, slogdet, solve
from .ops.diagonal import diagonal as _diagonal
from .ops.diagonal import tril, triu
from .ops.distance import cross as _cross
from .ops.elementwise import abs
from .ops.matmul import matmul
from .ops.norm import vector_norm
from .ops.reduce import amax, amin, sum
from .ops.shape import movedim, reshape, transpose
from .tensor import Tensor

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matrix_norm",
    "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve",
    "solve_triangular", "svd", "svdvals", "vector_norm",
]  # fmt: skip

inv = inverse


def eigvalsh(A: Any) -> Any:
    """The eigenvalues of a symmetric matrix, ascending."""
    return eigh(A)[0]


def svd(A: Any, full_matrices: bool = True) -> Any:
    """U, S, Vh with A = U diag(S) Vh. Reduced: ask for full_matrices=False, or a square matrix."""
    if full_matrices and A.shape[-1] != A.shape[-2]:
        raise ArgumentError("svd is reduced here", "full_matrices=False")
    return _svd(A)


def svdvals(A: Any) -> Any:
    """The singular values, descending."""
    return _svd(A)[1]


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonals of matrices."""
    return _diagonal(A, offset, dim1, dim2)


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """A matrix norm: "fro", "nuc", inf, -inf, 1, -1, 2, -2."""
    x = movedim(A, dim, (-2, -1))
    if ord == "fro":
        y = vector_norm(x, 2, (-2, -1))
    elif ord in ("nuc", 2, -2):
        s = svdvals(x)
        y = sum(s, -1) if ord == "nuc" else (amax if ord == 2 else amin)(s, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = sum(abs(x), -2 if ord in (1, -1) else -1)
        y = (amax if ord > 0 else amin)(sums, -1)
    else:
        raise ArgumentError(
            f"matrix_norm knows 'fro', 'nuc', inf, 1 and 2 with both signs, got {ord!r}"
        )
    if not keepdim:
        return y
    places = [d % A.ndim for d in dim]
    return reshape(y, [1 if i in places else n for i, n in enumerate(A.shape)])


def norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """vector_norm, or matrix_norm where `ord` is given for a matrix or for two dimensions."""
    x = A if dtype is None else A.to(dtype)
    two = len(dim) == 2 if isinstance(dim, (tuple, list)) else dim is None and x.ndim == 2
    if ord is not None and two:
        return matrix_norm(x, ord, dim or (-2, -1), keepdim)
    return vector_norm(x, 2 if ord is None else ord, dim, keepdim)


def matrix_power(A: Any, n: int) -> Any:
    """A · A · ... n times; the inverse for n < 0."""
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"matrix_power expects square matrices, got {tuple(A.shape)}")
    base = A if n >= 0 else inv(A)
    result: Any = eye(A.shape[-1], dtype=A.dtype, device=A.device)
    for bit in bin(n if n >= 0 else -n)[2:]:
        result = matmul(result, result)
        result = matmul(result, base) if bit == "1" else result
    return result + base * 0 if n == 0 else result


def multi_dot(tensors: Any) -> Any:
    """The product of several matrices in the order that costs least; the ends may be vectors."""
    given = list(tensors)
    if len(given) < 2:
        raise ArgumentError(f"multi_dot expects two matrices or more, got {len(given)}")
    sizes = [
        x.shape[0] if x.ndim > 1 else (1 if i == 0 else x.shape[0]) for i, x in enumerate(given)
    ]
    sizes.append(given[-1].shape[-1] if given[-1].ndim > 1 else 1)
    while len(given) > 2:  # the largest inner size first
        k = max(range(1, len(given)), key=lambda i: sizes[i])
        given[k - 1 : k + 1] = [matmul(given[k - 1], given[k])]
        del sizes[k]
    return matmul(*given)


def pinv(A: Any, *, rcond: float | None = None) -> Any:
    """The Moore-Penrose inverse, of full rank matrices by their normal equations."""
    if A.shape[-2] >= A.shape[-1]:
        return solve(matmul(transpose(A, -2, -1), A), transpose(A, -2, -1))
    gram = matmul(A, transpose(A, -2, -1))
    return transpose(solve(gram, A), -2, -1)


def matrix_rank(A: Tensor, tol: float | None = None) -> Any:
    """How many singular values exceed the tolerance."""
    from .backend.dtypes import finfo

    s: Any = svdvals(A.detach())  # type: ignore[attr-defined]
    limit = (
        max(A.shape[-2:]) * float(finfo(A.dtype).eps) * amax(s, -1, True) if tol is None else tol
    )
    return sum(s > limit, -1)


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """X with A X = B, looking only at one triangle of A."""
    triangle = triu(A) if upper else tril(A)
    if unitriangular:
        one = eye(A.shape[-1], dtype=A.dtype, device=A.device)
        triangle = triangle * (1 - one) + one
    return solve(triangle, B, left=left)


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The cross product of vectors of three numbers along dim."""
    return _cross(input, other, dim)
