"""Inverses, determinants and decompositions of (batches of) matrices."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd.op import op
from ..errors import ArgumentError, LinAlgError, ShapeError
from ..tensor import methods
from .arguments import raw
from .create import zeros_like
from .diagonal import diag_embed, diagonal, tril
from .joining import cat, stack
from .matmul import _matmul
from .select import where
from .shape import reshape, transpose, unsqueeze

__all__ = ["cholesky", "det", "inverse", "logdet", "qr", "slogdet", "svd"]


def mT(x: Any) -> Any:
    return transpose(x, -2, -1)


def symmetric(x: Any) -> Any:
    """The symmetric part, so that a derivative by a symmetric matrix means what it says."""
    return 0.5 * (x + mT(x))


def square(x: Any, name: str) -> Any:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name} expects square matrices, got {tuple(x.shape)}")
    return x


def guarded(work: Any, message: str) -> Any:
    """NumPy's complaint about a matrix, in our words."""
    try:
        return work()
    except backend.numpy.linalg.LinAlgError:
        raise LinAlgError(message) from None


@op
def _inv(be, x):
    """y = inv(x);   gx = -yᵀ @ g @ yᵀ"""
    return guarded(lambda: be.linalg.inv(x), "the matrix is singular and has no inverse")


@_inv.vjp
def _(g, y):
    return -_matmul(mT(y), _matmul(g, mT(y)))


@op(dtypes="same")
def _solve(be, a, b):
    """y = solve(a, b);   gb = solve(aᵀ, g),  ga = -gb @ yᵀ"""
    return guarded(lambda: be.linalg.solve(a, b), "the matrix is singular: no one solution")


@_solve.vjp
def _(g, y, a):
    gb = _solve(mT(a), g)
    return -_matmul(gb, mT(y)), gb


@op
def _det(be, x):
    """y = det(x);   gx = g[…, None, None] cofactors(x)

    The cofactors are y x⁻ᵀ where x is regular.
    """
    return be.linalg.det(x).astype(x.dtype)


@_det.vjp
def _(g, y, x):
    g = reshape(g, (*g.shape, 1, 1))
    if raw(y).all():
        return g * reshape(y, (*y.shape, 1, 1)) * mT(_inv(x))
    return g * cofactors(x)


def cofactors(x: Any) -> Any:
    """The determinants of what is left without row i and column j, with their signs."""
    n, rows = x.shape[-1], []
    for i in range(n):
        without = cat([x[..., :i, :], x[..., i + 1 :, :]], -2)
        minors = [cat([without[..., :j], without[..., j + 1 :]], -1) for j in range(n)]
        rows.append(stack([_det(m) * (-1) ** (i + j) for j, m in enumerate(minors)], -1))
    return stack(rows, -2)


@op
def _slogdet(be, x):
    """y = slogdet(x);   gx = g[1][…, None, None] inv(x)ᵀ

    The sign of det x, and ln |det x|.
    """
    sign, logarithm = be.linalg.slogdet(x)
    return sign.astype(x.dtype), logarithm.astype(x.dtype)


@_slogdet.vjp
def _(g, x):
    return zeros_like(x) if g[1] is None else reshape(g[1], (*g[1].shape, 1, 1)) * mT(_inv(x))


@op
def _cholesky(be, x):
    """y = cholesky(sym(x));   gx = sym(inv(y)ᵀ @ half(yᵀ @ g) @ inv(y))

    half is the lower triangle with half of the diagonal.
    """
    return guarded(lambda: be.linalg.cholesky(symmetric(x)), "the matrix is not positive definite")


@_cholesky.vjp
def _(g, y):
    inner = tril(_matmul(mT(y), g))
    inner = inner - 0.5 * diag_embed(diagonal(inner, 0, -2, -1))
    inverse = _inv(y)
    return symmetric(_matmul(mT(inverse), _matmul(inner, inverse)))


@op
def _qr(be, x):
    """y = qr(x),  Q = y[0],  R = y[1];
    m = R @ g[1]ᵀ - g[0]ᵀ @ Q,  gx = (g[0] + Q @ mirrored(m)) @ inv(R)ᵀ

    mirrored is symmetric, made of the lower triangle.
    """
    return tuple(be.linalg.qr(x, mode="reduced"))


@_qr.vjp
def _(g, y):
    (gq, gr), (q, r) = g, y
    gq = zeros_like(q) if gq is None else gq
    m = -_matmul(mT(gq), q)
    m = m if gr is None else m + _matmul(r, mT(gr))
    both = tril(m) + mT(tril(m, -1))
    return _matmul(gq + _matmul(q, both), mT(_inv(r)))


@op
def _eigh(be, x):
    """y = eigh(sym(x)),  w = y[0],  V = y[1];
    gx = sym(V @ (diag(g[0]) + (Vᵀ @ g[1]) gaps(w)) @ Vᵀ)

    gaps(w)[i, j] = 1 / (w_j - w_i), 0 on the diagonal.
    """
    return tuple(guarded(lambda: be.linalg.eigh(symmetric(x)), "the eigenvalues did not converge"))


@_eigh.vjp
def _(g, y):
    (gw, gv), (w, v) = g, y
    inner = 0 if gw is None else diag_embed(gw)
    if gv is not None:
        inner = inner + off_diagonal(_matmul(mT(v), gv), unsqueeze(w, -2) - unsqueeze(w, -1))
    return symmetric(_matmul(v, _matmul(inner, mT(v))))


def off_diagonal(x: Any, gap: Any) -> Any:
    """x / gap off the diagonal, 0 on it."""
    eye = backend.of(raw(x)).eye(x.shape[-1], dtype=bool)
    return where(eye, 0.0, x / where(eye, 1.0, gap))


@op
def _svd(be, x):
    """y = svd(x),  U = y[0],  W = y[2],  c = y[1][…, None],  r = y[1][…, None, :];
    m = Uᵀ @ g[0],  k = W @ g[2]ᵀ,  d = gaps(y[1]²),
    gx = U @ (diag(g[1]) + (m - mᵀ) d r + c (k - kᵀ) d) @ W
    + ((g[0] - U @ m) / r) @ W + U @ ((g[2] - kᵀ @ W) / c)

    x = U diag(s) W: the parts of the gradient inside and outside their spaces.
    """
    found = guarded(
        lambda: be.linalg.svd(x, full_matrices=False), "the singular values did not converge"
    )
    return tuple(found)


@_svd.vjp
def _(g, y):
    (gu, gs, gvh), (u, s, vh) = g, y
    gap = unsqueeze(s * s, -2) - unsqueeze(s * s, -1)
    inner = 0 if gs is None else diag_embed(gs)
    outer: Any = 0
    if gu is not None:
        m = _matmul(mT(u), gu)
        inner = inner + off_diagonal(m - mT(m), gap) * unsqueeze(s, -2)
        outer = outer + _matmul((gu - _matmul(u, m)) / unsqueeze(s, -2), vh)
    if gvh is not None:
        m = _matmul(vh, mT(gvh))
        inner = inner + unsqueeze(s, -1) * off_diagonal(m - mT(m), gap)
        outer = outer + _matmul(u, (gvh - _matmul(mT(m), vh)) / unsqueeze(s, -1))
    return _matmul(u, _matmul(inner, vh)) + outer


def inverse(input: Any) -> Any:
    """x⁻¹; LinAlgError for a singular matrix."""
    return _inv(square(input, "inverse"))


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """X with A X = B (or X A = B): A (..., n, n), B (..., n, k) or (n)."""
    square(A, "solve")
    if not left:
        return mT(solve(mT(A), mT(B)))
    if B.ndim == 1 or (B.ndim == A.ndim - 1 and tuple(B.shape) == tuple(A.shape[:-1])):
        return reshape(_solve(A, unsqueeze(B, -1)), B.shape)
    if B.shape[-2] != A.shape[-1]:
        raise ShapeError(
            f"solve expected {A.shape[-1]} rows, got {tuple(A.shape)} and {tuple(B.shape)}"
        )
    return _solve(A, B)


def det(input: Any) -> Any:
    """The determinant."""
    return _det(square(input, "det"))


def slogdet(input: Any) -> Any:
    """The sign of the determinant, and the logarithm of its absolute value."""
    return _slogdet(square(input, "slogdet"))


def logdet(input: Any) -> Any:
    """The logarithm of the determinant, NaN if that is negative."""
    s, value = slogdet(input)
    return where(s < 0, float("nan"), value)


def cholesky(input: Any, upper: bool = False) -> Any:
    """L with L Lᵀ = x, lower triangular; LinAlgError unless x is positive definite."""
    factor = _cholesky(square(input, "cholesky"))
    return mT(factor) if upper else factor


def qr(input: Any, some: bool = True) -> Any:
    """Q with orthonormal columns and R upper triangular, x = Q R."""
    if not some or input.shape[-2] < input.shape[-1]:
        raise ArgumentError("qr is for matrices with at least as many rows as columns, reduced")
    return _qr(input)


def eigh(A: Any) -> Any:
    """Eigenvalues in ascending order, and eigenvectors in columns, of a symmetric matrix."""
    return _eigh(square(A, "eigh"))


def svd(input: Any, some: bool = True) -> Any:
    """U, S, V with x = U diag(S) Vᵀ, reduced."""
    if not some:
        raise ArgumentError("svd is reduced here", "some=True")
    u, s, vh = _svd(input)
    return u, s, mT(vh)


methods(cholesky, det, inverse, logdet, qr, slogdet, svd)
